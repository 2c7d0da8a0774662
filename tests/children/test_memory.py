"""Memory of a device: when what torch keeps of it is freed."""

import pytest
import torch

from nases_env.children.memory import free_scarce_memory


@pytest.mark.parametrize(
    ("device", "free", "freed"), [("cuda", 49, True), ("cuda:1", 50, False), ("cuda", 80, False), ("cpu", 0, False)]
)
def test_memory_of_a_gpu_is_freed_once_more_than_half_of_it_is_taken(device, free, freed, monkeypatch):
    asked, calls = [], []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: asked.append(device) or (free, 100))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(1))
    free_scarce_memory(device)
    assert bool(calls) == freed
    assert asked == ([] if device == "cpu" else [device])
