"""Whatever happens to a child, the search goes on: lowest reward, the reason, a complete ledger."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing
from PIL import Image

from nases_env.children.training import Trainer
from nases_env.evaluators import WorkerStartError
from nases_env.executors.worker import DEVICE_LOST
from nases_env.ledger import read_trials
from nases_env.search_spaces import MacroArchitecture, MacroSpace


@dataclasses.dataclass(frozen=True)
class Faulty(MacroArchitecture):
    """Something happens to every worker that builds it."""

    fault: str = ""

    @property
    def sources(self):
        if torch.multiprocessing.parent_process() is not None:
            {
                "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "device lost": lambda: os._exit(DEVICE_LOST),
                "hangs": lambda: time.sleep(1000),
            }[self.fault]()
        return MacroArchitecture.sources.func(self)


def out_of_memory(self):
    raise torch.OutOfMemoryError("CUDA out of memory")


IN_PROCESS = {
    "nan": ({"learning_rate": 1e38, "epochs": 2}, None),
    "too_many_parameters": ({"max_parameters": 1}, None),
    "too_many_flops": ({"max_flops": 1}, None),
    "out_of_memory": ({}, out_of_memory),
    "timeout": ({"max_seconds": 1}, lambda self: time.sleep(1.1) or TRAIN_EPOCH(self)),
}
TRAIN_EPOCH = Trainer.train_epoch


def walk(env, actions):
    """Three steps from seed 0: rewards and failures."""
    env.reset(seed=0)
    steps = [env.step(action) for action in actions]
    return [(reward, info["failure"]) for _, reward, _, _, info in steps]


@pytest.mark.parametrize("failure", IN_PROCESS)
def test_a_failed_child_is_recorded_and_replayed_and_the_environment_stays_usable(
    make, tiny, actions, tmp_path, monkeypatch, failure
):
    fields, fault = IN_PROCESS[failure]
    journal = str(tmp_path / "journal.log")
    env = make(protocol=tiny | fields, ledger=journal)
    with monkeypatch.context() as patch:
        if fault:
            patch.setattr(Trainer, "train_epoch", fault)
        assert walk(env, actions[:2]) == [(-1.0, failure)] * 2
    env.close()
    trials = read_trials(journal)
    assert [trial.value for trial in trials] == [-1.0, -1.0]
    assert [trial.user_attrs["evaluation"]["failure"] for trial in trials] == [failure] * 2
    # The same journal goes on, and a child that nothing happens to is trained.
    again = make(protocol=tiny | fields, ledger=journal)
    found = walk(again, actions)
    assert found[:2] == [(-1.0, failure)] * 2
    assert found[2][1] == ("" if fault else failure)
    assert len(read_trials(journal)) == 3


@pytest.mark.parametrize(("fault", "failure"), [("killed", "crash"), ("device lost", "crash"), ("hangs", "timeout")])
def test_a_child_that_takes_its_worker_down_is_recorded_and_the_next_one_is_trained(
    make, tiny, actions, tmp_path, monkeypatch, fault, failure
):
    journal = str(tmp_path / "journal.log")
    env = make(protocol=tiny | {"max_seconds": 2, "hang_seconds": 1}, workers=1, ledger=journal)
    build = MacroSpace.architecture

    def second_is_faulty(self, row, built=[]):  # noqa: B006
        built.append(build(self, row))
        child = built[-1]
        return Faulty(child.rules, child.layers, child.links, fault) if len(built) == 2 else child

    with monkeypatch.context() as patch:
        patch.setattr(MacroSpace, "architecture", second_is_faulty)
        found = walk(env, actions)
    assert [failure for _, failure in found] == ["", failure, ""]
    assert found[1][0] == -1.0
    assert min(found[0][0], found[2][0]) > -1
    env.close()
    assert [trial.user_attrs["evaluation"]["failure"] for trial in read_trials(journal)] == ["", failure, ""]


UNGUARDED = """
import gymnasium as gym, nases_env, numpy as np
keywords = {"protocol": PROTOCOL, "device": "cpu", "workers": 2, "ledger": "journal.log"}
if SEVERAL:
    env = gym.make_vec("NASES-Digits-v0", num_envs=2, **keywords)
else:
    env = gym.make("NASES-Digits-v0", **keywords)
env.reset(seed=0)
print("trained", env.step(np.full(env.action_space.shape, 0.5, np.float32)))
"""


@pytest.mark.parametrize(
    ("several", "file", "words"),
    [(False, True, "ended with exit status 1"), (True, True, "ended with exit status 1"), (True, False, "no file")],
)
def test_a_program_that_workers_cannot_import_is_told_so_and_nothing_is_recorded(tiny, tmp_path, several, file, words):
    code = UNGUARDED.replace("PROTOCOL", repr(tiny)).replace("SEVERAL", repr(several))
    (tmp_path / "search.py").write_text(code, encoding="utf-8")
    with (tmp_path / "search.py").open(encoding="utf-8") as stdin:
        done = subprocess.run(
            [sys.executable, "search.py" if file else "-"],
            stdin=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=120,
        )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert WorkerStartError.__name__ in last and words in last and "__name__ == '__main__'" in last
    assert "trained" not in done.stdout
    assert read_trials(tmp_path / "journal.log") == []


def test_a_daemonic_process_is_told_to_train_in_itself(make, actions, tmp_path, monkeypatch):
    env = make(workers=1, ledger=str(tmp_path / "journal.log"))
    env.reset(seed=0)
    with monkeypatch.context() as patch, pytest.raises(WorkerStartError, match=r"daemonic .*Set workers=0"):
        patch.setitem(torch.multiprocessing.current_process()._config, "daemon", True)
        env.step(actions[0])
    assert read_trials(tmp_path / "journal.log") == []
    assert env.step(actions[0])[4]["failure"] == ""


@pytest.fixture
def folder(tmp_path):
    """An image folder of two classes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 4)):
        for name in ("cats", "dogs"):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / part / name / f"{i}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_vanish_during_a_search_are_not_missed(make, tiny, actions, folder, tmp_path, monkeypatch, workers):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keywords = {"dataset": f"imagefolder:{folder}", "protocol": tiny | {"train_images": 40}, "workers": workers}
    expected = walk(make("NASES-v0", **keywords), actions)
    journal = str(tmp_path / "journal.log")
    env = make("NASES-v0", **keywords, ledger=journal)
    env.reset(seed=0)
    first = env.step(actions[0])
    shutil.rmtree(folder)
    later = [env.step(action) for action in actions[1:]]
    assert [(reward, info["failure"]) for _, reward, _, _, info in (first, *later)] == expected
    assert len(read_trials(journal)) == 3


def test_data_that_are_missing_are_named_and_the_environment_is_usable_when_they_are_back(
    make, tiny, actions, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    journal = str(tmp_path / "journal.log")
    env = make("NASES-v0", dataset=f"imagefolder:{folder}", protocol=tiny | {"train_images": 40}, ledger=journal)
    env.reset(seed=0)
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=f"no images in {folder}/train; expected"):
        env.step(actions[0])
    (tmp_path / "away").rename(folder)
    assert env.step(actions[0])[4]["failure"] == ""
    assert len(read_trials(journal)) == 1
