"""Children of the package in a benchmark: which of their steps are profiled, and that a failure is not timed."""

import numpy as np
import pytest
import torch

from nases_env.benchmarking import package
from nases_env.benchmarking.package import Package
from nases_env.children.presets import resolve
from nases_env.children.training import Trainer
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import MacroSpace

SPACE = MacroSpace()
(CHILD,) = (SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 1)))


def timed(device="cpu", **fields):
    small = {"preset": "digits", "validation_images": 32, "epochs": 1, "width": 0.03, "batch_size": 4}
    return Package(TrainingEvaluator("digits", "nowhere", resolve({**small, **fields}), device))


@pytest.mark.parametrize(("images", "steps"), [(300, 32), (21, 5), (22, 6)])
def test_a_few_steps_are_profiled_after_as_many_that_are_not(images, steps, monkeypatch):
    epochs, train_epoch = [], Trainer.train_epoch
    monkeypatch.setattr(Trainer, "train_epoch", lambda self: epochs.append(len(self.data)) or train_epoch(self))

    def profiled(run, steps):
        assert len(epochs) == 1
        run()
        return steps

    monkeypatch.setattr(package, "profiled", profiled)
    assert timed(train_images=images).profile(CHILD) == steps
    assert epochs == [min(images, 128)] * 2


def test_a_child_that_fails_is_not_timed():
    with pytest.raises(ValueError, match="too_many_parameters"):
        timed(train_images=16, max_parameters=1)(CHILD)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recorded_step_takes_few_launches_and_as_much_of_the_gpu():
    eager, recorded = (timed("cuda", train_images=300, cuda_graph=graph).profile(CHILD) for graph in (False, True))
    assert eager.launches > 200 and recorded.launches < 20
    assert recorded.gpu_milliseconds == pytest.approx(eager.gpu_milliseconds, rel=0.5)
