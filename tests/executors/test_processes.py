"""Worker processes: whatever happens to one, its job has a result and the others theirs."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch.multiprocessing

from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors import Job, processes, worker
from nases_env.executors.processes import ProcessExecutor
from nases_env.search_spaces import MacroSpace
from tests.executors.lost_workers import FOUND, OTHERS, LostWorkers, run
from tests.executors.toys import ToyData, ToyLimits, ToyTask

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "width": 0.03}
SPACE = MacroSpace()
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 3))]


def started(workers=1, **limits):
    executor = ProcessExecutor(workers)
    executor.start(ToyTask(limits=ToyLimits(**limits)), ToyData())
    return executor


@pytest.fixture(scope="module")
def pool():
    """Two workers that give up on what does not answer for two seconds."""
    executor = started(workers=2, max_seconds=1, hang_seconds=1)
    yield executor
    executor.close()


def workers():
    return {process.pid for process in torch.multiprocessing.active_children()}


def test_it_can_be_imported_where_there_is_no_posix():
    code = """
import sys
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))
import nases_env.executors.processes, nases_env.processes
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_workers_stay_for_the_next_jobs(pool):
    run(pool)
    before = workers()
    assert run(pool) == FOUND
    assert workers() == before


class TestLostWorkers(LostWorkers):
    """One of two workers, and its job."""


def test_workers_killed_while_they_wait_are_replaced(pool):
    for _ in range(3):
        run(pool)
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        assert run(pool) == FOUND


def test_all_jobs_of_a_broken_pool_are_lost_at_once(pool, monkeypatch):
    run(pool)
    ended, queued = Future(), Future()
    ended.set_exception(processes.ProcessExpired("killed"))
    with monkeypatch.context() as patch:
        patch.setattr(pool, "_pool", SimpleNamespace(active=False))
        assert set(pool._finished([ended, queued])) == {ended, queued}
    assert set(pool._finished([ended, queued])) == {ended}


def test_a_pool_that_breaks_while_it_takes_a_job_is_replaced(pool, monkeypatch):
    run(pool)
    broken = pool._pool

    def breaks(*arguments, **keywords):
        broken.stop()
        broken.join()
        raise RuntimeError("Pool broken")

    monkeypatch.setattr(broken, "schedule", breaks)
    assert run(pool) == FOUND
    assert pool._pool is not broken


def test_a_job_is_tried_as_often_as_the_task_says(tmp_path):
    for token in "abc":
        (tmp_path / token).touch()
    executor = started(crash_retries=1)
    assert run(executor, [Job(f"killed {tmp_path}", 0)]) == ["crash"]
    executor.close()
    assert len(list(tmp_path.iterdir())) == 1


def test_starting_a_task_starts_no_process():
    before = workers()
    started().close()
    assert workers() == before


def test_workers_end_with_the_executor():
    executor, before = started(), set(torch.multiprocessing.active_children())
    assert run(executor, OTHERS[:1]) == FOUND[:1]
    (worker,) = set(torch.multiprocessing.active_children()) - before
    executor.close()
    executor.close()
    assert not worker.is_alive()


def test_workers_end_when_this_process_is_killed(tmp_path):
    code = """
import torch.multiprocessing
from tests.executors.test_processes import OTHERS, run, started
if __name__ == "__main__":
    executor = started()
    run(executor, OTHERS[:1])
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


def failing(architecture, seed):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_an_error_on_a_device_ends_the_worker(monkeypatch, capfd):
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(worker.os, "_exit", leave)
    monkeypatch.setattr(processes, "_worker", (ToyTask(device="cuda"), failing))
    with pytest.raises(SystemExit) as left:
        processes._do("a", 0)
    assert left.value.code == worker.DEVICE_LOST
    assert "an illegal memory access" in capfd.readouterr().err
    monkeypatch.setattr(processes, "_worker", (ToyTask(), failing))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        processes._do("a", 0)


# --- with children that are trained


def trained(executor=None, **keywords):
    evaluator = TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", executor, **keywords)
    found = dict(evaluator.evaluate(ARCHITECTURES, range(len(ARCHITECTURES))))
    data = evaluator.data
    evaluator.close()
    results = [dataclasses.replace(found[index], seconds=0.0) for index in range(len(ARCHITECTURES))]
    return results, evaluator.fingerprint, data


def test_workers_find_what_this_process_finds_and_share_its_images():
    *expected, _ = trained()
    *found, data = trained(ProcessExecutor(2))
    assert found == expected
    assert data.train.images.is_shared() and data.validation.images.is_shared()


def test_workers_find_the_same_whatever_the_caller_has_set_in_torch():
    expected, *_ = trained()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        torch.set_default_dtype(torch.float64)
        try:
            assert trained(ProcessExecutor(1))[0] == expected
        finally:
            torch.set_default_dtype(torch.float32)


@dataclasses.dataclass(frozen=True)
class AfterOneEpoch:
    fingerprint: str = "after one epoch"

    def __call__(self, epochs):
        return {}


def test_workers_stop_children_as_this_process_does():
    found, fingerprint, _ = trained(ProcessExecutor(1), stopping=AfterOneEpoch())
    assert [len(evaluation.epochs) for evaluation in found] == [1, 1, 1]
    assert (found, fingerprint) == trained(stopping=AfterOneEpoch())[:2]
