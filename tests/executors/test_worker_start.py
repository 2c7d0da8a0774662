"""Workers that cannot start: the reason and what to do about it, and no child that is blamed for it."""

import dataclasses
import errno
import multiprocessing
import sys
from multiprocessing.process import BaseProcess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors import Job, WorkerStartError, worker_start
from nases_env.executors.processes import ProcessExecutor
from nases_env.executors.worker_start import WorkerStart
from nases_env.search_spaces import MacroSpace

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}
SPACE = MacroSpace()
CHILDREN = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 3))]

NO_TIME = resolve(TINY)
object.__setattr__(NO_TIME, "start_seconds", 0)  # less than a protocol takes


@pytest.fixture
def evaluator():
    """Two workers; afterwards, none is left."""
    before = set(multiprocessing.active_children())
    evaluator = TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", ProcessExecutor(2))
    yield evaluator
    evaluator.close()
    assert set(multiprocessing.active_children()) == before


def evaluated(evaluator):
    """The children's failures; an error comes before the first of them is told."""
    told = []
    try:
        for _, evaluation in evaluator.evaluate(CHILDREN, range(len(CHILDREN))):
            told.append(evaluation.failure)
    except WorkerStartError:
        assert told == []
        raise
    return told


# --- what forbids workers


def test_a_daemonic_process_starts_no_workers(evaluator, monkeypatch):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(WorkerStartError, match=r"daemonic \(.*SubprocVecEnv.* Set workers=0 here, .*gym\.make_vec"):
        evaluated(evaluator)


def test_a_worker_that_imports_the_main_program_starts_no_workers(evaluator, monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(WorkerStartError, match=r"imported the main program.*__name__ == '__main__'"):
        evaluated(evaluator)


def test_a_main_program_that_is_no_file_is_named(evaluator, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/nowhere/<stdin>", raising=False)
    with pytest.raises(WorkerStartError, match=r"there is no file /nowhere/<stdin>.*workers=0"):
        evaluated(evaluator)


def test_images_that_do_not_fit_into_shared_memory(evaluator, monkeypatch):
    def full(self):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(WorkerStartError, match=r"0\.0 MB.*No space left.*workers=0.*image_size.*--shm-size"):
        evaluated(evaluator)


def test_a_process_that_the_system_refuses(evaluator, monkeypatch):
    start, started = BaseProcess.start, []

    def second_is_refused(self):
        started.append(self)
        if len(started) == 2:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        start(self)

    monkeypatch.setattr(BaseProcess, "start", second_is_refused)
    with pytest.raises(WorkerStartError, match=r"cannot be started \(.*Resource temporarily.*fewer workers.*workers=0"):
        evaluated(evaluator)
    assert not started[0].is_alive()


# --- workers that start and do not get ready


def test_a_device_that_workers_cannot_open_is_named_and_the_executor_stays_usable(evaluator):
    evaluator.executor.workers = 1  # quicker
    task = dataclasses.replace(evaluator.task, device="cuda:99")
    evaluator.executor.start(task, evaluator.data)
    with pytest.raises(WorkerStartError, match=r"could not get ready.*(CUDA|NVIDIA).*workers=0"):
        list(evaluator.executor.run([Job(CHILDREN[0], 0)]))
    evaluator.executor.close()
    assert evaluated(evaluator) == ["", "", ""]


def test_a_worker_with_other_images_than_the_task_is_for_tells_so(evaluator, monkeypatch):
    evaluator.executor.workers = 1  # quicker
    monkeypatch.setattr(evaluator.executor, "_data", dataclasses.replace(evaluator.data, digest="other images"))
    monkeypatch.setattr(evaluator.executor, "_task", evaluator.task)
    with pytest.raises(WorkerStartError, match=r"could not get ready.*digest other images here; expected \w{12}"):
        evaluated(evaluator)


def test_workers_that_take_too_long(evaluator, monkeypatch):
    monkeypatch.setattr(evaluator, "task", dataclasses.replace(evaluator.task, protocol=NO_TIME))
    with pytest.raises(WorkerStartError, match="ready within 0 seconds, the protocol's start_seconds"):
        evaluated(evaluator)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with exit status 0 before"), (1, "ended with exit status 1 before"), (-9, "signal 9 .*lack of memory")],
)
def test_a_worker_that_ends_before_it_is_ready(status, words):
    start = WorkerStart(60)
    start._processes.append(SimpleNamespace(exitcode=None))
    assert not start.succeeded()
    start._processes.append(SimpleNamespace(exitcode=status))
    with pytest.raises(WorkerStartError, match=f"{words}.*workers=0"):
        start.succeeded()


def test_a_pool_that_gave_up_before_a_worker_was_ready():
    with pytest.raises(WorkerStartError, match="ended before it was ready"):
        WorkerStart(60).succeeded(broken=True)


def test_what_happens_to_workers_after_one_was_ready_is_no_failure_to_start():
    start = WorkerStart(60)
    start._processes.append(SimpleNamespace(exitcode=-9))
    with start.report.telling():
        pass
    assert start.succeeded(broken=True)


# --- what workers tell


def test_a_worker_tells_why_it_is_not_ready():
    report = WorkerStart(60).report
    assert (report.ready, report.failure) == (False, "")
    with pytest.raises(MemoryError), report.telling():
        raise MemoryError("no room for the images")
    assert (report.ready, report.failure) == (False, "MemoryError: no room for the images")
    with report.telling():
        pass
    assert report.ready


def test_a_long_reason_is_cut():
    report = WorkerStart(60).report
    with pytest.raises(ValueError), report.telling():
        raise ValueError("ü" * worker_start.FAILURE_BYTES)
    assert report.failure.startswith("ValueError: üüü")
    assert len(report.failure.encode()) <= worker_start.FAILURE_BYTES + 2  # half a character becomes a whole one
