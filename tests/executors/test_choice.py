"""Which executor the arguments `executor` and `workers` stand for."""

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import nases_env  # noqa: F401  (registers the ids)
from nases_env.executors import check_executor, make
from nases_env.executors.inline import InlineExecutor
from nases_env.executors.processes import ProcessExecutor
from nases_env.executors.ray_executor import RayExecutor
from tests.executors.toys import ThreadExecutor


@pytest.mark.parametrize(
    ("executor", "workers", "found"),
    [
        (None, 0, "inline"),
        (None, 3, "processes:3"),
        ("inline", 0, "inline"),
        ("processes:3", 0, "processes:3"),
        ("processes:3", 3, "processes:3"),
        ("processes:03", 0, "processes:3"),
        ("processes:1024", 0, "processes:1024"),
        ("ray:cuda*8", 0, "ray:cuda*8"),
        ("ray:cpu*016", 0, "ray:cpu*16"),
        ("ray://head:10001/cuda*8", 0, "ray://head:10001/cuda*8"),
        ("ray://[::1]:10001/cpu*2", 0, "ray://[::1]:10001/cpu*2"),
    ],
)
def test_workers_are_the_short_form(executor, workers, found):
    assert check_executor(executor, workers) == found


def test_names_are_made_and_objects_are_themselves():
    assert isinstance(make("inline"), InlineExecutor)
    made = make("processes:3")
    assert isinstance(made, ProcessExecutor) and made.workers == 3
    made = make("ray:cuda*8")
    assert isinstance(made, RayExecutor) and (made.workers, made.device, made.address) == (8, "cuda", None)
    made = make("ray://head:10001/cpu*2")
    assert (made.workers, made.device, made.address) == (2, "cpu", "ray://head:10001")
    toy = ThreadExecutor(2)
    assert check_executor(toy, 0) is toy and make(toy) is toy


@pytest.mark.parametrize(
    "executor",
    ["", "processes", "processes:", "processes:0", "processes:-1", "processes:1.5", "processes:1025", "processes:٣",
     "processes:" + "9" * 5000, "ray", "ray:", "ray:4", "ray:cpu", "ray:cpu*0", "ray:cpu*1025", "ray:tpu*1",
     "ray:cpu*٣", "ray://head:10001", "ray://head:10001/", "ray:///cpu*1", "ray://head:1/cpu*1/",
     "Inline", 3, object(), ThreadExecutor, ThreadExecutor(0), ThreadExecutor(True),
     type("Half", (), {"run": print})()],
)  # fmt: skip
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(
        ValueError, match="executor is .*; expected 'inline', 'processes:4', 'ray:cpu\\*4'.*, or an object"
    ):
        check_executor(executor, 0)


@pytest.mark.parametrize("executor", ["inline", "processes:3", ThreadExecutor(2)])
def test_executor_and_workers_that_contradict_each_other_are_refused(executor):
    with pytest.raises(ValueError, match=r"but workers is 2, short for 'processes:2'; leave one of them out"):
        check_executor(executor, 2)


def test_without_ray_its_executors_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for make_one in (lambda: check_executor("ray:cpu*4", 0), lambda: RayExecutor(workers=4, device="cpu")):
        with pytest.raises(ImportError, match=r"need Ray: pip install 'nases-env\[ray\]'"):
            make_one()


def test_ray_is_not_imported_before_it_is_used():
    code = "import sys, nases_env.env, nases_env.executors.ray_executor; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_no_process_at_all_is_refused():
    with pytest.raises(ValueError, match="workers is 0; expected at least 1 process"):
        ProcessExecutor(0)


@pytest.mark.parametrize("make_one", [gym.make, lambda env_id, **keywords: gym.make_vec(env_id, 2, **keywords)])
def test_a_surrogate_trains_nothing_and_has_none(make_one):
    with pytest.raises(ValueError, match="executor is 'processes:2', but a surrogate trains nothing"):
        make_one("NASES-Digits-Surrogate-v0", executor="processes:2")


def test_an_evaluator_of_ones_own_has_none():
    class Own:
        fingerprint = "own"

        def evaluate(self, architectures, seeds):
            raise AssertionError

    with pytest.raises(ValueError, match="only evaluators that build children have one"):
        gym.make("NASES-v0", evaluator=Own(), executor="processes:1")


def test_an_environment_of_many_searches_takes_the_executor_that_it_is_given():
    env = gym.make_vec("NASES-Digits-v0", 4, executor="inline")
    assert env.unwrapped._env.executor == "inline"
    env.close()
