"""Workers with a virtual clock: known answers by hand, and searches that seem to take time."""

import gymnasium as gym
import numpy as np
import pytest

from agents.random_search import RandomSearch
from agents.trace import Trace
from nases_env.benchmarking.cluster import Cluster, Workers, simulate
from tests.evaluators.toys import Shuffling


def test_jobs_begin_on_the_worker_that_is_free_first_and_end_in_order_of_time():
    workers = Workers(2)
    for job, seconds in enumerate((5.0, 1.0, 1.0, 2.0)):
        workers.begin(job, seconds)
    assert [(workers.wait(), workers.now) for _ in range(4)] == [(1, 1.0), (2, 2.0), (3, 4.0), (0, 5.0)]
    assert workers.idle == pytest.approx(1 - 9 / 10)


@pytest.mark.parametrize(
    ("asynchronous", "driver", "end"),
    [(False, 0.0, 7.0), (True, 0.0, 6.0), (False, 0.5, 8.0), (True, 0.5, 7.0)],
)
def test_a_batch_waits_for_its_slowest_child_and_the_driver_chooses_one_after_the_other(asynchronous, driver, end):
    """Two workers and children of 4, 1, 3 and 2 seconds."""
    workers = simulate(np.array([4.0, 1.0, 3.0, 2.0]), Workers(2), driver, asynchronous)
    assert workers.now == end and workers.busy == 10
    assert workers.idle == pytest.approx(1 - 10 / (2 * end))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_one_worker_never_waits_but_for_the_driver(asynchronous):
    workers = simulate(np.ones(10), Workers(1), 0.25, asynchronous)
    assert workers.idle == pytest.approx(0.2)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_children_are_told_when_workers_would_have_trained_them(asynchronous):
    slow = {}

    def seconds(evaluation):
        return slow.setdefault(evaluation.validation_accuracy, 1.0 + len(slow) % 3)

    cluster = Cluster(Shuffling(), Workers(3), seconds)
    env = gym.make("NASES-v0", evaluator=cluster, reward="validation")
    trace = Trace(env, 9)
    RandomSearch(trace, 0).run(trace, 9, batch=3, asynchronous=asynchronous)
    expected = simulate(np.array([*slow.values()]), Workers(3), 0.0, asynchronous)
    assert cluster.workers.now == expected.now and cluster.workers.busy == expected.busy == 18
    assert len(trace.rows) == 9
