import csv

import pytest

from agents.commands import inspect_reach
from nases_env import search_spaces


def read(file):
    with file.open() as opened:
        return list(csv.DictReader(opened))


def test_it_tells_what_is_reached_and_where_searches_lose(run, tmp_path):
    done = run("inspect_reach.py", "--decoders", "identity", "pca", "--calibrations", "none", "--agents", "evolution",
               "random", "--seeds", 2, "--children", 12, "--samples", 2000, "--evaluations", 600, "--restarts", 1,
               "--out", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    reached, regrets = read(tmp_path / "reach.csv"), read(tmp_path / "regret.csv")
    assert [row["decoder"] for row in reached] == ["identity", "pca"]
    assert [row["agent"] for row in regrets] == ["evolution", "random"]
    for row in regrets:
        assert min(float(row[loss]) for loss in ("not reachable", "not found", "not chosen")) >= 0
    assert len(read(tmp_path / "explained.csv")) == 8
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("reach.png", "regret.png"))


def test_embeddings_that_are_the_same_are_measured_once(monkeypatch):
    monkeypatch.setattr(inspect_reach, "reach", lambda *arguments: {"reachable": 1.0})

    class Reward:
        space = search_spaces.make("macro")

    rows = inspect_reach.reach_table(inspect_reach.Options(decoders=("autoencoder", "pca", "identity")), Reward())
    assert [(row["decoder"], row["calibration"]) for row in rows] == [
        ("autoencoder", "none"), ("autoencoder", "output"), ("autoencoder", "both"), ("pca", "none"),
        ("pca", "output"), ("identity", "none"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"samples": 999}, {"first_seed": -1}, {"restarts": 0}])
def test_numbers_that_are_too_small_are_refused(wrong):
    with pytest.raises(ValueError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
        inspect_reach.Options(**wrong)


def test_an_environment_that_trains_is_refused(run, tmp_path):
    done = run("inspect_reach.py", "--env-id", "NASES-Digits-v0", "--out", tmp_path)
    assert done.returncode != 0
    assert "trains its children" in done.stderr
