"""Layers are torch's own functions: values, gradients, and which of several equal pixels a max pool picks."""

import pytest
import torch
from torch import nn

from nases_env.children.layers import (
    AveragePool2d,
    BatchNorm2d,
    Linear,
    MaxPool2d,
    PointwiseConv2d,
    count_batches,
    mean_of_pixels,
)

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
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("pixels", PIXELS)
def test_pointwise_convolution_is_torchs(bias, stride, pixels):
    ours = PointwiseConv2d(5, 4, bias, stride=stride).double()
    plain = nn.Conv2d(5, 4, 1, stride, bias=bias).double()
    ours.load_state_dict(plain.state_dict())
    expected = outputs_and_gradients(plain, images(pixels))
    torch.testing.assert_close(outputs_and_gradients(ours, images(pixels)), expected)


def test_batch_normalisation_is_torchs_and_its_batches_are_counted_afterwards():
    ours, plain = BatchNorm2d(5).double(), nn.BatchNorm2d(5).double()
    for module in (ours, plain):
        nn.init.uniform_(module.weight, generator=torch.Generator().manual_seed(3))
    for _ in range(2):
        torch.testing.assert_close(outputs_and_gradients(ours, images(7)), outputs_and_gradients(plain, images(7)))
    assert ours.num_batches_tracked == 0
    count_batches(nn.Sequential(ours), 2)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    torch.testing.assert_close(ours.eval()(images(8)), plain.eval()(images(8)))


def test_a_linear_layer_computes_in_float32_under_autocast_too():
    layer, features = Linear(40, 3), torch.randn(9, 40, generator=torch.Generator().manual_seed(0))
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    nn.init.zeros_(layer.bias)
    for given in (features, features.bfloat16()):
        expected = layer(given.float())
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(given), expected)


def test_the_mean_of_pixels_is_not_rounded_to_bfloat16():
    half = images(7).bfloat16()
    assert torch.equal(mean_of_pixels(half), half.float().mean(dim=(2, 3)))
    assert mean_of_pixels(images(7)).dtype == torch.float64


@pytest.mark.parametrize("module", [AveragePool2d(7), MaxPool2d(7), PointwiseConv2d(5, 4, False).double()])
def test_outputs_stay_channels_last_in_memory(module):
    nhwc = images(8).contiguous(memory_format=torch.channels_last)
    assert module(nhwc).is_contiguous(memory_format=torch.channels_last)
