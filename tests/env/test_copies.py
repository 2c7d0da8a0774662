"""Copies and pickles in mid-episode: they go on as the original would, and leave it alone."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from nases_env.env import NASESEnv
from nases_env.evaluators.child_training import ChildTraining
from nases_env.ledger import read_trials

SURROGATE = "NASES-Digits-Surrogate-v0"


def pickled(env):
    return pickle.loads(pickle.dumps(env))


COPIES = pytest.mark.parametrize("copied", [copy.deepcopy, pickled])


@pytest.fixture
def make_vec(tiny):
    made = []

    def make_vec(id="NASES-Digits-v0", **keywords):
        if id != SURROGATE:
            keywords = {"protocol": tiny, "device": "cpu", "workers": 0} | keywords
        made.append(gym.make_vec(id, **{"num_envs": 2, "max_episode_steps": 3} | keywords))
        return made[-1]

    yield make_vec
    for env in made:
        env.close()


@pytest.fixture
def no_training(monkeypatch):
    """From the moment it is called, a child that is trained fails the test."""

    def no_training():
        monkeypatch.setattr(ChildTraining, "_evaluate", lambda *_: pytest.fail("trained again"))

    return no_training


def steps(env, actions):
    return [env.step(action) for action in actions]


def check_both_go_on(original, twin, actions):
    """The same from both, whichever steps first, up to the observations that the next episodes start from."""
    for action in actions:
        first, second = original.step(action), twin.step(action)
        assert data_equivalence(first, second, exact=True)
    for action in actions:
        second, first = twin.step(action), original.step(action)
        assert data_equivalence(first, second, exact=True)
    assert data_equivalence(original.reset(), twin.reset(), exact=True)


@COPIES
class TestOneSearch:
    def test_copy_goes_on_as_the_original_does(self, copied, make, actions):
        env = make(max_episode_steps=7, render_mode="ansi")
        env.reset(seed=3)
        env.action_space.seed(4)
        steps(env, actions[:2])
        twin = copied(env)
        assert twin.render() == env.render()
        assert twin.spec == env.spec
        assert twin.unwrapped.evaluation == env.unwrapped.evaluation
        check_both_go_on(env, twin, actions)
        np.testing.assert_array_equal(env.action_space.sample(), twin.action_space.sample())

    def test_copy_of_a_search_on_a_surrogate_goes_on_as_the_original_does(self, copied, actions):
        env = gym.make(SURROGATE, noise=True, max_episode_steps=7)
        env.reset(seed=3)
        steps(env, actions[:2])
        twin = copied(env)
        check_both_go_on(env, twin, actions)
        ledger = twin.unwrapped.pipeline.ledger
        assert ledger.children == 8 and not ledger._found  # a surrogate is faster than memory fills

    def test_steps_of_a_copy_leave_the_original_alone(self, copied, make, actions):
        env, untouched = make(max_episode_steps=4), make(max_episode_steps=4)
        for each in (env, untouched):
            each.reset(seed=3)
            each.step(actions[0])
        twin = copied(env)
        steps(twin, actions)
        twin.reset(seed=9)
        twin.close()
        assert data_equivalence(steps(untouched, actions), steps(env, actions), exact=True)

    def test_what_the_original_had_is_cached_and_not_trained_again(self, copied, make, actions, no_training):
        env = make()
        env.reset(seed=3)
        before = steps(env, actions)
        no_training()
        twin = copied(env)
        after = steps(twin, actions)
        assert [step[1] for step in after] == [step[1] for step in before]
        assert all(step[4]["cached"] for step in after)

    def test_prefetched_children_are_carried(self, copied, make, actions, no_training):
        env = make()
        env.reset(seed=3)
        env.get_wrapper_attr("prefetch")(actions)
        env.step(actions[0])
        no_training()
        twin = copied(env)
        with pytest.raises(ValueError, match="the next prefetched action is"):
            twin.step(actions[2])
        assert data_equivalence(steps(twin, actions[1:]), steps(env, actions[1:]), exact=True)

    def test_copy_before_the_first_reset_is_a_fresh_environment(self, copied, make, actions):
        env = make()
        twin = copied(env)
        assert data_equivalence(twin.reset(seed=1), env.reset(seed=1), exact=True)
        assert data_equivalence(twin.step(actions[0]), env.step(actions[0]), exact=True)

    def test_copy_of_a_copy_goes_on_too(self, copied, make, actions, no_training):
        env = make()
        env.reset(seed=3)
        steps(env, actions)
        no_training()
        twin = copied(copied(env))
        assert data_equivalence(steps(twin, actions), steps(env, actions), exact=True)


def test_deep_copies_share_what_nothing_changes_and_pickles_leave_it_out(make, actions):
    env = make()
    env.reset(seed=3)
    env.step(actions[0])
    twin = copy.deepcopy(env)
    assert twin.unwrapped.decoder is env.unwrapped.decoder
    assert twin.unwrapped.space is env.unwrapped.space
    assert len(pickle.dumps(env)) < 30_000


def test_copy_starts_workers_of_its_own(make, actions):
    env = make(workers=1)
    env.reset(seed=3)
    env.step(actions[0])
    twin = copy.deepcopy(env)
    try:
        check_both_go_on(env, twin, actions[1:2])
    finally:
        twin.close()


def test_shallow_copy_has_an_episode_of_its_own_too(make, actions):
    env = make().unwrapped
    env.reset(seed=3)
    twin = copy.copy(env)
    twin.step(actions[0])
    assert env.step(actions[0])[4]["cached"] is False


def test_pickle_of_an_earlier_version_is_a_fresh_environment(tiny):
    arguments = ("digits", "data", tiny, "macro", "paper", "identity", "none", "eq1", "cpu", None, (), 0, None)
    env = NASESEnv.__new__(NASESEnv)
    env.__setstate__({"_ezpickle_args": arguments, "_ezpickle_kwargs": {}})
    assert env.action_space.shape == (60,)
    assert env.reset(seed=0)[0].shape == (60,)


@COPIES
class TestJournal:
    def test_only_the_original_writes(self, copied, make, actions, tmp_path, no_training):
        journal = tmp_path / "journal.log"
        env = make(ledger=str(journal))
        env.reset(seed=3)
        before = steps(env, actions[:2])
        twin = copied(env)
        planned = steps(twin, actions[[2, 0]])  # one that is new, one that is known
        assert len(read_trials(journal)) == 2
        assert planned[1][1] == before[0][1]
        assert steps(env, actions[2:])[0][1] == planned[0][1]
        assert len(read_trials(journal)) == 3
        env.close()
        no_training()
        again = make(ledger=str(journal))
        again.reset(seed=3)
        steps(again, actions)

    def test_what_the_journal_knew_is_answered_from_memory(self, copied, make, actions, tmp_path, no_training):
        journal = str(tmp_path / "journal.log")
        env = make(ledger=journal)
        env.reset(seed=3)
        expected = steps(env, actions)
        env.close()
        no_training()
        resumed = make(ledger=journal)
        resumed.reset(seed=3)
        resumed.step(actions[0])
        twin = copied(resumed)
        resumed.close()
        for env in (twin, copied(twin)):
            assert data_equivalence(steps(env, actions[1:]), expected[1:], exact=True)

    def test_closed_copy_still_knows_and_writes_nothing(self, copied, make, actions, tmp_path, no_training):
        journal = tmp_path / "journal.log"
        env = make(ledger=str(journal))
        env.reset(seed=3)
        env.step(actions[0])
        twin = copied(env)
        twin.close()
        no_training()
        twin.reset(seed=3)
        twin.step(actions[0])
        assert len(read_trials(journal)) == 1

    def test_copy_made_before_the_first_reset_has_the_journal_itself(self, copied, make, actions, tmp_path):
        journal = tmp_path / "journal.log"
        twin = copied(make(ledger=str(journal)))
        twin.reset(seed=3)
        twin.step(actions[0])
        twin.close()
        assert len(read_trials(journal)) == 1


def test_deep_copy_between_reset_and_the_first_step_leaves_the_journal_to_the_original(make, actions, tmp_path):
    journal = tmp_path / "journal.log"
    env = make(ledger=str(journal))
    env.reset(seed=3)
    copy.deepcopy(env).step(actions[1])
    env.step(actions[0])
    (trial,) = read_trials(journal)
    assert list(trial.params.values()) == actions[0].tolist()


@COPIES
class TestManySearches:
    @pytest.mark.parametrize("id", ["NASES-Digits-v0", SURROGATE])
    def test_copy_goes_on_as_the_original_does(self, copied, id, make_vec):
        env = make_vec(id)
        actions = np.random.default_rng(0).random((2, 2, 20), np.float32)
        env.reset(seed=3)
        env.step(actions[0])
        env.reset(options={"reset_mask": np.array([True, False])})
        env.step(actions[1])
        twin = copied(env)
        assert twin.decoder is twin.unwrapped._env.decoder
        check_both_go_on(env, twin, actions)  # beyond the budget: searches start again

    def test_steps_of_a_copy_leave_the_original_alone(self, copied, make_vec):
        env, untouched = make_vec(), make_vec()
        actions = np.random.default_rng(0).random((3, 2, 20), np.float32)
        for each in (env, untouched):
            each.reset(seed=3)
            each.step(actions[0])
        twin = copied(env)
        steps(twin, actions)
        twin.close()
        assert data_equivalence(steps(untouched, actions), steps(env, actions), exact=True)

    def test_only_the_original_writes_its_journal(self, copied, make_vec, tmp_path):
        journal = tmp_path / "journal.log"
        env = make_vec(ledger=str(journal))
        actions = np.random.default_rng(0).random((2, 2, 20), np.float32)
        env.reset(seed=3)
        env.step(actions[0])
        twin = copied(env)
        planned = twin.step(actions[1])
        assert len(read_trials(journal)) == 2
        assert data_equivalence(env.step(actions[1]), planned, exact=True)
        assert len(read_trials(journal)) == 4
