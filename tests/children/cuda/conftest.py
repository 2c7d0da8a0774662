import importlib
import os
from unittest import mock

import pytest
import torch


@pytest.fixture(scope="session")
def triton_module():
    """Import a module with Triton's kernels; without a GPU they are interpreted."""
    language = pytest.importorskip("triton.language")

    def module(name):
        return importlib.import_module(f"nases_env.children.cuda.{name}")

    def interpreted(name):
        return importlib.reload(module(name))

    def total(numbers, axis):
        return language.reduce(numbers, axis, language.standard._sum_combine)

    if torch.cuda.is_available():
        yield module
        return
    # Interpretation is asked for where functions are defined, and Triton's own were when something imported it.
    with mock.patch.dict(os.environ, {"TRITON_INTERPRET": "1"}), mock.patch.object(language, "sum", total):
        yield interpreted


@pytest.fixture(scope="session")
def device():
    """Where kernels are run."""
    return "cuda" if torch.cuda.is_available() else "cpu"
