"""What is sent to workers on a Ray cluster."""

import os
import pickle

import numpy as np
import pytest
import torch

from nases_env.children import datasets
from nases_env.children.presets import resolve
from nases_env.executors.ray_worker import Worker, code_digest, pack, unpack


@pytest.fixture(scope="module")
def data():
    return datasets.load("digits", "nowhere", resolve("digits"), "cpu")


def test_data_arrive_as_they_were(data):
    packed = pack(data)
    assert len(packed.pickled) < 10_000 < data.nbytes <= sum(part.nbytes for part in packed.parts)
    arrived = unpack(pickle.loads(pickle.dumps(packed)))
    for part, there in ((data.train, arrived.train), (data.validation, arrived.validation)):
        assert torch.equal(part.images, there.images) and torch.equal(part.labels, there.labels)
        assert part.images.stride() == there.images.stride()
    assert (arrived.digest, arrived.class_names) == (data.digest, data.class_names)
    np.testing.assert_array_equal(arrived.mean, data.mean)


def test_tensors_are_not_copied_on_arrival(data):
    packed = pack(data)
    starts = {part.ctypes.data for part in packed.parts}
    assert unpack(packed).train.images.data_ptr() in starts


def test_data_can_be_sent_whatever_the_caller_has_set_in_torch():
    tensor = torch.arange(12, dtype=torch.bfloat16).reshape(3, 4).T[1:]
    with torch.inference_mode(), torch.device("meta"):
        packed = pack(tensor)
    assert torch.equal(unpack(packed), tensor) and unpack(packed).stride() == tensor.stride()


def test_a_worker_on_cpus_sees_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    Worker("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    Worker("cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_code_is_named_by_what_is_in_its_files(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("1")
    before = code_digest(str(tmp_path))
    (tmp_path / "notes.txt").write_text("1")
    assert code_digest(str(tmp_path)) == before
    (tmp_path / "room" / "a.py").write_text("2")
    assert code_digest(str(tmp_path)) != before
