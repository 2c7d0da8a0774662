"""Children in worker processes: the same results as in this one, and whatever happens to a worker, a result."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch.multiprocessing

from nases_env.children.presets import resolve
from nases_env.evaluators import worker_pool
from nases_env.evaluators.in_process import InProcessEvaluator
from nases_env.evaluators.worker_pool import WorkerPoolEvaluator
from nases_env.search_spaces import MacroArchitecture, MacroSpace

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "width": 0.03}
SPACE = MacroSpace()
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 4))]


@dataclasses.dataclass(frozen=True)
class Faulty(MacroArchitecture):
    """Something happens to the worker that builds it: always, or while there are files to remove in a folder."""

    fault: str = ""
    folder: str = ""

    @property
    def sources(self):
        if torch.multiprocessing.parent_process() is not None and self._strikes():
            {
                "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "device lost": lambda: os._exit(worker_pool.DEVICE_LOST),
                "hangs": lambda: time.sleep(1000),  # a worker that does not answer
                "bug": lambda: {}["missing"],
            }[self.fault]()
        return MacroArchitecture.sources.func(self)

    def _strikes(self):
        if not self.folder:
            return True
        for file in Path(self.folder).iterdir():
            file.unlink()
            return True
        return False


def faulty(fault, folder=""):
    child = ARCHITECTURES[0]
    return Faulty(child.rules, child.layers, child.links, fault, str(folder))


def made(workers=1, **fields):
    return WorkerPoolEvaluator("digits", "nowhere", resolve({**TINY, **fields}), "cpu", workers)


def results(evaluator, architectures=ARCHITECTURES):
    found = dict(evaluator.evaluate(architectures, range(len(architectures))))
    return [dataclasses.replace(found[index], seconds=0.0) for index in range(len(architectures))]


@pytest.fixture(scope="module")
def expected():
    return results(InProcessEvaluator("digits", "nowhere", resolve(TINY), "cpu"))


@pytest.fixture(scope="module")
def pool():
    """Two workers that give up on what does not answer for seconds."""
    evaluator = made(workers=2, max_seconds=5, hang_seconds=1)
    yield evaluator
    evaluator.close()


def test_workers_find_what_this_process_finds(pool, expected):
    assert results(pool) == expected
    assert pool.fingerprint == InProcessEvaluator("digits", "nowhere", resolve(TINY), "cpu").fingerprint


def test_workers_find_the_same_whatever_the_caller_has_set_in_torch(expected):
    evaluator = made()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        torch.set_default_dtype(torch.float64)
        try:
            assert results(evaluator, ARCHITECTURES[:1]) == expected[:1]
        finally:
            torch.set_default_dtype(torch.float32)
            evaluator.close()


@dataclasses.dataclass(frozen=True)
class AfterOneEpoch:
    fingerprint: str = "after one epoch"

    def __call__(self, epochs):
        return {}


def test_workers_stop_children_as_this_process_does():
    source = ("digits", "nowhere", resolve(TINY), "cpu")
    local, evaluator = InProcessEvaluator(*source, AfterOneEpoch()), WorkerPoolEvaluator(*source, 1, AfterOneEpoch())
    (found,) = results(evaluator, ARCHITECTURES[:1])
    evaluator.close()
    assert len(found.epochs) == 1
    assert [found] == results(local, ARCHITECTURES[:1])
    assert evaluator.fingerprint == local.fingerprint


def test_preparing_reads_the_data_and_starts_no_worker():
    evaluator, before = made(), torch.multiprocessing.active_children()
    evaluator.prepare()
    assert "fingerprint" in vars(evaluator._local)
    assert torch.multiprocessing.active_children() == before
    missing = WorkerPoolEvaluator("imagefolder:/nowhere/at/all", "nowhere", resolve(TINY), "cpu", 1)
    with pytest.raises(FileNotFoundError, match="no images in /nowhere/at/all/train"):
        missing.prepare()


def test_it_can_be_imported_where_there_is_no_posix():
    code = """
import sys
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))
import nases_env.evaluators.worker_pool, nases_env.processes
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_workers_stay_for_the_next_children(pool, expected):
    results(pool)
    before = {process.pid for process in torch.multiprocessing.active_children()}
    assert results(pool) == expected
    assert {process.pid for process in torch.multiprocessing.active_children()} == before


def test_images_are_shared_with_the_workers(pool):
    results(pool)
    data = pool._local.data
    assert data.train.images.is_shared() and data.validation.images.is_shared()


@pytest.mark.parametrize("fault", ["killed", "device lost"])
def test_a_child_whose_worker_dies_once_is_tried_again(pool, expected, fault, tmp_path):
    (tmp_path / "once").touch()
    assert results(pool, [faulty(fault, tmp_path), *ARCHITECTURES[1:]]) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["killed", "device lost"])
def test_a_child_whose_workers_die_is_a_crash_and_the_others_are_trained(pool, expected, fault):
    found, *others = results(pool, [faulty(fault), *ARCHITECTURES[1:]])
    assert found.failure == "crash"
    assert (found.parameters, found.flops) == (expected[0].parameters, expected[0].flops)
    assert (found.train_accuracy, found.validation_accuracy) == (0.0, 0.0)
    assert others == expected[1:]


def test_a_child_whose_worker_does_not_answer_is_a_timeout_and_the_others_are_trained(pool, expected):
    found, *others = results(pool, [faulty("hangs"), *ARCHITECTURES[1:]])
    assert (found.failure, found.parameters) == ("timeout", expected[0].parameters)
    assert others == expected[1:]


def test_workers_killed_while_they_wait_are_replaced(pool, expected):
    for _ in range(3):
        results(pool)
        for process in torch.multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
        assert results(pool) == expected


def test_a_bug_is_raised_here_and_the_pool_stays_usable(pool, expected):
    with pytest.raises(KeyError, match="missing"):
        results(pool, [faulty("bug"), *ARCHITECTURES[1:]])
    assert results(pool) == expected


def test_a_child_is_tried_as_often_as_the_protocol_says(tmp_path):
    for token in "abc":
        (tmp_path / token).touch()
    evaluator = made(crash_retries=1)
    assert results(evaluator, [faulty("killed", tmp_path)])[0].failure == "crash"
    evaluator.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_workers_end_with_the_evaluator(expected):
    evaluator = made()
    before = set(torch.multiprocessing.active_children())
    assert results(evaluator, ARCHITECTURES[:1]) == expected[:1]
    (worker,) = set(torch.multiprocessing.active_children()) - before
    evaluator.close()
    evaluator.close()
    assert not worker.is_alive()


def test_workers_end_when_this_process_is_killed(tmp_path):
    code = """
import torch.multiprocessing
from tests.evaluators.test_worker_pool import ARCHITECTURES, made
if __name__ == "__main__":
    list(made().evaluate(ARCHITECTURES[:1], [0]))
    print(*[process.pid for process in torch.multiprocessing.active_children()], flush=True)
    input()
"""
    script = tmp_path / "search.py"
    script.write_text(code, encoding="utf-8")
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert pids
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)  # polling other processes
    assert not any(_alive(pid) for pid in pids)


def _alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


class OnDevice:
    """An evaluator whose device gives an error."""

    def __init__(self, device):
        self.device = device

    def evaluate(self, architectures, seeds):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_an_error_on_a_device_ends_the_worker(monkeypatch, capfd):
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(worker_pool.os, "_exit", leave)
    monkeypatch.setattr(worker_pool, "_evaluator", OnDevice("cuda"))
    with pytest.raises(SystemExit) as left:
        worker_pool._evaluate(ARCHITECTURES[0], 0)
    assert left.value.code == worker_pool.DEVICE_LOST
    assert "an illegal memory access" in capfd.readouterr().err
    monkeypatch.setattr(worker_pool, "_evaluator", OnDevice("cpu"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        worker_pool._evaluate(ARCHITECTURES[0], 0)


@pytest.mark.parametrize(
    ("workers", "fields", "words"),
    [(0, {}, "workers is 0"), (2, {"threads": None}, "threads"), (1, {"validation_images": 0}, "no validation images")],
)
def test_what_cannot_work_is_refused(workers, fields, words):
    with pytest.raises(ValueError, match=words):
        made(workers, **fields)
