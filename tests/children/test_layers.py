"""Layers for CPUs are torch's own functions: values, gradients, and which of several equal pixels a max pool picks."""

import pytest
import torch
from torch import nn

from nases_env.children.layers import AveragePool2d, MaxPool2d, PointwiseConv2d

SIZES = (3, 5, 7)
PIXELS = (1, 2, 7, 8, 16)


def outputs_and_gradients(module, images):
    images = images.clone(memory_format=torch.channels_last).requires_grad_()
    outputs = module(images)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1), dtype=images.dtype)
    gradients = torch.autograd.grad((outputs * weights).sum(), [images, *module.parameters()])
    return outputs, *gradients


def images(pixels, channels=5):
    return torch.randn(3, channels, pixels, pixels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", PIXELS)
def test_average_pool_is_torchs_without_padding(size, pixels):
    plain = nn.AvgPool2d(size, 1, size // 2, count_include_pad=False)
    expected = outputs_and_gradients(plain, images(pixels))
    torch.testing.assert_close(outputs_and_gradients(AveragePool2d(size), images(pixels)), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", PIXELS)
def test_max_pool_is_torchs_and_picks_the_same_of_equal_pixels(size, pixels):
    equal = images(pixels).round()  # few values, so that most windows have several largest pixels
    expected = outputs_and_gradients(nn.MaxPool2d(size, 1, size // 2), equal)
    torch.testing.assert_close(outputs_and_gradients(MaxPool2d(size), equal), expected)


def test_an_average_pool_first_used_in_inference_can_be_trained_with_later():
    pool, odd = AveragePool2d(7), images(11)  # a size that no other test uses
    with torch.inference_mode():
        expected = pool(odd)
    outputs, gradient = outputs_and_gradients(pool, odd)
    torch.testing.assert_close(outputs.detach(), expected.clone())
    assert gradient.isfinite().all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("pixels", PIXELS)
def test_pointwise_convolution_is_torchs(bias, pixels):
    ours, plain = PointwiseConv2d(5, 4, bias).double(), nn.Conv2d(5, 4, 1, bias=bias).double()
    ours.load_state_dict(plain.state_dict())
    expected = outputs_and_gradients(plain, images(pixels))
    torch.testing.assert_close(outputs_and_gradients(ours, images(pixels)), expected)


@pytest.mark.parametrize("module", [AveragePool2d(7), MaxPool2d(7), PointwiseConv2d(5, 4, False).double()])
def test_outputs_stay_channels_last_in_memory(module):
    nhwc = images(8).contiguous(memory_format=torch.channels_last)
    assert module(nhwc).is_contiguous(memory_format=torch.channels_last)
