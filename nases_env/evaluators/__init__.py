"""Architecture → evaluation: by training, or by a model of evaluations that were once trained."""

from nases_env.evaluation import Evaluation
from nases_env.evaluators.base import Evaluator
from nases_env.executors import WorkerStartError

__all__ = ["Evaluation", "Evaluator", "WorkerStartError"]
