"""The walk in order of completion: what is asked for when, what is evaluated, and that it replays."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nases_env import embeddings, rewards, search_spaces
from nases_env.ledger import JournalLedger, Ledger, LedgerMismatchError, read_trials
from nases_env.pipeline import Pipeline
from tests.evaluators.toys import Shuffling, expected

SPACE = search_spaces.make()
DECODER = embeddings.make("identity", SPACE)
ACTIONS = np.random.default_rng(0).random((12, 60), np.float32)
KEYS = [SPACE.architecture(row).key for row in SPACE.discretise(DECODER.decode(ACTIONS))]


class OneByOne:
    """Takes no children while it evaluates others."""

    def __init__(self, fingerprint="one by one"):
        self.fingerprint = fingerprint
        self.asked = []

    def evaluate(self, architectures, seeds):
        self.asked.append(len(architectures))
        for index, (architecture, seed) in enumerate(zip(architectures, seeds, strict=True)):
            yield index, expected(architecture.key, seed)


def pipeline(evaluator, ledger):
    return Pipeline(SPACE, DECODER, lambda: evaluator, rewards.validation, lambda: ledger)


def walk(evaluator, ledger, actions=ACTIONS, ahead=4):
    return pipeline(evaluator, ledger).walk_as_completed(actions, 3, ahead)


def told(walked):
    """Index, architecture and reward of each child, in the order in which they were told."""
    return [(index, child.architecture.key, child.reward) for index, _, child in walked]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.log"


def journaled(path, evaluator=None, **given):
    """Walk with a journal, which is closed at the end whatever happens."""
    ledger = JournalLedger(path)
    try:
        return told(walk(evaluator or Shuffling(), ledger, **given))
    finally:
        ledger.close()


def test_every_child_is_its_actions_own_and_is_told_once():
    walked = list(walk(Shuffling(), Ledger()))
    order = [index for index, _, _ in walked]
    assert sorted(order) == list(range(12)) != order
    for index, action, child in walked:
        np.testing.assert_array_equal(action, ACTIONS[index])
        np.testing.assert_array_equal(child.origin, DECODER.decode(action[None])[0])
        assert child.architecture.key == KEYS[index]
        assert child.evaluation == expected(KEYS[index], 3)
        assert child.reward == child.evaluation.validation_accuracy


@pytest.mark.parametrize("ahead", [1, 4, 50])
def test_an_action_is_taken_whenever_fewer_than_so_many_children_are_waited_for(ahead):
    events = []

    def actions():
        for action in ACTIONS:
            events.append("asked")
            yield action

    evaluator = Shuffling()
    for _ in walk(evaluator, Ledger(), actions(), ahead):
        events.append("told")
    first = min(ahead, 12)
    assert events == ["asked"] * first + ["told", "asked"] * (12 - first) + ["told"] * first
    assert evaluator.most == first


def test_an_evaluator_that_takes_no_children_meanwhile_is_asked_for_one_at_a_time():
    evaluator = OneByOne()
    assert [index for index, *_ in walk(evaluator, Ledger())] == list(range(12))
    assert evaluator.asked == [1] * 12


def test_an_evaluator_that_tells_too_little_is_named():
    class Silent(OneByOne):
        def evaluate_stream(self, jobs):
            return iter(())

    with pytest.raises(ValueError, match="told less than it was asked for; expected 4 more"):
        list(walk(Silent(), Ledger()))


def test_nothing_to_walk_evaluates_nothing():
    assert list(walk(Shuffling(), Ledger(), ACTIONS[:0])) == []


def test_equal_children_in_flight_are_evaluated_once_and_told_together():
    evaluator = Shuffling()
    walked = list(walk(evaluator, Ledger(), ACTIONS[[0, 1, 0, 0, 2, 0]]))
    assert sorted(evaluator.begun) == sorted(KEYS[:3])
    evaluations = {index: child.evaluation for index, _, child in walked}
    again = replace(expected(KEYS[0], 3), seconds=0.0)
    assert [evaluations[index] for index in (0, 2, 3, 5)] == [expected(KEYS[0], 3), again, again, again]
    order = [index for index, *_ in walked]
    assert order[order.index(0) : order.index(0) + 3] == [0, 2, 3]


def test_what_depends_on_history_is_evaluated_each_time():
    evaluator = Shuffling(fingerprint=None)
    list(walk(evaluator, Ledger(), ACTIONS[[0, 0, 0]]))
    assert evaluator.begun == [KEYS[0]] * 3


def test_what_the_ledger_knows_is_told_before_what_has_to_be_evaluated(path):
    journaled(path, actions=ACTIONS[[2, 3]])
    ledger, evaluator = JournalLedger(path.with_name("other.log"), reuse=[path]), Shuffling()
    order = [index for index, *_ in walk(evaluator, ledger, ACTIONS[:4])]
    ledger.close()
    assert order[:2] == [2, 3] and sorted(evaluator.begun) == sorted(KEYS[:2])


def test_a_child_that_fails_is_told_like_any_other():
    walked = list(walk(Shuffling(failing=KEYS[1:3]), Ledger()))
    failed = {index for index, _, child in walked if child.evaluation.failure == "nan"}
    assert failed == {1, 2} and len(walked) == 12
    assert {child.reward for index, _, child in walked if index in failed} == {-1.0}


class TestJournal:
    def test_it_holds_children_in_the_order_in_which_they_were_told(self, path):
        walked = journaled(path)
        trials = read_trials(path)
        assert [trial.user_attrs["evaluation"]["architecture"] for trial in trials] == [key for _, key, _ in walked]
        for trial, (index, _, reward) in zip(trials, walked, strict=True):
            assert [*trial.params.values()] == ACTIONS[index].tolist() and trial.value == reward
            evaluation = trial.user_attrs["evaluation"]
            assert evaluation.get("asked", evaluation["child"]) == index
            assert ("asked" in evaluation) == (index != trial.number)

    def test_children_in_order_are_recorded_as_ever(self, path):
        other = path.with_name("other.log")
        journaled(path, OneByOne())
        ledger = JournalLedger(other)
        pipeline(OneByOne(), ledger)(ACTIONS, [3] * 12)
        ledger.close()
        found, expected = (
            [(trial.params, trial.value, trial.user_attrs) for trial in read_trials(p)] for p in (path, other)
        )
        assert found == expected

    @pytest.mark.parametrize("ended", range(13))
    def test_interrupted_anywhere_it_goes_on_as_if_nothing_had_happened(self, ended, path):
        whole = journaled(path.with_name("whole.log"))
        ledger, before = JournalLedger(path), []
        with pytest.raises(KeyboardInterrupt):
            for each in walk(Shuffling(fail_at=ended), ledger):
                before += told([each])
            raise KeyboardInterrupt
        ledger.close()
        assert before == whole[:ended]
        recorded = path.read_bytes() if ended else b""
        evaluator = Shuffling()
        assert journaled(path, evaluator) == whole
        assert sorted(evaluator.begun) == sorted(set(KEYS) - {key for _, key, _ in before})
        assert path.read_bytes().startswith(recorded)
        assert len(read_trials(path)) == 12

    def test_a_whole_journal_answers_everything_and_stays_as_it_is(self, path):
        whole, before = journaled(path), path.read_bytes()
        evaluator = Shuffling()
        assert journaled(path, evaluator) == whole
        assert evaluator.begun == [] and path.read_bytes() == before

    def test_the_order_that_it_holds_counts_not_that_in_which_children_would_end_now(self, path):
        whole = journaled(path)
        ledger = JournalLedger(path)
        assert told(walk(OneByOne("shuffling"), ledger)) == whole
        ledger.close()

    def test_a_search_that_has_told_in_order_before_goes_on(self, path):
        """As one that starts from a known network does: its first child is known before others are asked for."""
        for evaluator in (Shuffling(fail_at=4), Shuffling()):
            ledger = JournalLedger(path)
            walks = pipeline(evaluator, ledger)
            assert [index for index, *_ in walks.walk_as_completed(ACTIONS[:1], 3, 1)] == [0]
            try:
                walked = told(walks.walk_as_completed(ACTIONS[1:], 3, 4))
            except KeyboardInterrupt:
                walked = []
            ledger.close()
        assert sorted(index for index, *_ in walked) == list(range(11))
        assert len(read_trials(path)) == 12

    @pytest.mark.parametrize(("ahead", "actions"), [(2, ACTIONS), (4, ACTIONS[::-1]), (4, ACTIONS[5:])])
    def test_another_run_is_refused_and_evaluates_nothing(self, ahead, actions, path):
        journaled(path)
        before, evaluator = path.read_bytes(), Shuffling()
        with pytest.raises(LedgerMismatchError):
            journaled(path, evaluator, actions=actions, ahead=ahead)
        assert evaluator.begun == [] and path.read_bytes() == before

    @pytest.mark.parametrize("forged", [0, 2, 99, "swapped"])
    def test_a_forged_order_is_refused(self, forged, path):
        journaled(path)
        lines = path.read_bytes().splitlines(keepends=True)
        if forged == "swapped":
            lines[3], lines[4] = lines[4], lines[3]
        else:
            lines[3] = _with_asked(lines[3], forged)
        path.write_bytes(b"".join(lines))
        before, evaluator = path.read_bytes(), Shuffling()
        with pytest.raises(LedgerMismatchError, match="Resume with the options"):
            journaled(path, evaluator)
        assert evaluator.begun == [] and path.read_bytes() == before


def _with_asked(line, asked):
    operation = json.loads(line)
    operation["user_attrs"]["evaluation"]["asked"] = asked
    return json.dumps(operation, separators=(",", ":")).encode() + b"\n"
