"""What Gymnasium, stable-baselines3 and the manual page's own example say about the environment."""

import doctest
import warnings

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

from nases_env.env import NASESEnv


@pytest.fixture
def warm(make, actions):
    """Imports and data are loaded, so that warnings of others' imports are not ours."""
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    env.step(actions[0])
    env.render()


@pytest.mark.parametrize("id", ["NASES-v0", "NASES-Digits-v0", "NASES-Digits-Micro-v0"])
@pytest.mark.parametrize("decoder", ["autoencoder", "identity"])
def test_gymnasium_has_nothing_to_warn_about(id, decoder, make, warm, monkeypatch):
    monkeypatch.setattr(gym.logger, "min_level", gym.logger.WARN)
    env = make(id, decoder=decoder, render_mode="ansi")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    assert [str(warning.message) for warning in caught] == []


def test_gymnasiums_passive_checker_has_nothing_to_warn_about(make, warm, actions):
    env = make(render_mode="rgb_array", max_episode_steps=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env.reset(seed=0)
        for action in actions[:2]:
            env.step(action)
        env.render()
        env.close()
    assert [str(warning.message) for warning in caught] == []


def test_stable_baselines3_warns_only_of_actions_that_are_not_symmetric(make, warm):
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    env = make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sb3.check_env(env.unwrapped)
    assert len(caught) == 1, [str(warning.message) for warning in caught]
    assert "symmetric and normalized Box action space" in str(caught[0].message)


def test_gymnasium_records_a_film_of_a_search(make, actions, tmp_path):
    pytest.importorskip("moviepy", reason="needs nases-env[video]")
    env = gym.wrappers.RecordVideo(make(render_mode="rgb_array", max_episode_steps=2), str(tmp_path))
    env.reset(seed=0)
    for action in actions[:2]:
        env.step(action)
    env.close()
    (film,) = tmp_path.glob("*.mp4")
    assert film.stat().st_size > 0


def test_example_of_the_manual_page_runs():
    (example,) = doctest.DocTestFinder(recurse=False).find(NASESEnv, "NASESEnv", globs={})
    results = doctest.DocTestRunner().run(example)
    assert (results.failed, results.attempted) == (0, 8)
