"""What every executor promises, on a task without networks; and that no result of a search depends on it."""

import copy
import dataclasses
import pickle

import gymnasium as gym
import numpy as np
import pytest

from nases_env.evaluation import Evaluation
from nases_env.executors import Job, make
from nases_env.executors.ray_executor import RayExecutor  # imports no Ray
from tests.executors.lost_workers import run
from tests.executors.toys import ThreadExecutor, ToyData, ToyLimits, ToyTask

EXECUTORS = {
    "inline": lambda: make("inline"),
    "processes": lambda: make("processes:2"),
    "ray": lambda: RayExecutor(workers=2, device="cpu"),
    "threads": lambda: ThreadExecutor(2),
}
MANY = ["processes", "ray", "threads"]
JOBS = [Job("a", 3), Job("nan", 5), Job("a", 8)]
FOUND = [Evaluation(parameters=3), Evaluation(parameters=5, failure="nan"), Evaluation(parameters=8)]


@pytest.fixture(scope="module")
def make_one(request):
    """Makes an executor of a name."""

    def make_one(name):
        if name == "ray":
            request.getfixturevalue("connected")
        return EXECUTORS[name]()

    return make_one


@pytest.fixture(scope="module", params=EXECUTORS)
def started(request, make_one):
    """An executor with the task, which all tests of it share: processes take a second to start."""
    executor = make_one(request.param)
    executor.start(ToyTask(), ToyData())
    yield executor
    executor.close()


def test_it_does_every_job(started):
    assert run(started, JOBS) == FOUND
    assert run(started, []) == []
    assert run(started, JOBS) == FOUND


def test_jobs_may_come_while_others_run(started):
    told = []

    def jobs():
        yield JOBS[0]
        for job in JOBS[1:]:
            while not told:
                yield None
            told.clear()
            yield job
        while True:
            yield None

    found = []
    for index, evaluation in started.run(jobs()):
        found.append((index, evaluation))
        told.append(index)
    assert found == [*enumerate(FOUND)]


def test_it_says_how_many_jobs_it_does_at_once(started):
    assert started.workers == (1 if started.here else 2)


def test_the_same_task_may_be_started_again(started):
    started.start(ToyTask(), ToyData())
    assert run(started, JOBS) == FOUND


def test_data_with_another_digest_are_refused(started):
    with pytest.raises(ValueError, match="digest other; expected digits"):
        started.start(ToyTask(), ToyData("other"))
    assert run(started, JOBS) == FOUND


@pytest.mark.parametrize("change", [{"digest": "other"}, {"device": "cuda"}, {"limits": ToyLimits(hang_seconds=9)}])
def test_another_task_is_refused_while_it_has_one(started, change):
    task = dataclasses.replace(ToyTask(), **change)
    with pytest.raises(
        ValueError, match="started for another task: other data, or another protocol.*Close it first, or make"
    ):
        started.start(task, ToyData(task.digest))
    assert run(started, JOBS) == FOUND


def test_a_bug_is_raised_here_and_it_stays_usable(started):
    with pytest.raises(KeyError, match="missing"):
        run(started, [Job("bug", 0), *JOBS])
    assert run(started, JOBS) == FOUND


def test_jobs_that_nobody_waits_for_do_no_harm(started):
    next(started.run(JOBS))
    assert run(started, JOBS) == FOUND


@pytest.mark.parametrize("name", EXECUTORS)
def test_closed_it_takes_another_task(make_one, name):
    executor = make_one(name)
    executor.start(ToyTask(), ToyData())
    executor.close()
    executor.close()
    executor.start(ToyTask("other"), ToyData("other"))
    assert run(executor, JOBS[:1]) == FOUND[:1]
    executor.close()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda executor: pickle.loads(pickle.dumps(executor))])
def test_a_copy_has_no_task_yet(started, copied):
    twin = copied(started)
    assert type(twin) is type(started) and twin.workers == started.workers
    twin.start(ToyTask("other"), ToyData("other"))
    twin.close()
    assert run(started, JOBS) == FOUND


@pytest.mark.parametrize("name", MANY)
def test_several_workers_tell_what_ends_first(make_one, name):
    executor = make_one(name)
    executor.start(ToyTask(), ToyData())
    run(executor, JOBS)  # everything has started
    assert [index for index, _ in executor.run([Job("slow", 0), Job("a", 1)])] == [1, 0]
    executor.close()


@pytest.mark.parametrize("name", EXECUTORS)
def test_no_result_of_a_search_depends_on_it(make_one, name):
    protocol = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}
    actions = np.random.default_rng(0).random((2, 20), np.float32)
    told = []
    for executor in ("inline", make_one(name)):
        env = gym.make("NASES-v0", protocol=protocol, device="cpu", executor=executor)
        env.reset(seed=0)
        env.get_wrapper_attr("prefetch")(actions)
        told.append([env.step(action)[1:] for action in actions])
        env.close()
    assert told[0] == told[1]
