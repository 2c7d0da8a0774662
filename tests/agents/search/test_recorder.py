import csv

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.random_search import RandomSearch
from agents.search.recorder import COLUMNS, Recorder
from nases_env.search_spaces import MacroArchitecture


@pytest.fixture
def recorded(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 5, {"agent": "random", "children": 5}, progress=False)
    RandomSearch(recorder, 0).run(recorder, 5)
    return recorder


def _rows(folder):
    with (folder / "children.csv").open() as file:
        return list(csv.DictReader(file))


def test_children_are_written_in_order_with_every_column(recorded, tmp_path):
    rows = _rows(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == list(range(5))
    assert {row["source"] for row in rows} == {"random"}


def test_rows_are_on_disk_before_the_search_ends(recorded, tmp_path):
    assert recorded._files is not None
    assert len(_rows(tmp_path)) == 5


def test_best_reward_is_the_running_maximum(recorded, tmp_path):
    rows = _rows(tmp_path)
    rewards = np.array([float(row["reward"]) for row in rows])
    np.testing.assert_array_equal([float(row["best_reward"]) for row in rows], np.maximum.accumulate(rewards))
    assert recorded.best.step == int(rewards.argmax())


def test_a_step_beyond_the_budget_is_refused(recorded):
    with pytest.raises(RuntimeError, match="budget of 5"):
        recorded.step(np.full(20, 0.5, dtype=np.float32))


def test_closing_writes_the_best_network_once(recorded, tmp_path):
    recorded.close()
    recorded.close()
    best = MacroArchitecture.from_json((tmp_path / "best.json").read_text())
    assert best == recorded.best.architecture
    assert (tmp_path / "best.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_holds_curves_picture_and_hyperparameters(recorded, tmp_path):
    recorded.log({"train/loss": 0.5})
    recorded.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {
        "search/reward",
        "search/best_reward",
        "search/validation_accuracy",
        "search/train_accuracy",
        "search/parameters",
        "search/child_seconds",
        "search/unique_architectures",
        "train/loss",
    } <= tags
    assert [event.step for event in events.Scalars("search/reward")] == list(range(5))
    assert events.Tags()["images"] == ["search/best_network"]
    assert "_hparams_/experiment" in events.summary_metadata


def test_a_second_recorder_starts_the_files_anew(recorded, closed_form, tmp_path):
    recorded.close()
    again = Recorder(closed_form(), tmp_path, 2, progress=False)
    RandomSearch(again, 1).run(again, 2)
    again.close()
    assert len(_rows(tmp_path)) == 2
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_an_unfinished_search_without_children_closes(closed_form, tmp_path):
    Recorder(closed_form(), tmp_path, 2, progress=False).close()
    assert list(tmp_path.iterdir()) == []


def test_a_recorder_that_records_nothing_leaves_an_earlier_record_alone(recorded, closed_form, tmp_path):
    recorded.close()
    before = (tmp_path / "children.csv").read_bytes()
    Recorder(closed_form(), tmp_path, 2, progress=False).close()
    assert (tmp_path / "children.csv").read_bytes() == before


def test_a_failed_child_is_never_the_best(closed_form, tmp_path):
    class Failing(closed_form):
        def step(self, action):
            observation, reward, terminated, truncated, info = super().step(action)
            return observation, -1.0, terminated, truncated, info | {"failure": "nan"}

    recorder = Recorder(Failing(), tmp_path, 2, progress=False)
    RandomSearch(recorder, 0).run(recorder, 2)
    recorder.close()
    assert recorder.best is None
    assert [float(row["best_reward"]) for row in _rows(tmp_path)] == [-1.0, -1.0]


def test_files_of_an_earlier_start_stay_until_the_replay_is_over(recorded, closed_form, tmp_path):
    recorded.close()
    before = (tmp_path / "children.csv").read_bytes()
    again = Recorder(closed_form(), tmp_path, 5, progress=False, replayed=4)
    again.reset(seed=0)
    for step in range(5):
        assert ((tmp_path / "children.csv").read_bytes() == before) == (step < 4)
        again.step(np.full(20, 0.1 * step, dtype=np.float32))
    assert [row["step"] for row in _rows(tmp_path)] == list("01234")
    again.close()
    interrupted = Recorder(closed_form(), tmp_path, 5, progress=False, replayed=4)
    interrupted.reset(seed=0)
    interrupted.step(np.full(20, 0.5, dtype=np.float32))
    best = (tmp_path / "best.json").read_bytes()
    interrupted.close()
    assert len(_rows(tmp_path)) == 5 and (tmp_path / "best.json").read_bytes() == best
