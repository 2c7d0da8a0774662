import csv

import pytest


def _tune(run, out, *more, grid=("population=5,8", "mutations=1,3"), rounds=("5x1", "2x3")):
    arguments = ["--agent", "evolution", "--grid", *grid, "--rounds", *rounds, "--children", 12, "--out", out]
    return run("tune.py", *arguments, *more)


def _rows(out):
    with (out / "tuning.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned")
    done = _tune(run, out)
    assert done.returncode == 0, done.stderr
    return out


def test_defaults_and_the_whole_grid_are_tried_and_the_best_go_on(tuned):
    rows = _rows(tuned)
    first, second = ([row for row in rows if row["round"] == number] for number in "12")
    grid = {f"evolution:population={size},mutations={count}" for size in (5, 8) for count in (1, 3)}
    assert {row["agent"] for row in first} == {"evolution", *grid}
    assert {row["agent"] for row in second} == {row["agent"] for row in first[:2]}
    assert ({row["seeds"] for row in first}, {row["seeds"] for row in second}) == ({"1"}, {"3"})


def test_rows_are_sorted_by_the_mean_score_of_their_round(tuned):
    rows = _rows(tuned)
    assert [row["round"] for row in rows] == ["2"] * 2 + ["1"] * 5
    for number in "12":
        means = [float(row["mean"]) for row in rows if row["round"] == number]
        assert means == sorted(means, reverse=True)


def test_the_same_command_makes_nothing_again(run, tuned):
    before = {path: path.stat().st_mtime_ns for path in tuned.rglob("seed*.json")}
    table = (tuned / "tuning.csv").read_text()
    assert _tune(run, tuned).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in tuned.rglob("seed*.json")} == before
    assert (tuned / "tuning.csv").read_text() == table


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"grid": ("population",)}, "expected setting=value,value"),
        ({"grid": ("size=3",)}, "evolution has no settings size"),
        ({"rounds": ("4x3", "5x2")}, "fewer configurations and more seeds"),
        ({"rounds": ("four",)}, "expected configurations x seeds"),
        ({"grid": ("decoder=nothing",)}, "no decoder 'nothing'"),
    ],
)
def test_wrong_options_are_told_before_anything_is_searched(run, tmp_path, given, words):
    done = _tune(run, tmp_path / "out", **given)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
