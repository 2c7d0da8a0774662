"""Workers on a Ray cluster: started when there is something to do, watched, and replaced when they are lost."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from enum import Enum
from typing import Any

from nases_env.executors import ray_cluster
from nases_env.executors.base import Task, WorkerStartError
from nases_env.executors.ray_worker import Worker, installed

POLL_SECONDS = 1.0
"""The longest wait before deadlines are looked at."""
PAUSE_SECONDS = 1.0
"""After a worker that was lost before it was ready, so long no other is started."""


class WorkerLost(Exception):
    """A worker died, or its host did."""


class Stage(Enum):
    """What a worker does; all but the idle one are waited for."""

    PLACED = "waits for a place on a node, and tells what is installed there"
    OPENED = "gets the data and imports what it needs"
    IDLE = "waits for a job"
    BUSY = "does a job"


class Member:
    """One worker, and what it is doing.

    Args:
        actor: Ray's handle.
    """

    def __init__(self, actor: Any):
        self.actor = actor
        self.stage = Stage.IDLE
        self.answer: Any = None
        """Ray's reference to what is waited for; None where it is idle."""
        self.deadline: float | None = None
        """When it will have waited too long; None: never."""
        self.future: Future = Future()
        """Of the job that it is doing."""

    def ask(self, stage: Stage, answer: Any, seconds: float | None) -> None:
        """Wait for something else."""
        self.stage, self.answer = stage, answer
        self.deadline = None if seconds is None else time.monotonic() + seconds


class RayPool:
    """Does jobs in workers on the nodes of a cluster, to which this process is connected.

    Args:
        workers: The most workers.
        task: What all jobs have in common.
        packed: Ray's reference to the packed data; None: they are read there.
        gpus: What a worker takes of its node, besides a CPU; a fraction shares a GPU.
        start_timeout: Seconds in which a worker has to get a place.
    """

    def __init__(self, workers: int, task: Task, packed: Any, gpus: float, start_timeout: float):
        import ray

        self._size, self._task, self._packed, self._start_timeout = workers, task, packed, start_timeout
        self._request = "1 CPU" + (f" and {gpus:g} GPU" if gpus else "")
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Worker)
        self._members: list[Member] = []
        self._waiting: deque[tuple[tuple, Future]] = deque()
        self._paused_until = 0.0
        self._worked = self._warned = False

    def submit(self, job: tuple) -> Future:
        """Do a job when a worker is free. The future raises WorkerLost or TimeoutError where its worker was lost."""
        future: Future = Future()
        self._waiting.append((job, future))
        self._hand_out()
        return future

    def finished(self, running: Collection[Future]) -> Collection[Future]:
        """Wait until some of these have ended, and return those.

        Raises:
            WorkerStartError: If no worker gets a place or ready in time.
        """
        while not (done := [future for future in running if future.done()]):
            self._look()
            self._hand_out()
        return done

    def close(self) -> None:
        """End the workers, whatever they do."""
        import ray

        for member in self._members:
            ray.kill(member.actor)
        self._members.clear()
        self._waiting.clear()

    def _hand_out(self) -> None:
        """Give jobs to idle workers, and start workers for those that are left."""
        for member in self._members:
            if member.stage is Stage.IDLE and (taken := self._next()):
                job, member.future = taken
                limits = self._task.limits
                seconds = None if limits.max_seconds is None else limits.max_seconds + limits.hang_seconds
                member.ask(Stage.BUSY, member.actor.do.remote(job), seconds)
        starting = sum(member.stage in (Stage.PLACED, Stage.OPENED) for member in self._members)
        wanted = min(len(self._waiting) - starting, self._size - len(self._members))
        if time.monotonic() >= self._paused_until:
            for _ in range(wanted):
                self._start()

    def _next(self) -> tuple[tuple, Future] | None:
        """The next job that somebody still waits for."""
        while self._waiting:
            job, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                return job, future
        return None

    def _start(self) -> None:
        member = Member(self._actor.remote(self._task.device))
        member.ask(Stage.PLACED, member.actor.installed.remote(), self._start_timeout)
        self._members.append(member)

    def _look(self) -> None:
        """Wait a while for an answer of a worker, and see who is late."""
        import ray

        asked = {member.answer: member for member in self._members if member.answer is not None}
        if asked:
            for answer in ray.wait(list(asked), timeout=POLL_SECONDS)[0]:
                self._take(asked[answer])
        else:
            time.sleep(POLL_SECONDS / 10)  # until another worker may be started
        for member in [each for each in self._members if each.deadline and time.monotonic() > each.deadline]:
            self._late(member)

    def _take(self, member: Member) -> None:
        """See what a worker answered, and go on with it."""
        import ray

        try:
            answer = ray.get(member.answer)
        except ray.exceptions.RayTaskError as error:  # the worker is well
            self._failed(member, error)
        except ray.exceptions.RayError as error:
            self._lost(member, WorkerLost(str(error)))
        else:
            self._answered(member, answer)

    def _answered(self, member: Member, answer: Any) -> None:
        if member.stage is Stage.PLACED:
            node, there = answer
            if there != installed():
                raise WorkerStartError(
                    f"the node {node} of the Ray cluster has {there}; this program has {installed()}. Install the same "
                    "on every node"
                )
            opened = member.actor.open.remote(self._task, self._packed)
            member.ask(Stage.OPENED, opened, self._task.limits.start_seconds)
            return
        if member.stage is Stage.BUSY:
            member.future.set_result(answer)
        self._worked = True
        member.ask(Stage.IDLE, None, None)

    def _failed(self, member: Member, error: Any) -> None:
        """A worker raised an error; it is the job's, or says why the worker cannot get ready."""
        cause = error.cause if isinstance(error.cause, Exception) else error
        if member.stage is not Stage.BUSY:
            raise WorkerStartError(
                f"a worker on the Ray cluster could not get ready: {type(cause).__name__}: {cause}. Mend what it says, "
                "and install the same packages on every node"
            ) from error
        cause.__cause__ = None if cause is error else error
        member.future.set_exception(cause)
        member.ask(Stage.IDLE, None, None)

    def _late(self, member: Member) -> None:
        """A worker has kept this program waiting for too long."""
        if member.stage is Stage.BUSY:
            self._lost(member, TimeoutError())
        elif member.stage is Stage.OPENED:
            seconds = self._task.limits.start_seconds
            self._lost(member, WorkerLost(f"it was not ready within {seconds:g} seconds, the protocol's start_seconds"))
        else:
            self._without_place(member)

    def _without_place(self, member: Member) -> None:
        """No node has had room for a worker: the others do the jobs, if there are any."""
        placed = sum(each.stage is not Stage.PLACED for each in self._members)
        told = (
            f"within {self._start_timeout:g} seconds, the start_timeout ({self._request} each): "
            f"{ray_cluster.resources()}"
        )
        if not placed:
            raise WorkerStartError(
                f"no node of the Ray cluster had room for a worker {told}. Ask for less, add nodes, or wait until the "
                "cluster is free"
            )
        member.deadline = None
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{placed} of {self._size} workers got a place on the Ray cluster {told}. These train all children; "
                "others join them when there is room",
                stacklevel=2,
            )

    def _lost(self, member: Member, why: Exception) -> None:
        """A worker is gone, or has to go. One that was never ready may stand for all others."""
        import ray

        ray.kill(member.actor)
        self._members.remove(member)
        if member.stage is Stage.BUSY:
            member.future.set_exception(why)
            return
        if not self._worked:
            raise WorkerStartError(f"a worker on the Ray cluster was lost before it was ready: {why}")
        self._paused_until = time.monotonic() + PAUSE_SECONDS
