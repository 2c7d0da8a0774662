"""What children are trained on: in what precision images are held, and that a child cannot tell."""

from contextlib import contextmanager

import pytest
import torch

from nases_env.children import datasets, steps, training
from nases_env.children.presets import resolve
from nases_env.children.tensors import Tensors, image_type
from nases_env.children.training import Trainer
from tests.children.trainings import SPACES, losses, trainer

BFLOAT16 = resolve({"preset": "digits", "precision": "bfloat16"})


@pytest.mark.parametrize(
    ("precision", "device", "kind"),
    [
        ("bfloat16", "cuda", torch.bfloat16),
        ("bfloat16", "cuda:1", torch.bfloat16),
        ("bfloat16", "cpu", torch.float32),
        ("float32", "cuda", torch.float32),
    ],
)
def test_images_are_held_as_the_first_convolution_reads_them(precision, device, kind):
    assert image_type(resolve({"preset": "digits", "precision": precision}), device) is kind


def test_images_for_workers_with_a_gpu_take_half_of_the_memory_that_they_share():
    halves, whole = (datasets.load("digits", "nowhere", BFLOAT16, "cpu", device) for device in ("cuda", "cpu"))
    assert halves.train.images.dtype == halves.validation.images.dtype == torch.bfloat16
    assert halves.train.images.device.type == "cpu"
    assert torch.equal(halves.train.images, whole.train.images.bfloat16())
    assert 2 * halves.train.images.nbytes == whole.train.images.nbytes
    assert halves.digest == whole.digest and halves.train.images.stride() == whole.train.images.stride()
    assert datasets.load_test("digits", "nowhere", halves).images.dtype == torch.bfloat16
    source = datasets.DataSource("digits", "nowhere", BFLOAT16.split(), halves.digest)
    assert torch.equal(source.read("cpu", torch.bfloat16).train.images, halves.train.images)


@contextmanager
def autocast(precision, device):
    """As on CUDA."""
    with torch.autocast("cpu", torch.bfloat16):
        yield
    torch.clear_autocast_cache()


@pytest.mark.parametrize("space", SPACES)
def test_a_child_in_bfloat16_cannot_tell_in_what_its_images_are_held(space, monkeypatch):
    for module in (steps, training):
        monkeypatch.setattr(module, "autocast", autocast)

    def run(images_as):
        made = trainer(space, size=16, epochs=3, cutout=3, drop_path=0.3, auxiliary_weight=0.4)
        subject = Trainer(made.model, Tensors(made.data.images.to(images_as), made.data.labels), made.protocol, 0)
        return losses(subject), subject.accuracy(subject.data), subject.state()

    (whole, accuracy, state), halves = run(torch.float32), run(torch.bfloat16)
    assert halves[:2] == (whole, accuracy)
    assert all(torch.equal(halves[2][name], state[name]) for name in state)  # weights and statistics, to the bit
