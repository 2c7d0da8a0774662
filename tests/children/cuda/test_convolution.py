"""A convolution with a weight gradient by taps is torch's, in every precision, also where it is computed again."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from nases_env.children.cuda.convolution import convolution, weight_gradient_by_taps

SIZES = (3, 5, 7)


def made(*shape, dtype=torch.float64, seed=0, device="cpu"):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(device, dtype).contiguous(memory_format=torch.channels_last)


def torchs(images, weight):
    return F.conv2d(images, weight, padding=weight.shape[-1] // 2)


def outputs_and_gradients(operation, images, weight, autocast=False):
    images, weight = images.clone().requires_grad_(), weight.clone().requires_grad_()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
        outputs = operation(images, weight)
    gradients = made(*outputs.shape, dtype=outputs.dtype, seed=2, device=images.device)
    return outputs, *torch.autograd.grad(outputs, (images, weight), gradients)


def assert_nearly(found, expected, share):
    """Numbers may differ by so much of the largest one."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert (one.double() - other.double()).abs().max() <= share * other.double().abs().max()


@pytest.mark.parametrize("size", [1, *SIZES])
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (5, 11)])
def test_weight_gradients_by_taps_are_torchs(shape, size):
    images, gradients = made(3, 4, *shape), made(3, 6, *shape, seed=1)
    weight = torch.zeros(6, 4, size, size, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(torchs(images, weight), weight, gradients)
    torch.testing.assert_close(weight_gradient_by_taps(images, gradients, size), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(8, 8), (2, 9)])
def test_a_convolution_is_torchs(shape, size):
    given = made(3, 4, *shape), made(6, 4, size, size, seed=1)
    torch.testing.assert_close(outputs_and_gradients(convolution, *given), outputs_and_gradients(torchs, *given))


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_what_differences_say(size):
    given = made(1, 2, 4, 5).requires_grad_(), made(2, 2, size, size, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(convolution, given)


@pytest.mark.parametrize("size", SIZES)
def test_under_autocast_it_computes_in_bfloat16_and_gives_the_gradients_their_own_precision(size):
    given = made(8, 8, 8, 8, dtype=torch.float32), made(8, 8, size, size, dtype=torch.float32, seed=1)
    found, expected = (outputs_and_gradients(each, *given, autocast=True) for each in (convolution, torchs))
    assert [each.dtype for each in found] == [torch.bfloat16, torch.float32, torch.float32]
    assert torch.equal(found[0], expected[0])
    assert_nearly(found, expected, 0.01)


def test_the_gradient_of_images_is_left_out_where_nobody_wants_it():
    images, weight = made(3, 4, 8, 8), made(6, 4, 3, 3, seed=1).requires_grad_()
    (found,) = torch.autograd.grad(convolution(images, weight).sum(), weight)
    (expected,) = torch.autograd.grad(torchs(images, weight).sum(), weight)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("autocast", [False, True])
def test_it_can_be_computed_again_in_the_backward_pass(autocast):
    given = made(3, 4, 8, 8, dtype=torch.float32), made(6, 4, 3, 3, dtype=torch.float32, seed=1)
    relu = nn.ReLU(inplace=True)

    def block(images, weight):
        return relu(convolution(relu(images * 2), weight))

    def again(images, weight):
        return checkpoint(block, images, weight, use_reentrant=False)

    for one, other in zip(
        outputs_and_gradients(again, *given, autocast), outputs_and_gradients(block, *given, autocast), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("size", SIZES)
def test_bfloat16_on_cuda_is_nearly_float64_on_a_cpu(size):
    given = made(64, 32, 16, 16, dtype=torch.bfloat16), made(32, 32, size, size, dtype=torch.bfloat16, seed=1)
    found = outputs_and_gradients(convolution, *(each.cuda() for each in given))
    exact = outputs_and_gradients(torchs, *(each.double() for each in given))
    assert_nearly([each.cpu().double() for each in found], exact, 0.02)
