"""Channels padded with zeros: where the real ones are, that the rest stays zero, and that nobody sees it."""

import numpy as np
import pytest
import torch
from torch import nn

from nases_env.children import build, macro, micro, padding
from nases_env.children.padding import Channels, mark
from nases_env.children.presets import resolve
from nases_env.children.tensors import Tensors
from nases_env.children.training import Trainer
from nases_env.search_spaces import MacroSpace, MicroSpace


def test_every_piece_is_padded_by_itself():
    channels = Channels.padded(3, 4) + Channels.padded(4, 4) + Channels.padded(5, 4)
    assert (channels.real, channels.stored) == (12, 16)
    assert channels.positions.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_pieces_of_one_tensor_may_be_padded_differently():
    channels = Channels.padded(3, 8) + Channels.padded(2, 1)
    assert (channels.real, channels.stored) == (5, 10)
    assert channels.positions.tolist() == [0, 1, 2, 8, 9]


def test_real_tensors_are_what_was_filled_in_and_the_rest_is_zero():
    convolution = mark(nn.Conv2d(8, 4, 3), Channels.padded(3, 4), Channels.padded(3, 4) + Channels.padded(2, 4))
    values = torch.arange(3.0 * 5 * 9).reshape(3, 5, 3, 3) + 1
    padding.fill(convolution, "weight", values)
    assert padding.real_shape(convolution, "weight") == (3, 5, 3, 3)
    assert padding.real_shape(convolution, "bias") == (3,)
    assert torch.equal(padding.real(convolution, "weight"), values)
    assert convolution.weight.count_nonzero() == values.numel()
    assert torch.equal(convolution.weight[2, 4], values[2, 3])  # the second piece starts at 4


def test_without_padding_a_tensor_is_itself():
    linear = mark(nn.Linear(8, 3), None, Channels.padded(8, 8))
    assert padding.real(linear, "weight") is linear.weight
    assert padding.real_shape(linear, "weight") == (3, 8)


def test_only_real_parameters_are_counted():
    # Convolution 2·3·9 + 3, batch norm 2·3, classifier 3·10 + 10.
    three = Channels.padded(3, 8)
    model = nn.Sequential(
        mark(nn.Conv2d(2, 8, 3), three), mark(nn.BatchNorm2d(8), three), mark(nn.Linear(8, 10), None, three)
    )
    assert padding.count_parameters(model) == 54 + 3 + 6 + 40


def as_on_cuda(monkeypatch):
    """Pad children as for CUDA, on whichever device."""
    for module in (macro, micro):
        monkeypatch.setattr(module, "whole_multiple", lambda multiple, device: padding.whole_multiple(multiple, "cuda"))


@pytest.mark.parametrize(("device", "multiple"), [("cpu", 1), ("meta", 1), ("cuda", 8), ("cuda:1", 8)])
def test_wholes_are_padded_on_cuda_alone(device, multiple):
    assert padding.whole_multiple(8, device) == multiple


@pytest.mark.parametrize("space", [MacroSpace("paper"), MacroSpace("published"), MicroSpace()], ids=repr)
def test_on_cuda_everything_that_is_read_has_a_multiple_of_eight_channels(space, monkeypatch):
    as_on_cuda(monkeypatch)
    for row in space.discretise(space.sample(np.random.default_rng(1), 5)):
        model = build.skeleton(space.architecture(row), resolve("v1-search"), 3, 10, device="meta")
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.groups == 1:
                assert module.in_channels % 8 == 0
            elif isinstance(module, nn.Linear):
                assert module.in_features % 8 == 0


@pytest.mark.parametrize("space", [MacroSpace("published"), MicroSpace()], ids=repr)
def test_wholes_padded_or_not_a_child_computes_the_same(space, monkeypatch):
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    protocol = resolve({"preset": "v1-search", "width": 0.1, "cell_filters": 8, "stage_cells": 1})
    rows = space.discretise(space.sample(np.random.default_rng(2), 3))

    def found(row):
        model = build.skeleton(space.architecture(row), protocol, 3, 10)
        model = build.materialise(model, torch.Generator().manual_seed(0), "cpu").train()
        return model(images), padding.count_parameters(model), model.flops(8)

    plain = [found(row) for row in rows]
    as_on_cuda(monkeypatch)
    torch.testing.assert_close([found(row) for row in rows], plain, rtol=1e-3, atol=1e-4)


@pytest.fixture(params=["paper", "published", "published as on CUDA"])
def trained(request, monkeypatch):
    """A padded child after an epoch, and the architecture's builder for other paddings."""
    rules, _, cuda = request.param.partition(" ")
    if cuda:
        as_on_cuda(monkeypatch)
    space = MacroSpace(rules)
    architecture = space.architecture(space.discretise(space.sample(np.random.default_rng(5), 1))[0])

    def make(multiple):
        protocol = resolve({"preset": "v1-search", "width": 0.03, "epochs": 1, "batch_size": 16,
                            "channel_multiple": multiple})  # fmt: skip
        skeleton = build.skeleton(architecture, protocol, 3, 4)
        return build.materialise(skeleton, torch.Generator().manual_seed(0), "cpu"), protocol

    model, protocol = make(8)
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    Trainer(model, Tensors(images, torch.arange(64) % 4), protocol, 0).train_epoch()
    return model, make


def test_padding_is_exactly_zero_after_training(trained):
    model, _ = trained
    padded = 0
    for module in model.modules():
        for name, tensor in module.named_parameters(recurse=False):
            if padding.real_shape(module, name) != tuple(tensor.shape):
                padded += 1
                before = tensor.detach().clone()
                padding.fill(module, name, padding.real(module, name).detach().clone())
                assert torch.equal(tensor, before)
    assert padded > 30


def test_weights_move_between_paddings(trained):
    model, make = trained
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    plain, _ = make(1)
    state = padding.state_dict(model)
    assert {name: tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in plain.state_dict().items()
    }
    padding.load_state_dict(plain, state)
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(images), model.eval()(images), rtol=1e-4, atol=1e-5)


def test_a_child_starts_from_the_same_weights_whatever_its_padding(trained):
    _, make = trained
    states = [padding.state_dict(make(multiple)[0]) for multiple in (1, 8)]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def _without(state):
    del state["layers.0.0.weight"]


def _another(state):
    state["another"] = torch.zeros(1)


def _one_number(state):
    state["layers.0.0.weight"] = torch.zeros(1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without, r"layers.0.0.weight: expected \(.*\), got none"),
        (_another, r"another: expected none, got \(1,\)"),
        (_one_number, r"layers.0.0.weight: expected \(.*\), got \(1,\)"),
    ],
)
def test_another_networks_tensors_are_refused_and_named(trained, change, words):
    model, _ = trained
    state = padding.state_dict(model)
    change(state)
    with pytest.raises(ValueError, match=words):
        padding.load_state_dict(model, state)
