"""Recordings: one that fails leaves nothing behind. Without a GPU the part of torch is played."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from nases_env.children.cuda import recording
from nases_env.children.cuda.recording import cuda_graph

GENERATOR = SimpleNamespace(device="cpu")


class Torch:
    """Plays what torch does with recordings, as version 2.11: the end of one that failed raises before it is over."""

    def __init__(self, monkeypatch):
        self.seen, self.made, self.poisoned, self.allocating = [], 0, False, set()
        played = {"CUDAGraph": self._graph, "graph_pool_handle": lambda: (0, self.made), "current_device": lambda: 0}
        played |= {"device": nullcontext, "stream": nullcontext}
        played |= {name: lambda name=name: self.seen.append(name) for name in ("synchronize", "empty_cache")}
        for name, part in played.items():
            monkeypatch.setattr(torch.cuda, name, part)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self._end_allocating, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *pool: self.seen.append("release"), raising=False)
        monkeypatch.setattr(recording, "_stream", str)

    def _graph(self):
        self.made += 1
        number = self.made

        def begin(pool):
            self.seen.append(f"begin {number}")
            self.allocating.add(pool)

        def end():
            if self.poisoned:
                self.poisoned = False
                raise RuntimeError("operation failed due to a previous error during capture")
            if not self.allocating:
                raise RuntimeError("no recording to end")
            self.seen.append(f"end {number}")
            self.allocating.clear()

        return SimpleNamespace(
            register_generator_state=lambda generator: self.seen.append(f"register {number}"),
            capture_begin=begin,
            capture_end=end,
            reset=lambda: self.seen.append(f"reset {number}"),
            replay=lambda: self.seen.append(f"replay {number}"),
        )

    def _end_allocating(self, device, pool):
        if pool not in self.allocating:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.allocating.remove(pool)
        self.seen.append("end allocating")


def test_a_function_is_recorded_once_and_launched_when_it_is_asked_for(monkeypatch):
    subject = Torch(monkeypatch)
    repeat = cuda_graph(lambda: subject.seen.append("function"), GENERATOR)
    expected = ["synchronize", "empty_cache", "register 1", "begin 1", "function", "end 1"]
    assert subject.seen == expected
    repeat()
    assert subject.seen == [*expected, "replay 1"]


def test_a_recording_that_fails_is_ended_and_another_one_frees_its_generators(monkeypatch):
    subject = Torch(monkeypatch)

    def fail():
        subject.poisoned = True
        raise ValueError("waits for the device")

    with pytest.raises(ValueError, match="waits"):  # and not what its end raised
        cuda_graph(fail, GENERATOR)
    assert subject.seen[3:] == ["begin 1", "reset 1", "end allocating", "release", "register 2", "begin 2", "end 2"]
    assert not subject.allocating


def test_a_recording_whose_end_alone_fails_is_ended_too(monkeypatch):
    subject = Torch(monkeypatch)
    with pytest.raises(RuntimeError, match="previous error"):
        cuda_graph(lambda: setattr(subject, "poisoned", True), GENERATOR)
    assert "end 2" in subject.seen and not subject.allocating


def test_what_torch_has_ended_itself_is_left_to_it(monkeypatch):
    subject = Torch(monkeypatch)

    def run_out():
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        cuda_graph(run_out, GENERATOR)
    assert subject.seen[3:] == ["begin 1", "end 1", "reset 1", "register 2", "begin 2", "end 2"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recording_that_fails_leaves_the_device_as_it_was():
    generator = torch.Generator("cuda").manual_seed(0)
    twin = torch.Generator("cuda").manual_seed(0)
    drawn = torch.zeros(4, device="cuda")

    def draw():
        drawn.copy_(torch.rand(4, generator=generator, device="cuda"))

    draw()  # chooses its kernels
    torch.rand(4, generator=twin, device="cuda")
    repeat, stream = cuda_graph(draw, generator), torch.cuda.current_stream()

    def wait():
        draw()
        drawn.sum().item()

    for _ in range(2):
        reserved = torch.cuda.memory_reserved()
        with pytest.raises(RuntimeError, match="captur"):
            cuda_graph(wait, generator)
        assert torch.cuda.current_stream() == stream
        torch.cuda.empty_cache()
        assert torch.cuda.memory_reserved() <= reserved
        torch.rand(4, device="cuda")  # of the device's own generator
        for function in (repeat, draw, cuda_graph(draw, generator)):
            function()
            assert torch.equal(drawn, torch.rand(4, generator=twin, device="cuda"))
