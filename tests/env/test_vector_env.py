"""K searches in one vector environment: each what a single environment is, and rules of Gymnasium's vector API."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from nases_env import vector_env
from nases_env.ledger import read_trials
from nases_env.vector_env import NASESVectorEnv


@pytest.fixture
def make_vec(tiny):
    made = []

    def make_vec(num_envs=2, **kwargs):
        kwargs = {"protocol": tiny, "device": "cpu", "workers": 0} | kwargs
        made.append(gym.make_vec("NASES-Digits-v0", num_envs=num_envs, **kwargs))
        return made[-1]

    yield make_vec
    for env in made:
        env.close()


def rollout(env, steps=3, seed=5):
    actions = np.random.default_rng(0).random((steps, env.num_envs, 20), np.float32)
    return [env.reset(seed=seed), *(env.step(action) for action in actions)]


def test_make_vec_gives_it_without_a_mode_and_without_warnings(make_vec, recwarn):
    env = make_vec(3)
    assert isinstance(env.unwrapped, NASESVectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert (env.action_space.shape, env.observation_space.shape) == ((3, 20), (3, 60))
    assert not [warning for warning in recwarn if "utoreset" in str(warning.message)]


def test_it_gives_what_gymnasiums_vector_of_single_environments_gives(make_vec, tiny):
    single = gym.make_vec(
        "NASES-Digits-v0",
        num_envs=2,
        vectorization_mode="sync",
        protocol=tiny,
        device="cpu",
        max_episode_steps=2,
    )
    expected, found = rollout(single, 4), rollout(make_vec(max_episode_steps=2), 4)
    single.close()
    for one, other in zip(expected, found, strict=True):
        for first, second in zip(one[:-1], other[:-1], strict=True):
            np.testing.assert_array_equal(first, second)
        assert one[-1].keys() == other[-1].keys()
        for name, values in one[-1].items():
            np.testing.assert_array_equal(values, other[-1][name], err_msg=name)


def test_results_do_not_depend_on_the_number_of_workers(make_vec):
    expected = rollout(make_vec(2), 2)
    assert data_equivalence(expected, rollout(make_vec(2, workers=1), 2), exact=True)
    assert data_equivalence(expected, rollout(make_vec(2, workers=2), 2), exact=True)


def test_a_list_names_the_seeds(make_vec):
    env = make_vec(2)
    first, _ = env.reset(seed=5)
    second, _ = env.reset(seed=[6, None])
    np.testing.assert_array_equal(first[1], second[0])
    assert not np.array_equal(first, second)
    with pytest.raises(ValueError, match="3 seeds for 2"):
        env.reset(seed=[1, 2, 3])


def test_a_mask_starts_some_searches_again(make_vec):
    env = make_vec(2, max_episode_steps=5)
    rollout(env, 1)
    before = env.unwrapped._observations.copy()
    observations, infos = env.reset(options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(observations[0], before[0])
    assert not np.array_equal(observations[1], before[1])
    np.testing.assert_array_equal(infos["_architecture_key"], [False, True])
    np.testing.assert_array_equal(env.unwrapped._elapsed, [1, 0])


def test_a_given_architecture_is_every_searchs_first_state(make_vec):
    observations, _ = make_vec(2).reset(seed=0, options={"architecture": np.full(60, 10.0)})
    np.testing.assert_array_equal(observations, 10)


def test_equal_children_of_one_step_are_trained_once(make_vec, monkeypatch):
    from nases_env.evaluators.child_training import ChildTraining

    trained = []
    evaluate = ChildTraining._evaluate
    monkeypatch.setattr(ChildTraining, "_evaluate", lambda self, *job: trained.append(job) or evaluate(self, *job))
    env = make_vec(3)
    env.reset(seed=[1, 1, 2])
    action = np.full((3, 20), 0.3, np.float32)
    _, rewards, *_ = env.step(action)
    assert len(trained) == 2  # the third has another child seed
    assert rewards[0] == rewards[1]


def test_its_journal_answers_when_it_starts_again(make_vec, tmp_path, monkeypatch):
    from nases_env.evaluators.child_training import ChildTraining

    journal = str(tmp_path / "journal.log")
    env = make_vec(2, ledger=journal)
    first = rollout(env, 2)
    env.close()
    assert [trial.number for trial in read_trials(journal)] == [0, 1, 2, 3]
    monkeypatch.setattr(ChildTraining, "_evaluate", lambda *_: pytest.fail("trained again"))
    assert data_equivalence(first, rollout(make_vec(2, ledger=journal), 2), exact=True)


@pytest.mark.parametrize(("mode", "kind"), [("ansi", str), ("rgb_array", np.ndarray), (None, type(None))])
def test_every_search_is_rendered(make_vec, mode, kind):
    env = make_vec(2, render_mode=mode)
    env.reset(seed=0)
    assert [type(part) for part in env.render()] == [kind, kind]


def test_nothing_steps_before_the_first_reset(make_vec):
    env = make_vec(2)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros((2, 20), np.float32))
    with pytest.raises(ResetNeeded, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda env: env.step(np.zeros((3, 20), np.float32)), r"\(3, 20\).*expected \(2, 20\)"),
        (lambda env: env.step(np.full((2, 20), np.nan, np.float32)), r"in \[0, 1\]"),
        (lambda env: env.reset(options={"reset_mask": [0, 1]}), "2 booleans"),
        (lambda env: env.reset(options={"reset_mask": np.array([False, False])}), "at least one"),
        (lambda env: env.reset(options={"reset_mask": [[True], [True, False]]}), "booleans of reset_mask"),
        (lambda env: env.reset(options={"mask": 1}), r"no options \['mask'\]"),
        (lambda env: env.reset(options=[1]), r"options are \[1\]; expected a mapping"),
        (lambda env: env.reset(seed="ab"), "seed is 'ab'; expected a whole number"),
        (lambda env: env.reset(seed=-1), "seed is -1; expected a whole number"),
        (lambda env: env.reset(seed=[1, "x"]), "seed is 'x'; expected a whole number"),
        (lambda env: env.reset(seed={1, 2}), "seed is {1, 2}; expected a whole number"),
    ],
)
def test_bad_input_says_what_was_expected(make_vec, act, words):
    env = make_vec(2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=words):
        act(env)


@pytest.mark.parametrize(
    ("keywords", "words"), [({"num_envs": 0}, "num_envs is 0"), ({"max_episode_steps": 0}, "steps is 0")]
)
def test_numbers_below_one_are_refused(keywords, words):
    with pytest.raises(ValueError, match=words):
        NASESVectorEnv(**keywords)


def test_one_that_was_refused_has_nothing_to_close():
    env = object.__new__(NASESVectorEnv)
    with pytest.raises(ValueError, match="num_envs is 0"):
        env.__init__(num_envs=0)
    env.close()


def test_refused_reset_leaves_every_search_as_it_was(make_vec):
    refused, twin = make_vec(2), make_vec(2)
    for env in (refused, twin):
        env.reset(seed=0)
    with pytest.raises(ValueError, match="seed is -1"):
        refused.reset(seed=[5, -1])
    assert data_equivalence(refused.reset(), twin.reset(), exact=True)


@pytest.mark.parametrize("id", ["NASES-Digits-v0", "NASES-Digits-Surrogate-v0"])
class TestAutoreset:
    @pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
    @pytest.mark.parametrize("spelling", [AutoresetMode, lambda mode: mode.value])
    def test_a_mode_can_be_named(self, id, mode, spelling):
        env = gym.make_vec(id, num_envs=2, autoreset_mode=spelling(mode))
        assert env.metadata["autoreset_mode"] is env.unwrapped.autoreset_mode is mode
        assert NASESVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
        env.close()

    @pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, "SameStep", "x", None, 1, []])
    def test_another_mode_is_refused_with_those_that_there_are(self, id, mode):
        with pytest.raises(ValueError, match="autoreset_mode is .*; choose AutoresetMode.NEXT_STEP or .*sync"):
            gym.make_vec(id, num_envs=2, autoreset_mode=mode)

    def test_gymnasiums_own_vector_environment_has_the_others(self, id):
        kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
        env = gym.make_vec(id, num_envs=2, vectorization_mode="sync", vector_kwargs=kwargs)
        assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        env.close()


class TestAutoresetDisabled:
    def test_it_gives_what_gymnasiums_vector_of_single_environments_gives(self, make_vec, tiny):
        modes = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": AutoresetMode.DISABLED}}
        theirs = gym.make_vec("NASES-Digits-v0", 2, protocol=tiny, device="cpu", max_episode_steps=2, **modes)
        ours = make_vec(2, max_episode_steps=2, autoreset_mode=AutoresetMode.DISABLED)
        for env in (theirs, ours):
            rollout(env, 1)
            env.reset(options={"reset_mask": np.array([False, True])})
        actions = np.random.default_rng(1).random((2, 2, 20), np.float32)
        expected, found = theirs.step(actions[0]), ours.step(actions[0])
        assert data_equivalence(expected, found, exact=True)
        np.testing.assert_array_equal(found[3], [True, False])
        for env in (theirs, ours):
            env.reset(options={"reset_mask": np.array([True, False])})
        assert data_equivalence(theirs.step(actions[1]), ours.step(actions[1]), exact=True)
        theirs.close()

    def test_no_step_starts_a_search_again(self, make_vec):
        env = make_vec(2, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
        rollout(env, 1)
        with pytest.raises(ResetNeeded, match="2 of 2 searches have ended.*reset_mask"):
            env.step(np.zeros((2, 20), np.float32))
        env.reset(options={"reset_mask": np.array([True, False])})
        with pytest.raises(ResetNeeded, match="1 of 2"):
            env.step(np.zeros((2, 20), np.float32))


def test_by_default_there_are_as_many_workers_as_are_of_use(tiny, monkeypatch):
    monkeypatch.setattr(vector_env, "cores", lambda: 8)
    for num_envs, threads, workers in ((4, 1, 4), (16, 1, 8), (16, 2, 4), (4, None, 1)):
        made = NASESVectorEnv(num_envs, protocol={**tiny, "threads": threads})
        assert made._env.executor == f"processes:{workers}"
        made.close()
