"""Evaluators without training that take children while they evaluate others."""

import itertools

from nases_env.evaluation import Evaluation
from nases_env.executors.base import Job, available


def expected(key, seed):
    """What a toy finds out about a child: never twice the same for two."""
    return Evaluation(validation_accuracy=int(key, 16) / 16**16, parameters=seed, seconds=1.5)


class Shuffling:
    """Of the children in flight it ends the one with the smallest number of its key, whenever they began.

    So the order is neither that of asking nor one that a kill could change.

    Args:
        fingerprint: As in `Evaluator`.
        fail_at: The child, counted from 0 in order of completion, at which it raises.
        failing: Keys of children that fail.
    """

    def __init__(self, fingerprint="shuffling", fail_at=None, failing=()):
        self.fingerprint = fingerprint
        self.begun, self.most = [], 0
        self._fail_at, self._failing = fail_at, failing
        self._ended = 0

    def evaluate(self, architectures, seeds):
        return self.evaluate_stream([Job(*each) for each in zip(architectures, seeds, strict=True)])

    def evaluate_stream(self, jobs):
        source, running, indices = iter(jobs), {}, itertools.count()
        while True:
            for job in available(source):
                running[next(indices)] = job
                self.begun.append(job.architecture.key)
            self.most = max(self.most, len(running))
            if not running:
                return
            if self._ended == self._fail_at:
                raise KeyboardInterrupt
            self._ended += 1
            index = min(running, key=lambda index: running[index].architecture.key[::-1])
            job = running.pop(index)
            key = job.architecture.key
            yield index, Evaluation(failure="nan") if key in self._failing else expected(key, job.seed)
