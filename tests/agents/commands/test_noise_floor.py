import csv

from tests.agents.commands.conftest import TINY


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
