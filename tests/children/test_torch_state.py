"""What the caller has set in torch is neither seen inside nor changed."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from nases_env.children import datasets
from nases_env.children.presets import resolve
from nases_env.children.torch_state import own_torch_state
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import MacroSpace

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "width": 0.03}
SPACE = MacroSpace()
CHILDREN = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 2))]


@contextmanager
def written(read, write, value):
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


STATES = {
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "float64": lambda: written(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast of CUDA": lambda: written(
        lambda: torch.is_autocast_enabled("cuda"), lambda on: torch.set_autocast_enabled("cuda", on), True
    ),
    "device": lambda: torch.device("meta"),
    "default device": lambda: written(lambda: None, torch.set_default_device, "meta"),
    "matrix products": lambda: written(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "convolutions": lambda: written(
        lambda: torch.backends.mkldnn.conv.fp32_precision,
        lambda value: setattr(torch.backends.mkldnn.conv, "fp32_precision", value),
        "bf16",
    ),
}
"""Contexts that change how torch computes, by what they change."""


def settings():
    """Everything that a state may change."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_autocast_enabled("cuda"),
        torch.get_float32_matmul_precision(),
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.backends.mkldnn.conv.fp32_precision,
    )


def test_torch_is_as_it_was_imported():
    with own_torch_state():
        inside = settings()
        weight = torch.ones(2, requires_grad=True)
        (weight * 2).sum().backward()
    assert inside[:7] == (True, False, torch.float32, torch.device("cpu"), False, torch.bfloat16, False)
    assert set(inside[8:]) <= {"none", "ieee"}
    assert (weight.dtype, weight.grad.tolist()) == (torch.float32, [2.0, 2.0])


@pytest.mark.parametrize("state", STATES)
def test_what_the_caller_has_set_is_not_seen_inside_and_back_afterwards(state):
    with STATES[state]():
        before = settings()
        with own_torch_state():
            inside = settings()
            weight = torch.ones(2, requires_grad=True)
            (weight * 2).sum().backward()
        assert settings() == before
        with pytest.raises(KeyError), own_torch_state():
            raise KeyError
        assert settings() == before
    assert inside[:5] == (True, False, torch.float32, torch.device("cpu"), False)
    assert not inside[6]
    assert set(inside[8:]) <= {"none", "ieee"}
    assert not weight.is_inference() and weight.grad.device.type == "cpu"


def test_states_are_told_apart():
    plain = settings()
    for state, context in STATES.items():
        with context():
            assert settings() != plain, state
        assert settings() == plain, state


def test_a_function_can_be_decorated():
    @own_torch_state()
    def zeros(count):
        return torch.zeros(count)

    with torch.inference_mode(), torch.device("meta"):
        made = zeros(3)
    assert made.tolist() == [0, 0, 0]
    assert not made.is_inference()


def evaluations(watch=lambda: None, device="cpu", **fields):
    """What two children reach; the caller may watch after each."""
    subject = TrainingEvaluator("digits", "nowhere", resolve({**TINY, **fields}), device)
    found = []
    for _, evaluation in subject.evaluate(CHILDREN, [0, 1]):
        found.append(dataclasses.replace(evaluation, seconds=0.0))
        watch()
    return found


@pytest.fixture(scope="module")
def expected():
    return evaluations()


@pytest.mark.parametrize("state", STATES)
def test_children_are_trained_alike_whatever_the_caller_has_set(state, expected):
    datasets._loaded.clear()  # the images, too, are made in this state
    with STATES[state]():
        before, between = settings(), []
        assert evaluations(lambda: between.append(settings())) == expected
        assert between == [before, before]
        assert settings() == before
    assert evaluations() == expected  # with the same images


@pytest.mark.parametrize("state", STATES)
def test_images_that_were_read_in_a_state_are_fit_for_training(state, expected):
    datasets._loaded.clear()
    with STATES[state]():
        TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu").prepare()
    assert evaluations() == expected


@pytest.mark.parametrize("state", ["inference mode", "float64", "default device"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_images_do_not_depend_on_what_the_caller_has_set(state, part):
    def images():
        datasets._loaded.clear()
        data = datasets.load("digits", "nowhere", resolve(TINY), "cpu")
        return datasets.load_test("digits", "nowhere", data).images if part == "test" else data.train.images

    expected = images()
    with STATES[state]():
        found = images()
    assert not found.is_inference()  # torch refuses to record gradients of what was made in inference mode
    assert torch.equal(found, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_protocols_autocast_keeps_no_weights_of_earlier_steps_inside_the_callers():
    plain = evaluations(device="cuda", precision="bfloat16")
    with torch.autocast("cuda", torch.float16):
        inside = evaluations(device="cuda", precision="bfloat16")
    for one, other in zip(plain, inside, strict=True):
        assert other.epochs[-1]["loss"] == pytest.approx(one.epochs[-1]["loss"], rel=0.02)
