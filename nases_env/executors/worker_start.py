"""The start of worker processes: what forbids it, and whether a worker got ready."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import spawn
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from nases_env.executors.base import WorkerStartError

FAILURE_BYTES = 4000
"""A longer reason is cut."""
GUARD = (
    "Each worker imports the main program, so it has to be a file, whose work stands under "
    "`if __name__ == '__main__':`; or set workers=0 to train children in the program's own process"
)


def check_workers_allowed() -> None:
    """Whether this process may start workers at all.

    Raises:
        WorkerStartError: If it is a daemonic process, a worker that still imports the main program, or one whose main
            program cannot be imported.
    """
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):  # multiprocessing's own mark of a process that it still sets up
        raise WorkerStartError(f"this worker process came upon a search while it imported the main program. {GUARD}")
    if process.daemon:
        raise WorkerStartError(
            "this process is daemonic (a worker of multiprocessing.Pool, of stable-baselines3's SubprocVecEnv or of an "
            "asynchronous vector environment), and Python does not let such a process start workers. Set workers=0 "
            "here, or use this package's own vector environment, gym.make_vec(id, num_envs=K), in the main process: "
            "it trains its children in workers"
        )
    main = spawn.get_preparation_data("").get("init_main_from_path")
    if main is not None and not os.path.isfile(main):
        raise WorkerStartError(f"workers cannot import the main program: there is no file {main}. {GUARD}")


class StartReport:
    """What workers tell about their start.

    It is plain shared memory without a lock, so that a worker that is killed while it tells cannot block another.

    Args:
        context: How processes are started.
    """

    def __init__(self, context: SpawnContext):
        self._ready = context.RawValue("b", 0)
        self._failure = context.RawArray("c", FAILURE_BYTES)

    @property
    def ready(self) -> bool:
        """Whether a worker got ready."""
        return bool(self._ready.value)

    @property
    def failure(self) -> str:
        """Why a worker did not get ready; empty when none said so."""
        return self._failure.value.decode(errors="replace")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell whether the block, which makes a worker ready, succeeds."""
        try:
            yield
        except BaseException as error:
            self._failure.value = f"{type(error).__name__}: {error}".encode()[: FAILURE_BYTES - 1]
            raise
        self._ready.value = 1


class WorkerStart(SpawnContext):
    """Starts worker processes and watches them until one of them is ready.

    Args:
        seconds: So long the first worker may take until it is ready: it imports torch, maps the data and opens the
            device.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.report = StartReport(self)
        self._processes: list[BaseProcess] = []
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def Process(self, *args: Any, **keywords: Any) -> BaseProcess:  # type: ignore[override]
        """A new process, not yet started, as multiprocessing's contexts make it."""
        process = super().Process(*args, **keywords)
        if not self.report.ready:
            self._processes.append(process)
        return process

    def succeeded(self, broken: bool = False) -> bool:
        """Whether a worker got ready; while that is open, False.

        Args:
            broken: Whether the pool has given up.

        Raises:
            WorkerStartError: If a worker failed before one was ready, or none was in time.
        """
        ended = [process.exitcode for process in self._processes if process.exitcode is not None]
        if self.report.ready:  # asked second: a worker that ended has told before
            self._processes.clear()
            return True
        if self.report.failure:
            raise WorkerStartError(
                f"a worker process could not get ready to train children: {self.report.failure}. Mend what it says, "
                "choose fewer workers, or set workers=0 to train children in the program's own process"
            )
        if ended or broken:
            raise WorkerStartError(_unexpected_end(ended[0] if ended else None))
        if time.monotonic() > self._deadline:
            raise WorkerStartError(
                f"no worker process got ready within {self._seconds:.0f} seconds, the protocol's start_seconds. {GUARD}"
            )
        return False


def _unexpected_end(status: int | None) -> str:
    """The message for a worker that ended before it was ready and did not say why."""
    if status is not None and status < 0:
        return (
            f"a worker process was killed by signal {-status} before it was ready (9 is often a lack of memory). "
            "Choose fewer workers, or set workers=0 to train children in the program's own process"
        )
    how = "ended" if status is None else f"ended with exit status {status}"
    return f"a worker process {how} before it was ready; if it printed a traceback, that says why. {GUARD}"
