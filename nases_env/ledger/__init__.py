"""Every evaluation ever paid for, kept and found again.

A journal is an Optuna study, one file per run: Optuna's dashboard, plots and command line open it. It is also what a
run resumes from: child n is answered from the journal while the journal holds trial n.
"""

from nases_env.ledger.journal import JournalLedger, read_trials
from nases_env.ledger.memory import EvaluationId, Ledger, LedgerMismatchError
from nases_env.ledger.records import DamagedJournalError
from nases_env.ledger.repair import repair

__all__ = [
    "DamagedJournalError",
    "EvaluationId",
    "JournalLedger",
    "Ledger",
    "LedgerMismatchError",
    "read_trials",
    "repair",
]
