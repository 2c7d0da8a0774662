import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Test processes share few cores."""
    torch.set_num_threads(1)
