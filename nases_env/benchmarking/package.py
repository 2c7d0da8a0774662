"""Children trained by the package: what the benchmark compares with its baselines."""

from __future__ import annotations

from nases_env.benchmarking.profile import StepProfile, profiled
from nases_env.children import build
from nases_env.children.tensors import Tensors
from nases_env.children.training import Trainer, batch_sizes
from nases_env.evaluation import Evaluation
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import Architecture

STEPS = 32
"""So many steps are profiled: few enough to be read in seconds, and many beside what is done once an epoch."""


class Package:
    """Trains children in this process.

    Args:
        evaluator: What trains them.
    """

    def __init__(self, evaluator: TrainingEvaluator):
        self.evaluator = evaluator

    def __call__(self, architecture: Architecture) -> None:
        """Train a child.

        Raises:
            ValueError: If it failed.
        """
        check(next(self.evaluator.evaluate([architecture], [0]))[1])

    def profile(self, architecture: Architecture) -> StepProfile | None:
        """What a child's training steps do on the GPU; a first epoch chooses kernels and makes the recording."""
        protocol, data = self.evaluator.protocol, self.evaluator.data
        model = build.drawn(architecture, protocol, data, 0, self.evaluator.device)
        count = STEPS * protocol.batch_size
        few = Tensors(data.train.images[:count], data.train.labels[:count])
        trainer = Trainer(model, few, protocol, seed=0)
        trainer.train_epoch()
        return profiled(trainer.train_epoch, len(batch_sizes(len(few), protocol.batch_size)))


def check(evaluation: Evaluation) -> None:
    """Check that a child was trained to its end.

    Raises:
        ValueError: If it failed: what it took would mean nothing.
    """
    if evaluation.failure:
        raise ValueError(f"a child failed ({evaluation.failure}), which cannot be timed; change the --overrides")
