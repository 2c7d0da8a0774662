"""A task without networks, and an executor on threads: what a new one has to bring."""

import dataclasses
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nases_env.evaluation import Evaluation
from nases_env.executors.base import check_start
from nases_env.executors.scheduling import first_ended, schedule


@dataclasses.dataclass(frozen=True)
class ToyData:
    digest: str = "digits"
    nbytes: int = 0

    def share(self):
        pass


@dataclasses.dataclass(frozen=True)
class ToyLimits:
    start_seconds: int = 60
    max_seconds: int | None = None
    hang_seconds: int = 1
    crash_retries: int = 1


@dataclasses.dataclass(frozen=True)
class ToyTask:
    """Evaluations that hold a seed; an `architecture` is a word that says what happens, and a folder of tokens."""

    digest: str = "digits"
    device: str = "cpu"
    limits: ToyLimits = ToyLimits()

    def check(self, data):
        if data.digest != self.digest:
            raise ValueError(f"the data have the digest {data.digest}; expected {self.digest}")

    def read(self):
        return ToyData()

    def open(self, data):
        self.check(data)
        return toy_work


def toy_work(architecture, seed):
    word, _, folder = architecture.partition(" ")
    if not folder or _take_token(folder):
        if word == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hangs":
            time.sleep(1000)  # a worker that does not answer
        if word == "bug":
            raise KeyError("missing")
        if word == "slow":
            time.sleep(0.5)  # longer than what runs beside it
    return Evaluation(parameters=seed, failure="nan" if word == "nan" else "")


def _take_token(folder):
    for file in Path(folder).iterdir():
        file.unlink()
        return True
    return False


class ThreadExecutor:
    """Does jobs in threads."""

    here = False

    def __init__(self, workers):
        self.workers = workers
        self._task = self._work = self._pool = None

    def start(self, task, data):
        check_start(self._task, task, data)
        if self._task is None:
            self._task, self._work, self._pool = task, task.open(data), ThreadPoolExecutor(self.workers)

    def run(self, jobs):
        return schedule(jobs, lambda job: self._pool.submit(self._work, *job), self._ended, retries=0, lost=())

    def close(self):
        if self._pool:
            self._pool.shutdown()
        self._task = self._work = self._pool = None

    def __reduce__(self):
        return type(self), (self.workers,)

    def _ended(self, running):
        return first_ended(running, 1.0)
