"""Version 3's environment: what the macro ids have, with cells."""

import gymnasium as gym
import numpy as np
import pytest

from nases_env.search_spaces import MicroArchitecture

ID = "NASES-Digits-Micro-v0"
TINY = {"preset": "digits-micro", "train_images": 64, "validation_images": 32, "epochs": 1, "cell_filters": 2}


@pytest.fixture
def env(make):
    return make(ID, protocol=TINY, render_mode="ansi", max_episode_steps=3)


def test_a_step_builds_cells_and_rewards_the_validation_accuracy(env, actions):
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(actions[0])
    assert observation in env.observation_space and observation.shape == (40,)
    assert reward == info["validation_accuracy"] > 0
    assert (terminated, truncated, info["failure"]) == (False, False, "")
    assert isinstance(env.unwrapped.architecture, MicroArchitecture)
    assert info["architecture"].startswith("normal: ") and "reduction: " in info["architecture"]


def test_the_same_seed_builds_the_same_children(make, actions):
    def walk(**keywords):
        env = make(ID, protocol=TINY, **keywords)
        first, _ = env.reset(seed=4)
        return first, [env.step(action)[:2] for action in actions]

    (first, steps), (again, others) = walk(), walk(workers=1)
    np.testing.assert_array_equal(first, again)
    for (observation, reward), (other, repeated) in zip(steps, others, strict=True):
        np.testing.assert_array_equal(observation, other)
        assert reward == repeated


def test_a_journal_is_replayed(make, actions, tmp_path):
    rewards = []
    for _ in range(2):
        env = make(ID, protocol=TINY, ledger=str(tmp_path / "journal.log"))
        env.reset(seed=1)
        rewards.append([env.step(action)[1] for action in actions])
        env.close()
    assert rewards[0] == rewards[1]
    assert (tmp_path / "journal.log").read_text().count("architecture_json") == 3


def test_reset_takes_an_architecture_its_json_or_its_numbers(env):
    origin, _ = env.reset(seed=0)
    known = env.unwrapped.architecture
    for given in (known, known.to_json(), origin):
        observation, info = env.reset(options={"architecture": given})
        assert info["architecture_key"] == known.key
        assert env.unwrapped.space.discretise(observation[None]).tolist() == [env.unwrapped.space.row(known).tolist()]
    with pytest.raises(ValueError, match="expected 40 numbers"):
        env.reset(options={"architecture": np.zeros(60)})


def test_it_is_rendered_as_text_and_as_a_picture(env, make):
    env.reset(seed=0)
    assert "normal" in env.render()
    drawn = make(ID, protocol=TINY, render_mode="rgb_array")
    drawn.reset(seed=0)
    picture = drawn.render()
    assert picture.dtype == np.uint8 and picture.ndim == 3 and len(np.unique(picture)) > 2


def test_searches_side_by_side_are_single_ones(make, actions):
    envs = gym.make_vec(ID, num_envs=2, protocol=TINY, device="cpu", max_episode_steps=3)
    observations, _ = envs.reset(seed=5)
    rewards = envs.step(np.stack([actions[0], actions[1]]))[1]
    envs.close()
    for i in range(2):
        env = make(ID, protocol=TINY)
        np.testing.assert_array_equal(env.reset(seed=5 + i)[0], observations[i])
        assert env.step(actions[i])[1] == rewards[i]


@pytest.mark.parametrize("decoder", ["pca", "random", "identity"])
def test_the_controls_decode_to_cells_as_well(make, decoder):
    env = make(ID, protocol=TINY, decoder=decoder)
    env.reset(seed=0)
    env.action_space.seed(0)
    assert env.step(env.action_space.sample())[4]["failure"] == ""


def test_decoders_of_the_other_space_are_refused_with_its_own(make):
    with pytest.raises(ValueError, match="no decoder 'autoencoder-paper'; choose one of .'autoencoder', 'pca'"):
        make(ID, decoder="autoencoder-paper")
