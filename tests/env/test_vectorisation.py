"""Gymnasium's own vector environments around the environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

TIMEOUT = 120
"""Seconds after which a process that hangs is a failure."""


def rollout(mode, protocol, id="NASES-Digits-v0"):
    """Reset and three steps, the last of which is the automatic reset of the two-step episode."""
    env = gym.make_vec(
        id, num_envs=2, vectorization_mode=mode, protocol=protocol, device="cpu", max_episode_steps=2
    )  # fmt: skip
    actions = np.random.default_rng(0).random((3, 2, 20), np.float32)
    try:
        results = [env.reset(seed=5)]
        for action in actions:
            if mode == "async":
                env.step_async(action)
                results.append(env.step_wait(timeout=TIMEOUT))
            else:
                results.append(env.step(action))
    finally:
        env.close(**({"terminate": True} if mode == "async" else {}))
    return results


@pytest.fixture
def synchronous(tiny):
    return rollout("sync", tiny)


def test_sub_environments_are_searches_of_their_own(synchronous, make):
    actions = np.random.default_rng(0).random((3, 2, 20), np.float32)
    for index in range(2):
        env = make(max_episode_steps=2)
        observation, info = env.reset(seed=5 + index)
        np.testing.assert_array_equal(synchronous[0][0][index], observation)
        for step in range(2):
            observation, reward, _, truncated, info = env.step(actions[step, index])
            observations, rewards, terminations, truncations, infos = synchronous[step + 1]
            np.testing.assert_array_equal(observations[index], observation)
            assert rewards[index] == reward
            assert not terminations[index]
            assert truncations[index] == truncated == (step == 1)
            assert {name: infos[name][index] for name in info} == info


def test_sub_environment_is_reset_after_its_budget(synchronous):
    observations, rewards, _, truncations, _ = synchronous[3]
    np.testing.assert_array_equal(rewards, 0)
    assert not truncations.any()
    assert not np.array_equal(observations, synchronous[0][0])


def test_processes_give_what_one_process_gives(synchronous, tiny):
    for one, other in zip(synchronous, rollout("async", tiny), strict=True):
        assert data_equivalence(one, other, exact=True)
