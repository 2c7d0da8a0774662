"""Jacov by hand where all Jacobians are equal, and by finite differences."""

import math

import numpy as np
import pytest
import torch

from nases_env.proxies import proxy
from nases_env.proxies.jacov import STABILISER
from tests.proxies.conftest import Tiny


def score(eigenvalues):
    shifted = np.asarray(eigenvalues) + STABILISER
    return -np.sum(np.log(shifted) + 1 / shifted)


def test_equal_jacobians_have_one_eigenvalue():
    """All pixels are positive, so that the network is linear: four equal Jacobians."""
    images = torch.rand(4, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    network = Tiny([1.0], [[1.0, 2.0, -3.0, 0.5]])
    assert proxy("jacov")(network, images, None) == pytest.approx(score([4, 0, 0, 0]), rel=1e-4)


def test_jacobians_are_those_of_the_sum_of_the_logits():
    images = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    generator = np.random.default_rng(0)
    network = Tiny(generator.normal(size=3).tolist(), generator.normal(size=(2, 12)).tolist(), normalised=True)
    jacobians = np.zeros((3, 4))
    with torch.no_grad():
        for index in range(images.numel()):
            sums = []
            for step in (1e-6, -1e-6):
                moved = images.clone()
                moved.view(-1)[index] += step
                sums.append(float(network.train()(moved).sum()))
            jacobians.flat[index] = (sums[0] - sums[1]) / 2e-6
    expected = score(np.linalg.eigvalsh(np.corrcoef(jacobians)))
    assert proxy("jacov")(network, images, None) == pytest.approx(expected, rel=1e-2)


def test_logits_that_depend_on_nothing_have_no_number():
    assert math.isnan(proxy("jacov")(Tiny([1.0], [[0.0] * 4]), torch.ones(2, 1, 2, 2).double(), None))
