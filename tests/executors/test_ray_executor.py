"""Executors on a Ray cluster: whatever happens to a worker, its host or its driver, the search finds the same."""

import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from nases_env.children.presets import resolve
from nases_env.evaluation import Evaluation
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors import Job, WorkerStartError, ray_pool
from nases_env.executors.ray_executor import RayExecutor
from nases_env.executors.ray_worker import Installed
from nases_env.ledger import read_trials
from tests.executors.lost_workers import FOUND, LostWorkers, run
from tests.executors.toys import ToyData, ToyLimits, ToyTask

ray = pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]
TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}


def started(workers=2, address=None, device="cpu", task=None, **keywords):
    limits = {name: keywords.pop(name) for name in list(keywords) if name in ToyLimits.__dataclass_fields__}
    executor = RayExecutor(address, workers=workers, device=device, **keywords)
    executor.start(task or ToyTask(limits=ToyLimits(**limits)), ToyData())
    return executor


# --- arguments and addresses, without a cluster


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"workers": 0}, "workers is 0; expected at least 1"),
        ({"workers": True}, "workers is True"),
        ({"device": "cuda:1"}, "device is 'cuda:1'; expected 'cpu' or 'cuda'"),
        ({"device": "cuda", "share_gpu": 0}, "share_gpu is 0; expected above 0"),
        ({"device": "cuda", "share_gpu": 1.5}, "share_gpu is 1.5; expected above 0"),
        ({"share_gpu": 0.5}, "share_gpu is 0.5; .* 1 where device is 'cpu'"),
        ({"start_timeout": 0}, "start_timeout is 0; expected seconds, more than 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused(keywords, words):
    with pytest.raises(ValueError, match=words):
        RayExecutor(**{"workers": 2, "device": "cpu"} | keywords)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", r"no Ray cluster answers at 127.0.0.1:1 \(.*refused.*ray start --head"),
        ("ray://127.0.0.1:1", r"no Ray cluster answers at ray://127.0.0.1:1 \("),
        ("head", "Ray cluster is 'head'; expected host:port or ray://host:port"),
        ("head:port", "Ray cluster is 'head:port'; expected host:port"),
    ],
)
def test_a_wrong_address_is_told_at_once(address, words):
    executor = started(address=address)
    with pytest.raises(WorkerStartError, match=words):
        run(executor)
    executor.close()


def test_an_address_where_something_else_answers_is_told_in_time(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        executor = started(start_timeout=1)
        with pytest.raises(WorkerStartError, match="is no Ray cluster, or not the port of its head"):
            run(executor)


def test_the_device_of_children_is_the_executors_whatever_this_host_has():
    executor = RayExecutor(workers=2, device="cuda")
    assert TrainingEvaluator("digits", "nowhere", resolve(TINY), "auto", executor).device == "cuda"
    assert TrainingEvaluator("digits", "nowhere", resolve(TINY), "cuda", executor).device == "cuda"
    with pytest.raises(ValueError, match="device is 'cpu', but the executor trains children on 'cuda'; leave device"):
        TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", executor)


def test_workers_on_different_devices_are_told_once():
    executor = RayExecutor(workers=2, device="cuda")
    found = [Evaluation(device=device, versions={"torch": "2.11"}) for device in ("H200", "A100", "H200")]
    executor._notice("crash")
    with pytest.warns(UserWarning, match="differ: A100 with torch 2.11; H200 with torch 2.11. They round") as told:
        for each in found:
            executor._notice(each)
    assert len(told) == 1


# --- on a cluster


@pytest.fixture(scope="module")
def pool(connected):
    """Two workers that give up on what does not answer for five seconds."""
    executor = started(max_seconds=4, hang_seconds=1)
    yield executor
    executor.close()


def test_workers_stay_for_the_next_jobs(pool):
    assert run(pool) == FOUND
    members = list(pool._pool._members)
    assert run(pool) == FOUND
    assert pool._pool._members == members


class TestLostWorkers(LostWorkers):
    """One of two workers, and its job."""


def test_another_address_in_the_same_program_is_refused(pool):
    with pytest.raises(WorkerStartError, match="is connected to a Ray cluster already, .*call ray.shutdown"):
        run(started(address="127.0.0.1:1"))


def test_where_there_is_room_for_some_workers_they_do_all_jobs_and_it_is_told_once(pool):
    pool.close()
    executor = started(workers=5)
    slow = [Job("slow", seed) for seed in range(10)]
    run(executor, slow[:4])
    executor._pool._start_timeout = 0.2
    with pytest.warns(UserWarning, match=r"4 of 5 workers got a place .*\(1 CPU each\): the cluster has CPU 4") as told:
        assert run(executor, slow) == [Evaluation(parameters=seed) for seed in range(10)]
    assert len(told) == 1
    executor.close()


def test_a_request_that_no_node_can_meet_is_told_in_time(connected):
    executor = started(workers=1, device="cuda", start_timeout=1)
    with pytest.raises(
        WorkerStartError, match=r"had room .* 1 second.*\(1 CPU and 1 GPU each\): the cluster has CPU 4"
    ):
        run(executor)
    executor.close()


def test_a_node_with_other_code_is_told(connected, monkeypatch):
    executor = started(workers=1)
    monkeypatch.setattr(ray_pool, "installed", lambda: Installed("3.11", "0123456789ab"))
    with pytest.raises(
        WorkerStartError, match=r"node .* has Python 3.* this program has .*0123456789ab. Install the same"
    ):
        run(executor)
    executor.close()


@dataclasses.dataclass(frozen=True)
class Unreadable(ToyTask):
    """Its data are missing where they are read."""

    def read(self):
        raise FileNotFoundError("no images here")


def test_data_are_read_on_the_nodes_where_they_are_not_sent_and_what_is_wrong_there_is_told(connected):
    executor = started(workers=1, read_there=True, task=Unreadable())
    with pytest.raises(WorkerStartError, match="could not get ready: FileNotFoundError: no images here"):
        run(executor)
    executor.close()


# --- searches


@dataclasses.dataclass(frozen=True)
class Watched:
    """A stopping rule that writes a line for each child that was trained, and keeps one of them waiting."""

    folder: str
    fingerprint: str = ""

    def __call__(self, epochs):
        where = ray.get_runtime_context().get_node_id()
        with Path(self.folder, "trained").open("a", encoding="utf-8") as file:
            file.write(f"{where} {os.getpid()}\n")
        token = Path(self.folder, "token")
        if token.exists():
            token.unlink()
            Path(self.folder, "begins").write_text(where, encoding="utf-8")
            Path(self.folder, "begins").rename(Path(self.folder, "waits"))  # whoever sees it can read it
            time.sleep(1000)

    def trained(self):
        return [line.split() for line in Path(self.folder, "trained").read_text(encoding="utf-8").splitlines()]


def searched(executor, stopping, ledger=None):
    """What four steps tell, two of them trained at once."""
    evaluator = TrainingEvaluator("digits", "nowhere", resolve(TINY), "auto", executor, stopping)
    env = gym.make("NASES-v0", evaluator=evaluator, ledger=ledger)
    actions = np.random.default_rng(0).random((4, 20), np.float32)
    env.reset(seed=0)
    env.get_wrapper_attr("prefetch")(actions)
    told = [env.step(action)[1:] for action in actions]
    env.close()
    return told


def test_a_search_whose_host_is_lost_in_mid_child_finds_the_same(connected, tmp_path):
    watched = Watched(str(tmp_path))
    expected = searched(None, watched)
    (tmp_path / "token").touch()
    removed = threading.Thread(target=_remove_node_of_the_one_that_waits, args=(connected, tmp_path))
    removed.start()
    assert searched(RayExecutor(workers=2, device="cpu"), watched) == expected
    removed.join()
    connected.add_node(num_cpus=2)
    nodes = [node for node, _ in watched.trained()]
    assert len(nodes) > 4 + 4 and (tmp_path / "waits").read_text(encoding="utf-8") in nodes[4:]


def _remove_node_of_the_one_that_waits(cluster, folder):
    deadline = time.monotonic() + 120
    while not (folder / "waits").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    lost = (folder / "waits").read_text()
    (node,) = (node for node in cluster.worker_nodes if node.node_id == lost)
    cluster.remove_node(node, allow_graceful=False)


SEARCH = """
import sys
import gymnasium as gym, numpy as np
from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors.ray_executor import RayExecutor
from tests.executors.test_ray_executor import TINY, Watched
folder, address = sys.argv[1:]
executor = RayExecutor(address, workers=1, device="cpu")
evaluator = TrainingEvaluator("digits", "nowhere", resolve(TINY), "auto", executor, Watched(folder))
env = gym.make("NASES-v0", evaluator=evaluator, ledger=folder + "/journal.log")
env.reset(seed=0)
for action in np.random.default_rng(0).random((4, 20), np.float32):
    print(env.step(action)[1], flush=True)
env.close()
"""


def test_a_driver_that_was_killed_goes_on_and_trains_nothing_twice(connected, tmp_path):
    command = [sys.executable, "-c", SEARCH, str(tmp_path), connected.address]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    watched = Watched(str(tmp_path))
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as driver:
        rewards = [driver.stdout.readline() for _ in range(2)]
        (tmp_path / "token").touch()  # the next child keeps the driver waiting
        while not (tmp_path / "waits").exists() and driver.poll() is None:
            time.sleep(0.05)
        driver.kill()
    recorded = len(read_trials(tmp_path / "journal.log"))
    (worker,) = {int(pid) for _, pid in watched.trained()}
    _wait_for_the_end_of(worker)
    before = len(watched.trained())
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [reward.decode().strip() for reward in rewards]
    assert recorded >= 2 and len(watched.trained()) - before == 4 - recorded
    (worker,) = {int(pid) for _, pid in watched.trained()[before:]}
    _wait_for_the_end_of(worker)
    assert ray.cluster_resources()["CPU"] == 4  # a cluster that was running stays


def _wait_for_the_end_of(pid):
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


LOCAL = """
import signal
import gymnasium as gym, nases_env
handler = signal.getsignal(signal.SIGTERM)
env = gym.make("NASES-v0", protocol={TINY}, executor="ray:cpu*1")
env.reset(seed=0)
print(env.step(env.action_space.low)[1])
assert env.unwrapped.evaluation.device == "cpu" and env.unwrapped.evaluation.versions["torch"]
env.close()
assert signal.getsignal(signal.SIGTERM) is handler
print("closed", flush=True)
input()
"""


def test_a_cluster_of_its_own_leaves_no_process_behind():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": "local", "NASES_TEST": str(time.time_ns())}
    mark = f"NASES_TEST={environment['NASES_TEST']}".encode()
    command = [sys.executable, "-c", LOCAL.replace("{TINY}", repr(TINY))]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert -1 <= float(driver.stdout.readline()) <= 1
        assert driver.stdout.readline() == b"closed\n"
        deadline = time.monotonic() + 30
        while (left := _marked(mark) - {driver.pid}) and time.monotonic() < deadline:
            time.sleep(0.05)
        driver.communicate(b"\n")
    assert not left and driver.returncode == 0


def _marked(mark):
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:  # it ended, or is another user's
            continue
    return found
