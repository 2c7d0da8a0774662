"""Workers with a virtual clock: in which order children end, and how long workers wait, without training any."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from nases_env.evaluation import Evaluation
from nases_env.evaluators.base import Evaluator
from nases_env.executors.base import Job, available
from nases_env.search_spaces import Architecture


class Workers:
    """So many workers, each of which does one job after the other. A job waits for the first that is free.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int):
        self.count = count
        self.now = 0.0
        """The clock, in seconds."""
        self.busy = 0.0
        """Seconds that workers have had something to do, of all of them together."""
        self._free = [0.0] * count
        self._running: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, job: int, seconds: float) -> None:
        """Give a job, by its number, to the worker that is free first."""
        end = max(self.now, self._free[0]) + seconds
        heapq.heapreplace(self._free, end)
        heapq.heappush(self._running, (end, job))
        self.busy += seconds

    def wait(self) -> int:
        """Wait until a job has ended; returns its number."""
        end, job = heapq.heappop(self._running)
        self.now = max(self.now, end)
        return job

    @property
    def idle(self) -> float:
        """The share of the workers' time up to now in which they had nothing to do."""
        return 1 - self.busy / (self.count * self.now)


class Cluster:
    """Evaluates children by another evaluator, and tells them when workers would have trained them.

    Args:
        evaluator: It answers at once.
        workers: Who seems to train the children.
        seconds: How long a worker takes for one of these evaluations.
    """

    def __init__(self, evaluator: Evaluator, workers: Workers, seconds: Callable[[Evaluation], float]):
        self._evaluator, self.workers, self._seconds = evaluator, workers, seconds

    @property
    def fingerprint(self) -> str | None:
        """The other evaluator's."""
        return self._evaluator.fingerprint

    def evaluate(self, architectures: Sequence[Architecture], seeds: Sequence[int]) -> Iterator[tuple[int, Evaluation]]:
        """See `Evaluator.evaluate`; the order is that of completion."""
        return self.evaluate_stream([Job(*each) for each in zip(architectures, seeds, strict=True)])

    def evaluate_stream(self, jobs: Iterable[Job | None]) -> Iterator[tuple[int, Evaluation]]:
        """See `StreamEvaluator.evaluate_stream`."""
        source, numbers = iter(jobs), itertools.count()
        running: dict[int, Evaluation] = {}
        while True:
            for job in available(source):
                number = next(numbers)
                ((_, running[number]),) = self._evaluator.evaluate([job.architecture], [job.seed])
                self.workers.begin(number, self._seconds(running[number]))
            if not running:
                return
            number = self.workers.wait()
            yield number, running.pop(number)


def simulate(seconds: np.ndarray, workers: Workers, driver: float, asynchronous: bool) -> Workers:
    """Train children on a cluster, as many at once as there are workers; returns the workers as they are at the end.

    Args:
        seconds: How long each child takes, (N,), in the order in which they are chosen.
        workers: Who trains them.
        driver: Seconds that the driver takes for a child: it chooses, records and learns, one child after the other.
        asynchronous: Whether the next child is chosen when one is known; else when all that were chosen together are.
    """
    waiting = iter(enumerate(seconds.tolist()))

    def choose(count: int) -> None:
        for job, needed in itertools.islice(waiting, count):
            workers.now += driver
            workers.begin(job, needed)

    choose(workers.count)
    while len(workers):
        workers.wait()
        if asynchronous or not len(workers):
            choose(1 if asynchronous else workers.count)
    return workers
