import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

SUMMARY = (
    "agent", "iqm", "iqm_low", "iqm_high", "median", "best", "worst", "seeds", "unique", "failures", "seconds",
    "probability_over_random", "probability_low", "probability_high", "children_to_random_best",
)  # fmt: skip


def _compare(run, out, *more, agents=("evolution:population=5", "random-origin"), seeds=3, children=12, **environment):
    arguments = ["--agents", *agents, "--seeds", seeds, "--children", children, "--out", out, *more]
    return run("compare.py", *arguments, **environment)


def _rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def compared(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    done = _compare(run, out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_summary_has_a_row_an_agent_and_random_search_always(compared):
    rows = _rows(compared[0] / "summary.csv")
    assert tuple(rows[0]) == SUMMARY
    assert {row["agent"] for row in rows} == {"evolution:population=5", "random-origin", "random"}
    for row in rows:
        assert float(row["worst"]) <= float(row["iqm"]) <= float(row["best"])
        assert float(row["iqm_low"]) <= float(row["iqm"]) <= float(row["iqm_high"])
        assert (row["seeds"], row["failures"]) == ("3", "0")
        assert 0 < float(row["unique"]) <= 12 and float(row["seconds"]) > 0
    (random,) = (row for row in rows if row["agent"] == "random")
    assert float(random["probability_over_random"]) == 0.5
    assert [float(row["iqm"]) for row in rows] == sorted((float(row["iqm"]) for row in rows), reverse=True)


def test_what_one_has_to_know_to_read_the_summary_is_printed_and_kept(compared):
    out, printed = compared
    notes = (out / "notes.txt").read_text().splitlines()[1:]
    assert notes and all(note in printed for note in notes)


def test_every_child_is_in_the_table_and_the_summary_follows_from_it(compared):
    children = _rows(compared[0] / "children.csv")
    assert len(children) == 3 * 3 * 12
    assert {row["seed"] for row in children} == {"1000", "1001", "1002"}
    for row in _rows(compared[0] / "summary.csv"):
        best = [
            max(float(child["reward"]) for child in children if (child["agent"], child["seed"]) == (row["agent"], seed))
            for seed in ("1000", "1001", "1002")
        ]
        assert float(row["median"]) == pytest.approx(np.median(best))


def test_a_table_tells_what_each_search_found(compared):
    searches = _rows(compared[0] / "searches.csv")
    assert len(searches) == 3 * 3
    for row in _rows(compared[0] / "summary.csv"):
        best = [float(search["best_reward"]) for search in searches if search["agent"] == row["agent"]]
        assert (min(best), max(best)) == (float(row["worst"]), float(row["best"]))
    assert all(0 < float(search["chosen_accuracy"]) <= 1 for search in searches)


def test_pictures_and_page_are_drawn(compared):
    out, printed = compared
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "evolution:population=5" in page
    assert "80 %" in (out / "notes.txt").read_text() and "compare.py" in (out / "notes.txt").read_text()
    assert "over random" in printed


def test_the_same_command_makes_nothing_again_and_more_seeds_only_those(run, compared):
    out, _ = compared
    before = {path: path.stat().st_mtime_ns for path in out.rglob("seed*.json")}
    summary = (out / "summary.csv").read_text()
    assert _compare(run, out).returncode == 0
    assert (out / "summary.csv").read_text() == summary
    assert _compare(run, out, seeds=4).returncode == 0
    after = {path: path.stat().st_mtime_ns for path in out.rglob("seed*.json")}
    assert len(after) == len(before) + 3 and before.items() <= after.items()


def test_searches_are_reproducible(run, compared, tmp_path):
    assert _compare(run, tmp_path, "--workers", 1).returncode == 0
    for path in tmp_path.rglob("seed*.json"):
        one, other = (json.loads(file.read_text()) for file in (path, compared[0] / path.relative_to(tmp_path)))
        for record in (one, other):
            for child in record["children"]:
                del child["seconds"]
        assert (one["children"], one["chosen"]) == (other["children"], other["chosen"])


def test_searches_on_a_cluster_find_the_same_and_are_recorded_here(run, compared, tmp_path):
    pytest.importorskip("ray")
    arguments = (run, tmp_path, "--executor", "ray:cpu*2")
    done = _compare(*arguments, RAY_ADDRESS="local")
    assert done.returncode == 0, done.stderr
    found = {path.relative_to(tmp_path): path for path in tmp_path.rglob("seed*.json")}
    assert len(found) == 9
    for name, path in found.items():
        assert _told(path) == _told(compared[0] / name)
    before = {path: path.stat().st_mtime_ns for path in found.values()}
    assert _compare(*arguments, RAY_ADDRESS="127.0.0.1:1").returncode == 0  # nothing is left to be made
    assert {path: path.stat().st_mtime_ns for path in found.values()} == before


def _told(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["run"], record["chosen"], [{**child, "seconds": 0} for child in record["children"]]


def test_a_killed_comparison_goes_on(start, run, tmp_path):
    arguments = ["--agents", "lstm", "--seeds", 3, "--children", 60, "--out", tmp_path]
    process = start("compare.py", *arguments)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("seed*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    workers = [pid for pid in started if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers and not any(Path(f"/proc/{pid}").exists() for pid in workers), "a worker outlived the comparison"
    done = run("compare.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("seed*.json"))) == 6


def test_decoders_are_compared_by_the_chosen_childs_accuracy(run, tmp_path):
    done = _compare(run, tmp_path, "--score", "chosen", agents=("random:decoder=pca",), seeds=2)
    assert done.returncode == 0, done.stderr
    for row in _rows(tmp_path / "summary.csv"):
        assert 0.3 < float(row["worst"]) <= float(row["best"]) < 1
    record = json.loads(next(tmp_path.rglob("seed1000.json")).read_text())
    assert len(set(record["chosen"])) == 1  # without noise


def test_real_children_are_compared_with_journals(run, tmp_path):
    tiny = 'protocol={"preset":"digits","train_images":64,"validation_images":32,"epochs":1,"width":0.03}'
    more = ("--env-id", "NASES-Digits-v0", "--env-keywords", tiny, "device=cpu")
    done = _compare(run, tmp_path, *more, agents=("random",), seeds=1, children=2)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("seed1000.log"))) == 1
    record = json.loads(next(tmp_path.rglob("seed1000.json")).read_text())
    assert len(record["children"]) == 2 and len(record["chosen"]) == 3


@pytest.mark.parametrize(
    ("agents", "more", "words"),
    [
        (("hill",), (), "no agent 'hill'"),
        (("evolution:size=3",), (), "evolution has no settings size; it has population, sample, mutations"),
        (("random:decoder=nothing",), (), "no decoder 'nothing'"),
        (("random:population=3",), (), "random has no settings population"),
        (("random",), ("--env-keywords", "device=cpu"), "device"),
        (("random",), ("--first-seed", "-1"), "--first-seed at least 0"),
        (("random",), ("--executor", "processes:2"), "expected a Ray cluster: ray:cpu*16"),
    ],
)
def test_wrong_entries_are_told_before_anything_is_searched(run, tmp_path, agents, more, words):
    done = _compare(run, tmp_path / "out", *more, agents=agents)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_another_comparisons_folder_is_refused(run, compared):
    done = _compare(run, compared[0], children=13)
    assert done.returncode == 2 and "holds another run" in done.stderr
