"""Known answers of the share of the variance that lies between children."""

import numpy as np
import pytest

from agents.arena.noise_floor import RandomChildren, evaluate_all, intraclass_correlation
from nases_env.children import datasets


def test_icc_by_hand():
    # Means 1, 3; between = 2 · var(1, 3) = 4, within = 0.5 and 0.5: (4 − 0.5) / (4 + 0.5).
    values = np.array([[0.5, 1.5], [2.5, 3.5]])
    assert intraclass_correlation(values) == pytest.approx(3.5 / 4.5)


def test_icc_of_noise_is_about_zero_and_of_differences_one():
    rng = np.random.default_rng(0)
    assert abs(intraclass_correlation(rng.standard_normal((2000, 3)))) < 0.05
    assert intraclass_correlation(np.repeat(rng.standard_normal((30, 1)), 3, axis=1)) == pytest.approx(1)


def test_images_are_read_once_for_all_children_of_a_sample(monkeypatch):
    loads, read = [], datasets._load
    monkeypatch.setattr(datasets, "_load", lambda *key: loads.append(key) or read(*key))
    tiny = ("train_images=64", "validation_images=32", "epochs=1", "width=0.03")
    sample = RandomChildren(children=3, seeds=2, workers=1, overrides=tiny)
    (rows,) = evaluate_all([sample])
    assert len(loads) == 1
    assert [(row["child"], row["seed"]) for row in rows] == [(c, s) for s in range(2) for c in range(3)]
    assert sample.column(rows, "seed").tolist() == [[0, 1]] * 3
    assert len({row["reward"] for row in rows}) > 3
