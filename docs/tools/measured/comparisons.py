"""Tables of comparisons of agents."""

from __future__ import annotations

import json

import numpy as np

from agents.arena.runs import Entry
from agents.arena.statistics import Interval, probability_of_improvement
from measured.formatting import Row, interval, markdown, read

RANDOM = ("random", "random-origin")
"""The agents of random search, in an embedding and in the space itself."""


def iqm(row: Row) -> str:
    """The middle half's mean with its 95 % interval."""
    return interval(row["iqm"], row["iqm_low"], row["iqm_high"], 3)


def iqm_and_range(row: Row) -> str:
    """The middle half's mean with the worst and the best search."""
    return f"{float(row['iqm']):.3f} ({float(row['worst']):.3f}, {float(row['best']):.3f})"


def over_random(row: Row) -> str:
    """The probability of a better search than random search's, with its interval."""
    return interval(row["probability_over_random"], row["probability_low"], row["probability_high"], 2)


def to_random_best(row: Row) -> str:
    """How many children it took to reach random search's median best reward."""
    children = float(row["children_to_random_best"])
    return f"{children:.0f}" if np.isfinite(children) else "never"


def ordered(name: str) -> list[Row]:
    """The rows of a comparison, the highest score first."""
    return sorted(read(name), key=lambda row: -float(row["iqm"]))


def agent(row: Row, usual_seeds: str) -> str:
    """An agent's name, with a mark where it had another number of seeds than the others."""
    return f"`{row['agent']}`" + ("" if row["seeds"] == usual_seeds else "¹")


def surrogate_comparison() -> str:
    """Every agent on the digits surrogate."""
    chosen = {row["agent"]: row for row in read("arena-digits-surrogate-chosen.csv")}
    rows = ordered("arena-digits-surrogate.csv")
    header = [
        "agent", "best reward of 100, IQM (95 % interval)", "chosen child's accuracy without noise",
        "probability over random (interval)", "children to random's best", "distinct",
    ]  # fmt: skip
    return markdown(
        header,
        [
            [
                agent(row, rows[0]["seeds"]),
                iqm(row),
                iqm(chosen[row["agent"]]),
                over_random(row),
                to_random_best(row),
                f"{float(row['unique']):.0f}",
            ]
            for row in rows
        ],
    )


def three_hundred_seeds(name: str) -> str:
    """The quick agents on 300 seeds, by the best reward and by the chosen child, over two random searches."""
    chosen = {row["agent"]: row for row in read(f"{name}-chosen.csv")}
    rows = ordered(f"{name}.csv")
    best = _best_rewards(f"{name}-searches.csv")
    named = {_embedding(entry): entry for entry in best if Entry.parse(entry).agent in RANDOM}
    header = [
        "agent", "best reward of 100, IQM (95 % interval)", "probability over `random` (interval)",
        "over random search in the same embedding", "children to `random`'s best",
        "chosen child's accuracy without noise", "probability over `random`'s (interval)",
    ]  # fmt: skip
    return markdown(
        header,
        [
            [
                agent(row, row["seeds"]),
                iqm(row),
                over_random(row),
                _over(best, row["agent"], named.get(_embedding(row["agent"]))),
                to_random_best(row),
                iqm(chosen[row["agent"]]),
                over_random(chosen[row["agent"]]),
            ]
            for row in rows
        ],
    )


def _best_rewards(name: str) -> dict[str, np.ndarray]:
    """The best reward of each search, by agent."""
    found: dict[str, list[float]] = {}
    for search in read(name):
        found.setdefault(search["agent"], []).append(float(search["best_reward"]))
    return {entry: np.array(rewards) for entry, rewards in found.items()}


def _embedding(entry: str) -> str:
    """What tells the embedding that an entry searches."""
    return json.dumps(Entry.parse(entry).environment, sort_keys=True)


def _over(best: dict[str, np.ndarray], entry: str, baseline: str | None) -> str:
    """The probability of a better search than the baseline's; empty where it has none or is one itself."""
    if baseline in (None, entry):
        return ""
    return _interval(probability_of_improvement(best[entry], best[baseline]))


def _interval(found: Interval) -> str:
    return interval(found.value, found.low, found.high, 2)


def headline() -> str:
    """README's table: who is better than random search, and by how much."""
    header = ["agent", "best reward of 100 children (95 % interval)", "better than random search with a probability of"]
    return markdown(
        header,
        [[agent(row, row["seeds"]), iqm(row), over_random(row)] for row in ordered("arena-digits-surrogate-300.csv")],
    )


def real_comparison(name: str, children: int) -> str:
    """A comparison that trained every child, with its chosen children's accuracies."""
    chosen = {row["agent"]: row for row in read(f"{name}-chosen.csv")}
    rows = ordered(f"{name}.csv")
    header = [
        "agent", f"best reward of {children}, IQM of {rows[0]['seeds']} (worst, best)",
        "chosen child's accuracy with fresh child seeds", "probability over random (interval)",
        "children to random's best",
    ]  # fmt: skip
    return markdown(
        header,
        [
            [
                agent(row, row["seeds"]),
                iqm_and_range(row),
                iqm_and_range(chosen[row["agent"]]),
                over_random(row),
                to_random_best(row),
            ]
            for row in rows
        ],
    )


def ablation() -> str:
    """What each part of REINFORCE is worth."""
    header = ["", "chosen child's accuracy without noise, IQM (95 % interval)", "probability over random (interval)"]
    rows = ordered("arena-ablation.csv")
    return markdown(header, [[agent(row, row["seeds"]), iqm(row), over_random(row)] for row in rows])


def given(entry: str) -> str:
    """The settings of an entry of a comparison, with spaces between them."""
    return entry.partition(":")[2].replace(",", " ")


def tuned() -> str:
    """The configuration of each agent that won its tuning."""
    best: dict[str, Row] = {}
    for row in read("arena-tuning.csv"):
        rank = (int(row["round"]), float(row["mean"]))
        known = best.get(row["agent_tuned"])
        if known is None or rank > (int(known["round"]), float(known["mean"])):
            best[row["agent_tuned"]] = row
    header = ["agent", "settings that won", "seeds", "probability over random (interval)"]
    return markdown(
        header,
        [
            [f"`{name}`", f"`{given(row['agent']) or 'the defaults'}`", row["seeds"], over_random(row)]
            for name, row in best.items()
        ],
    )


KERNELS = {
    "embedding, exp of squared distance": "the embedding (`reinforce:recipe=embedding`)",
    "origin numbers: rbf all layers 2": "the numbers of the origin vector",
    "decisions: layers rbf width 2": "decisions of every layer",
    "decisions: profile 2 rbf width 1.5": "profiles of decisions",
    "decisions: one kernel of profile 2 (share 0.5) and layers, rbf width 2": "both (`reinforce`)",
}
"""What the page tells of the critics' kernels, by their names in the table."""


def critic_kernels() -> str:
    """How well critics of different features predict, after 40 and after 100 random children."""
    rows = {(row["features_and_kernel"], row["children"]): row for row in read("critic-kernels.csv")}
    header = ["the critic sees", "correlation, 40 children", "100 children", "reward of the best 1 %, 40", "100"]
    columns = [(children, name) for name in ("correlation", "top_percent_reward") for children in ("40", "100")]
    return markdown(
        header,
        [[words, *(rows[kernel, children][name] for children, name in columns)] for kernel, words in KERNELS.items()],
    )


def critic_confirmed() -> str:
    """Both critics on the seeds that the choice was confirmed on."""
    chosen = {row["agent"]: row for row in read("critic-confirmed-chosen.csv")}
    header = [
        "agent", "best reward of 100, IQM (95 % interval)", "probability over random (interval)",
        "children to random's best", "chosen child's accuracy without noise", "its probability over random's",
    ]  # fmt: skip
    rows = [
        [f"`{row['agent']}`", iqm(row), over_random(row), to_random_best(row)]
        + [iqm(chosen[row["agent"]]), over_random(chosen[row["agent"]])]
        for row in ordered("critic-confirmed.csv")
    ]
    return markdown(header, rows)
