"""From an architecture to an initialised network: FLOPs by hand, He initialisation, seeds."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nases_env.benchmarking.baselines import PlainChild
from nases_env.children import build
from nases_env.children.padding import count_parameters
from nases_env.children.presets import resolve
from nases_env.search_spaces import Architecture, MacroArchitecture, MacroSpace

PROTOCOL = resolve({"preset": "v1-search", "channel_multiple": 1})


def architecture(rules="paper", changes=(), links=()):
    layers = [dict(changes).get(layer, ("convolution", 3, 10)) for layer in range(1, 16)]
    fields = {"space": "macro", "rules": rules, "layers": layers, "links": list(links)}
    return MacroArchitecture.from_json(json.dumps(fields))


def flops(found, size, channels=1, classes=10, **protocol):
    skeleton = build.skeleton(found, resolve({"preset": "v1-search", **protocol}), channels, classes)
    return skeleton.flops(size)


def materialised(found, seed=0, protocol=PROTOCOL):
    return build.materialise(build.skeleton(found, protocol, 3, 10), torch.Generator().manual_seed(seed), "cpu")


PAPER_LAYER = 10 * 10 + 9 * 10 * 10  # multiply-adds of one pixel: 1×1, then 3×3
HEAD = 10 * 10


def test_flops_of_paper_convolutions_by_hand():
    # Layers 1–5 on 8 × 8, 6–10 on 4 × 4, 11–15 on 2 × 2 pixels.
    first = 64 * 9 * 10
    multiply_adds = first + (4 * 64 + 5 * 16 + 5 * 4) * PAPER_LAYER + HEAD
    assert flops(architecture(), 8) == 2 * multiply_adds == 723_720


def test_flops_without_reductions_and_of_three_channels_by_hand():
    multiply_adds = 64 * 27 * 10 + 14 * 64 * PAPER_LAYER + 10 * 4
    assert flops(architecture(), 8, channels=3, classes=4, reductions=[]) == 2 * multiply_adds


def test_flops_of_a_separable_convolution_by_hand():
    separable = 10 * 10 + 2 * (25 * 10 + 10 * 10)
    multiply_adds = 64 * 9 * 10 + (13 * PAPER_LAYER + separable) * 64 + HEAD
    assert flops(architecture(changes={3: ("separable", 5, 10)}), 8, reductions=[]) == 2 * multiply_adds


def test_a_pool_costs_its_convolution_only():
    multiply_adds = 64 * 9 * 10 + (13 * PAPER_LAYER + 10 * 10) * 64 + HEAD
    assert flops(architecture(changes={3: ("max_pool", 7, 10)}), 8, reductions=[]) == 2 * multiply_adds


def test_flops_of_a_published_child_with_a_strided_link_by_hand():
    # Pool 2 halves 8 × 8 to 4 × 4. Behind layer 3 comes layer 1 through a strided 1×1 convolution, 10 → 1 at 4 × 4;
    # layer 4's 1×1 convolution reads 11 channels. Biases are no multiplications.
    found = architecture("published", {2: ("max_pool", 0, 0)}, [(1, 3)])
    multiply_adds = 64 * 9 * 10 + 13 * 16 * PAPER_LAYER + 16 * 10 * 1 + 16 * 1 * 10 + HEAD
    assert flops(found, 8) == 2 * multiply_adds


@pytest.mark.parametrize("rules", ["paper", "published"])
@pytest.mark.parametrize("size", [32, 17])
def test_flops_of_any_child_are_those_of_torchs_counter(rules, size):
    space = MacroSpace(rules)
    protocol = resolve({"preset": "v1-search", "width": 0.1, "added_filters": 20})
    for row in space.discretise(space.sample(np.random.default_rng(0), 4)):
        found = space.architecture(row)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            PlainChild(found, protocol, 3, 10).eval()(torch.zeros(1, 3, size, size))
        assert build.skeleton(found, protocol, 3, 10).flops(size) == counter.get_total_flops()


def test_same_architecture_from_two_vectors_has_the_same_size():
    space = MacroSpace("published")
    origins = space.sample(np.random.default_rng(0), 1).repeat(2, axis=0)
    origins[1, 2] = 30 - origins[1, 2]  # layer 1's kernel type means nothing
    first, second = (space.architecture(row) for row in space.discretise(origins))
    sizes = {(count_parameters(s), s.flops(32)) for s in skeletons(first, second)}
    assert len(sizes) == 1


def skeletons(*found):
    return [build.skeleton(each, PROTOCOL, 3, 10) for each in found]


def test_size_of_a_skeleton_is_that_of_the_child():
    found = architecture("published", {4: ("separable", 5, 30)}, [(1, 4), (2, 9)])
    assert count_parameters(materialised(found)) == count_parameters(skeletons(found)[0])


def test_convolutions_start_with_he_initialisation():
    changes = {3: ("convolution", 5, 100), 4: ("separable", 7, 300)}
    model = materialised(architecture(changes=changes))
    convolutions = [module for module in model.layers[2] if isinstance(module, nn.Conv2d)]
    large = convolutions[1].weight.detach()
    assert large.shape == (100, 100, 5, 5)
    # 250,000 weights: their deviation is known to 0.14 %.
    assert float(large.std()) == pytest.approx((2 / (100 * 25)) ** 0.5, rel=0.01)
    assert float(large.mean()) == pytest.approx(0, abs=0.001)
    depthwise = model.layers[3][3].weight.detach()
    assert depthwise.shape == (300, 1, 7, 7)
    assert float(depthwise.std()) == pytest.approx((2 / 49) ** 0.5, rel=0.03)
    pointwise = model.layers[3][4].weight.detach()
    assert float(pointwise.std()) == pytest.approx((2 / 300) ** 0.5, rel=0.02)


def test_classifier_starts_with_he_initialisation():
    model = materialised(architecture(changes={15: ("convolution", 3, 300)}))
    assert model.classifier.weight.shape == (10, 300)
    assert float(model.classifier.weight.detach().std()) == pytest.approx((2 / 300) ** 0.5, rel=0.06)


def test_biases_start_at_zero_and_batch_norms_at_the_identity():
    model = materialised(architecture("published", links=[(1, 3)]))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.running_var, torch.ones_like(module.running_var))
            assert not module.bias.any()
            assert not module.running_mean.any()
            assert module.num_batches_tracked == 0


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    found = architecture("published", {4: ("separable", 5, 30)}, [(1, 4)])
    first = weights(materialised(found, seed=5))
    assert torch.equal(first, weights(materialised(found, seed=5)))
    assert not torch.equal(first, weights(materialised(found, seed=6)))


def test_building_leaves_torchs_global_random_state_alone():
    before = torch.get_rng_state()
    model = materialised(architecture(links=[(1, 3)]))
    assert torch.equal(torch.get_rng_state(), before)
    # And is not read from it either.
    torch.manual_seed(99)
    again = weights(materialised(architecture(links=[(1, 3)])))
    torch.set_rng_state(before)
    assert torch.equal(weights(model), again)


def test_child_is_channels_last_in_memory():
    weight = materialised(architecture()).layers[1][3].weight
    assert weight.shape == (10, 10, 3, 3)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_all_parameters_are_trainable_float32():
    for parameter in materialised(MacroArchitecture.published()).parameters():
        assert parameter.requires_grad
        assert parameter.dtype == torch.float32
        assert torch.isfinite(parameter).all()


class Unknown(Architecture):
    def to_json(self):
        return "{}"

    @classmethod
    def _from_fields(cls, fields):
        return cls()


def test_architecture_without_a_known_network_is_refused_by_its_name():
    with pytest.raises(TypeError, match="no network is known for Unknown"):
        build.skeleton(Unknown(), PROTOCOL, 3, 10)
