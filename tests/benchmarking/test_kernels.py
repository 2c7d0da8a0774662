"""Other ways to compute single operations compute the same."""

import pytest
import torch

from nases_env.benchmarking.kernels import weight_gradient, weight_gradient_by_taps


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (5, 11)])
def test_weight_gradients_by_taps_are_torchs(shape, size):
    generator = torch.Generator().manual_seed(0)
    images, gradients = (
        torch.randn(3, channels, *shape, generator=generator, dtype=torch.float64).contiguous(
            memory_format=torch.channels_last
        )
        for channels in (4, 6)
    )
    expected = weight_gradient(images, gradients, size)
    assert expected.shape == (6, 4, size, size)
    torch.testing.assert_close(weight_gradient_by_taps(images, gradients, size), expected)
