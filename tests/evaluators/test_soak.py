"""Many children in one process: memory stays."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nases_env.children.presets import resolve
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.search_spaces import MacroSpace

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}


def resident_megabytes():
    (line,) = (
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_over_300_children():
    space = MacroSpace()
    children = [space.architecture(row) for row in space.discretise(space.sample(np.random.default_rng(0), 300))]
    evaluator = TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu")
    after = []
    for _ in evaluator.evaluate(children, range(300)):
        after.append(resident_megabytes())
    assert max(after[50:]) < 1.01 * after[50], f"MB every 50 children: {after[::50]}"
