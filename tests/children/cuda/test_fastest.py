"""The quickest way of an operation: when it is measured, what is remembered, and what happens to ways that fail."""

import warnings
from functools import partial

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from nases_env.children.cuda import fastest
from nases_env.children.cuda.fastest import Fastest, choices, on_cuda, recorded_on_cuda
from nases_env.children.cuda.operations import CONVOLUTION, MAX_POOL, NORM_RELU, Operation, there_and_back


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(fastest, "_measured", {})
    monkeypatch.setattr(fastest, "_unusable", set())


class Doubling:
    """Two ways to multiply images by two, which note that they were taken, and the times that they take."""

    def __init__(self, plain=2.0, other=1.0):
        self.taken, self.measured = [], 0
        self.times = {"torch": plain, "other": other}
        self.operation = Operation("doubling", {name: self._way(name) for name in self.times})
        self.fastest = Fastest(self.milliseconds)

    def _way(self, name):
        def way(images):
            self.taken.append(name)
            if isinstance(self.times[name], Exception):
                raise self.times[name]
            return images * 2

        return way

    def milliseconds(self, call, device):
        self.taken.clear()
        call()
        self.measured += 1
        return self.times[self.taken[-1]]

    def __call__(self, images, full=True, size=3):
        self.taken.clear()
        if full:
            with self.fastest.full_step():
                return self.fastest(self.operation, size, images.shape[1], images)
        return self.fastest(self.operation, size, images.shape[1], images)


def images(count=2, channels=3, side=4, **options):
    return torch.ones(count, channels, side, side, requires_grad=True, **options)


def test_the_quickest_way_is_taken_and_remembered():
    subject = Doubling()
    assert torch.equal(subject(images()), images() * 2)
    assert subject.taken[-1] == "other" and subject.measured == 2
    for again in (images(), images(count=9)):
        subject(again)
        assert subject.taken == ["other"]
    subject(images(count=1), full=False)
    assert subject.taken == ["other"]
    assert subject.measured == 2


def test_another_trainers_shapes_are_known():
    Doubling()(images())
    subject = Doubling(plain=0.1)
    subject(images(), full=False)
    assert subject.taken == ["other"] and subject.measured == 0


@pytest.mark.parametrize("change", [{"channels": 5}, {"side": 5}, {"dtype": torch.float64}])
def test_another_shape_or_precision_is_measured_by_itself(change):
    subject = Doubling()
    subject(images())
    subject.times["other"] = 3.0
    subject(images(**change))
    assert subject.taken[-1] == "torch" and subject.measured == 4


def test_another_size_is_measured_by_itself():
    subject = Doubling()
    for size in (3, 5):
        subject(images(), size=size)
    assert subject.measured == 4


def test_nothing_is_measured_outside_of_full_steps_and_where_no_gradient_is_wanted():
    subject = Doubling()
    subject(images(), full=False)
    with torch.no_grad():
        subject(images())
    assert subject.measured == 0 and subject.taken == ["torch"]
    subject(images())
    assert subject.measured == 2


def test_a_way_that_fails_is_left_out_with_one_warning():
    subject = Doubling(other=RuntimeError("no C compiler"))
    with pytest.warns(UserWarning, match="doubling: the way 'other' is left out.*no C compiler") as found:
        subject(images())
        subject(images(side=8))
    assert len(found) == 1 and subject.taken == ["torch", "torch"]


def test_where_memory_runs_out_a_way_is_left_out_for_that_shape_alone():
    subject = Doubling(other=torch.OutOfMemoryError("CUDA out of memory"))
    with warnings.catch_warnings(action="error"):
        subject(images(side=8))
    assert subject.taken[-1] == "torch"
    subject.times["other"] = 1.0
    subject(images())
    assert subject.taken[-1] == "other"


def test_where_no_way_can_be_measured_the_default_is_taken():
    subject = Doubling()
    subject.fastest = Fastest(lambda call, device: 1 / 0)
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        subject(images())
    assert subject.taken == ["torch"]
    assert choices().endswith("the default, not measured")


def test_a_layer_that_is_computed_again_saves_as_much_as_the_first_time():
    subject, given = Doubling(), images()
    checkpoint(lambda x: subject(x).exp(), given, use_reentrant=False).sum().backward()
    torch.testing.assert_close(given.grad, (images() * 2).exp() * 2)


@pytest.mark.parametrize("before", [False, True])
def test_cudnn_searches_in_full_steps_alone(before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before)
    with pytest.raises(ZeroDivisionError), Fastest(on_cuda).full_step():
        assert torch.backends.cudnn.benchmark
        raise ZeroDivisionError
    assert torch.backends.cudnn.benchmark is before


def test_milliseconds_of_a_recording_are_those_of_one_call(monkeypatch):
    called = []
    monkeypatch.setattr(fastest, "cuda_graph", lambda function, generator: function)
    monkeypatch.setattr(fastest, "on_cuda", lambda call, device, repeats: call() or float(len(called) - 1))
    assert recorded_on_cuda(lambda: called.append(1), torch.device("cpu")) == 1
    assert len(called) > 3  # the first one is not recorded


def test_choices_are_a_table():
    assert choices() == ""
    Doubling()(images())
    Doubling(plain=0.5)(images(side=8), size=0)
    assert choices().splitlines() == [
        "3×3 doubling, 4×4, 3 channels, float32, cpu: other 1.000 ms, torch 2.000 ms",
        "doubling, 8×8, 3 channels, float32, cpu: torch 0.500 ms, other 1.000 ms",
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("milliseconds", [on_cuda, recorded_on_cuda])
def test_what_takes_longer_on_cuda_has_more_milliseconds(milliseconds):
    small, large = (torch.randn(side, side, device="cuda") for side in (512, 8192))
    times = [milliseconds(lambda each=each: each @ each, each.device) for each in (small, large)]
    assert 0 < 10 * times[0] < times[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("operation", [MAX_POOL, NORM_RELU, CONVOLUTION])
def test_all_ways_can_be_recorded(operation):
    pixels = torch.randn(4, 8, 16, 16, device="cuda").contiguous(memory_format=torch.channels_last).requires_grad_()
    ones = torch.ones(8, device="cuda")
    weight = torch.randn(8, 8, 3, 3, device="cuda", requires_grad=True)
    norm = [ones.clone(), ones.clone(), ones.clone().requires_grad_(), ones.clone().requires_grad_(), True, 0.1, 1e-5]
    others = {MAX_POOL.name: [3], CONVOLUTION.name: [weight], NORM_RELU.name: norm}[operation.name]
    for way in operation.ways.values():
        assert recorded_on_cuda(partial(there_and_back, way, pixels, *others), pixels.device) > 0
