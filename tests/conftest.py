import pytest
import torch

from nases_env import search_spaces


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Test processes share few cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def space():
    """The macro space."""
    return search_spaces.make()
