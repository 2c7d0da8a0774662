"""The environment on a surrogate: the same as the real one to look at, alone and many at once alike."""

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from nases_env import surrogates
from nases_env.env import NASESEnv
from nases_env.ledger import read_trials
from nases_env.vector_env import NASESVectorEnv

ID = "NASES-Digits-Surrogate-v0"


@pytest.fixture
def surrogate_env(make_surrogate):
    return make_surrogate()


@pytest.fixture
def make_surrogate():
    made = []

    def make_surrogate(**keywords):
        made.append(gym.make(ID, **keywords))
        return made[-1]

    yield make_surrogate
    for env in made:
        env.close()


def many_actions(steps, searches):
    return np.random.default_rng(0).random((steps, searches, 20), np.float32)


def check_told(found, expected):
    """Observations and infos of many searches are those of single ones."""
    observations, infos = found
    for index, (observation, info) in enumerate(expected):
        np.testing.assert_array_equal(observations[index], observation)
        told = {name: infos[name][index] for name in infos if name[0] != "_" and infos[f"_{name}"][index]}
        assert told == info


class TestOneSearch:
    def test_it_looks_like_the_environment_that_trains(self, surrogate_env, make):
        real = make(protocol="digits")
        action = np.full(20, 0.3, np.float32)
        for env in (surrogate_env, real):
            assert type(env.unwrapped) is NASESEnv
        assert surrogate_env.action_space == real.action_space
        assert surrogate_env.observation_space == real.observation_space
        (one, info), (other, expected) = (env.reset(seed=3) for env in (surrogate_env, real))
        np.testing.assert_array_equal(one, other)
        assert info == expected
        (one, reward, *_, info), (other, _, *_, expected) = (env.step(action) for env in (surrogate_env, real))
        np.testing.assert_array_equal(one, other)
        assert {name: type(value) for name, value in info.items()} == {
            name: type(value) for name, value in expected.items()
        }
        for name in ("parameters", "flops", "architecture", "architecture_key", "cached", "failure"):
            assert info[name] == expected[name]
        assert type(reward) is float
        # A model with an R² of 0.7: close, not equal.
        assert abs(info["validation_accuracy"] - expected["validation_accuracy"]) < 0.3

    def test_protocol_and_data_are_those_of_the_table(self, surrogate_env):
        env = surrogate_env.unwrapped
        assert (env.protocol.name, env.dataset, env.space.rules_name) == ("digits", "digits", "paper")

    @pytest.mark.parametrize("noise", [False, True])
    def test_gymnasium_has_nothing_to_warn_about(self, noise, monkeypatch):
        monkeypatch.setattr(gym.logger, "min_level", gym.logger.WARN)
        env = gym.make(ID, noise=noise, render_mode="rgb_array")
        env.reset(seed=0)
        env.render()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_env(env.unwrapped)
        assert [str(warning.message) for warning in caught] == []

    @pytest.mark.parametrize(("noise", "same"), [(False, True), (True, False)])
    def test_only_with_noise_does_an_episodes_child_seed_matter(self, noise, same, make_surrogate):
        env = make_surrogate(noise=noise)
        rewards = []
        for seed in (0, 1):
            env.reset(seed=seed)
            rewards.append(env.step(np.full(20, 0.3, np.float32))[1])
        assert (rewards[0] == rewards[1]) is same

    def test_a_repeated_child_is_cached_and_has_the_same_reward(self, make_surrogate):
        env = make_surrogate(noise=True)
        env.reset(seed=0)
        (_, one, *_, first), (_, other, *_, second) = (env.step(np.full(20, 0.6, np.float32)) for _ in range(2))
        assert one == other
        assert (first["cached"], second["cached"]) == (False, True)

    def test_without_a_journal_nothing_is_kept(self, surrogate_env):
        surrogate_env.reset(seed=0)
        for action in many_actions(5, 1):
            surrogate_env.step(action[0])
        ledger = surrogate_env.unwrapped.pipeline.ledger
        assert ledger.children == 5 and not ledger._found

    def test_a_journal_answers_and_knows_the_surrogate(self, make_surrogate, tmp_path, monkeypatch):
        from nases_env.surrogates import Surrogate

        journal = str(tmp_path / "journal.log")
        rewards = []
        for _ in range(2):
            env = make_surrogate(noise=True, ledger=journal)
            env.reset(seed=0)
            rewards.append([env.step(action[0])[1] for action in many_actions(3, 1)])
            env.close()
            monkeypatch.setattr(Surrogate, "predict", lambda *_: pytest.fail("asked again"))
        assert rewards[0] == rewards[1]
        evaluators = {trial.user_attrs["evaluation"]["evaluator"] for trial in read_trials(journal)}
        assert evaluators == {surrogates.make("digits", noise=True).fingerprint}

    def test_prefetched_children_are_what_the_steps_would_tell(self, make_surrogate):
        actions = many_actions(4, 1)[:, 0]
        told = []
        for prefetch in (False, True):
            env = make_surrogate(noise=True)
            env.reset(seed=0)
            if prefetch:
                env.get_wrapper_attr("prefetch")(actions)
            told.append([env.step(action)[1:] for action in actions])
        assert told[0] == told[1]

    def test_equal_prefetched_children_are_told_twice(self, make_surrogate):
        env = make_surrogate(noise=True)
        env.reset(seed=0)
        actions = np.full((3, 20), 0.3, np.float32)
        env.get_wrapper_attr("prefetch")(actions)
        told = [env.step(action) for action in actions]
        assert told[0][1] == told[1][1] == told[2][1]
        assert [info["cached"] for *_, info in told] == [False, True, True]

    def test_it_survives_pickling_with_all_its_arguments(self):
        env = NASESEnv(surrogate="digits", noise=True, decoder="pca", reward="validation", render_mode="ansi")
        copy = pickle.loads(pickle.dumps(env))
        for name in ("render_mode", "reward_function", "action_space"):
            assert getattr(copy, name) == getattr(env, name)
        assert copy.surrogate.noise
        for each in (env, copy):
            each.reset(seed=0)
        action = np.full(20, 0.2, np.float32)
        assert env.step(action)[1] == copy.step(action)[1]

    def test_a_surrogate_that_does_not_exist_is_refused(self):
        with pytest.raises(ValueError, match="no surrogate 'nowhere'"):
            gym.make(ID, surrogate="nowhere")


class TestManySearches:
    @pytest.mark.parametrize("decoder", ["autoencoder", "identity"])
    def test_each_is_what_a_single_one_is_step_by_step(self, decoder, make_surrogate):
        """Two budgets of three steps; a search that ended is reset by its next step."""
        keywords = {"max_episode_steps": 3, "noise": True, "decoder": decoder}
        many, alone = gym.make_vec(ID, num_envs=4, **keywords), [make_surrogate(**keywords) for _ in range(4)]
        actions = np.random.default_rng(0).random((8, *many.action_space.shape), np.float32)
        actions[1] = actions[0]  # repeats
        check_told(many.reset(seed=7), [env.reset(seed=7 + index) for index, env in enumerate(alone)])
        for step, action in enumerate(actions):
            observations, rewards, terminations, truncations, infos = many.step(action)
            assert not terminations.any()
            if step % 4 == 3:
                check_told((observations, infos), [env.reset() for env in alone])
                assert not rewards.any() and not truncations.any()
            else:
                expected = [env.step(one) for env, one in zip(alone, action, strict=True)]
                check_told((observations, infos), [(observation, info) for observation, *_, info in expected])
                np.testing.assert_array_equal(rewards, [reward for _, reward, *_ in expected])
                assert truncations.tolist() == [truncated for *_, truncated, _ in expected] == [step % 4 == 2] * 4

    def test_a_mask_starts_some_searches_again_and_the_others_go_on(self, make_surrogate):
        many = gym.make_vec(ID, num_envs=3, max_episode_steps=2, noise=True)
        alone = [make_surrogate(max_episode_steps=2, noise=True) for _ in range(3)]
        actions = many_actions(2, 3)
        many.reset(seed=0)
        for index, env in enumerate(alone):
            env.reset(seed=index)
        before = many.step(actions[0])[0]
        observations, infos = many.reset(options={"reset_mask": np.array([False, True, False])})
        for env, action in zip(alone, actions[0], strict=True):
            env.step(action)
        np.testing.assert_array_equal(observations[[0, 2]], before[[0, 2]])
        np.testing.assert_array_equal(observations[1], alone[1].reset()[0])
        np.testing.assert_array_equal(infos["_architecture_key"], [False, True, False])
        expected = [env.step(action) for env, action in zip(alone, actions[1], strict=True)]
        _, rewards, _, truncations, _ = many.step(actions[1])
        np.testing.assert_array_equal(rewards, [reward for _, reward, *_ in expected])
        np.testing.assert_array_equal(truncations, [True, False, True])

    def test_make_vec_gives_it_and_truncates_at_the_budget(self):
        many = gym.make_vec(ID, num_envs=3, max_episode_steps=2)
        assert type(many.unwrapped) is NASESVectorEnv
        assert many.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
        many.reset(seed=0)
        truncated = [many.step(actions)[3].all() for actions in many_actions(6, 3)]
        assert truncated == [False, True, False, False, True, False]

    def test_no_architecture_is_built(self, monkeypatch):
        from nases_env.search_spaces import MacroSpace

        many = gym.make_vec(ID, num_envs=3, max_episode_steps=2)
        monkeypatch.setattr(MacroSpace, "architecture", lambda *_: pytest.fail("built"))
        many.reset(seed=0)
        for actions in many_actions(4, 3):
            many.step(actions)

    def test_more_searches_than_a_thread_takes_are_what_few_are(self):
        few, many = (gym.make_vec(ID, num_envs=searches, noise=True) for searches in (3, 400))
        actions = many_actions(1, 400)[0]
        for env in (few, many):
            env.reset(seed=0)
        one, other = few.step(actions[:3]), many.step(actions)
        for found, expected in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(found, expected[:3])
        np.testing.assert_array_equal(one[4]["architecture_key"], other[4]["architecture_key"][:3])

    def test_infos_are_arrays_as_gymnasiums_own(self, make_surrogate):
        gymnasiums = gym.make_vec(ID, num_envs=2, vectorization_mode="sync", noise=True)
        ours = gym.make_vec(ID, num_envs=2, noise=True)
        for env in (gymnasiums, ours):
            env.reset(seed=0)
        expected, found = (env.step(many_actions(1, 2)[0])[4] for env in (gymnasiums, ours))
        assert expected.keys() == found.keys()
        for name, values in expected.items():
            assert values.dtype == found[name].dtype, name
            np.testing.assert_array_equal(values, found[name], err_msg=name)

    def test_processes_can_be_forked_after_many_searches(self):
        many = gym.make_vec(ID, num_envs=400)
        many.reset(seed=0)
        many.step(many_actions(1, 400)[0])
        forked = gym.make_vec(ID, num_envs=2, vectorization_mode="async")
        try:
            forked.reset(seed=0)
            forked.step_async(many_actions(1, 2)[0])
            assert forked.step_wait(timeout=60)[1].shape == (2,)
        finally:
            forked.close(terminate=True)

    @pytest.mark.parametrize(("mode", "kind"), [("ansi", str), ("rgb_array", np.ndarray), (None, type(None))])
    def test_every_search_is_rendered(self, mode, kind):
        many = gym.make_vec(ID, num_envs=2, render_mode=mode)
        many.reset(seed=0)
        assert [type(part) for part in many.render()] == [kind, kind]

    def test_a_journal_is_refused(self, tmp_path):
        for keywords in ({"ledger": str(tmp_path / "journal.log")}, {"reuse": ["other.log"]}):
            with pytest.raises(ValueError, match="leave ledger and reuse out"):
                gym.make_vec(ID, num_envs=2, **keywords)

    def test_a_mask_may_start_an_ended_search_again(self):
        many = gym.make_vec(ID, num_envs=1, max_episode_steps=1)
        many.reset(seed=0)
        action = many_actions(1, 1)[0]
        assert many.step(action)[3].all()
        many.reset(options={"reset_mask": np.array([True])})
        _, rewards, _, truncations, _ = many.step(action)
        assert rewards[0] != 0 and truncations.all()
