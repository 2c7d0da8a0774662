"""SNIP and the gradients' norm, by finite differences."""

import pytest
import torch
from torch.nn import functional as F

from nases_env.proxies import proxy
from tests.proxies.conftest import Tiny, pixels

IMAGES, LABELS, STEP = pixels(0.5, -1.0, 2.0, 0.3), torch.tensor([0, 1, 2, 1]), 1e-6


@pytest.fixture(params=[False, True], ids=["plain", "normalised"])
def network(request):
    return Tiny([1.0, -0.5, 0.7], [[0.3, -0.2, 1.0], [0.1, 0.4, -0.6], [-1.0, 0.8, 0.2]], request.param).train()


def differences(network, tensor):
    """The derivative of the loss by each entry of a weight."""
    found = torch.zeros_like(tensor)
    with torch.no_grad():
        for place in range(tensor.numel()):
            losses = []
            for step in (STEP, -STEP):
                tensor.view(-1)[place] += step
                losses.append(F.cross_entropy(network(IMAGES), LABELS))
                tensor.view(-1)[place] -= step
            found.view(-1)[place] = (losses[0] - losses[1]) / (2 * STEP)
    return found


def test_snip_sums_what_the_loss_would_lose_with_each_weight(network):
    own = (network.convolution.weight, network.linear.weight)
    expected = sum(float((weight * differences(network, weight)).abs().sum().detach()) for weight in own)
    assert proxy("snip")(network, IMAGES, LABELS) == pytest.approx(expected, rel=1e-6)


def test_grad_norm_sums_the_norms_of_layers(network):
    own = (network.convolution.weight, network.linear.weight)
    expected = sum(float(differences(network, weight).norm()) for weight in own)
    assert proxy("grad_norm")(network, IMAGES, LABELS) == pytest.approx(expected, rel=1e-6)
