"""SynFlow by hand: every path from the pixel to a logit carries the product of its weights' sizes."""

import pytest
import torch

from nases_env.proxies import proxy
from tests.proxies.conftest import Tiny, pixels

CONVOLUTION, LINEAR = [2.0, -3.0], [[1.0, -1.0], [0.5, 2.0]]
FLOW = 2 * (1 + 0.5) + 3 * (1 + 2)
"""Over the four paths."""


def test_it_is_the_flow_once_for_each_layer():
    network = Tiny(CONVOLUTION, LINEAR)
    assert proxy("synflow")(network, pixels(-7.0, 0.1), None) == pytest.approx(2 * FLOW)


def test_batch_normalisation_is_left_out_whatever_it_has_seen():
    network = Tiny(CONVOLUTION, LINEAR, normalised=True)
    with torch.no_grad():
        network.norm.weight.fill_(5)
        network.norm.bias.fill_(-4)
        network.norm.running_mean.fill_(3)
        network.norm.running_var.fill_(0.01)
    assert proxy("synflow")(network, pixels(1.0), None) == pytest.approx(2 * FLOW)


def test_it_does_not_overflow_where_float32_would():
    assert proxy("synflow")(Tiny([1e30], [[1e30]]), pixels(1.0), None) == pytest.approx(2e60)
