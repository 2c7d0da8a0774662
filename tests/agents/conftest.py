import gymnasium as gym
import numpy as np
import pytest

import nases_env  # noqa: F401
from nases_env import embeddings, search_spaces
from nases_env.evaluators import Evaluation


class ClosedForm(gym.Env):
    """An environment with a reward that costs nothing: closeness of the action to a corner region."""

    def __init__(self, decoder="autoencoder", calibration="output", space="macro"):
        self.space = search_spaces.make(space)
        self.decoder = embeddings.make(decoder, self.space, calibration)
        self.action_space = gym.spaces.Box(0, 1, (self.decoder.action_size,), np.float32)
        self.observation_space = gym.spaces.Box(0, 30, (self.space.origin_size,), np.float32)
        self.architecture = None
        self.evaluation = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        drawn = self.space.sample(self.np_random, 1)[0]
        return self.space.origin_of(options["architecture"]) if options else drawn, {}

    def step(self, action):
        origin = self.decoder.decode(action[None])[0]
        self.architecture = self.space.architecture(self.space.discretise(origin[None])[0])
        self.evaluation = Evaluation(validation_accuracy=float(action.mean()))
        info = {
            "train_accuracy": 0.0,
            "validation_accuracy": float(action.mean()),
            "parameters": 1,
            "flops": 1,
            "architecture_key": self.architecture.key,
            "cached": False,
            "failure": "",
        }
        return origin, float(action.mean()), False, False, info


@pytest.fixture
def closed_form():
    return ClosedForm
