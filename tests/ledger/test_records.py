"""Damage in a journal is found before anything is changed, and told by its line."""

import json

import pytest

from nases_env import rewards
from nases_env.ledger import DamagedJournalError, JournalLedger, LedgerMismatchError, read_trials
from nases_env.ledger.records import read
from tests.ledger.conftest import edited, evaluation, identity


def opened(path, reward=None):
    ledger = JournalLedger(path, reward=reward)
    ledger.close()
    return ledger.recorded


def _damaged(lines):
    """Name → lines of a damaged journal, the number of the first damaged line, children before and after it."""
    operation = b'{"op_code":6,"worker_id":"w","trial_id":0,"state":3}\n'
    return {
        "blank": ([*lines[:3], b"\n", *lines[3:]], 4, 2, 3),
        "broken": ([*lines[:3], lines[3][:50] + b"\n", *lines[4:]], 4, 2, 2),
        "joined": ([*lines[:2], lines[2][:-1] + lines[3], *lines[4:]], 3, 1, 2),
        "binary": ([*lines[:1], b"\0\xff\0\n", *lines[2:]], 2, 0, 4),
        "accuracy": ([*lines[:4], edited(lines[4], validation_accuracy=5), *lines[5:]], 5, 3, 1),
        "repeated": ([*lines[:3], lines[2], *lines[3:]], 4, 2, 3),
        "repeated later": ([*lines[:4], lines[1], *lines[4:]], 5, 3, 2),
        "no study": ([b"{}\n", *lines[1:]], 1, 0, 5),
        "accuracy at the end": ([*lines[:5], edited(lines[5], train_accuracy="abc")], 6, 4, 0),
        "repeated at the end": ([*lines, lines[-1]], 7, 5, 0),
        "another operation": ([*lines[:2], operation, *lines[2:]], 3, 1, 4),
    }


DAMAGES = ("blank", "broken", "joined", "binary", "accuracy", "repeated", "repeated later", "no study",
           "accuracy at the end", "repeated at the end", "another operation")  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("torn", [b"", b'{"op_code":4,"wor'])
def test_damage_is_told_by_its_line_and_nothing_is_changed(damage, torn, path, lines):
    content, number, before, after = _damaged(lines)[damage]
    path.write_bytes(b"".join(content) + torn)
    for attempt in (JournalLedger, read_trials, lambda path: JournalLedger(path.with_name("other.log"), reuse=[path])):
        with pytest.raises(DamagedJournalError) as error:
            attempt(path)
        assert f"{path}: line {number} " in str(error.value)
        assert f"{before} children stand before it and {after} after it" in str(error.value)
        assert "--repair" in str(error.value) and "Nothing was changed" in str(error.value)
        assert path.read_bytes() == b"".join(content) + torn


def test_several_damaged_lines_are_counted(path, lines):
    path.write_bytes(b"".join([*lines[:2], b"\n", lines[2], b"\n", lines[3], b"x\n", *lines[4:]]))
    with pytest.raises(DamagedJournalError, match=r"line 3 .* it is blank \(2 more lines"):
        JournalLedger(path)


def test_a_value_that_the_accuracies_do_not_give_is_told(path, lines):
    path.write_bytes(b"".join([*lines[:2], edited(lines[2], value=0.99), *lines[3:]]))
    assert opened(path) == 5, "without a reward values cannot be compared"
    with pytest.raises(DamagedJournalError, match=r"line 3 .* its value is 0.99; its accuracies give the reward 0\.9"):
        opened(path, rewards.eq1)
    with pytest.raises(DamagedJournalError, match="line 3"):
        read_trials(path, rewards.eq1)


def test_a_journal_of_another_reward_is_not_called_damaged(path, lines):
    with pytest.raises(LedgerMismatchError, match=r"another reward: of its 5 children none .* its value is"):
        opened(path, rewards.validation)


def test_a_whole_journal_is_believed(path, lines):
    assert opened(path, rewards.eq1) == 5
    found = read(path, rewards.eq1)
    assert [trial.identity for trial in found.trials] == [identity(index) for index in range(5)]
    assert [trial.evaluation for trial in found.trials] == [evaluation(index) for index in range(5)]
    assert found.size == path.stat().st_size and not found.damages


def test_the_same_child_twice_is_no_repetition(path, lines):
    again = json.loads(lines[-1])
    again["user_attrs"]["evaluation"]["child"] = 5  # where a clock ticks slowly, nothing else differs
    path.write_bytes(b"".join(lines) + json.dumps(again).encode() + b"\n")
    assert opened(path) == 6


def test_notes_of_a_dashboard_may_stand_twice(path, lines):
    note = b'{"op_code":3,"worker_id":"w","study_id":0,"system_attr":{"dashboard:note":"nice"}}\n'
    path.write_bytes(b"".join([*lines[:2], note, note, *lines[2:]]))
    assert opened(path) == 5 == len(read_trials(path))


def test_an_architecture_that_is_not_the_evaluated_one_is_told(path, lines):
    other = lines[2].replace(b'["max_pool",0,0]', b'["average_pool",0,0]', 1)
    assert other != lines[2]
    path.write_bytes(b"".join([*lines[:2], other, *lines[3:]]))
    with pytest.raises(DamagedJournalError, match=r"line 3 .* the architecture_json beside it is"):
        JournalLedger(path)


def test_a_cut_is_told(path, lines):
    path.write_bytes(b"".join(lines)[:-9])
    with pytest.warns(UserWarning, match="the last line was torn and is cut"):
        assert opened(path) == 4


def test_lines_may_end_as_on_windows(path, lines):
    path.write_bytes(b"".join(line[:-1] + b"\r\n" for line in lines))
    assert opened(path) == 5
