"""Children train the same in whatever way their layers compute. Without a GPU Triton's ways are interpreted."""

import dataclasses

import pytest
import torch
from torch import nn

from nases_env.children.cuda import fastest
from nases_env.children.cuda.fastest import Fastest, choices, on_cuda
from nases_env.children.layers import BatchNorm2d, take_fastest
from tests.children import launches
from tests.children.trainings import SPACES, losses, trainer

WAYS = ("torch", "taps", "product", "rows, columns", "triton")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(fastest, "_measured", {})
    monkeypatch.setattr(fastest, "_unusable", set())


@pytest.fixture
def prefer(monkeypatch, triton_module):
    """Makes a way the quickest of every operation that has it."""
    for module in ("max_pool", "norm_relu"):
        triton_module(module)

    def preferred(subject, way):
        def times(self, operation, shape, arguments):
            return {name: float(name != way) for name in operation.ways}

        monkeypatch.setattr(Fastest, "_times", times)
        subject.step._take_fastest(Fastest(on_cuda))
        return subject

    return preferred


def in_float64(subject):
    """The trainer in a precision in which no rounding grows to a difference."""
    subject.model.double()
    subject._images = subject._images.double()
    subject.data = dataclasses.replace(subject.data, images=subject.data.images.double())
    return subject


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("space", SPACES)
def test_steps_are_the_same_in_every_way(prefer, space, way, checkpointing):
    if way == "triton" and torch.cuda.is_available():
        pytest.skip("these steps are a CPU's, and kernels are not interpreted where there is a GPU")
    fields = {"images": 24, "epochs": 1, "checkpointing": checkpointing, "auxiliary_weight": 0.4}
    subject, plain = (in_float64(trainer(space, **fields)) for _ in range(2))
    assert losses(prefer(subject, way)) == pytest.approx(losses(plain), rel=1e-4)
    assert choices()
    state, expected = subject.state(), plain.state()
    assert state.keys() <= expected.keys()  # biases that are left out have no momentum
    for name in state:
        torch.testing.assert_close(state[name], expected[name], rtol=1e-3, atol=1e-3)
    assert subject.accuracy(subject.data) == plain.accuracy(plain.data)


@pytest.mark.parametrize("space", SPACES)
def test_a_relu_behind_a_batch_normalisation_is_done_with_it(space):
    subject = trainer(space)
    before = list(subject.model.state_dict())
    relus, sequences = [
        sum(isinstance(module, kind) for module in subject.model.modules()) for kind in (nn.ReLU, nn.Sequential)
    ]
    take_fastest(subject.model, Fastest(on_cuda))
    assert list(subject.model.state_dict()) == before
    assert sequences and sum(isinstance(module, nn.ReLU) for module in subject.model.modules()) < relus
    joined = [module.fastest is not None for module in subject.model.modules() if isinstance(module, BatchNorm2d)]
    assert any(joined)


def test_measuring_all_ways_leaves_a_training_as_it_is():
    """What is measured first is not computed with: here all ways take equally long, so that the first one is taken."""
    subject, plain = (trainer("micro", images=40, epochs=2) for _ in range(2))

    def milliseconds(call, device):
        call()
        return 1.0

    for each, measure in ((subject, milliseconds), (plain, lambda call, device: 1.0)):
        each.step._take_fastest(Fastest(measure))
        fastest._measured.clear()
        fastest._unusable.add(("max pool", "triton"))
        fastest._unusable.add(("batch norm and ReLU", "triton"))
        each.found = losses(each)
    assert subject.found == plain.found
    assert all(torch.equal(subject.state()[name], number) for name, number in plain.state().items())


def test_on_a_cpu_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(Fastest, "_times", lambda *_: pytest.fail("measured"))
    fields = {"images": 40, "epochs": 2}
    with launches.Launches() as counted:
        found = losses(trainer("paper", kernels="fastest", **fields))
    assert found == losses(trainer("paper", **fields))
    assert choices() == "" and counted.counted["native_batch_norm"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("error::UserWarning")  # ways that are left out, steps that cannot be recorded
@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("space", SPACES)
def test_fifty_steps_in_the_fastest_ways_are_torchs(space, precision, cuda_graph):
    fields = {"width": 0.125, "cell_filters": 8, "images": 160, "size": 32, "batch_size": 32, "epochs": 10}
    fields |= {"device": "cuda", "learning_rate": 0.002, "precision": precision, "cuda_graph": cuda_graph}
    subject = trainer(space, kernels="fastest", **fields)
    found, expected = losses(subject), losses(trainer(space, **fields))
    assert len(found) == 50 and "taps" in choices() and "triton" in choices()
    # Rounding differs, and what that does to the weights grows with every step.
    assert found[:10] == pytest.approx(expected[:10], rel=0.1)
    assert sum(found[-10:]) == pytest.approx(sum(expected[-10:]), rel=0.2)
    assert not torch.backends.cudnn.benchmark
