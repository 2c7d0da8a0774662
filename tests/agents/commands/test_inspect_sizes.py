import csv

import pytest


@pytest.mark.parametrize(("space", "protocol"), [("micro", "digits-micro"), ("macro", "digits")])
def test_every_network_has_a_row_and_the_quantiles_are_told(run, tmp_path, space, protocol):
    table = tmp_path / "sizes.csv"
    done = run("inspect_sizes.py", "--space", space, "--protocol", protocol, "--children", 5, "--out", table)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(table.open()))
    parameters = sorted(int(row["parameters"]) for row in rows)
    assert len(rows) == 5 and parameters[0] > 0
    assert f"parameters of 5 networks, in millions: 0% {parameters[0] / 1e6:.2f}" in done.stdout
    assert all(int(row["flops"]) > int(row["parameters"]) for row in rows)


def test_more_filters_are_more_parameters(run, tmp_path):
    sizes = []
    for filters in (8, 16):
        table = tmp_path / f"{filters}.csv"
        given = ("--space", "micro", "--protocol", "digits-micro", "--overrides", f"cell_filters={filters}")
        assert run("inspect_sizes.py", *given, "--children", 2, "--out", table).returncode == 0
        sizes.append([int(row["parameters"]) for row in csv.DictReader(table.open())])
    assert all(more > 2 * fewer for fewer, more in zip(*sizes, strict=True))


def test_what_cannot_be_is_told(run, tmp_path):
    for given, words in ((("--protocol", "v9"), "no protocol preset 'v9'"), (("--children", 0), "at least 1")):
        done = run("inspect_sizes.py", *given, "--out", tmp_path / "sizes.csv")
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
