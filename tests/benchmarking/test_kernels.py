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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("size", [3, 7])
def test_weight_gradients_by_taps_are_torchs_in_bfloat16_on_cuda(size):
    shape = (64, 32, 16, 16)
    images, gradients = (
        torch.randn(shape, device="cuda", dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    exact = weight_gradient(images.cpu().double(), gradients.cpu().double(), size)
    found = weight_gradient_by_taps(images, gradients, size).cpu().double()
    assert (found - exact).abs().max() < 0.01 * exact.abs().max()
