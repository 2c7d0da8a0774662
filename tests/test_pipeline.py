"""The walk from actions to rewards: what is evaluated, what is remembered, and in which order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from nases_env import embeddings, rewards, search_spaces
from nases_env.evaluators import Evaluation
from nases_env.ledger import JournalLedger, Ledger, LedgerMismatchError, read_trials
from nases_env.pipeline import Pipeline

SPACE = search_spaces.make()
DECODER = embeddings.make("identity", SPACE)
ACTIONS = np.random.default_rng(0).random((5, 60), np.float32)
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(DECODER.decode(ACTIONS))]
KEYS = [architecture.key for architecture in ARCHITECTURES]


def expected(key, seed):
    """What CountingEvaluator finds out about a child: never twice the same for two."""
    return Evaluation(validation_accuracy=int(key, 16) / 16**16, parameters=seed, seconds=1.5)


class CountingEvaluator:
    """Evaluates in an instant and remembers what it was asked for.

    Args:
        order: Positions of a batch in the order in which they are completed.
        fail_at: The child, counted from 0, at which it raises.
        watch: Called before each child is evaluated.
    """

    def __init__(self, fingerprint="counting", order=None, fail_at=None, watch=lambda: None):
        self.fingerprint = fingerprint
        self.asked = []
        self.closed = self.prepared = 0
        self._order, self._fail_at, self._watch = order, fail_at, watch

    def evaluate(self, architectures, seeds):
        for index in self._order or range(len(architectures)):
            self._watch()
            if len(self.asked) == self._fail_at:
                raise KeyboardInterrupt
            child = architectures[index].key, seeds[index]
            self.asked.append(child)
            yield index, expected(*child)

    def prepare(self):
        self.prepared += 1

    def close(self):
        self.closed += 1


def walk(evaluator, ledger):
    return Pipeline(SPACE, DECODER, lambda: evaluator, rewards.eq1, lambda: ledger)


@pytest.fixture(params=["memory", "journal"])
def ledger(request, tmp_path):
    ledger = Ledger() if request.param == "memory" else JournalLedger(tmp_path / "journal.log")
    yield ledger
    ledger.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.log"


def recorded(path):
    """(architecture key, action, reward) of each trial of a journal."""
    trials = read_trials(path)
    return [(trial.user_attrs["evaluation"]["architecture"], [*trial.params.values()], trial.value) for trial in trials]


def walked(children, actions):
    """What `recorded` should tell of these children."""
    return [
        (child.architecture.key, action, child.reward) for child, action in zip(children, actions.tolist(), strict=True)
    ]


def test_child_is_its_actions_origin_vector_architecture_evaluation_and_reward(ledger):
    children = walk(CountingEvaluator(), ledger)(ACTIONS, [3] * 5)
    assert len(children) == 5
    for child, action, architecture in zip(children, ACTIONS, ARCHITECTURES, strict=True):
        assert child.origin.dtype == np.float32
        np.testing.assert_array_equal(child.origin, DECODER.decode(action[None])[0])
        assert child.architecture == architecture
        assert child.evaluation == expected(architecture.key, 3)
        assert child.reward == rewards.eq1(child.evaluation)


def test_reward_is_computed_once_a_child_when_it_is_new_and_when_it_is_replayed(path):
    for _ in range(2):
        asked = []

        def reward(evaluation, asked=asked):
            asked.append(evaluation)
            return rewards.eq1(evaluation)

        ledger = JournalLedger(path)
        Pipeline(SPACE, DECODER, CountingEvaluator, reward, lambda ledger=ledger: ledger)(ACTIONS, [0] * 5)
        ledger.close()
        assert len(asked) == 5


class TestMemory:
    def test_equal_child_is_evaluated_once(self, ledger):
        evaluator = CountingEvaluator()
        pipeline = walk(evaluator, ledger)
        first, again = (pipeline(ACTIONS[:1], [0])[0] for _ in range(2))
        assert evaluator.asked == [(KEYS[0], 0)]
        assert again.evaluation == replace(first.evaluation, seconds=0.0)
        assert again.reward == first.reward
        assert ledger.children == 2

    def test_other_action_of_the_same_network_is_not_evaluated(self, ledger):
        moved = ACTIONS[:1].copy()
        moved[0, 1] += 1e-6  # a filter size, far from its thresholds
        evaluator = CountingEvaluator()
        pipeline = walk(evaluator, ledger)
        first, other = pipeline(ACTIONS[:1], [0])[0], pipeline(moved, [0])[0]
        assert len(evaluator.asked) == 1
        assert first.architecture == other.architecture
        assert not np.array_equal(first.origin, other.origin)

    def test_other_seed_is_another_evaluation(self, ledger):
        evaluator = CountingEvaluator()
        pipeline = walk(evaluator, ledger)
        children = [pipeline(ACTIONS[:1], [seed])[0] for seed in (0, 1, 0)]
        assert evaluator.asked == [(KEYS[0], 0), (KEYS[0], 1)]
        assert [child.evaluation.parameters for child in children] == [0, 1, 0]

    def test_equal_children_of_one_batch_are_evaluated_once_and_all_returned(self, ledger):
        evaluator = CountingEvaluator()
        children = walk(evaluator, ledger)(ACTIONS[[0, 1, 0, 0]], [0, 0, 0, 0])
        assert evaluator.asked == [(KEYS[0], 0), (KEYS[1], 0)]
        assert [child.evaluation for child in children] == [
            expected(KEYS[0], 0),
            expected(KEYS[1], 0),
            replace(expected(KEYS[0], 0), seconds=0.0),
            replace(expected(KEYS[0], 0), seconds=0.0),
        ]
        assert ledger.children == 4

    def test_equal_architectures_with_different_seeds_in_one_batch_are_all_evaluated(self, ledger):
        evaluator = CountingEvaluator()
        children = walk(evaluator, ledger)(ACTIONS[[0, 0, 0]], [0, 1, 0])
        assert evaluator.asked == [(KEYS[0], 0), (KEYS[0], 1)]
        assert [child.evaluation.parameters for child in children] == [0, 1, 0]

    def test_batch_with_known_children_evaluates_the_others(self, ledger):
        evaluator = CountingEvaluator()
        pipeline = walk(evaluator, ledger)
        pipeline(ACTIONS[[1, 3]], [0, 0])
        children = pipeline(ACTIONS, [0] * 5)
        assert evaluator.asked == [(KEYS[i], 0) for i in (1, 3, 0, 2, 4)]
        assert [child.architecture.key for child in children] == KEYS
        assert [child.evaluation.seconds for child in children] == [1.5, 0, 1.5, 0, 1.5]

    def test_other_fingerprint_is_another_evaluation(self, ledger):
        for evaluator in (CountingEvaluator("one"), CountingEvaluator("other")):
            walk(evaluator, ledger)(ACTIONS[:1], [0])
            assert evaluator.asked == [(KEYS[0], 0)]

    def test_without_a_fingerprint_nothing_is_remembered(self, ledger):
        evaluator = CountingEvaluator(fingerprint=None)
        pipeline = walk(evaluator, ledger)
        pipeline(ACTIONS[[0, 0]], [0, 0])
        children = pipeline(ACTIONS[[0]], [0])
        assert evaluator.asked == [(KEYS[0], 0)] * 3
        assert children[0].evaluation.seconds == 1.5

    def test_failed_child_is_evaluated_once_and_gets_the_lowest_reward(self, ledger):
        class Failing(CountingEvaluator):
            def evaluate(self, architectures, seeds):
                for index, evaluation in super().evaluate(architectures, seeds):
                    yield index, replace(evaluation, failure="out_of_memory")

        evaluator = Failing()
        pipeline = walk(evaluator, ledger)
        assert [pipeline(ACTIONS[:1], [0])[0].reward for _ in range(2)] == [-1.0, -1.0]
        assert len(evaluator.asked) == 1


class TestOrder:
    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    def test_completed_in_any_order_children_are_returned_and_recorded_in_theirs(self, order, path):
        # Three to evaluate, a repeat among them.
        chosen = ACTIONS[[0, 1, 0, 2]]
        ledger = JournalLedger(path)
        children = walk(CountingEvaluator(order=order), ledger)(chosen, [0] * 4)
        ledger.close()
        keys = [KEYS[i] for i in (0, 1, 0, 2)]
        assert [child.architecture.key for child in children] == keys
        assert [replace(child.evaluation, seconds=1.5) for child in children] == [expected(key, 0) for key in keys]
        assert recorded(path) == walked(children, chosen)

    def test_indices_are_those_of_the_children_asked_for(self, ledger):
        # Children 0 and 2 are known, so positions 0, 1, 2 of what is asked for are 1, 3 and 4.
        pipeline = walk(CountingEvaluator(), ledger)
        pipeline(ACTIONS[[0, 2]], [0, 0])
        children = walk(CountingEvaluator(order=(2, 0, 1)), ledger)(ACTIONS, [0] * 5)
        assert [replace(child.evaluation, seconds=1.5) for child in children] == [expected(key, 0) for key in KEYS]


class TestDurability:
    def test_evaluation_is_recorded_before_the_next_is_asked_for(self, path):
        ledger = JournalLedger(path)
        lengths = []
        evaluator = CountingEvaluator(watch=lambda: lengths.append(len(read_trials(path))))
        walk(evaluator, ledger)(ACTIONS, [0] * 5)
        ledger.close()
        assert lengths == [0, 1, 2, 3, 4]

    def test_children_before_an_interruption_are_kept_and_only_the_rest_is_evaluated_after_it(self, path):
        ledger = JournalLedger(path)
        with pytest.raises(KeyboardInterrupt):
            walk(CountingEvaluator(fail_at=2), ledger)(ACTIONS, [0] * 5)
        ledger.close()
        assert [key for key, *_ in recorded(path)] == KEYS[:2]
        ledger, evaluator = JournalLedger(path), CountingEvaluator()
        children = walk(evaluator, ledger)(ACTIONS, [0] * 5)
        ledger.close()
        assert evaluator.asked == [(key, 0) for key in KEYS[2:]]
        assert [child.evaluation for child in children] == [expected(key, 0) for key in KEYS]
        assert [key for key, *_ in recorded(path)] == KEYS

    def test_walk_can_go_on_after_an_interruption(self, ledger):
        evaluator = CountingEvaluator(fail_at=2)
        pipeline = walk(evaluator, ledger)
        with pytest.raises(KeyboardInterrupt):
            pipeline(ACTIONS, [0] * 5)
        evaluator._fail_at = None
        children = pipeline(ACTIONS[2:], [0] * 3)
        assert [child.evaluation for child in children] == [expected(key, 0) for key in KEYS[2:]]
        assert ledger.children == 5


class TestResume:
    @pytest.mark.parametrize("batches", [[5], [1, 1, 1, 1, 1], [2, 3]])
    def test_whole_journal_answers_everything_in_batches_of_any_size(self, batches, path):
        ledger = JournalLedger(path)
        chosen, seeds = ACTIONS[[0, 1, 0, 2, 3]], [0, 0, 0, 0, 1]
        first = walk(CountingEvaluator(), ledger)(chosen, seeds)
        ledger.close()
        before = path.read_bytes()

        ledger, evaluator = JournalLedger(path), CountingEvaluator()
        pipeline = walk(evaluator, ledger)
        again, start = [], 0
        for size in batches:
            again += pipeline(chosen[start : start + size], seeds[start : start + size])
            start += size
        ledger.close()
        assert evaluator.asked == []
        assert path.read_bytes() == before
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.origin, other.origin)
            assert (one.architecture, one.evaluation, one.reward) == (
                other.architecture, other.evaluation, other.reward
            )  # fmt: skip

    @pytest.mark.parametrize("known", range(5))
    def test_partly_filled_journal_evaluates_only_the_rest(self, known, path):
        ledger = JournalLedger(path)
        if known:
            walk(CountingEvaluator(), ledger)(ACTIONS[:known], [0] * known)
        ledger.close()
        ledger, evaluator = JournalLedger(path), CountingEvaluator()
        children = walk(evaluator, ledger)(ACTIONS, [0] * 5)
        ledger.close()
        assert evaluator.asked == [(key, 0) for key in KEYS[known:]]
        assert [child.evaluation for child in children] == [expected(key, 0) for key in KEYS]
        assert [key for key, *_ in recorded(path)] == KEYS

    def test_repeat_of_a_replayed_child_is_not_evaluated(self, path):
        ledger = JournalLedger(path)
        walk(CountingEvaluator(), ledger)(ACTIONS[:2], [0, 0])
        ledger.close()
        ledger, evaluator = JournalLedger(path), CountingEvaluator()
        walk(evaluator, ledger)(ACTIONS[[0, 1, 0, 2]], [0] * 4)
        ledger.close()
        assert evaluator.asked == [(KEYS[2], 0)]

    @pytest.mark.parametrize("change", ["action", "seed", "evaluator"])
    def test_another_run_is_refused_and_evaluates_nothing(self, change, path):
        ledger = JournalLedger(path)
        walk(CountingEvaluator(), ledger)(ACTIONS[:2], [0, 0])
        ledger.close()
        before = path.read_bytes()
        ledger = JournalLedger(path)
        evaluator = CountingEvaluator("other" if change == "evaluator" else "counting")
        with pytest.raises(LedgerMismatchError):
            walk(evaluator, ledger)(
                ACTIONS[[0, 2]] if change == "action" else ACTIONS[:2], [0, 1] if change == "seed" else [0, 0]
            )
        ledger.close()
        assert evaluator.asked == []
        assert path.read_bytes() == before

    def test_reused_journal_evaluates_nothing_and_is_recorded_as_this_runs_own(self, path):
        other = path.with_name("other.log")
        ledger = JournalLedger(other)
        walk(CountingEvaluator(), ledger)(ACTIONS, [0] * 5)
        ledger.close()
        ledger, evaluator = JournalLedger(path, reuse=[other]), CountingEvaluator()
        children = walk(evaluator, ledger)(ACTIONS[::-1], [0] * 5)
        ledger.close()
        assert evaluator.asked == []
        assert [child.evaluation for child in children] == [
            replace(expected(key, 0), seconds=0.0) for key in KEYS[::-1]
        ]
        assert recorded(path) == walked(children, ACTIONS[::-1])


class TestEvaluator:
    def test_it_is_made_once_when_the_first_action_comes(self):
        made = []

        def make():
            made.append(CountingEvaluator())
            return made[-1]

        pipeline = Pipeline(SPACE, DECODER, make, rewards.eq1, Ledger)
        assert made == []
        for seed in (0, 1):
            pipeline(ACTIONS[:1], [seed])
        assert len(made) == 1

    def test_closing_closes_it_and_lets_go_of_the_journal(self, path):
        evaluator = CountingEvaluator()
        pipeline = walk(evaluator, JournalLedger(path))
        pipeline(ACTIONS[:1], [0])
        pipeline.close()
        assert evaluator.closed == 1
        JournalLedger(path).close()

    def test_closing_before_the_first_action_and_twice_is_fine(self, path):
        evaluator = CountingEvaluator()
        pipeline = Pipeline(SPACE, DECODER, lambda: evaluator, rewards.eq1, lambda: JournalLedger(path))
        pipeline.close()
        pipeline.close()
        assert evaluator.closed == 0
        assert not path.exists()

    def test_closed_pipeline_goes_on_with_another_ledger(self, path):
        pipeline = Pipeline(SPACE, DECODER, CountingEvaluator, rewards.eq1, lambda: JournalLedger(path))
        pipeline(ACTIONS[:1], [0])
        pipeline.close()
        assert pipeline.opened is None
        pipeline(ACTIONS[:2], [0, 0])
        pipeline.close()
        assert [key for key, *_ in recorded(path)] == KEYS[:2]

    def test_preparing_prepares_the_evaluator_and_leaves_the_ledger_closed(self, path):
        evaluator = CountingEvaluator()
        pipeline = Pipeline(SPACE, DECODER, lambda: evaluator, rewards.eq1, lambda: JournalLedger(path))
        pipeline.prepare()
        assert (evaluator.prepared, evaluator.asked) == (1, [])
        assert pipeline.opened is None and not path.exists()
