"""Micro children: parameters and FLOPs by hand, strides, drop-path, the auxiliary head."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nases_env.children import build, padding
from nases_env.children.padding import count_parameters
from nases_env.children.presets import resolve
from nases_env.children.tensors import Tensors
from nases_env.children.training import Trainer
from nases_env.search_spaces import MicroArchitecture, MicroSpace

IDENTITY = [[[1, "identity"], [0, "identity"]]] * 5
"""Every node adds the two cells before; all five are given."""
CHAIN = [[[0, "identity"], [1 + node, "identity"]] for node in range(5)]
"""Every node reads the one before it; the last one is given."""


def architecture(normal=IDENTITY, reduction=IDENTITY):
    return MicroArchitecture.from_json(json.dumps({"space": "micro", "normal": normal, "reduction": reduction}))


def protocol(**fields):
    small = {"preset": "v1-search", "stage_cells": 1, "cell_filters": 4, "channel_multiple": 1}
    return resolve({**small, **fields})


def skeleton(found, channels=3, classes=10, **fields):
    return build.skeleton(found, protocol(**fields), channels, classes)


def child(found, seed=0, **fields):
    return build.materialise(skeleton(found, **fields), torch.Generator().manual_seed(seed), "cpu")


def random_architectures(count):
    space = MicroSpace()
    return [space.architecture(row) for row in space.discretise(space.sample(np.random.default_rng(0), count))]


def read(inputs, filters):
    """A cell's input: 1×1 convolution and batch normalisation."""
    return inputs * filters + 2 * filters


STEM = 27 * 12 + 24


def test_parameters_of_cells_without_weights_by_hand():
    # Filters 4, 8, 16; a cell gives five times its own. Each cell reads the two before it.
    cells = [(12, 12, 4), (12, 20, 8), (20, 40, 8), (40, 40, 16), (40, 80, 16)]
    expected = STEM + sum(read(a, f) + read(b, f) for a, b, f in cells) + 80 * 10 + 10
    assert count_parameters(skeleton(architecture())) == expected


def test_only_nodes_that_no_node_reads_are_given():
    cells = [(12, 12, 4), (12, 4, 8), (4, 8, 8), (8, 8, 16), (8, 16, 16)]
    expected = STEM + sum(read(a, f) + read(b, f) for a, b, f in cells) + 16 * 10 + 10
    assert count_parameters(skeleton(architecture(CHAIN, CHAIN))) == expected


@pytest.mark.parametrize("size", [3, 5])
def test_a_separable_convolution_is_applied_twice(size):
    changed = [[[0, "identity"], [1, f"separable_{size}x{size}"]], *IDENTITY[1:]]
    more = sum(2 * (size**2 * f + f * f + 2 * f) for f in (4, 8, 16))
    assert count_parameters(skeleton(architecture(changed))) == count_parameters(skeleton(architecture())) + more


def test_stages_have_so_many_cells_and_reductions_double_the_filters():
    found = skeleton(architecture(), stage_cells=3)
    assert len(found.cells) == 3 * 3 + 2
    assert [cell.reduces for cell in found.cells].count(True) == 2
    assert [cell.outputs.real for cell in found.cells] == [20] * 3 + [40] * 4 + [80] * 4


def test_width_and_added_filters_hold_for_every_cell():
    found = skeleton(architecture(), width=0.5, added_filters=4)
    assert [cell.outputs.real // 5 for cell in found.cells] == [4, 8, 8, 16, 16]


@pytest.mark.parametrize("size", [32, 8, 7, 1])
def test_flops_are_what_is_counted(size):
    for found in [architecture(), architecture(CHAIN, CHAIN), *random_architectures(4)]:
        model = child(found, stage_cells=2).eval()
        with FlopCounterMode(display=False) as counter:
            logits = model(torch.randn(2, 3, size, size))
        assert logits.shape == (2, 10) and logits.isfinite().all()
        assert counter.get_total_flops() == 2 * model.flops(size)


@pytest.mark.parametrize("name", ["identity", "separable_3x3", "separable_5x5", "average_pool_3x3", "max_pool_3x3"])
def test_every_operation_halves_in_a_reduction_cell(name):
    cell = [[[0, name], [1, name]]] * 5
    sizes = []
    model = child(architecture(IDENTITY, cell)).eval()
    for each in model.cells:
        each.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[-1]))
    model(torch.randn(1, 3, 9, 9))
    assert sizes == [9, 5, 5, 3, 3]


def test_padding_changes_rounding_only():
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for found in random_architectures(4):
        plain, padded = (child(found, channel_multiple=multiple).train()(images) for multiple in (1, 8))
        torch.testing.assert_close(plain, padded, rtol=1e-3, atol=1e-4)


def test_checkpointing_gives_the_same_gradients_and_statistics():
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    gradients, statistics = [], []
    for checkpointing in (False, True):
        found = build.skeleton(random_architectures(1)[0], protocol(drop_path=0.5), 3, 10, checkpointing)
        model = build.materialise(found, torch.Generator().manual_seed(0), "cpu").train()
        model.loss(images, labels, 1.0, torch.Generator().manual_seed(0))[0].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        statistics.append(torch.cat([b.flatten() for name, b in model.named_buffers() if "running" in name]))
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(*statistics)


def test_paths_are_dropped_more_often_the_deeper_and_the_later_and_never_in_evaluation():
    model = child(architecture(), drop_path=0.6)
    images, generator = torch.zeros(4000, 3, 1, 1), torch.Generator().manual_seed(0)
    cell = model.cells[-1].train()
    for probability in (0.3, 0.6):
        (kept,) = cell.draw_paths(images, probability, generator)
        assert kept.shape == (10, 4000, 1, 1, 1)
        assert float((kept == 0).float().mean()) == pytest.approx(probability, abs=0.02)
        assert float(kept.mean()) == pytest.approx(1, abs=0.02)
    assert cell.draw_paths(images, 0.0, generator) == cell.eval().draw_paths(images, 0.6, generator) == ()


@pytest.mark.parametrize(("operation", "changes"), [("identity", False), ("max_pool_3x3", True)])
def test_identities_are_not_dropped_and_other_operations_are(operation, changes):
    model = child(architecture([[[1, operation], [0, operation]]] * 5), drop_path=0.9).train()
    probabilities = []

    def spy(cell, draw):
        # The reductions' identities halve: they are an operation.
        return lambda *given: probabilities.append(given[1]) or (() if cell.reduces else draw(*given))

    for cell in model.cells:
        cell.draw_paths = spy(cell, cell.draw_paths)
    given = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(2)), torch.zeros(16, dtype=torch.long)
    plain, dropped = (
        float(model.loss(*given, progress, torch.Generator().manual_seed(0))[0]) for progress in (0.0, 1.0)
    )
    assert (plain != dropped) == changes
    assert probabilities[5:] == pytest.approx([0.9 * (index + 1) / 5 for index in range(5)])


def test_the_auxiliary_head_is_trained_and_is_not_asked():
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    model = child(architecture(), auxiliary_weight=0.4).train()
    plain = child(architecture()).train()
    given = (images, labels, 0.0, torch.Generator())
    assert model.auxiliary is not None and plain.auxiliary is None
    loss, logits = model.loss(*given)
    assert float(loss) > float(torch.nn.functional.cross_entropy(logits, labels))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.auxiliary.parameters())
    assert model.eval()(images).shape == (8, 10)
    # AuxiliaryHead reads 80 channels of 2 × 2 pixels: 1×1 to 128, 2×2 to 768, a classifier.
    head = (80 * 128 + 256) + (4 * 128 * 768 + 2 * 768) + 768 * 10 + 10
    assert count_parameters(model.auxiliary) == head


def test_logits_are_float32_under_autocast_the_auxiliary_heads_too():
    model = child(architecture(), auxiliary_weight=0.4).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits, auxiliary = model._logits(torch.randn(8, 3, 8, 8), 0.0, None)
    assert logits.dtype == auxiliary.dtype == torch.float32


def test_the_auxiliary_head_is_no_part_of_the_trained_network():
    with_head, plain = child(architecture(), auxiliary_weight=0.4), child(architecture())
    assert count_parameters(with_head) == count_parameters(plain)
    saved = padding.state_dict(with_head)
    assert saved.keys() == padding.state_dict(plain).keys()
    padding.load_state_dict(plain, saved)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(plain.eval()(images), with_head.eval()(images))


def test_inputs_that_no_node_reads_are_not_built():
    last_only = [[[1, "identity"], [1, "identity"]]] * 5
    model = child(architecture(last_only, last_only)).train()
    cells = [(12, 4), (20, 8), (40, 8), (40, 16), (80, 16)]
    expected = STEM + sum(read(inputs, filters) for inputs, filters in cells) + 80 * 10 + 10
    assert count_parameters(model) == expected
    model.loss(torch.randn(4, 3, 8, 8), torch.arange(4), 0.0, torch.Generator())[0].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_stopped_training_goes_on_to_the_bit():
    fields = {"epochs": 3, "restart_period": 1, "drop_path": 0.3, "auxiliary_weight": 0.4, "cutout": 2, "batch_size": 8}
    images = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    data = Tensors(images, torch.arange(32) % 10)

    def trainer():
        return Trainer(child(random_architectures(1)[0], **fields), data, protocol(**fields), 0)

    whole, first, second = trainer(), trainer(), trainer()
    losses = [whole.train_epoch() for _ in range(3)]
    assert first.train_epoch() == losses[0]
    second.load_state(first.state())
    assert [second.train_epoch() for _ in range(2)] == losses[1:]
    states = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_same_seed_gives_the_same_child():
    first, second, other = (child(random_architectures(1)[0], seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
