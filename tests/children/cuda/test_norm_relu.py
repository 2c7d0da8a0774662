"""Batch normalisation and ReLU in Triton are torch's: values, statistics, gradients; without a GPU interpreted."""

import pytest
import torch
from torch.nn import functional as F

MOMENTUM, EPS = 0.1, 1e-5
SHAPES = [(3, 5, 8, 8), (2, 8, 1, 1), (7, 70, 3, 5), (8, 4, 48, 48)]  # the last one is shared by several programs


@pytest.fixture(scope="module")
def norm_relu(triton_module):
    return triton_module("norm_relu").norm_relu


def torchs(images, running_mean, running_var, weight, bias, training, momentum, eps):
    return F.relu(F.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps))


def drawn(*shape, device="cpu", seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def nhwc(*shape, device="cpu", seed=0):
    return (drawn(*shape, device=device, seed=seed) * 3 + 2).contiguous(memory_format=torch.channels_last)


def parameters(channels, device):
    """Running mean and variance, weight and bias; the last channel is padding, without either."""
    mean, variance, weight, bias = (drawn(channels, device=device, seed=seed) for seed in range(1, 5))
    weight[-1] = bias[-1] = 0
    return mean, variance.abs() + 0.5, weight, bias


def in_training(operation, shape, device, dtype, exact=False, momentum=MOMENTUM):
    """Outputs, running statistics, and gradients of images, weight and bias; exactly, of the same rounded images."""
    own = torch.float64 if exact else torch.promote_types(dtype, torch.float32)
    images, gradients = (nhwc(*shape, device=device, seed=seed).to(dtype) for seed in (0, 9))
    if exact:
        images, gradients = images.double(), gradients.double()
    mean, variance, weight, bias = (each.to(own) for each in parameters(shape[1], device))
    trained = [each.requires_grad_() for each in (images, weight, bias)]
    outputs = operation(images, mean, variance, weight, bias, True, momentum, EPS)
    return outputs.detach(), mean, variance, *torch.autograd.grad(outputs, trained, gradients)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_torchs_in_training(norm_relu, shape, dtype, device):
    found, expected = (in_training(each, shape, device, dtype) for each in (norm_relu, torchs))
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for images in (found[0], found[3]):
        assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_rounded_at_the_end_alone(norm_relu, shape, device):
    found = in_training(norm_relu, shape, device, torch.bfloat16)
    exact = in_training(torchs, shape, device, torch.bfloat16, exact=True)
    half, single = torch.bfloat16, torch.float32
    assert [each.dtype for each in found] == [half, single, single, half, single, single]
    rounding = 2**-7  # what is interpreted is cut off, not rounded
    for one, other, share in zip(found, exact, (rounding, 1e-5, 1e-5, rounding, 1e-4, 1e-4), strict=True):
        assert float((one.double() - other).abs().max()) <= share * float(other.abs().max()) + 1e-6


def test_gradients_are_what_differences_say(norm_relu, device):
    mean, variance, weight, bias = (each.double() for each in parameters(2, device))
    given = [each.requires_grad_() for each in (nhwc(2, 2, 2, 3, device=device).double(), weight + 0.3, bias + 0.4)]

    def operation(images, weight, bias):
        return norm_relu(images, mean.clone(), variance.clone(), weight, bias, True, MOMENTUM, EPS)

    assert torch.autograd.gradcheck(operation, given)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_torchs_in_evaluation_and_leaves_the_statistics_alone(norm_relu, shape, dtype, device):
    images = nhwc(*shape, device=device).to(dtype)
    given, twins = (parameters(shape[1], device) for _ in range(2))
    found = norm_relu(images, *given, False, MOMENTUM, EPS)
    torch.testing.assert_close(found, torchs(images, *twins, False, MOMENTUM, EPS), rtol=2**-7, atol=1e-5)
    assert all(torch.equal(*each) for each in zip(given, twins, strict=True))


def test_a_momentum_of_nothing_leaves_the_statistics_alone(norm_relu, device):
    _, mean, variance, *_ = in_training(norm_relu, SHAPES[0], device, torch.float32, momentum=0.0)
    before = parameters(SHAPES[0][1], device)
    assert torch.equal(mean, before[0]) and torch.equal(variance, before[1])


def test_statistics_of_pixels_far_from_zero_keep_their_digits(norm_relu, device):
    images = drawn(8, 4, 48, 48, device=device).contiguous(memory_format=torch.channels_last) + 1000
    mean, variance, weight, bias = (torch.full((4,), value, device=device) for value in (0.0, 0.0, 1.0, 0.0))
    norm_relu(images, mean, variance, weight, bias, True, 1.0, EPS)
    torch.testing.assert_close(variance, images.double().var(dim=(0, 2, 3)).float(), rtol=1e-4, atol=0)


def test_a_pixel_that_is_no_number_stays_to_be_seen(norm_relu, device):
    images = nhwc(3, 5, 8, 8, device=device)
    images[0, 0, 0, 0] = torch.nan
    found = norm_relu(images, *parameters(5, device), True, MOMENTUM, EPS)
    assert found[:, 0].isnan().all() and found[:, 1:].isfinite().all()
