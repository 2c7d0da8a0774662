"""What runs on the nodes of a Ray cluster: a worker, which does one job at a time, and the way of data to it."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import platform
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nases_env
from nases_env.executors.base import Task
from nases_env.executors.worker import do


class Installed(NamedTuple):
    """What has to be the same on every node, because results and tasks are sent between them."""

    python: str
    """Major and minor version."""
    code: str
    """Digest of the sources of nases_env."""

    def __str__(self) -> str:
        return f"Python {self.python} and nases_env with the code {self.code}"


class Packed(NamedTuple):
    """A pickle whose large parts lie apart, where Ray's workers of one host map one copy of them."""

    pickled: bytes
    parts: list[np.ndarray]
    """Bytes of tensors, uint8."""


class Worker:
    """One process on a node, which does one job at a time. It writes nothing.

    Args:
        device: The kind of device that jobs are done on; to a worker on CPUs no GPU is visible.
    """

    def __init__(self, device: str):
        if device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._task: Task | None = None
        self._work: Callable[..., Any] | None = None

    def installed(self) -> tuple[str, Installed]:
        """The node's name and what is installed there."""
        return platform.node(), installed()

    def open(self, task: Task, packed: Packed | None) -> None:
        """Get ready to do jobs.

        Args:
            task: What all jobs have in common.
            packed: The data; None: they are read here.

        Raises:
            FileNotFoundError, ValueError: See `Task.read` and `Task.open`.
        """
        self._task, self._work = task, task.open(task.read() if packed is None else unpack(packed))

    def do(self, job: tuple) -> Any:
        """Do a job."""
        assert self._task is not None and self._work is not None, "open comes before do"
        return do(self._task, self._work, job)


@cache
def installed() -> Installed:
    """What is installed here."""
    return Installed(".".join(platform.python_version_tuple()[:2]), code_digest(nases_env.__path__[0]))


def code_digest(folder: str) -> str:
    """Names the sources of a package, in the folder and below: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(Path(folder).rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def pack(data: Any) -> Packed:
    """Data as they are sent. Tensors keep their type and their order in memory."""
    buffers: list[Any] = []
    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=buffers.append).dump(data)
    return Packed(file.getvalue(), [np.frombuffer(buffer, np.uint8) for buffer in buffers])


def unpack(packed: Packed) -> Any:
    """The data; their tensors lie where the parts lie, and cannot be written there."""
    return pickle.loads(packed.pickled, buffers=packed.parts)


class _Pickler(pickle.Pickler):
    """Leaves the memory of tensors out, which pickles of tensors hold once more."""

    def reducer_override(self, value: Any) -> Any:
        import torch

        if not isinstance(value, torch.Tensor):
            return NotImplemented
        memory: Any = torch.empty(0, dtype=torch.uint8, device="cpu").set_(value.untyped_storage()).numpy()
        layout = (value.dtype, tuple(value.shape), value.stride(), value.storage_offset())
        return _tensor, (pickle.PickleBuffer(memory), *layout)


def _tensor(memory: Any, dtype: Any, shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
    """The tensor that lies in a memory."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.frombuffer(memory, dtype=dtype).as_strided(shape, stride, offset)
