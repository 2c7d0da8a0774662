"""Biases that a batch normalisation subtracts: moved into its running mean, and left out of training on CUDA."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nases_env.children import build
from nases_env.children.biases import fold_biases
from nases_env.children.layers import Conv2d
from nases_env.children.padding import count_parameters
from nases_env.children.presets import resolve
from nases_env.search_spaces import MacroArchitecture
from tests.children.trainings import losses, trainer


def with_biases(device="cpu", **fields):
    """A trainer whose child has biases and running statistics as if it had been trained; in float64 on a CPU."""
    subject = trainer("published", device=device, images=40, epochs=1, **fields)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in subject.model.modules():
            if isinstance(module, Conv2d):
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator))
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator))
    if device == "cpu":
        subject.model.double()
        subject._images = subject._images.double()
    return subject


def logits(subject):
    with torch.no_grad():
        return subject.model.eval()(subject.data.images.to(next(subject.model.parameters()).dtype)).cpu()


def test_folded_biases_are_zero_and_the_child_is_the_same():
    subject = with_biases()
    names, parameters, expected = list(subject.model.state_dict()), count_parameters(subject.model), logits(subject)
    fold_biases(subject.model)
    biases = [module.bias for module in subject.model.modules() if isinstance(module, nn.Conv2d)]
    assert len(biases) > 15 and not any(bias.any() for bias in biases)
    torch.testing.assert_close(logits(subject), expected)
    assert list(subject.model.state_dict()) == names and count_parameters(subject.model) == parameters


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_without_biases_goes_on_as_one_with_them(monkeypatch, checkpointing):
    plain, subject = (with_biases(weight_decay=0.0, checkpointing=checkpointing) for _ in range(2))
    expected = losses(plain)
    monkeypatch.setattr(Conv2d, "_added", lambda self, images: None if self.training else self.bias)
    fold_biases(subject.model)
    assert losses(subject) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(logits(subject), logits(plain), rtol=1e-5, atol=1e-5)
    biases = [module.bias for module in subject.model.modules() if isinstance(module, nn.Conv2d)]
    assert not any(bias.any() for bias in biases)


class Biases(TorchDispatchMode):
    """Counts convolutions that are given a bias."""

    def __init__(self):
        super().__init__()
        self.given = 0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        self.given += operation.overloadpacket.__name__ == "convolution" and arguments[2] is not None
        return operation(*arguments, **(keywords or {}))


@pytest.mark.parametrize(
    ("training", "device", "left_out"), [(True, "meta", True), (False, "meta", False), (True, "cpu", False)]
)
def test_biases_are_left_out_in_training_on_cuda_alone(training, device, left_out):
    protocol = resolve({"preset": "digits", "width": 0.02})
    model = build.skeleton(MacroArchitecture.published(), protocol, 3, 10, device=device).train(training)
    with Biases() as biases:
        model(torch.empty(2, 3, 16, 16, device=device))
    assert (biases.given == 0) == left_out


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_with_biases_is_the_same_child_on_cuda():
    subject, loaded = with_biases("cuda", size=16), trainer("published", device="cuda", size=16, epochs=1)
    expected = logits(subject)
    loaded.load_state(subject.state())
    torch.testing.assert_close(logits(loaded), expected, rtol=0.02, atol=0.02)
    losses(loaded)
    assert not any(module.bias.any() for module in loaded.model.modules() if isinstance(module, nn.Conv2d))
