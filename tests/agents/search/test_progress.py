"""How far a search is, from its folder."""

import datetime
import json
import shutil
from types import SimpleNamespace

import pytest

from agents.commands import search
from agents.search import progress
from nases_env import file_lock

OPTIONS = ("--env-id", "NASES-Digits-Surrogate-v0", "--agent", "random", "--seed", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A search of six children."""
    path = tmp_path_factory.mktemp("runs") / "a search"
    assert search.main(search.parse([*OPTIONS, "--children", "6", "--run-dir", str(path)])) == 0
    return path


def test_a_finished_search_tells_its_best_child(folder):
    found = progress.read(folder)
    assert (found.children, found.budget, found.running, found.failures) == (6, 6, False, {})
    assert found.best == found.run.best()
    headline, best = str(found).splitlines()
    assert headline == f"{folder}: random on NASES-Digits-Surrogate-v0, seed 3: 6 of 6 children, finished"
    assert best.startswith(f"  best so far: child {found.best.number}, reward {found.best.reward:.4f}, validation")


def test_another_child_that_the_search_believes_in_is_told(folder):
    found = progress.read(folder)
    assert found.believed == found.best  # random search believes what it measured
    other = found.best._replace(number=found.best.number + 1, reward=0.125)
    *_, line = str(progress.Progress(**vars(found) | {"believed": other})).splitlines()
    assert line == f"  believed in: child {other.number}, reward 0.1250"


def test_a_search_that_goes_on_tells_how_long(folder):
    settings = json.loads((folder / "settings.json").read_text())
    found = progress.read(folder)
    longer = SimpleNamespace(**vars(found) | {"options": settings["options"] | {"children": 66}})
    going = progress.Progress(**vars(longer) | {"child_seconds": 2.0, "running": True})
    assert going.seconds_left == 120.0
    assert "6 of 66 children, running, about 2 min left" in str(going)
    assert "running\n" in str(progress.Progress(**vars(going) | {"child_seconds": None}))
    assert "6 of 66 children, stopped" in str(progress.Progress(**vars(going) | {"running": False}))


def test_a_search_runs_while_a_process_holds_its_journal(folder):
    held = file_lock.lock(folder / "journal.log", "busy")
    try:
        assert progress.read(folder).running
    finally:
        held.release()
    assert not progress.read(folder).running


def _trials(ends, seconds):
    start = datetime.datetime(2026, 1, 1)
    return [
        SimpleNamespace(
            datetime_complete=start + datetime.timedelta(seconds=end),
            user_attrs={"evaluation": {"seconds": seconds}},
        )
        for end in ends
    ]


def test_the_pause_before_a_resumption_does_not_count_as_a_childs_time():
    assert progress._seconds_between(_trials([0, 10, 20, 7220, 7230, 7240], 10.0)) == 10.0
    assert progress._seconds_between(_trials([0], 10.0)) is None


def test_children_that_are_recorded_in_bursts_take_their_share_of_the_time():
    assert progress._seconds_between(_trials([0, 10, 10, 20, 20, 30, 30], 10.0)) == 5.0


def test_a_surrogate_answers_at_once():
    assert progress._seconds_between(_trials([0, 1, 2], 0.0)) is None


def test_looking_makes_no_file(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.filelock"))
    before = sorted(tmp_path.rglob("*"))
    assert not progress.read(tmp_path / "copy").running
    assert sorted(tmp_path.rglob("*")) == before


def test_a_budget_that_is_no_number_is_told(folder, tmp_path):
    settings = json.loads((folder / "settings.json").read_text())
    settings["options"]["children"] = None
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="children"):
        progress.read(tmp_path)


def test_a_search_without_a_child_yet_is_none(folder, tmp_path):
    (tmp_path / "settings.json").write_bytes((folder / "settings.json").read_bytes())
    found = progress.read(tmp_path)
    assert (found.children, found.best, found.seconds_left) == (0, None, None)
    assert str(found).endswith("0 of 6 children, stopped")


def test_final_trainings_are_told(folder, tmp_path):
    assert progress._final(tmp_path) == ""
    (tmp_path / "curve.csv").write_text("epoch,loss\n1,2.0\n2,1.0\n")
    assert progress._final(tmp_path) == "final training: 2 epochs done"
    (tmp_path / "metrics.json").write_text('{"test_accuracy": 0.91239}')
    assert progress._final(tmp_path) == "final training: test accuracy 0.9124"
    for damaged in ("{}", "[]", "null", "{"):
        (tmp_path / "metrics.json").write_text(damaged)
        assert "metrics.json is damaged" in progress._final(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5340, "89 min"), (11100, "3 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds, words):
    assert progress.duration(seconds) == words


def test_a_folder_without_a_search_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no search"):
        progress.read(tmp_path)
