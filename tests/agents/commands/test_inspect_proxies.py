import csv

import pytest

from agents.arena import proxy_values
from agents.commands import inspect_proxies
from nases_env.surrogate_fitting.table import card_path
from tests.surrogate_fitting.conftest import COLLECTED, change_card


def test_it_measures_the_proxies_of_a_table(run, few, tmp_path):
    command = ("inspect_proxies.py", "--table", few, "--out", tmp_path / "found", "--workers", 0)
    done = run(*command, "--proxies", "parameters", "synflow", "--sample", 200)
    assert done.returncode == 0, done.stderr
    assert "synflow          200 evaluations, τ " in done.stdout
    values = proxy_values.read(tmp_path / "found.csv.gz")
    assert [each["proxy"] for each in values] == ["synflow"] * 200  # the table has the parameters
    with (tmp_path / "found.csv").open() as file:
        rows = {row["proxy"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["parameters", "synflow", "all", "all, with trees"]
    assert rows["synflow"]["evaluations"] == "200" and float(rows["synflow"]["milliseconds"]) > 0
    assert float(rows["all"]["reward_r2_gain_low"]) <= float(rows["all"]["reward_r2_gain"])
    assert rows["all, with trees"]["validation_accuracy_tau"] == ""


def test_other_images_are_told_in_a_line(run, few, tmp_path):
    change_card(card_path(few), fingerprint="0123456789abcdef")
    done = run("inspect_proxies.py", "--table", few, "--out", tmp_path / "found")
    assert done.returncode == 2 and "name the table's images with --dataset" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "found.csv.gz").exists()


@pytest.mark.parametrize(
    ("wrong", "words"), [({"sample": 199}, "--sample 199"), ({"proxies": ("nwot", "zen")}, "no proxy 'zen'")]
)
def test_what_cannot_be_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        inspect_proxies.Options(table=COLLECTED, **wrong)
