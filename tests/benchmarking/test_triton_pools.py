"""The max pool in Triton is torch's, also where several pixels are equally large; without a GPU it is interpreted."""

import importlib
import os
from unittest import mock

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("triton")


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="module")
def max_pool():
    if DEVICE == "cuda":
        yield importlib.import_module("nases_env.benchmarking.triton_pools").max_pool
        return
    with mock.patch.dict(os.environ, {"TRITON_INTERPRET": "1"}):
        yield importlib.reload(importlib.import_module("nases_env.benchmarking.triton_pools")).max_pool


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (2, 9), (11, 3)])
def test_it_is_torchs_and_picks_the_same_of_equal_pixels(max_pool, shape, size, dtype):
    generator = torch.Generator().manual_seed(0)
    # Whole numbers: most windows have several largest pixels, and sums of gradients are exact.
    images, gradients = (
        torch.randn(3, 5, *shape, generator=generator).mul(2).round().to(DEVICE, dtype) for _ in range(2)
    )
    images, gradients = (each.contiguous(memory_format=torch.channels_last) for each in (images, gradients))
    found = []
    for pool in (max_pool, lambda given, size: F.max_pool2d(given, size, 1, size // 2)):
        given = images.clone().requires_grad_()
        outputs = pool(given, size)
        found.append((outputs, *torch.autograd.grad(outputs, given, gradients)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous(memory_format=torch.channels_last)


def test_a_relu_may_change_its_output_in_place(max_pool):
    given = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE).requires_grad_()
    F.relu_(max_pool(given, 3)).sum().backward()
    expected = given.detach().clone().requires_grad_()
    F.relu(F.max_pool2d(expected, 3, 1, 1)).sum().backward()
    assert torch.equal(given.grad, expected.grad)


def test_a_pixel_that_is_no_number_stays_to_be_seen(max_pool):
    given = torch.zeros(1, 1, 8, 8, device=DEVICE)
    given[0, 0, 4, 4] = torch.nan
    assert max_pool(given, 3).isnan().sum() == 9
