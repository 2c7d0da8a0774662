"""A damaged journal is repaired: nothing whole is lost, and the copy is the file as it was."""

import pytest

from nases_env import rewards
from nases_env.ledger import JournalLedger, LedgerMismatchError, read_trials, repair
from tests.ledger.conftest import action, edited, evaluation, identity, record


def children(path):
    """Those that the journal replays, and those that it finds again."""
    ledger = JournalLedger(path, reward=rewards.eq1)
    replayed = []
    while ledger.children < ledger.recorded:
        index = ledger.children
        replayed.append(ledger.replay(action(index), identity(index)))
    found = [ledger.find(identity(index)) is not None for index in range(5)]
    ledger.close()
    return replayed, found


def test_a_lost_child_is_trained_again_and_those_behind_it_are_found_again(path, lines):
    damaged = b"".join([*lines[:3], b'{"op_code":4,"bro\n', *lines[4:]])
    path.write_bytes(damaged)
    done = repair(path)
    assert done.copy.read_bytes() == damaged
    assert (done.replayed, done.salvaged) == (2, 2)
    assert children(path) == ([evaluation(0), evaluation(1)], [True, True, False, True, True])
    ledger = JournalLedger(path)
    for index in range(2):
        ledger.replay(action(index), identity(index))
    for index in range(2, 5):
        record(ledger, index)
    ledger.close()
    assert children(path)[0] == [evaluation(index) for index in range(5)]
    assert [trial.number for trial in read_trials(path)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("spare", ["blank", "repeated"])
def test_where_no_child_is_lost_all_are_replayed(spare, path, lines):
    path.write_bytes(b"".join([*lines[:3], b"\n" if spare == "blank" else lines[2], *lines[3:]]))
    done = repair(path)
    assert (done.replayed, done.salvaged) == (5, 0)
    assert children(path)[0] == [evaluation(index) for index in range(5)]
    assert path.read_bytes() == b"".join(lines)


def test_values_that_cannot_be_cost_their_child_only(path, lines):
    edits = {2: {"validation_accuracy": 5}, 4: {"value": 0.123}}
    path.write_bytes(b"".join(edited(line, **edits[i]) if i in edits else line for i, line in enumerate(lines)))
    done = repair(path, rewards.eq1)
    assert (done.replayed, done.salvaged) == (1, 2)
    assert children(path)[1] == [True, False, True, False, True]


def test_a_journal_without_its_first_line_gets_one(path, lines):
    path.write_bytes(b"".join([b"rubbish\n", *lines[1:]]))
    assert (repair(path).replayed, len(read_trials(path))) == (0, 0)
    assert children(path) == ([], [True] * 5)


def test_repairing_twice_loses_nothing(path, lines):
    path.write_bytes(b"".join([*lines[:4], b"x\n", lines[5]]))
    first = repair(path)
    path.write_bytes(path.read_bytes().replace(lines[2], b"y\n"))
    second = repair(path)
    assert first.copy != second.copy and first.copy.exists() and second.copy.exists()
    assert children(path) == ([evaluation(0)], [True, False, True, False, True])


def test_what_a_repair_salvaged_outlives_the_copy_that_it_kept(path, lines):
    path.write_bytes(b"".join([*lines[:4], b"x\n", lines[5]]))
    repair(path).copy.unlink()
    path.write_bytes(path.read_bytes().replace(lines[2], b"y\n"))
    repair(path)
    assert children(path) == ([evaluation(0)], [True, False, True, False, True])


def test_salvaged_children_are_found_whatever_the_journals_name_is(path, lines):
    odd = path.with_name("run[1]*.log")
    odd.write_bytes(b"".join([*lines[:2], b"x\n", *lines[3:]]))
    repair(odd)
    assert children(odd)[1] == [True, False, True, True, True]


def test_what_is_damaged_among_the_salvaged_is_passed_over(path, lines):
    path.write_bytes(b"".join([*lines[:2], b"x\n", *lines[3:]]))
    repair(path)
    (salvaged,) = path.parent.glob("*.salvaged-*")
    salvaged.write_bytes(salvaged.read_bytes().replace(lines[4], b"y\n"))
    assert children(path)[1] == [True, False, True, False, True]


def test_a_journal_of_another_reward_is_not_torn_apart(path, lines):
    before = path.read_bytes()
    with pytest.raises(LedgerMismatchError, match="another reward"):
        repair(path, rewards.validation)
    assert path.read_bytes() == before


def test_children_that_do_not_replay_are_found_again(path, lines):
    done = repair(path, children=3)
    assert (done.replayed, done.salvaged) == (3, 2)
    assert children(path) == ([evaluation(index) for index in range(3)], [True] * 5)
    assert repair(path, children=3) is None


def test_a_whole_journal_is_left_alone(path, lines):
    assert repair(path) is None
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.log", "journal.log.filelock"]
    assert path.read_bytes() == b"".join(lines)


def test_a_torn_last_line_needs_no_repair_and_is_kept_in_the_copy_of_one(path, lines):
    path.write_bytes(b"".join(lines) + b'{"op_code":4,"half')
    assert repair(path) is None
    path.write_bytes(b"".join([*lines[:2], b"x\n", *lines[3:]]) + b'{"op_code":4,"half')
    assert repair(path).copy.read_bytes().endswith(b"half")
    assert children(path)[1] == [True, False, True, True, True]


def test_what_is_not_there_or_no_journal_is_refused(path):
    with pytest.raises(FileNotFoundError, match="no journal"):
        repair(path)
    path.write_bytes(b"my notes\n")
    with pytest.raises(ValueError, match="is not a journal"):
        repair(path)
    assert path.read_bytes() == b"my notes\n"


def test_a_running_search_is_not_repaired(path, lines):
    running = JournalLedger(path)
    with pytest.raises(BlockingIOError, match="another process"):
        repair(path)
    running.close()
