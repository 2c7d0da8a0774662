"""Architecture → evaluation: by training, from a table, or by a model of one."""

from nases_env.evaluators.base import Evaluation, Evaluator, WorkerStartError

__all__ = ["Evaluation", "Evaluator", "WorkerStartError"]
