"""Children on a CUDA device: that they are as good as on a CPU, and what befalls a device."""

import os
import signal

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors.processes import ProcessExecutor
from nases_env.search_spaces import MacroSpace

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SPACE = MacroSpace()
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 20))]
TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "precision": "bfloat16"}


def evaluator(device="cuda", executor=None, **fields):
    arguments = ("digits", "nowhere", resolve({**TINY, **fields}), device)
    return TrainingEvaluator(*arguments, executor) if executor else TrainingEvaluator(*arguments)


def evaluations(subject, architectures):
    found = dict(subject.evaluate(architectures, [0] * len(architectures)))
    return [found[index] for index in range(len(architectures))]


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_children_are_ranked_as_on_a_cpu(cuda_graph):
    fields = {"train_images": 897, "validation_images": 450, "epochs": 3, "cuda_graph": cuda_graph}
    accuracies = [
        [found.validation_accuracy for found in evaluations(evaluator(device, **fields), ARCHITECTURES)]
        for device in ("cpu", "cuda")
    ]
    assert spearmanr(*accuracies).statistic > 0.6
    assert np.mean(accuracies[0]) == pytest.approx(np.mean(accuracies[1]), abs=0.08)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_child_that_runs_out_of_memory_is_a_failure_and_the_next_one_is_trained(cuda_graph):
    subject = evaluator(cuda_graph=cuda_graph)
    subject.prepare()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        (failed,) = evaluations(subject, ARCHITECTURES[:1])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert failed.failure == "out_of_memory"
    assert [found.failure for found in evaluations(subject, ARCHITECTURES[:2])] == ["", ""]


def test_memory_is_freed_after_a_child_where_little_is_left(monkeypatch):
    subject = evaluator(cuda_graph=True)
    evaluations(subject, ARCHITECTURES[:1])
    kept = torch.cuda.memory_reserved()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (49, 100))
    evaluations(subject, ARCHITECTURES[:2])
    before = torch.cuda.memory_reserved()
    assert before <= kept
    evaluations(subject, ARCHITECTURES[:6])
    assert torch.cuda.memory_reserved() <= before + (64 << 20)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_two_processes_share_a_device_and_killed_ones_are_replaced(cuda_graph):
    subject = evaluator(executor=ProcessExecutor(2), cuda_graph=cuda_graph)
    try:
        expected = [found.failure for found in evaluations(subject, ARCHITECTURES[:4])]
        assert expected == [""] * 4
        for process in torch.multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
        assert [found.failure for found in evaluations(subject, ARCHITECTURES[:4])] == expected
    finally:
        subject.close()
