import gymnasium as gym
import numpy as np
import pytest

from agents.arena.noise_free import NoiseFree


def test_it_tells_the_reward_that_a_step_without_noise_brings():
    reward = NoiseFree("NASES-Digits-Surrogate-v0")
    env = gym.make("NASES-Digits-Surrogate-v0", decoder="identity", noise=False)
    _, _ = env.reset(seed=3)
    actions = np.random.default_rng(0).uniform(size=(3, 60)).astype(np.float32)
    stepped = [env.step(action) for action in actions]
    told = reward(np.stack([observation for observation, *_ in stepped]))
    np.testing.assert_array_equal(told, [step[1] for step in stepped])


def test_an_environment_that_trains_is_refused():
    with pytest.raises(ValueError, match="NASES-Digits-v0 trains its children"):
        NoiseFree("NASES-Digits-v0")
