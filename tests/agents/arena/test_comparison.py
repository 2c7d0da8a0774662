"""Known answers of a comparison's tables, on records made by hand."""

import pytest

from agents.arena.comparison import Comparison
from agents.trace import COLUMNS


def _record(seed, rewards, chosen=(0.5, 0.7)):
    empty = dict.fromkeys(COLUMNS, "")
    children = [empty | {"step": i, "reward": r, "architecture_key": str(r)} for i, r in enumerate(rewards)]
    run = {"seed": seed, "env_id": "NASES-Digits-v0", "children": len(rewards)}
    return {"run": run, "seconds": 2.0, "chosen": list(chosen), "children": children}


RECORDS = {
    "random": [_record(0, [0.1, 0.3, 0.2]), _record(1, [0.1, 0.1, 0.5])],
    "evolution": [_record(0, [0.6, 0.2, 0.2]), _record(1, [0.1, 0.4, 0.8])],
}


def test_the_summary_scores_searches_by_their_best_reward_and_starts_with_the_highest():
    evolution, random = Comparison(RECORDS, "best").summary
    assert (evolution["agent"], random["agent"]) == ("evolution", "random")
    assert evolution["median"] == pytest.approx(0.7) and (evolution["best"], evolution["worst"]) == (0.8, 0.6)
    assert (evolution["seeds"], evolution["unique"], evolution["failures"], evolution["seconds"]) == (2, 2.5, 0, 2.0)
    assert evolution["probability_over_random"] == 1 and random["probability_over_random"] == 0.5


def test_children_are_counted_to_the_median_best_reward_of_random_search():
    comparison = Comparison(RECORDS, "best")
    assert comparison.goal == pytest.approx(0.4)
    evolution, _ = comparison.summary
    assert evolution["children_to_random_best"] == 1.5  # the first and the second
    assert "80 %" in comparison.notes()[0] and "to reach 0.400" in comparison.notes()[1]


def test_an_agent_that_built_what_random_search_builds_is_named():
    notes = Comparison(RECORDS | {"reinforce": RECORDS["random"]}, "best").notes()
    assert len(notes) == 3 and notes[2].startswith("reinforce built the same children as random: its budget of 3")
    assert len(Comparison(RECORDS, "best").notes()) == 2


def test_chosen_children_may_be_scored_instead():
    comparison = Comparison(RECORDS | {"evolution": [_record(0, [0.1], []), _record(1, [0.1], [0.9])]}, "chosen")
    assert {name: list(scores) for name, scores in comparison.scores.items()} == {
        "random": pytest.approx([0.6, 0.6]),
        "evolution": pytest.approx([0, 0.9]),
    }


def test_tables_have_a_row_a_search_and_a_row_a_child(tmp_path):
    comparison = Comparison(RECORDS, "best")
    assert [(row["agent"], row["seed"], row["best_reward"]) for row in comparison.searches()] == [
        ("random", 0, 0.3),
        ("random", 1, 0.5),
        ("evolution", 0, 0.6),
        ("evolution", 1, 0.8),
    ]
    assert len(comparison.children()) == 12
    comparison.write(tmp_path, "the command")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8").startswith("the command\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("children.csv", "curves.png", "index.html", "notes.txt", "probabilities.png", "searches.csv", "summary.csv")
    ]
