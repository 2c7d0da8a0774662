"""All ways of an operation compute the same: values, gradients, statistics. Without a GPU Triton's are interpreted."""

import pytest
import torch

from nases_env.children.cuda.operations import (
    AVERAGE_POOL,
    CONVOLUTION,
    MAX_POOL,
    NORM_RELU,
    POINTWISE,
    there_and_back,
)

CHANNELS, OUTPUTS = 6, 4
CASES = [
    *[
        pytest.param(operation, size, way, id=f"{operation.name} {size}, {way}")
        for operation, sizes in (
            (MAX_POOL, (3, 5, 7)),
            (AVERAGE_POOL, (3, 5, 7)),
            (CONVOLUTION, (3, 5, 7)),
            (POINTWISE, (0, 1)),  # the second one with a bias
            (NORM_RELU, (0, 1)),  # the second one out of training
        )
        for size in sizes
        for way in operation.ways
    ]
]


def drawn(*shape, seed=0, device="cpu"):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def arguments(operation, size, images):
    device = images.device
    if operation in (MAX_POOL, AVERAGE_POOL):
        return [images, size]
    if operation is CONVOLUTION:
        return [images, drawn(OUTPUTS, CHANNELS, size, size, seed=1, device=device).requires_grad_()]
    if operation is POINTWISE:
        weight = drawn(OUTPUTS, CHANNELS, 1, 1, seed=1, device=device).requires_grad_()
        return [images, weight, drawn(OUTPUTS, seed=2, device=device).requires_grad_() if size else None]
    mean, variance, weight, bias = (drawn(CHANNELS, seed=seed, device=device) for seed in range(1, 5))
    return [images, mean, variance.abs() + 0.5, weight.requires_grad_(), bias.requires_grad_(), not size, 0.1, 1e-5]


def computed(operation, size, way, shape, device, rounded=torch.float32, precision=torch.float32):
    """Outputs, gradients of what has one, and all tensors that were given; images are rounded first."""
    images = drawn(3, CHANNELS, *shape, device=device).to(rounded).to(precision)
    images = images.contiguous(memory_format=torch.channels_last)
    given = arguments(operation, size, images.requires_grad_())
    outputs = operation.ways[way](*given)
    tensors = [each for each in given if isinstance(each, torch.Tensor)]
    trained = [each for each in tensors if each.requires_grad]
    gradients = drawn(*outputs.shape, seed=9, device=device).to(outputs.dtype)
    return [outputs, *torch.autograd.grad(outputs, trained, gradients), *tensors]


@pytest.mark.parametrize("shape", [(8, 8), (5, 11)])
@pytest.mark.parametrize(("operation", "size", "way"), CASES)
def test_a_way_is_the_default(triton_module, operation, size, way, shape, device):
    for module in ("max_pool", "norm_relu"):
        triton_module(module)
    found, expected = (computed(operation, size, each, shape, device) for each in (way, operation.default))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(("operation", "size", "way"), CASES)
def test_a_way_on_cuda_is_the_default_of_a_cpu(operation, size, way, autocast):
    precision = torch.bfloat16 if autocast else torch.float32
    with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
        found = computed(operation, size, way, (32, 32), "cuda", precision, precision)
    # Images are rounded in both, so that a max pool picks the same pixels; convolutions round to TF32.
    exact = computed(operation, size, operation.default, (32, 32), "cpu", precision)
    for one, other in zip(found, exact, strict=True):
        difference = (one.cpu().float() - other.float()).abs().max()
        assert difference <= (0.03 if autocast else 5e-3) * other.float().abs().max()


@pytest.mark.parametrize(("operation", "size", "way"), [case for case in CASES if case.values[2] != "triton"])
def test_measuring_changes_none_of_the_arguments(operation, size, way):
    images = drawn(3, CHANNELS, 8, 8).contiguous(memory_format=torch.channels_last)
    for wanted in (True, False):
        given = arguments(operation, size, images.clone(memory_format=torch.preserve_format).requires_grad_(wanted))
        before = [each.detach().clone() for each in given if isinstance(each, torch.Tensor)]
        there_and_back(operation.ways[way], *given)
        after = [each for each in given if isinstance(each, torch.Tensor)]
        assert all(torch.equal(*each) for each in zip(before, after, strict=True))
        assert all(each.grad is None for each in after)
