"""An evaluator of the user's own: a formula steps, is journaled, replayed, copied and asked for rows."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

from nases_env.evaluation import Evaluation, Evaluations
from nases_env.ledger import LedgerMismatchError, read_trials


def accuracy(key, seed):
    """What Formula tells of a child."""
    return (int(key, 16) % 1000 + seed % 7) / 1010


class Formula:
    """Needs neither data nor time, and has no more than an evaluator has to have."""

    def __init__(self, fingerprint="formula"):
        self.fingerprint = fingerprint
        self.asked, self.told = 0, {}

    def evaluate(self, architectures, seeds):
        for index, (architecture, seed) in enumerate(zip(architectures, seeds, strict=True)):
            self.asked += 1
            self.told[architecture.key] = accuracy(architecture.key, seed)
            yield index, Evaluation(validation_accuracy=self.told[architecture.key])


class Listing(Formula):
    """Gives a list, and closes and prepares."""

    def __init__(self):
        super().__init__()
        self.prepared = self.closed = 0

    def prepare(self):
        self.prepared += 1

    def close(self):
        self.closed += 1

    def evaluate(self, architectures, seeds):
        return list(super().evaluate(architectures, seeds))


class Table(Formula):
    """Also takes rows."""

    def evaluate_rows(self, rows, keys, seeds):
        found = np.array([accuracy(key, seed) for key, seed in zip(keys, seeds, strict=True)])
        nothing = np.zeros(len(rows), int)
        return Evaluations(np.zeros(len(rows)), found, nothing, nothing)


class Silent(Formula):
    """Tells nothing."""

    def evaluate(self, architectures, seeds):
        return iter(())


class Misnamed(Formula):
    """Its fingerprint turns out to be wrong when it is asked for."""

    def __init__(self):
        self.asked, self.told = 0, {}

    @property
    def fingerprint(self):
        return 3


def formula_env(evaluator, **keywords):
    return gym.make("NASES-v0", evaluator=evaluator, reward="validation", **keywords)


def rewards(env, actions):
    return [env.step(action)[1] for action in actions]


def test_its_evaluations_are_rewarded(actions):
    env = formula_env(Formula())
    env.reset(seed=0)
    for action in actions:
        _, reward, _, _, info = env.step(action)
        assert (
            reward
            == info["validation_accuracy"]
            == accuracy(info["architecture_key"], env.unwrapped._episode.child_seed)
        )


@pytest.mark.parametrize(("fingerprint", "asked"), [("formula", 3), (None, 6)])
def test_only_with_a_fingerprint_are_equal_children_answered_from_memory(fingerprint, asked, actions):
    evaluator = Formula(fingerprint)
    env = formula_env(evaluator)
    env.reset(seed=0)
    assert rewards(env, actions) == rewards(env, actions)
    assert evaluator.asked == asked


@pytest.mark.parametrize("fingerprint", ["formula", None])
def test_a_search_is_journaled_and_replayed(fingerprint, actions, tmp_path):
    journal, found = tmp_path / "journal.log", []
    evaluators = Formula(fingerprint), Formula(fingerprint)
    for evaluator in evaluators:
        env = formula_env(evaluator, ledger=journal)
        env.reset(seed=0)
        found.append(rewards(env, actions))
        env.close()
    assert found[0] == found[1] == [trial.value for trial in read_trials(journal)]
    assert [evaluator.asked for evaluator in evaluators] == [3, 0]


def test_another_evaluators_journal_is_refused(actions, tmp_path):
    for fingerprint in ("formula", "other"):
        env = formula_env(Formula(fingerprint), ledger=tmp_path / "journal.log")
        env.reset(seed=0)
        if fingerprint == "other":
            with pytest.raises(LedgerMismatchError):
                env.step(actions[0])
        else:
            env.step(actions[0])
        env.close()


def test_it_may_prepare_and_close_and_give_a_list(actions):
    evaluator = Listing()
    env = formula_env(evaluator)
    env.get_wrapper_attr("prepare")()
    env.reset(seed=0)
    first = rewards(env, actions)
    env.close()
    assert (evaluator.prepared, evaluator.closed) == (1, 1)
    env.reset(seed=0)
    assert rewards(env, actions) == first


@pytest.mark.parametrize(("evaluator", "words"), [(Silent(), "told less than it was asked for"), (Misnamed(), "is 3;")])
def test_one_that_keeps_no_promise_is_told_so(evaluator, words, actions):
    env = formula_env(evaluator)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=words):
        env.step(actions[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_have_copies_of_it(copied, actions):
    evaluator = Formula(None)
    env = formula_env(evaluator)
    env.reset(seed=0)
    env.step(actions[0])
    twin = copied(env)
    assert rewards(twin, actions[1:]) == rewards(env, actions[1:])
    assert evaluator.asked == 3


def test_many_searches_are_asked_for_rows_where_it_takes_them(actions):
    found, asked = [], []
    for evaluator in (Formula(), Table()):
        many = gym.make_vec("NASES-v0", num_envs=3, evaluator=evaluator, reward="validation")
        many.reset(seed=0)
        found.append(many.step(actions))
        asked.append(evaluator.asked)
    for one, other in zip(found[0][:2], found[1][:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][4].keys() == found[1][4].keys()
    assert asked == [3, 0]


def test_many_searches_with_a_journal_are_not_asked_for_rows(actions, tmp_path):
    evaluator, journal = Table(), tmp_path / "journal.log"
    many = gym.make_vec("NASES-v0", num_envs=3, evaluator=evaluator, ledger=journal)
    many.reset(seed=0)
    many.step(actions)
    many.close()
    assert evaluator.asked == len(read_trials(journal)) == 3
