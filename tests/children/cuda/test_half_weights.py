"""Steps with weights in bfloat16 are those of autocast to the bit. Here a CPU computes in bfloat16."""

from contextlib import nullcontext

import pytest
import torch

from nases_env.children import steps
from nases_env.children.cuda.half_weights import HalfWeights
from tests.children import launches
from tests.children.trainings import SPACES, trainer

FIELDS = {"epochs": 3, "precision": "bfloat16", "auxiliary_weight": 0.4}


@pytest.fixture(autouse=True)
def bfloat16_on_a_cpu(monkeypatch):
    monkeypatch.setattr(steps, "halves", lambda precision, device: precision == "bfloat16")


def half_trainer(space, checkpointing=False, copies=True):
    """A trainer with copies of weights, or where it is autocast that rounds them."""
    subject = trainer(space, images=40, checkpointing=checkpointing, **FIELDS)
    if not copies:
        subject.step._half_weights = nullcontext
    return subject


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_trainings_are_those_of_autocast(space, checkpointing):
    subject, plain = (half_trainer(space, checkpointing, copies) for copies in (True, False))
    for _ in range(3):  # nine steps, some of them on fewer images
        assert subject.train_epoch() == plain.train_epoch()
    assert_same(subject.state(), plain.state())
    assert all(weight.dtype == torch.float32 for weight in subject.model.parameters())
    assert subject.accuracy(subject.data) == plain.accuracy(plain.data)


def test_a_training_goes_on_from_a_state_of_either_kind():
    whole, first = half_trainer("published"), half_trainer("published")
    whole.train_epoch()
    first.train_epoch()
    whole.train_epoch()
    for copies in (True, False):
        second = half_trainer("published", copies=copies)
        second.train_epoch()
        second.load_state(first.state())
        second.train_epoch()
        assert_same(second.state(), whole.state())


def test_weights_are_rounded_and_gradients_handed_over_by_one_operation_each():
    counted = []
    for copies in (True, False):
        subject = half_trainer("published", copies=copies)
        subject.train_epoch()
        with launches.Launches() as found:
            subject._train_on(torch.arange(16), 0.1, 0.5)
        counted.append(found.counted)
    weights = sum(isinstance(module, torch.nn.Conv2d) for module in subject.model.modules())
    assert counted[0]["_foreach_copy_"] == 2
    assert counted[1]["_to_copy"] - counted[0]["_to_copy"] >= 2 * 2 * weights  # with biases, there and back


def test_a_step_that_fails_leaves_the_parameters_in_their_place(monkeypatch):
    subject = half_trainer("paper")
    names = [name for name, _ in subject.model.named_parameters()]
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        subject.train_epoch()
    assert [name for name, _ in subject.model.named_parameters()] == names
    assert all(isinstance(each, torch.nn.Parameter) for each in subject.model.parameters())
    assert {each.dtype for each in subject.model.parameters()} == {torch.float32}


def test_gradients_of_a_step_that_failed_are_none_of_the_next(monkeypatch):
    subject, plain = half_trainer("paper"), half_trainer("paper")
    backward = torch.Tensor.backward
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(torch.Tensor, "backward", lambda loss: backward(loss) or 1 / 0)
        subject.train_epoch()
    subject.load_state(plain.state())  # the images' order was drawn, and statistics are one step on
    assert subject.train_epoch() == plain.train_epoch()
    assert_same(subject.state(), plain.state())


def test_a_child_without_convolutions_takes_its_steps_too():
    linear = torch.nn.Linear(2, 2)
    with HalfWeights(linear).in_place():
        linear(torch.ones(1, 2)).sum().backward()
    assert linear.weight.grad.abs().sum() == 4
