"""The max pool in Triton is torch's, also where several pixels are equally large; without a GPU it is interpreted."""

import pytest
import torch
from torch.nn import functional as F

SIZES = (3, 5, 7)


@pytest.fixture(scope="module")
def max_pool(triton_module):
    return triton_module("max_pool").max_pool


def made(shape, dtype, device, count=2, channels=5):
    """Tensors of whole numbers: most windows have several largest pixels, and sums of gradients are exact."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(3, channels, *shape, generator=generator).mul(2).round() for _ in range(count))
    return [each.to(device, dtype).contiguous(memory_format=torch.channels_last) for each in drawn]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (2, 9), (11, 3)])
def test_it_is_torchs_and_picks_the_same_of_equal_pixels(max_pool, shape, size, dtype, device):
    images, gradients = made(shape, dtype, device)
    found = []
    for pool in (max_pool, lambda given, size: F.max_pool2d(given, size, 1, size // 2)):
        given = images.clone().requires_grad_()
        outputs = pool(given, size)
        found.append((outputs, *torch.autograd.grad(outputs, given, gradients)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_what_differences_say(max_pool, size, device):
    values = torch.randperm(2 * 3 * 4, generator=torch.Generator().manual_seed(0))  # no two pixels are equal
    given = values.double().view(1, 2, 3, 4).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda images: max_pool(images, size), given)


def test_images_of_another_memory_format_are_pooled_too(max_pool, device):
    (images,) = made((8, 9), torch.float32, device, 1)
    assert torch.equal(max_pool(images.contiguous(), 5), max_pool(images, 5))


def test_a_relu_may_change_its_output_in_place(max_pool, device):
    given = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    F.relu_(max_pool(given, 3)).sum().backward()
    expected = given.detach().clone().requires_grad_()
    F.relu(F.max_pool2d(expected, 3, 1, 1)).sum().backward()
    assert torch.equal(given.grad, expected.grad)


def test_a_pixel_that_is_no_number_stays_to_be_seen(max_pool, device):
    given = torch.zeros(1, 1, 8, 8, device=device)
    given[0, 0, 4, 4] = torch.nan
    assert max_pool(given, 3).isnan().sum() == 9
