"""What all proxies have in common: the same network has the same number, and stays as it is."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from nases_env import search_spaces
from nases_env.children import build
from nases_env.children.presets import resolve
from nases_env.proxies import PROXIES, proxy
from nases_env.proxies.untrained import batch, untrained
from tests.proxies.conftest import Tiny

NAMES = pytest.mark.parametrize("name", PROXIES)
DEPENDING = [name for name in PROXIES if name not in ("parameters", "flops")]
"""Proxies that depend on the weights."""


@NAMES
def test_every_child_has_a_number_which_its_seed_decides(name, untrained_child):
    make, (images, labels) = untrained_child
    one, same, other = (proxy(name)(make(seed), images, labels) for seed in (3, 3, 4))
    assert type(one) is float and math.isfinite(one) and one == same
    assert (one != other) == (name in DEPENDING)


@NAMES
def test_the_network_stays_as_it_is(name, untrained_child):
    make, given = untrained_child
    network = make().eval()
    before = copy.deepcopy(network.state_dict())
    proxy(name)(network, *given)
    assert not network.training and all(parameter.grad is None for parameter in network.parameters())
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


@NAMES
def test_the_order_of_the_images_makes_no_difference(name, untrained_child):
    make, (images, labels) = untrained_child
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    found = proxy(name)(make(), images[order], labels[order])
    assert found == pytest.approx(proxy(name)(make(), images, labels), rel=1e-3)


@pytest.mark.parametrize("name", [name for name in PROXIES if name != "nwot"])
def test_padded_channels_make_no_difference(name, digits):
    space, protocol = search_spaces.make(), resolve("digits")
    architecture = space.architecture(space.discretise(space.sample(np.random.default_rng(2), 1))[0])
    given = batch(protocol, digits, 0)
    padded = build.drawn(architecture, dataclasses.replace(protocol, channel_multiple=32), digits, 0, "cpu")
    plain = untrained(architecture, protocol, digits, 0, "cpu")
    assert proxy(name)(padded, *given) == pytest.approx(proxy(name)(plain, *given), rel=1e-3)


def test_a_child_is_the_one_that_would_be_trained(digits):
    space, protocol = search_spaces.make(), resolve("digits")
    architecture = space.architecture(space.discretise(space.sample(np.random.default_rng(2), 1))[0])
    trained = build.drawn(architecture, protocol, digits, 5, "cpu").eval()
    plain = untrained(architecture, protocol, digits, 5, "cpu").eval()
    images, _ = batch(protocol, digits, 5)
    torch.testing.assert_close(plain(images), trained(images), rtol=1e-4, atol=1e-4)


def test_a_batch_is_drawn_by_the_seed(digits):
    protocol = resolve("digits")
    (one, labels), (same, _), (other, _) = (batch(protocol, digits, seed) for seed in (1, 1, 2))
    assert one.shape == (64, 1, 8, 8) and labels.shape == (64,) and one.dtype == torch.float32
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_sizes_are_counted():
    network, images = Tiny([1.0, 2.0], [[1.0] * 18] * 10), torch.zeros(1, 1, 3, 3)
    assert proxy("parameters")(network, images, None) == 2 + 180 + 10
    assert proxy("flops")(network, images, None) == 2 * (9 * 2 + 180)


def test_unknown_proxies_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="there is no proxy 'zen'; choose one of parameters, .*nwot.*synflow"):
        proxy("zen")
