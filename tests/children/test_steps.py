"""One step: what it gives back and what it keeps."""

import pytest
import torch
from torch import nn

from nases_env.children.base import Child
from nases_env.children.presets import resolve
from nases_env.children.steps import EagerStep

IMAGES, LABELS = torch.arange(32.0).reshape(8, 1, 2, 2) / 32, torch.arange(8) % 3


class Linear(Child):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def flops(self, image_size):
        raise NotImplementedError

    def forward(self, images):
        return self.linear(images.flatten(1))


@pytest.fixture
def model():
    model = Linear()
    nn.init.zeros_(model.linear.weight)
    nn.init.zeros_(model.linear.bias)
    return model


def take(step, learning_rate=0.1):
    return step(IMAGES, LABELS, learning_rate, 0.0, torch.Generator())


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_step_gives_loss_and_logits_from_before_it_without_gradients(model):
    loss, logits = take(EagerStep(model, resolve("digits")))
    assert float(loss) == pytest.approx(1.0986123)  # ln 3
    assert torch.equal(logits, torch.zeros(8, 3))
    assert not loss.requires_grad and not logits.requires_grad
    assert weights(model).abs().sum() > 0


def test_a_step_has_the_learning_rate_that_it_is_given(model):
    take(EagerStep(model, resolve("digits")), learning_rate=0.0)
    assert weights(model).abs().sum() == 0


def test_a_learning_rate_that_is_a_tensor_is_that_number(model):
    twin = Linear()
    twin.load_state_dict(model.state_dict())
    step, other, rate = EagerStep(model, resolve("digits")), EagerStep(twin, resolve("digits")), torch.zeros(())
    for number in range(1, 6):
        take(step, number / 7)
        take(other, rate.fill_(number / 7))
        assert torch.equal(weights(model), weights(twin))


def test_loaded_momenta_stay_where_they_were(model):
    step = EagerStep(model, resolve("digits"))
    take(step)
    before = [momentum.data_ptr() for momentum in step.state().values()]
    step.load_state({name: momentum + 1 for name, momentum in step.state().items()})
    assert [momentum.data_ptr() for momentum in step.state().values()] == before


def test_momentum_is_the_state_of_a_step(model):
    first = EagerStep(model, resolve("digits"))
    assert first.state() == {}
    take(first)
    assert sorted(first.state()) == ["momentum.0", "momentum.1"]
    start, state = weights(model), {name: tensor.clone() for name, tensor in first.state().items()}
    take(first)
    twin = Linear()
    nn.utils.vector_to_parameters(start.clone(), twin.parameters())
    second = EagerStep(twin, resolve("digits"))
    second.load_state({"momentum.9": torch.ones(1), **state})
    take(second)
    assert torch.equal(weights(twin), weights(model))


def test_without_momentum_a_step_has_no_state(model):
    step = EagerStep(model, resolve({"preset": "digits", "momentum": 0.0}))
    take(step)
    assert step.state() == {}
