"""Macro children: the paper's parameter counts, small networks by hand, and that every vector can be trained."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from nases_env.benchmarking.baselines import PlainChild
from nases_env.children import build
from nases_env.children.layers import AveragePool2d, BatchNorm2d, Conv2d, PointwiseConv2d
from nases_env.children.padding import count_parameters
from nases_env.children.presets import resolve
from nases_env.search_spaces import MacroArchitecture, MacroSpace
from tests.children import launches

RULES = ("paper", "published")
PROTOCOL = resolve("v1-search")
CONVOLUTION = ("convolution", 3, 10)
vectors = arrays(np.float32, 60, elements=st.floats(0, 30, width=32))


def architecture(rules, changes=(), links=()):
    """15 convolutions 3x3 of 10 filters, but for the 1-based layers in `changes`."""
    layers = [dict(changes).get(layer, CONVOLUTION) for layer in range(1, 16)]
    fields = {"space": "macro", "rules": rules, "layers": layers, "links": list(links)}
    return MacroArchitecture.from_json(json.dumps(fields))


def count(rules, changes=(), links=(), channels=1, classes=10, **protocol):
    protocol = resolve({"preset": "v1-search", **protocol})
    return count_parameters(build.skeleton(architecture(rules, changes, links), protocol, channels, classes))


def child(rules, changes=(), links=(), channels=1, classes=10, **protocol):
    """An initialised child, its convolutions and layers as they were asked for, without padding."""
    protocol = resolve({"preset": "v1-search", "channel_multiple": 1, **protocol})
    skeleton = build.skeleton(architecture(rules, changes, links), protocol, channels, classes)
    return build.materialise(skeleton, torch.Generator().manual_seed(0), "cpu")


def layer_shapes(model, images):
    """(channels, height, width) of what every layer itself puts out."""
    shapes = []
    hooks = [layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:]))) for layer in model.layers]
    with torch.no_grad():
        model.eval()(images)
    for hook in hooks:
        hook.remove()
    return shapes


# --- the published architecture (Table 2)


@pytest.mark.parametrize(("added_filters", "millions"), [(0, 8.303), (100, 20.367), (150, 28.424)])
def test_published_architecture_has_the_papers_number_of_parameters(added_filters, millions):
    protocol = resolve({"preset": "v1-search", "added_filters": added_filters})
    skeleton = build.skeleton(MacroArchitecture.published(), protocol, channels=3, classes=10)
    assert round(count_parameters(skeleton) / 1e6, 3) == millions


# --- parameters by hand: (inputs × k² [+ 1]) × filters for a convolution, 2 × filters for a batch norm

PAPER_FIRST = 9 * 10 + 20  # 3×3 on one channel, BN
PAPER_LAYER = (10 * 10 + 20) + (9 * 10 * 10 + 20)  # 1×1 and BN, 3×3 and BN
CLASSIFIER = 10 * 10 + 10


def test_paper_convolutions_by_hand():
    assert count("paper") == PAPER_FIRST + 14 * PAPER_LAYER + CLASSIFIER == 14_780


def test_paper_images_channels_and_classes_by_hand():
    first, classifier = 3 * 9 * 10 + 20, 10 * 4 + 4
    assert count("paper", channels=3, classes=4) == first + 14 * PAPER_LAYER + classifier


def test_paper_separable_convolution_is_applied_twice():
    # 1×1 and BN, then two times: 5×5 depthwise, 1×1 pointwise, BN.
    separable = (10 * 10 + 20) + 2 * (25 * 10 + 10 * 10 + 20)
    assert count("paper", {4: ("separable", 5, 10)}) == PAPER_FIRST + 13 * PAPER_LAYER + separable + CLASSIFIER


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
def test_paper_pool_has_a_convolution_to_its_filters_before_it(pool):
    # Layer 4 pools 20 filters: 10·20 + 40; layer 5 reads 20 of them.
    changed = (10 * 20 + 40) + (20 * 10 + 20) + (9 * 10 * 10 + 20)
    assert count("paper", {4: (pool, 7, 20)}) == PAPER_FIRST + 12 * PAPER_LAYER + changed + CLASSIFIER


def test_paper_links_concatenate_own_outputs_only():
    # Behind layer 3 comes layer 2's own 10, not what layer 2 was concatenated with: layer 4 reads 20, not 30.
    assert count("paper", links=[(1, 2), (2, 3)]) == 14_780 + 2 * 10 * 10
    # Layers 5 and 6 both read layer 1; the classifier reads layers 15, 1 and 2.
    assert count("paper", links=[(1, 4), (1, 5)]) == 14_780 + 2 * 10 * 10
    assert count("paper", links=[(1, 15), (2, 15)]) == 14_780 + 2 * 10 * 10


def test_paper_linked_filters_are_those_of_the_linked_layer():
    # Layer 2 has 30 filters; layer 3 reads them, and so does layer 6 behind layer 5.
    changed = (10 * 30 + 60) + (9 * 30 * 30 + 60) + (30 * 10 + 20) + (9 * 10 * 10 + 20)
    plain = PAPER_FIRST + 12 * PAPER_LAYER + changed + CLASSIFIER
    assert count("paper", {2: ("convolution", 3, 30)}) == plain
    assert count("paper", {2: ("convolution", 3, 30)}, links=[(2, 5)]) == plain + 30 * 10


def test_width_scales_the_filters_of_every_layer():
    # 10 filters · 0.5 = 5.
    first, layer, classifier = 9 * 5 + 10, (5 * 5 + 10) + (9 * 5 * 5 + 10), 5 * 10 + 10
    assert count("paper", width=0.5) == first + 14 * layer + classifier


def test_added_filters_come_to_every_layer():
    first, layer, classifier = 9 * 15 + 30, (15 * 15 + 30) + (9 * 15 * 15 + 30), 15 * 10 + 10
    assert count("paper", added_filters=5) == first + 14 * layer + classifier


PUBLISHED_FIRST = (9 + 1) * 10 + 20
PUBLISHED_LAYER = (11 * 10 + 20) + (91 * 10 + 20)


def test_published_convolutions_by_hand():
    assert count("published") == PUBLISHED_FIRST + 14 * PUBLISHED_LAYER + CLASSIFIER == 15_070


def test_published_separable_convolution_has_biases():
    separable = (11 * 10 + 20) + 2 * (26 * 10 + 11 * 10 + 20)
    expected = PUBLISHED_FIRST + 13 * PUBLISHED_LAYER + separable + CLASSIFIER
    assert count("published", {4: ("separable", 5, 10)}) == expected


@pytest.mark.parametrize("pool", ["max_pool", "average_pool"])
def test_published_pool_has_no_parameters_and_keeps_its_inputs_channels(pool):
    # Layer 4 pools layer 3's 20 filters; layer 5 reads 20.
    changed = (11 * 20 + 40) + (9 * 20 + 1) * 20 + 40 + (21 * 10 + 20) + (91 * 10 + 20)
    expected = PUBLISHED_FIRST + 11 * PUBLISHED_LAYER + changed + CLASSIFIER
    assert count("published", {3: ("convolution", 3, 20), 4: (pool, 0, 0)}) == expected


def test_published_link_is_a_convolution_to_a_tenth_of_the_filters():
    # 1×1 with bias from 20 to 2 and BN; layer 6 reads 2 more.
    wide = (11 * 20 + 40) + (9 * 20 + 1) * 20 + 40 + (21 * 10 + 20) + (91 * 10 + 20)
    plain = PUBLISHED_FIRST + 12 * PUBLISHED_LAYER + wide + CLASSIFIER
    link = 20 * 2 + 2 + 4
    assert count("published", {2: ("convolution", 3, 20)}) == plain
    assert count("published", {2: ("convolution", 3, 20)}, links=[(2, 5)]) == plain + link + 2 * 10


def test_published_pool_reads_the_links_behind_its_predecessor():
    # Behind layer 3 comes layer 1 as 1 channel: pool 4 has 11 channels, layer 5 reads 11.
    link = 10 * 1 + 1 + 2
    plain = PUBLISHED_FIRST + 13 * PUBLISHED_LAYER + CLASSIFIER
    assert count("published", {4: ("max_pool", 0, 0)}, links=[(1, 3)]) == plain + link + 10


def test_published_added_filters_widen_links_too():
    # 110 filters: int(110/10) + int(100/10) = 21 channels behind layer 15, which the classifier reads.
    first, layer = 10 * 110 + 220, (111 * 110 + 220) + (9 * 110 + 1) * 110 + 220
    link = 110 * 21 + 21 + 42
    expected = first + 14 * layer + link + (110 + 21) * 10 + 10
    assert count("published", links=[(3, 15)], added_filters=100) == expected


# --- shapes


def test_paper_pools_keep_the_size_and_two_reductions_halve_it():
    changes = {2: ("max_pool", 3, 10), 3: ("average_pool", 5, 20), 7: ("max_pool", 7, 10)}
    shapes = layer_shapes(child("paper", changes, [(1, 4), (4, 5), (5, 6), (1, 12)]), torch.zeros(1, 1, 32, 32))
    # The reduction follows the layer, so layers 5 and 10 themselves still see the larger size.
    assert [shape[1:] for shape in shapes] == [(32, 32)] * 5 + [(16, 16)] * 5 + [(8, 8)] * 5
    assert [shape[0] for shape in shapes] == [10, 10, 20] + [10] * 12


def test_reductions_are_the_protocols():
    shapes = layer_shapes(child("paper", reductions=[1, 14]), torch.zeros(1, 1, 8, 8))
    assert [shape[1] for shape in shapes] == [8] + [4] * 13 + [2]


def test_without_reductions_the_size_stays():
    shapes = layer_shapes(child("paper", reductions=[]), torch.zeros(1, 1, 8, 8))
    assert {shape[1:] for shape in shapes} == {(8, 8)}


def test_published_pools_halve_rounding_up_and_nothing_else_does():
    changes = {2: ("max_pool", 0, 0), 4: ("average_pool", 0, 0), 8: ("max_pool", 0, 0), 9: ("average_pool", 0, 0)}
    links = [(1, 3), (1, 7), (2, 4), (3, 15), (8, 9), (2, 9)]
    shapes = layer_shapes(child("published", changes, links), torch.zeros(1, 1, 9, 9))
    assert [shape[1] for shape in shapes] == [9, 5, 5, 3, 3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]


def test_published_pools_leave_one_pixel_one_pixel():
    changes = {layer: ("max_pool" if layer % 2 else "average_pool", 0, 0) for layer in range(2, 16)}
    links = [(early, late) for early in range(1, 16) for late in range(early + 1, 16)]
    shapes = layer_shapes(child("published", changes, links), torch.zeros(1, 1, 4, 4))
    assert [shape[1] for shape in shapes] == [4, 2] + [1] * 13


# --- what the layers are


@pytest.mark.parametrize("kind", ["separable", "max_pool", "average_pool"])
@pytest.mark.parametrize("rules", RULES)
def test_first_layer_is_a_plain_convolution_and_batch_norm(rules, kind):
    size, filters = 5, 20
    first = child(rules, {1: (kind, size, filters) if rules == "paper" else ("separable", size, filters)}).layers[0]
    assert [type(module) for module in first] == [Conv2d, BatchNorm2d, nn.ReLU][: 3 if rules == "paper" else 2]
    assert first[0].kernel_size == (5, 5)
    assert first[0].groups == 1
    assert first[0].out_channels == 20
    assert (first[0].bias is not None) == (rules == "published")


@pytest.mark.parametrize("rules", RULES)
def test_later_layers_are_relu_convolution_batch_norm(rules):
    # Under paper rules the first ReLU is done where the layer's input was made, at the end of the layer before it.
    model = child(rules, {3: ("separable", 5, 10)})
    own = 1 if rules == "paper" else 0
    convolution = [nn.ReLU, PointwiseConv2d, BatchNorm2d, nn.ReLU, Conv2d, BatchNorm2d, nn.ReLU]
    assert [type(module) for module in model.layers[1]] == convolution[own : 6 + own]
    separable = [nn.ReLU, Conv2d, PointwiseConv2d, BatchNorm2d]
    twice = [*convolution[:3], *separable, *separable, nn.ReLU]
    assert [type(module) for module in model.layers[2]] == twice[own : 11 + own]
    convolutions = [module for module in model.layers[2] if isinstance(module, nn.Conv2d)]
    assert [(c.kernel_size[0], c.groups) for c in convolutions] == [(1, 1), (5, 10), (1, 1), (5, 10), (1, 1)]


@pytest.mark.parametrize("rules", RULES)
def test_convolutions_have_biases_under_published_rules_only(rules):
    convolutions = [m for m in child(rules, links=[(1, 3)]).modules() if isinstance(m, nn.Conv2d)]
    assert all((c.bias is not None) == (rules == "published") for c in convolutions)


def silence(layer):
    """Make a layer's last batch norm put out −1 everywhere."""
    last = [module for module in layer if isinstance(module, nn.BatchNorm2d)][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-1.0)


@pytest.mark.parametrize("rules", RULES)
def test_a_relu_stands_before_the_global_pooling(rules):
    model = child(rules).eval()
    silence(model.layers[14])
    with torch.no_grad():
        model.classifier.bias.copy_(torch.arange(10.0))
        logits = model(torch.randn(3, 1, 8, 8))
    assert torch.equal(logits, torch.arange(10.0).expand(3, 10))


def test_global_pooling_is_the_mean_of_all_pixels():
    model = child("paper", classes=10, reductions=[]).eval()
    outputs = []
    model.layers[14].register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        model.classifier.weight.copy_(torch.eye(10))
        logits = model(torch.randn(2, 1, 6, 6))
    torch.testing.assert_close(logits, outputs[0].clamp(min=0).sum(dim=(2, 3)) / 36)


def test_a_link_carries_the_linked_layers_output_past_a_silenced_one():
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    spread = {}
    for links in ([], [(2, 7)]):
        model = child("paper", links=links).eval()
        silence(model.layers[6])  # layer 7 says nothing: only the link still knows the image
        with torch.no_grad():
            spread[len(links)] = float(model(images).std(dim=0).max())
    assert spread[0] == 0
    assert spread[1] > 1e-4


@pytest.mark.parametrize("late", [5, 10])
def test_a_linked_output_is_reduced_together_with_the_layers_own(late):
    # Layer `late` is halved after it was made, and so is what is concatenated behind it.
    model = child("paper", links=[(1, late), (late - 1, late + 1)])
    assert model(torch.randn(2, 1, 7, 7)).shape == (2, 10)


def test_average_pool_leaves_its_padding_out():
    model = child("paper", {2: ("average_pool", 7, 10)})
    (pool,) = (module for module in model.layers[1] if isinstance(module, AveragePool2d))
    pooled = pool(torch.ones(1, 10, 4, 4))
    assert torch.equal(pooled, torch.ones(1, 10, 4, 4))


# --- every vector can be trained


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 8), (1, 1), (3, 5)])
@settings(max_examples=4, deadline=None, database=None)
@given(origin=vectors)
def test_every_vector_builds_a_child_with_finite_gradients_everywhere(rules, channels, size, origin):
    space = MacroSpace(rules)
    protocol = resolve({"preset": "v1-search", "width": 0.05})
    found = space.architecture(space.discretise(origin[None])[0])
    skeleton = build.skeleton(found, protocol, channels, 7)
    model = build.materialise(skeleton, torch.Generator().manual_seed(0), "cpu")
    images = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    logits = model.train()(images)
    assert logits.shape == (4, 7)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 6])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert model.classifier.weight.grad.abs().sum() > 0


def losses(model, steps=10):
    """Of SGD on one batch, in double precision; the model starts as it is."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 16, 16, generator=generator, dtype=torch.float64)
    images = images.contiguous(memory_format=torch.channels_last)
    model.double().train()
    optimiser = torch.optim.SGD(model.parameters(), 0.05, 0.9, weight_decay=1e-4, nesterov=True)
    found = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(images), torch.arange(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("child_number", range(4))
def test_a_child_is_appendix_a_written_down_plainly_padded_or_not(rules, child_number):
    space = MacroSpace(rules)
    found = space.architecture(space.discretise(space.sample(np.random.default_rng(0), 4))[child_number])
    protocol = resolve({"preset": "v1-search", "width": 0.04, "added_filters": 60})
    start = {}
    for multiple in (1, 8):
        skeleton = build.skeleton(found, dataclasses.replace(protocol, channel_multiple=multiple), 3, 10)
        start[multiple] = build.materialise(skeleton, torch.Generator().manual_seed(1), "cpu")
    plain = PlainChild(found, protocol, 3, 10)
    assert count_parameters(start[8]) == sum(parameter.numel() for parameter in plain.parameters())
    values = start[1].state_dict().values()  # in the same order; names differ
    plain.load_state_dict(dict(zip(plain.state_dict(), values, strict=True)))
    expected = losses(plain)
    assert expected[-1] < expected[0]
    for multiple, model in start.items():
        np.testing.assert_allclose(losses(model), expected, rtol=1e-6, err_msg=f"channel_multiple={multiple}")


@pytest.mark.parametrize(("links", "kept"), [([], 0), ([(1, 3)], 1), ([(1, 15), (2, 3)], 2)])
def test_outputs_that_nobody_reads_any_more_are_freed(links, kept):
    protocol = resolve({"preset": "v1-search", "channel_multiple": 1, "reductions": []})
    model = build.skeleton(architecture("paper", links=links), protocol, 10, 10, device="meta").eval()
    images = torch.empty(100, 10, 8, 8, device="meta")
    with torch.no_grad(), launches.Memory() as memory:
        model(images)
    # A convolution has what it reads and what it puts out, a batch normalisation the two as well; what they read may
    # be two outputs, concatenated, with the outputs that these were and that are still to be read.
    assert 2 * images.nbytes <= memory.peak <= (4 + 2 * kept) * images.nbytes


@pytest.mark.parametrize("rules", RULES)
def test_logits_are_float32_under_autocast(rules):
    model = child(rules)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(torch.randn(2, 1, 8, 8)).dtype == torch.float32


def test_a_link_over_pools_is_a_strided_convolution():
    model = child("published", {2: ("max_pool", 0, 0), 3: ("max_pool", 0, 0)}, links=[(1, 3)])
    link = model.links["0_2"]
    images = torch.randn(2, link[1].in_channels, 7, 7)
    strided = nn.functional.conv2d(images, link[1].weight, link[1].bias, stride=4)
    torch.testing.assert_close(link[1](link[0](images)), strided)
