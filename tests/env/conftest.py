import gymnasium as gym
import numpy as np
import pytest

import nases_env  # noqa: F401

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}


@pytest.fixture(scope="session")
def tiny():
    """A protocol that trains a child in a moment."""
    return dict(TINY)


@pytest.fixture
def make():
    """`gym.make` of environments with tiny children, closed afterwards."""
    made = []

    def make(id="NASES-Digits-v0", **kwargs):
        made.append(gym.make(id, **{"protocol": TINY, "device": "cpu"} | kwargs))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture(scope="session")
def actions():
    """Three actions of the autoencoder's size."""
    actions = np.random.default_rng(0).random((3, 20), np.float32)
    actions.flags.writeable = False
    return actions


def _uniform(operation, filters=10.0, filter_size=30.0):
    """An action of the identity decoder: every layer alike, no two linked that need not be."""
    layers = np.tile(np.array([filters, filter_size, operation, 0.0], np.float32), (15, 1))
    layers[:, 3] = np.linspace(0, 30, 15)
    return layers.reshape(-1) / np.float32(30)


@pytest.fixture
def convolutions():
    """Identity action of 15 convolutions 7x7: a large child."""
    return _uniform(10.0)


@pytest.fixture
def pools():
    """Identity action of a convolution 3x3 and 14 max pools: a small child."""
    return _uniform(20.0, filter_size=5.0)
