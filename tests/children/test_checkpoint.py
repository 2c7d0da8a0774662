"""Checkpoints that tell when they are damaged."""

import pytest
import safetensors.torch
import torch

from nases_env.children import checkpoint

TENSORS = {
    "weights": torch.arange(6.0).reshape(2, 3),
    "epoch": torch.tensor(3),
    "state": torch.ones(5, dtype=torch.uint8),
}


@pytest.fixture
def file(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", TENSORS)
    return tmp_path / "a.safetensors"


def test_tensors_come_back(file):
    found = checkpoint.load(file)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_flipped_bit_is_told_wherever_it_is(file):
    data = file.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        with pytest.raises(ValueError, match="is damaged .*; remove it, and the training starts again"):
            checkpoint.load(file)


def test_an_earlier_versions_checkpoint_without_a_hash_goes_on(file):
    safetensors.torch.save_file(TENSORS, file)
    assert torch.equal(checkpoint.load(file)["weights"], TENSORS["weights"])
