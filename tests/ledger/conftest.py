import json

import numpy as np
import pytest

from nases_env import rewards
from nases_env.evaluators import Evaluation
from nases_env.ledger import EvaluationId, JournalLedger
from nases_env.search_spaces import MacroArchitecture

ARCHITECTURE = MacroArchitecture.published()


def evaluation(index):
    """Whatever child it is, another one."""
    epochs = [{"loss": 2.5, "running_train_accuracy": 0.25, "validation_accuracy": 0.5}]
    return Evaluation(0.5 + index / 100, 0.75, 1000 + index, 2000, "", epochs, 1.5, "cpu", {"torch": "2.14"})


def identity(index):
    return EvaluationId("fingerprint", ARCHITECTURE.key, index)


def action(index):
    return np.random.default_rng(index).random(2, np.float32)


def record(ledger, index):
    found = evaluation(index)
    ledger.record(action(index), identity(index), ARCHITECTURE, found, rewards.eq1(found))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.log"


@pytest.fixture
def lines(path):
    """Those of a journal at `path` with five children: the study's, then theirs."""
    ledger = JournalLedger(path)
    for index in range(5):
        record(ledger, index)
    ledger.close()
    return path.read_bytes().splitlines(keepends=True)


def edited(line, **fields):
    """A child's line with other fields: those of its evaluation, or of the trial itself."""
    trial = json.loads(line)
    for name, value in fields.items():
        (trial if name in trial else trial["user_attrs"]["evaluation"])[name] = value
    return json.dumps(trial, separators=(",", ":")).encode() + b"\n"
