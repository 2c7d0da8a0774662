import csv

import numpy as np
import pytest

from agents.commands import inspect_landscape


def test_every_decoder_and_calibration_has_a_row(run, tmp_path):
    out = tmp_path / "landscape.csv"
    done = run("inspect_landscape.py", "--decoders", "autoencoder", "identity", "--calibrations", "none",
               "--samples", 512, "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        default, identity = csv.DictReader(file)
    assert float(identity["found again"]) == pytest.approx(1)
    for row in (default, identity):
        assert float(row["correlation 0.05"]) > float(row["correlation 0.2"])
        assert 0.05 < float(row["reward deviation"]) < 0.3


def test_linear_rewards_are_explained_and_noise_is_not():
    rng = np.random.default_rng(0)
    actions = rng.uniform(size=(2000, 5))
    assert inspect_landscape.linear_r2(actions, actions @ np.arange(5.0) + 1) == pytest.approx(1)
    assert abs(inspect_landscape.linear_r2(actions, rng.standard_normal(2000))) < 0.05


def test_where_no_decoder_is_named_all_of_the_environments_space_are_measured(monkeypatch):
    monkeypatch.setattr(inspect_landscape, "measure", lambda reward, decoder, options: {"found again": 1.0})
    rows = inspect_landscape.table(inspect_landscape.Options(calibrations=("none",)))
    assert [row["decoder"] for row in rows] == [
        "autoencoder-profiles",
        "autoencoder",
        "autoencoder-uniform",
        "autoencoder-paper",
    ]
