"""Separable pools are torch's: values, gradients, precision, and where they are used."""

import pytest
import torch
from torch.nn import functional as F

from nases_env.children import pools
from nases_env.children.layers import AveragePool2d, MaxPool2d
from tests.children import launches

SIZES = (3, 5, 7)
SHAPES = [(8, 8), (1, 1), (2, 9), (11, 3), (16, 17)]


def images(shape=(8, 8), dtype=torch.float64, channels=5, seed=0):
    made = torch.randn(3, channels, *shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return made.contiguous(memory_format=torch.channels_last)


def torchs_mean(given, size):
    return F.avg_pool2d(given, size, 1, size // 2, count_include_pad=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_is_torchs_to_the_bit(shape, size, dtype):
    given = images(shape, dtype)
    found = pools.largest(given, size)
    assert torch.equal(found, F.max_pool2d(given, size, 1, size // 2))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_pixel_that_is_no_number_stays_to_be_seen():
    given = images()
    given[0, 0, 4, 4] = torch.nan
    assert pools.largest(given, 3)[0, 0].isnan().sum() == 9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
def test_means_and_their_gradients_are_torchs(shape, size, dtype):
    weights = images(shape, dtype, seed=1)
    found = []
    for pool in (pools.mean, torchs_mean):
        given = images(shape, dtype).requires_grad_()
        outputs = pool(given, size)
        found.append((outputs, *torch.autograd.grad(outputs, given, weights)))
        assert all(each.is_contiguous(memory_format=torch.channels_last) for each in found[-1])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_means_are_what_differences_say(size):
    given = images((4, 5), channels=2).requires_grad_()
    # The share of a pixel is a float32: 1/3 is known to 1e-8 only.
    assert torch.autograd.gradcheck(lambda x: pools.mean(x, size), given, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_means_of_bfloat16_are_rounded_once_per_direction(size):
    given, weights = images((16, 16), torch.bfloat16), images((16, 16), torch.bfloat16, seed=1)
    exact = torchs_mean(given.double(), size)
    assert (pools.mean(given, size).double() - exact).abs().max() < 3 * 2**-8 * exact.abs().max()
    given.requires_grad_()
    (found,) = torch.autograd.grad(pools.mean(given, size), given, weights)
    double = given.detach().double().requires_grad_()
    (exact,) = torch.autograd.grad(torchs_mean(double, size), double, weights.double())
    assert found.dtype == torch.bfloat16
    assert (found.double() - exact).abs().max() < 4 * 2**-8 * exact.abs().max()


@pytest.mark.parametrize("size", SIZES)
def test_means_of_equal_pixels_are_these_pixels_in_bfloat16_too(size):
    ones = torch.ones(2, 8, 16, 16, dtype=torch.bfloat16)
    assert torch.equal(pools.mean(ones, size), ones)


def test_a_window_first_used_in_inference_can_be_trained_with_later():
    given = images((13, 13))  # a size that no other test uses
    with torch.inference_mode():
        pools.mean(given, 5)
    given.requires_grad_()
    assert torch.autograd.grad(pools.mean(given, 5).sum(), given)[0].isfinite().all()


def test_where_no_gradient_is_wanted_a_max_pool_is_the_larger_of_two_again_and_again():
    given = images((16, 16))
    with torch.no_grad(), launches.Launches() as counted:
        found = MaxPool2d(3)(given)
    assert counted.counted["maximum"] == 4 and "max_pool2d_with_indices" not in counted.counted
    assert torch.equal(found, F.max_pool2d(given, 3, 1, 1))


@pytest.mark.parametrize("size", SIZES)
def test_on_cuda_averages_are_matrix_products(size):
    given = torch.empty(4, 8, 16, 16, device="meta").contiguous(memory_format=torch.channels_last)
    pool, gradients = AveragePool2d(size), torch.empty_like(given)
    given.requires_grad_()
    pool(given)  # makes the matrices
    with launches.Launches() as counted:
        torch.autograd.grad(pool(given), given, gradients)
    assert counted.counted == {"bmm": 4, "mul_": 1, "mul": 1}


def test_a_relu_may_change_the_means_in_place():
    found = []
    for inplace in (True, False):
        given = images().requires_grad_()
        outputs = F.relu(pools.mean(given, 3), inplace=inplace)
        found.append(torch.autograd.grad(outputs, given, images(seed=1)))
    assert torch.equal(*(gradient for (gradient,) in found))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pool", [AveragePool2d, MaxPool2d])
def test_pools_on_cuda_are_those_of_the_cpu(pool, size, dtype):
    found = []
    for device in ("cuda", "cpu"):
        given = images((32, 32), dtype, channels=24).to(device).requires_grad_()
        outputs = pool(size)(given)
        gradient = torch.autograd.grad(outputs, given, images((32, 32), dtype, channels=24, seed=1).to(device))
        found.append([each.float().cpu() for each in (outputs, *gradient)])
    torch.testing.assert_close(*found, rtol=2e-2, atol=2e-2)
