import csv

from tests.agents.commands.conftest import TINY


def test_every_child_is_trained_twice_and_correlated(run, tmp_path):
    out = tmp_path / "fidelity.csv"
    done = run("fidelity.py", "--children", 4, "--seeds", 1, "--factor", 2, "--out", out, "--overrides", *TINY)
    assert done.returncode == 0, done.stderr
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["factor"], row["child"]) for row in rows] == [(f, str(c)) for f in ("1", "2") for c in range(4)]
    assert [row["reward"] for row in rows[:4]] != [row["reward"] for row in rows[4:]]
    assert done.stdout.count("Spearman") == 4


def test_a_child_cannot_be_trained_less_than_once(run, tmp_path):
    done = run("fidelity.py", "--factor", 0, "--out", tmp_path / "fidelity.csv")
    assert done.returncode == 2 and "--factor" in done.stderr and "Traceback" not in done.stderr
