"""The environment on the surrogate of cells: what the id makes is what the one that trains has."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nases_env.env import NASESEnv
from nases_env.search_spaces import MicroArchitecture
from nases_env.vector_env import NASESVectorEnv

ID, REAL = "NASES-Digits-Micro-Surrogate-v0", "NASES-Digits-Micro-v0"
ACTIONS = np.random.default_rng(0).random((5, 4, 20), np.float32)


def test_it_looks_like_the_environment_that_trains(make):
    env, real = gym.make(ID), make(REAL, protocol="digits-micro")
    assert type(env.unwrapped) is NASESEnv and env.unwrapped.protocol == real.unwrapped.protocol
    assert (env.action_space, env.observation_space) == (real.action_space, real.observation_space)
    (one, info), (other, expected) = (each.reset(seed=3) for each in (env, real))
    np.testing.assert_array_equal(one, other)
    assert info == expected
    (one, reward, *_, info), (other, _, *_, expected) = (each.step(ACTIONS[0, 0]) for each in (env, real))
    np.testing.assert_array_equal(one, other)
    assert info.keys() == expected.keys()
    for name in ("parameters", "flops", "architecture", "architecture_key", "cached", "failure"):
        assert info[name] == expected[name]
    assert reward == info["validation_accuracy"]  # v3's
    assert abs(reward - expected["validation_accuracy"]) < 0.3  # a model with an R² of 0.75: close, not equal


def test_gymnasium_has_nothing_against_it():
    check_env(gym.make(ID, noise=True).unwrapped, skip_render_check=True)


def test_many_searches_are_what_single_ones_are():
    many, alone = gym.make_vec(ID, num_envs=4, noise=True), [gym.make(ID, noise=True) for _ in range(4)]
    assert type(many.unwrapped) is NASESVectorEnv
    many.reset(seed=7)
    for index, env in enumerate(alone):
        env.reset(seed=7 + index)
    for actions in ACTIONS:
        observations, rewards, *_, infos = many.step(actions)
        expected = [env.step(action) for env, action in zip(alone, actions, strict=True)]
        np.testing.assert_array_equal(observations, [observation for observation, *_ in expected])
        np.testing.assert_array_equal(rewards, [reward for _, reward, *_ in expected])
        for name in ("architecture", "architecture_key", "parameters", "flops", "cached"):
            assert infos[name].tolist() == [info[name] for *_, info in expected]


def test_no_architecture_is_built_for_many(monkeypatch):
    many = gym.make_vec(ID, num_envs=4)
    monkeypatch.setattr("nases_env.search_spaces.MicroSpace.architecture", lambda *_: pytest.fail("built"))
    many.reset(seed=0)
    many.step(ACTIONS[0])


def test_its_surrogate_may_be_asked_for_by_name():
    named = gym.make("NASES-v0", evaluator="surrogate:digits-micro", reward="validation")
    by_id = gym.make(ID)
    assert named.unwrapped.surrogate.fingerprint == by_id.unwrapped.surrogate.fingerprint
    for env in (named, by_id):
        env.reset(seed=0)
    assert named.step(ACTIONS[0, 0])[1] == by_id.step(ACTIONS[0, 0])[1]
    assert isinstance(named.unwrapped.architecture, MicroArchitecture)


def test_the_surrogate_decides_the_space():
    assert gym.make(ID, space="micro").unwrapped.space.name == "micro"
    with pytest.raises(ValueError, match="rules is 'published', .* leave rules out"):
        gym.make(ID, rules="published")
