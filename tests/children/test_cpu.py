"""Threads and memory of a CPU process that trains children."""

import os
import subprocess
import sys

import pytest
import torch

from nases_env.children.cpu import cpu_threads


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
def test_memory_is_kept_between_steps_and_the_cache_of_kernels_is_bounded():
    code = """
import os, resource, torch
from nases_env.children.cpu import prepare_memory
prepare_memory()
assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "128"
for _ in range(30):
    torch.ones(2_000_000)  # 8 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEDNN")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2_000  # a pass over the pages of 8 MB; without it, twenty


def test_a_bound_of_the_users_is_left_alone():
    code = "from nases_env.children.cpu import prepare_memory, os; prepare_memory(); print(os.environ[NAME])"
    code = code.replace("NAME", "'ONEDNN_PRIMITIVE_CACHE_CAPACITY'")
    environment = os.environ | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "7\n"
