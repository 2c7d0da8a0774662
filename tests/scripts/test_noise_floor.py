import csv

import numpy as np
import pytest

from tests.scripts.conftest import ROOT, TINY


@pytest.fixture
def intraclass_correlation(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from noise_floor import intraclass_correlation

    return intraclass_correlation


def test_icc_by_hand(intraclass_correlation):
    # Means 1, 3; between = 2 · var(1, 3) = 4, within = 0.5 and 0.5: (4 − 0.5) / (4 + 0.5).
    values = np.array([[0.5, 1.5], [2.5, 3.5]])
    assert intraclass_correlation(values) == pytest.approx(3.5 / 4.5)


def test_icc_of_noise_is_about_zero_and_of_differences_one(intraclass_correlation):
    rng = np.random.default_rng(0)
    assert abs(intraclass_correlation(rng.standard_normal((2000, 3)))) < 0.05
    assert intraclass_correlation(np.repeat(rng.standard_normal((30, 1)), 3, axis=1)) == pytest.approx(1)


def test_it_trains_every_child_with_every_seed(run, tmp_path):
    out = tmp_path / "table.csv"
    done = run("noise_floor.py", "--children", 3, "--seeds", 2, "--out", out, "--overrides", *TINY)
    assert done.returncode == 0, done.stderr
    assert "ICC" in done.stdout
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["child"], row["seed"]) for row in rows} == {(str(c), str(s)) for c in range(3) for s in range(2)}


def test_cells_are_rewarded_as_they_are_searched(run, tmp_path):
    out = tmp_path / "table.csv"
    cells = ("--space", "micro", "--reward", "validation", "--protocol", "digits-micro")
    tiny = ("train_images=64", "validation_images=32", "epochs=1", "cell_filters=2")
    done = run("noise_floor.py", *cells, "--children", 2, "--seeds", 2, "--out", out, "--overrides", *tiny)
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        assert all(row["reward"] == row["validation_accuracy"] for row in csv.DictReader(file))
