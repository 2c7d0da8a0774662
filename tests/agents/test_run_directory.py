import json

import numpy as np
import pytest

from agents.run_directory import RunDirectory
from nases_env.evaluators import Evaluation
from nases_env.ledger import EvaluationId, JournalLedger
from nases_env.search_spaces import MacroArchitecture

OPTIONS = {"agent": "random", "seed": 0, "children": 3, "device": None}
PROTOCOL = {"epochs": 2}
KEYWORDS = {"protocol": {"preset": "digits", "epochs": 2}}


def _started(tmp_path, children=0):
    run = RunDirectory(tmp_path / "run")
    run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)
    ledger = JournalLedger(run.journal)
    for seed in range(children):
        identity = EvaluationId("", MacroArchitecture.published().key, seed)
        ledger.record(np.zeros(2), identity, MacroArchitecture.published(), Evaluation(), 0.25 * seed)
    ledger.close()
    return run


def test_starting_records_options_command_and_versions(tmp_path):
    run = _started(tmp_path)
    assert run.options() == OPTIONS
    assert "torch" in json.loads((run.path / "versions.json").read_text())
    assert (run.path / "command.txt").read_text().count("\n") == 1


def test_the_environment_can_be_made_again(tmp_path):
    env = _started(tmp_path).make_environment()
    assert env.unwrapped.protocol.epochs == 2


def test_a_second_start_needs_resume(tmp_path):
    run = _started(tmp_path, children=1)
    with pytest.raises(FileExistsError, match="--resume"):
        run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)


def test_a_folder_without_children_can_be_started_with_other_options(tmp_path):
    run = _started(tmp_path)
    run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)
    assert run.options()["seed"] == 7


def test_a_budget_below_what_was_found_is_refused(tmp_path):
    run = _started(tmp_path, children=3)
    with pytest.raises(ValueError, match="3 children; ask for at least as many, not 2"):
        run.start(OPTIONS | {"children": 2}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)


def test_nothing_is_written_under_a_search_that_runs(tmp_path):
    run = _started(tmp_path)
    running = JournalLedger(run.journal)
    with pytest.raises(BlockingIOError, match="another process"):
        run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options() == OPTIONS
    running.close()


def test_the_best_child_is_the_earliest_with_the_highest_reward(tmp_path):
    assert _started(tmp_path, children=3).best().number == 2
    with pytest.raises(ValueError, match="no child that succeeded"):
        _started(tmp_path / "empty").best()


def test_resuming_with_other_options_names_them(tmp_path):
    run = _started(tmp_path, children=1)
    with pytest.raises(ValueError, match="seed: 0, now 7"):
        run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options() == OPTIONS


def test_resuming_may_change_budget_and_device(tmp_path):
    run = _started(tmp_path)
    run.start(OPTIONS | {"children": 9, "device": "cpu"}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options()["children"] == 9


def test_resuming_an_empty_folder_starts_it(tmp_path):
    run = RunDirectory(tmp_path / "new")
    run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.exists()


def test_a_folder_without_a_search_says_so(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no search"):
        run.options()
    with pytest.raises(FileNotFoundError, match="no journal"):
        run.best()
