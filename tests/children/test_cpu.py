"""Threads and memory of a CPU process that trains children."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from nases_env.children.cpu import KERNEL_CACHE, cpu_threads, physical_memory, prepare_memory, release_memory


@pytest.mark.parametrize("error", [None, KeyError])
def test_threads_are_fixed_inside_the_block_and_restored_behind_it(error):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(KeyError), cpu_threads(2):
            assert torch.get_num_threads() == 2
            raise KeyError
        with cpu_threads(None):
            assert torch.get_num_threads() == os.cpu_count()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_kept_between_steps_and_given_back_when_asked_and_the_cache_of_kernels_is_bounded():
    code = """
import os, resource, torch
from nases_env.children.cpu import prepare_memory, release_memory
prepare_memory()
assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "256"
def step():
    [torch.ones(4_000_000) for _ in range(6)]  # activations of 16 MB
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
kept = resident()
release_memory()
print(kept - resident())
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    faults, released = map(int, done.stdout.split())
    assert faults < 20_000  # a step's pages; without it, ten steps' 234,000
    assert released > 50e6


def test_a_bound_of_the_users_is_left_alone():
    code = "from nases_env.children.cpu import prepare_memory, os; prepare_memory(); print(os.environ[NAME])"
    code = code.replace("NAME", "'ONEDNN_PRIMITIVE_CACHE_CAPACITY'")
    environment = os.environ | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "7\n"


def unopened(name):
    """What Windows does."""
    raise TypeError("bad argument type for built-in operation")


@pytest.mark.parametrize("library", [unopened, lambda name: object()], ids=["none", "another"])
def test_memory_is_left_alone_where_the_c_library_cannot_do_it(library, monkeypatch):
    monkeypatch.setenv(KERNEL_CACHE, "7")
    monkeypatch.setattr(ctypes, "CDLL", library)
    prepare_memory.__wrapped__()  # it runs once per process
    release_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_machines_memory_is_what_the_system_tells(monkeypatch):
    with open("/proc/meminfo", encoding="utf-8") as file:
        kilobytes = int(file.readline().split()[1])
    assert physical_memory() == 1024 * kilobytes
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert physical_memory() is None
