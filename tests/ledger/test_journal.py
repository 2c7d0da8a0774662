"""Journals: what is kept of an evaluation, and that neither a kill nor a second writer loses any of it."""

import json
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nases_env.evaluators import Evaluation
from nases_env.ledger import EvaluationId, JournalLedger, Ledger, LedgerMismatchError, read_trials
from nases_env.search_spaces import Architecture, MacroArchitecture

GOOD = Evaluation(
    train_accuracy=0.1 + 0.2,
    validation_accuracy=1 / 3,
    parameters=1_234,
    flops=56_789,
    epochs=[{"loss": 2.5, "running_train_accuracy": 0.25, "validation_accuracy": 1 / 3}],
    seconds=12.5,
    device="cpu",
    versions={"python": "3.11", "torch": "2.11"},
)
FAILED = Evaluation(parameters=9_999, flops=88_888, failure="too_many_parameters", seconds=0.5, device="cpu")


@dataclass(frozen=True)
class Named(Architecture):
    """The least an architecture can be, so that lines are short."""

    name: str

    @classmethod
    def _from_fields(cls, fields):
        return cls(**fields)

    def to_json(self):
        return json.dumps({"name": self.name})


def identity(name, seed=0, evaluator="data and protocol"):
    return EvaluationId(evaluator, Named(name).key, seed)


def action(index, size=1):
    """Float32 numbers that no short decimal has."""
    return np.random.default_rng(index).random(size, np.float32)


def record(ledger, name, evaluation=GOOD, reward=0.5):
    ledger.record(action(ledger.children), identity(name), Named(name), evaluation, reward)


def journal(path, *names, evaluation=GOOD):
    """The bytes of a closed journal of these children."""
    ledger = JournalLedger(path)
    for name in names:
        record(ledger, name, evaluation)
    ledger.close()
    return path.read_bytes()


def replayed(ledger, *names):
    return [ledger.replay(action(ledger.children), identity(name)) for name in names]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.log"


class TestMemory:
    def test_evaluation_is_found_again_with_no_seconds(self):
        ledger = Ledger()
        assert ledger.find(identity("a")) is None
        record(ledger, "a")
        assert ledger.find(identity("a")) == replace(GOOD, seconds=0.0)

    @pytest.mark.parametrize(
        "other", [identity("b"), identity("a", seed=1), identity("a", evaluator="another protocol")]
    )
    def test_another_architecture_seed_or_evaluator_is_another_evaluation(self, other):
        ledger = Ledger()
        record(ledger, "a")
        assert ledger.find(other) is None

    def test_nothing_is_replayed_and_children_are_counted(self):
        ledger = Ledger()
        for name in ("a", "b", "a"):
            assert ledger.replay(action(0), identity(name)) is None
            record(ledger, name)
        assert ledger.children == 3


class TestTrials:
    @pytest.fixture
    def trials(self, path):
        ledger = JournalLedger(path)
        architecture = MacroArchitecture.published()
        for index, (evaluation, reward) in enumerate([(GOOD, 0.1 + 0.2), (FAILED, -1.0)]):
            ledger.record(action(index, 20), EvaluationId("f", architecture.key, 7), architecture, evaluation, reward)
        ledger.close()
        return read_trials(path)

    def test_every_child_is_a_complete_trial_with_its_index_and_reward(self, trials):
        assert [trial.number for trial in trials] == [0, 1]
        assert [trial.state for trial in trials] == [optuna.trial.TrialState.COMPLETE] * 2
        assert [trial.value for trial in trials] == [0.1 + 0.2, -1.0]

    def test_params_are_the_action_to_the_last_bit(self, trials):
        for trial in trials:
            assert list(trial.params) == sorted(trial.params)
            assert list(trial.params.values()) == action(trial.number, 20).tolist()

    def test_attribute_holds_all_that_was_found_out(self, trials):
        for trial, evaluation in zip(trials, (GOOD, FAILED), strict=True):
            found = trial.user_attrs["evaluation"]
            for field in ("train_accuracy", "validation_accuracy", "parameters", "flops", "failure", "epochs"):
                assert found[field] == getattr(evaluation, field)
            for field in ("seconds", "device", "versions"):
                assert found[field] == getattr(evaluation, field)
            assert found["child_seed"] == 7
            assert found["architecture"] == MacroArchitecture.published().key
            again = MacroArchitecture.from_json(json.dumps(found["architecture_json"]))
            assert again == MacroArchitecture.published()

    def test_attribute_is_all_there_is_and_knows_no_action_reward_or_agent(self, trials):
        for trial in trials:
            assert trial.user_attrs.keys() == {"evaluation"}
            names = " ".join(trial.user_attrs["evaluation"])
            assert not [word for word in ("action", "reward", "agent", "embedding") if word in names]

    def test_optuna_opens_the_file_as_it_opens_any_study(self, trials, path):
        study = optuna.load_study(study_name="search", storage=JournalStorage(JournalFileBackend(str(path))))
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert study.best_trial.number == 0
        assert study.best_value == 0.1 + 0.2
        assert len(study.trials) == 2

    def test_trial_is_on_disk_when_record_returns(self, path):
        ledger = JournalLedger(path)
        for index, name in enumerate("abc"):
            record(ledger, name)
            assert len(read_trials(path)) == index + 1
        ledger.close()

    def test_folder_is_made_and_holds_one_file_and_its_lock(self, tmp_path):
        journal(tmp_path / "runs" / "first" / "journal.log", "a")
        names = sorted(path.name for path in (tmp_path / "runs" / "first").iterdir())
        assert names == ["journal.log", "journal.log.filelock"]


class TestReplay:
    def test_children_are_answered_as_they_were_found_while_the_journal_lasts(self, path):
        ledger = JournalLedger(path)
        record(ledger, "a")
        record(ledger, "b", FAILED, -1.0)
        ledger.close()
        ledger = JournalLedger(path)
        assert replayed(ledger, "a", "b", "c") == [GOOD, FAILED, None]
        assert ledger.children == 2
        ledger.close()

    def test_replay_appends_nothing_and_what_comes_after_is_the_next_trial(self, path):
        before = journal(path, "a", "b")
        ledger = JournalLedger(path)
        replayed(ledger, "a", "b")
        assert path.read_bytes() == before
        record(ledger, "c")
        ledger.close()
        assert path.read_bytes().startswith(before)
        ledger = JournalLedger(path)
        assert replayed(ledger, "a", "b", "c", "d") == [GOOD, GOOD, GOOD, None]
        ledger.close()

    def test_journal_being_written_does_not_replay_what_it_has_just_recorded(self, path):
        ledger = JournalLedger(path)
        record(ledger, "a")
        assert ledger.replay(action(1), identity("a")) is None
        ledger.close()

    @pytest.mark.parametrize(
        ("asked_action", "asked"),
        [
            (action(5), identity("a")),
            (np.nextafter(action(0), np.float32(1)), identity("a")),
            (action(0), identity("b")),
            (action(0), identity("a", seed=1)),
            (action(0), identity("a", evaluator="another protocol")),
            (action(0, 2), identity("a")),
        ],
        ids=["action", "last bit of the action", "architecture", "seed", "evaluator", "size of the action"],
    )
    def test_another_child_than_recorded_is_refused_and_both_are_shown(self, asked_action, asked, path):
        journal(path, "a")
        ledger = JournalLedger(path)
        with pytest.raises(LedgerMismatchError) as error:
            ledger.replay(asked_action, asked)
        ledger.close()
        for shown in (path, "child 0", identity("a"), action(0).tolist(), asked, asked_action.tolist()):
            assert str(shown) in str(error.value)

    def test_order_of_children_matters(self, path):
        journal(path, "a", "b")
        ledger = JournalLedger(path)
        replayed(ledger, "a")
        with pytest.raises(LedgerMismatchError, match="child 1"):
            ledger.replay(action(0), identity("a"))
        ledger.close()


class TestTornJournal:
    def test_kill_at_any_byte_of_a_line_costs_that_line_only(self, path):
        bare = Evaluation(validation_accuracy=0.5)
        whole = journal(path, "a", "b", evaluation=bare)
        start = whole[:-1].rindex(b"\n") + 1
        lost = json.loads(whole[start:])
        for end in range(start, len(whole)):
            path.write_bytes(whole[:end])
            ledger = JournalLedger(path)
            assert path.read_bytes() == whole[:start], f"cut at byte {end}"
            assert replayed(ledger, "a", "b") == [bare, None], f"cut at byte {end}"
            record(ledger, "b", bare)
            ledger.close()
            healed = path.read_bytes()
            assert healed.startswith(whole[:start]), f"cut at byte {end}"
            again = json.loads(healed[start:])
            for field in ("value", "params", "user_attrs"):
                assert again[field] == lost[field]

    @pytest.mark.parametrize("position", ["first", "middle", "newline"])
    def test_healed_journal_is_read_like_any_other(self, position, path):
        whole = journal(path, "a", "b", "c")
        start = whole[:-1].rindex(b"\n") + 1
        path.write_bytes(whole[: {"first": start + 1, "middle": (start + len(whole)) // 2, "newline": -1}[position]])
        ledger = JournalLedger(path)
        replayed(ledger, "a", "b")
        record(ledger, "other")
        ledger.close()
        assert [trial.number for trial in read_trials(path)] == [0, 1, 2]
        ledger = JournalLedger(path)
        assert replayed(ledger, "a", "b", "other", "c") == [GOOD, GOOD, GOOD, None]
        ledger.close()

    def test_kill_at_any_byte_of_the_first_line_leaves_an_empty_journal(self, path):
        whole = journal(path)
        assert whole.count(b"\n") == 1
        for end in range(len(whole)):
            path.write_bytes(whole[:end])
            ledger = JournalLedger(path)
            assert ledger.replay(action(0), identity("a")) is None
            record(ledger, "a")
            ledger.close()
            assert len(read_trials(path)) == 1

    @pytest.mark.parametrize(
        "garbage", [b"{\n", b"\n", b'{"op_code":4,"worker\n', b"\0\0\0\0\n", b"\0" * 64, b"\xff\n"]
    )
    def test_garbage_at_the_end_is_cut(self, garbage, path):
        whole = journal(path, "a", "b")
        path.write_bytes(whole + garbage)
        ledger = JournalLedger(path)
        assert path.read_bytes() == whole
        assert replayed(ledger, "a", "b", "c") == [GOOD, GOOD, None]
        ledger.close()

    def test_opening_a_whole_journal_does_not_touch_it(self, path):
        whole = journal(path, "a", "b")
        JournalLedger(path).close()
        assert path.read_bytes() == whole

    def test_reading_passes_over_a_torn_line_and_leaves_it_there(self, path):
        whole = journal(path, "a", "b", "c")
        start = whole[:-1].rindex(b"\n") + 1
        for end in range(start, len(whole), 7):
            path.write_bytes(whole[:end])
            assert len(read_trials(path)) == 2
            assert path.read_bytes() == whole[:end]


@contextmanager
def full_at(size):
    """No file of this process can grow beyond a size: briefly, for the tests' own output may be one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestFullDisk:
    def test_what_was_written_before_stays_and_the_error_says_what_to_do(self, path):
        whole = journal(path, "a", "b")
        ledger = JournalLedger(path)
        replayed(ledger, "a", "b")
        # In the middle of a line.
        with pytest.raises(OSError, match="child 2 could not be written.*--resume.*journal"), full_at(len(whole) + 100):
            record(ledger, "c")
        assert path.read_bytes() == whole
        assert [trial.number for trial in read_trials(path)] == [0, 1]
        ledger.close()

    def test_with_room_again_the_same_ledger_goes_on_and_trains_nothing_twice(self, path):
        whole = journal(path, "a")
        ledger = JournalLedger(path)
        replayed(ledger, "a")
        with pytest.raises(OSError), full_at(len(whole) + 100):
            record(ledger, "b")
        assert ledger.find(identity("b")) == replace(GOOD, seconds=0.0)
        record(ledger, "b")
        ledger.close()
        assert [trial.number for trial in read_trials(path)] == [0, 1]


class TestWriters:
    def test_second_writer_is_refused_until_the_first_closes(self, path):
        first = JournalLedger(path)
        with pytest.raises(BlockingIOError, match=f"another process writes to {path}"):
            JournalLedger(path)
        record(first, "a")
        first.close()
        second = JournalLedger(path)
        assert replayed(second, "a") == [GOOD]
        second.close()

    def test_writer_of_another_process_is_respected_and_a_killed_one_is_not_in_the_way(self, path):
        whole = journal(path, "a")
        code = (
            f"from filelock import FileLock as L; held = L('{path}.filelock'); held.acquire(); print('held'); input()"
        )
        code = code.replace("'held')", "'held', flush=True)")
        writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert writer.stdout.readline() == b"held\n"
            # Half a line: the other process is writing it.
            with path.open("ab") as file:
                file.write(b'{"op_code":4')
            with pytest.raises(BlockingIOError):
                JournalLedger(path)
            assert path.read_bytes() == whole + b'{"op_code":4'
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        ledger = JournalLedger(path)
        assert replayed(ledger, "a", "b") == [GOOD, None]
        ledger.close()

    def test_reading_needs_no_lock(self, path):
        ledger = JournalLedger(path)
        record(ledger, "a")
        assert len(read_trials(path)) == 1
        other = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert other.find(identity("a")) is not None
        other.close()
        ledger.close()

    def test_closing_twice_is_fine(self, path):
        ledger = JournalLedger(path)
        ledger.close()
        ledger.close()


class TestReuse:
    def test_other_runs_evaluation_is_a_hit_with_no_seconds(self, path):
        journal(path, "a")
        ledger = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert ledger.find(identity("a")) == replace(GOOD, seconds=0.0)
        assert ledger.find(identity("b")) is None
        ledger.close()

    def test_other_runs_children_are_not_replayed(self, path):
        journal(path, "a")
        ledger = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert ledger.replay(action(0), identity("a")) is None
        assert ledger.children == 0
        ledger.close()

    def test_several_journals_are_hits_and_are_not_written_to(self, path):
        others = [path.with_name(name) for name in ("first.log", "second.log")]
        before = [journal(other, name) for other, name in zip(others, "ab", strict=True)]
        ledger = JournalLedger(path, reuse=others)
        record(ledger, "c")
        assert None not in [ledger.find(identity(name)) for name in "abc"]
        ledger.close()
        assert [other.read_bytes() for other in others] == before
        assert len(read_trials(path)) == 1

    @pytest.mark.parametrize("failure", ["out_of_memory", "timeout", "crash"])
    def test_failure_of_a_machine_is_a_hit_within_its_run_only(self, failure, path):
        evaluation = Evaluation(failure=failure)
        ledger = JournalLedger(path)
        record(ledger, "a", evaluation, -1.0)
        assert ledger.find(identity("a")) == evaluation
        ledger.close()
        resumed = JournalLedger(path)
        assert replayed(resumed, "a") == [evaluation]
        assert resumed.find(identity("a")) == evaluation
        resumed.close()
        other = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert other.find(identity("a")) is None
        other.close()

    @pytest.mark.parametrize("failure", ["nan", "too_many_parameters", "too_many_flops"])
    def test_failure_of_a_child_is_a_hit_for_other_runs(self, failure, path):
        journal(path, "a", evaluation=Evaluation(failure=failure))
        ledger = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert ledger.find(identity("a")).failure == failure
        ledger.close()

    def test_journal_cut_by_a_kill_is_reused_as_far_as_it_goes(self, path):
        whole = journal(path, "a", "b")
        path.write_bytes(whole[:-5])
        ledger = JournalLedger(path.with_name("other.log"), reuse=[path])
        assert ledger.find(identity("a")) is not None
        assert ledger.find(identity("b")) is None
        assert path.read_bytes() == whole[:-5]
        ledger.close()

    def test_missing_journal_is_named_and_not_made(self, path):
        with pytest.raises(FileNotFoundError, match="there is no journal .*missing.log"):
            JournalLedger(path, reuse=[path.with_name("missing.log")])
        assert not path.with_name("missing.log").exists()


class TestGarbage:
    TEXT = b"step,reward\n0,0.125\n1,0.25\n"

    def test_file_that_is_no_journal_cannot_be_opened(self, path):
        path.write_bytes(self.TEXT)
        with pytest.raises(ValueError):
            JournalLedger(path)

    @pytest.mark.parametrize("content", [TEXT, b"", b"notes", b'{"a": 1}\n', b"\x89PNG\r\n\x1a\n\0\0\n"])
    def test_file_that_is_no_journal_cannot_be_read_or_reused_and_is_named(self, content, path):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} is not a journal"):
            read_trials(path)
        with pytest.raises(ValueError, match=f"{path} is not a journal"):
            JournalLedger(path.with_name("other.log"), reuse=[path])
        assert path.read_bytes() == content


class TestForeignFiles:
    """A mistyped path must not cost anybody a file."""

    @pytest.mark.parametrize(
        "content",
        [b"my notes\n", b"my notes", b"step,reward\n0,1.0\n1,2.0", b'{"a": 1}\n', b"5\n6\n", b'{"op_code": 99}\n'],
    )
    def test_file_that_is_no_journal_is_refused_and_left_alone(self, content, path):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} is not a journal"):
            JournalLedger(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("reuse", [False, True])
    def test_another_programs_study_is_refused_by_name(self, reuse, path, tmp_path):
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(storage=storage, study_name="search")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        with pytest.raises(ValueError, match=f"{path} is not a journal"):
            JournalLedger(tmp_path / "own", reuse=[path]) if reuse else JournalLedger(path)

    def test_refused_file_is_not_locked_while_the_error_is_held(self, path):
        path.write_bytes(b"notes\n")
        with pytest.raises(ValueError) as error:
            JournalLedger(path)
        path.write_bytes(b"")
        JournalLedger(path).close()
        assert error.traceback

    def test_closed_journal_is_free_though_a_process_that_inherited_it_lives_on(self, path):
        ledger = JournalLedger(path)
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[ledger._lock._context.lock_file_fd]
        ):
            ledger.close()
            JournalLedger(path).close()
