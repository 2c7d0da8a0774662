import importlib
import os
from unittest import mock

import pytest
import torch


@pytest.fixture(scope="session")
def triton_module():
    """Import a module with Triton's kernels; without a GPU they are interpreted."""
    pytest.importorskip("triton")

    def module(name):
        found = importlib.import_module(f"nases_env.children.cuda.{name}")
        if torch.cuda.is_available():
            return found
        with mock.patch.dict(os.environ, {"TRITON_INTERPRET": "1"}):
            return importlib.reload(found)

    return module


@pytest.fixture(scope="session")
def device():
    """Where kernels are run."""
    return "cuda" if torch.cuda.is_available() else "cpu"
