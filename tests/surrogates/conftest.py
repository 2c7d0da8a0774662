import numpy as np
import pytest

from nases_env.children.presets import PRESETS
from tests.surrogate_fitting.conftest import collected, shipped  # noqa: F401  (fixtures)


@pytest.fixture(scope="session")
def rows(space):
    """300 uniform networks."""
    origins = space.sample(np.random.default_rng(0), 300)
    return space.discretise(origins)


@pytest.fixture
def protocol():
    return PRESETS["digits"]
