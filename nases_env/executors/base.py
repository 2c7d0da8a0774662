"""What an executor is: it does jobs, in this process or in others, and knows nothing of networks."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from nases_env.evaluation import Evaluation
from nases_env.search_spaces import Architecture

Lost = Literal["crash", "timeout"]
"""What became of a child whose worker died as often as it may, or did not answer in time."""
Work = Callable[[Architecture, int], Evaluation]
"""Trains the child of an architecture from a seed. A child that fails is an evaluation with a failure."""


class WorkerStartError(RuntimeError):
    """Worker processes cannot be started, so nothing was found out about any child; the message says what to do."""


class Job(NamedTuple):
    """One child to train."""

    architecture: Architecture
    seed: int


def available(jobs: Iterator[Job | None]) -> Iterator[Job]:
    """The jobs that can be begun now: up to a None, behind which others come later, or up to the end."""
    return iter(lambda: next(jobs, None), None)


class Limits(typing.Protocol):
    """How long an executor waits, in seconds, and how often it tries; see `children.protocol.Execution`."""

    @property
    def start_seconds(self) -> int:
        """The first worker is ready by then."""

    @property
    def max_seconds(self) -> int | None:
        """A child ends by itself after so long; None: it may take any time."""

    @property
    def hang_seconds(self) -> int:
        """So long after `max_seconds`, a worker is killed."""

    @property
    def crash_retries(self) -> int:
        """How often a child is tried again whose worker died."""


class Data(typing.Protocol):
    """The images, which are large and therefore travel apart from the task."""

    @property
    def digest(self) -> str:
        """Names the pixels, the labels and the split."""

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""

    def share(self) -> None:
        """Move to memory that other processes of this host can map."""


class Task(typing.Protocol):
    """What all jobs of a search have in common: plain values that every process and host can be sent."""

    @property
    def digest(self) -> str:
        """The digest of the data that this task is for."""

    @property
    def device(self) -> str:
        """A torch device."""

    @property
    def limits(self) -> Limits:
        """How long to wait and how often to try."""

    def check(self, data: Any) -> None:
        """Check that data are those that this task is for.

        Raises:
            ValueError: If they have another digest.
        """

    def read(self) -> Data:
        """Read the data, for a host that they are not sent to.

        Raises:
            FileNotFoundError: If they are missing there.
            ValueError: If they have another digest.
        """

    def open(self, data: Any) -> Work:
        """Get ready to train children in this process.

        Raises:
            ValueError: If the data have another digest.
        """


class Executor(typing.Protocol):
    """Does the jobs of one task somewhere.

    One attribute more may be there: `device`, the kind of device that children are trained on, where that does not
    depend on what this host has.
    """

    @property
    def workers(self) -> int:
        """How many children are trained at once."""

    @property
    def here(self) -> bool:
        """Whether children are trained in this process, with the data on the task's device."""

    def start(self, task: Task, data: Any) -> None:
        """Take a task and its data, before the first job; again with the same task, this does nothing.

        Raises:
            ValueError: If the data have another digest than the task says, or another task was started and not closed.
        """

    def run(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation | Lost]]:
        """Yield (index, what came of the job) in order of completion.

        Jobs may come while others run: where there is a None among them, no job is left to begin until one of those
        that run has been told. They are asked for again after each job that is told; `available` gives those there are.

        That is the child's evaluation; or `crash` where its worker was lost as often as it may be, or `timeout` where
        it did not answer, of which the evaluator makes a failure. The caller may stop asking: what has not begun is
        dropped then.

        Raises:
            WorkerStartError: If no worker gets ready: why, and what to do.
        """

    def close(self) -> None:
        """End the workers; may be called twice, and is when the environment is closed. Another task can be started
        then."""


def check_start(started: Task | None, task: Task, data: Data) -> None:
    """Check that an executor can take a task and its data.

    Args:
        started: The task that it has; None where it has none.
        task: The task that it is given.
        data: The data that come with it.

    Raises:
        ValueError: If it cannot.
    """
    task.check(data)
    if started is not None and started != task:
        raise ValueError(
            "this executor was started for another task: other data, or another protocol, device or stopping rule. "
            "Close it first, or make an executor for each environment"
        )
