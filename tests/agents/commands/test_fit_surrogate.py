import json
import shutil

import gymnasium as gym
import numpy as np
import pytest

from nases_env.surrogate_fitting.table import card_path
from tests.agents.commands.conftest import pixels_of
from tests.surrogate_fitting.conftest import COLLECTED, change_card, rewrite


@pytest.fixture(scope="module")
def fitted(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    done = run("fit_surrogate.py", "--table", COLLECTED, "--out", folder / "surrogate", "--report", folder / "report")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture
def table(tmp_path):
    """A copy of the shipped surrogate's table, with its card."""
    copy = shutil.copy(COLLECTED, tmp_path / "table.csv.gz")
    shutil.copy(card_path(COLLECTED), card_path(copy))
    return copy


def test_the_report_reaches_what_readme_says(fitted):
    folder, printed = fitted
    found = json.loads((folder / "report.json").read_text())
    assert found["children"] == 4000 and found["evaluations"] == 4120
    reward, validation = found["held_out"]["reward"], found["held_out"]["validation_accuracy"]
    assert reward["tau"] > 0.6 and validation["tau"] > 0.65
    assert reward["r2"] > 2 / 3 * found["ceiling"]["reward"]
    assert found["with_first_epochs"]["1"]["validation_accuracy"]["tau"] > 0.75
    children = [point["children"] for point in found["learning_curve"]]
    assert children == sorted(children) and len(children) == 5
    assert min(pixels_of(folder / "report.png", colour) for colour in ("C0", "C1")) > 500  # accuracy and reward
    assert "reward, source left out: uniform" in printed


def test_its_surrogate_is_the_shipped_one_and_can_be_searched_gone_on_with_and_retrained(run, fitted, tmp_path):
    surrogate = fitted[0] / "surrogate"
    one, other = (gym.make("NASES-Digits-Surrogate-v0", surrogate=name) for name in ("digits", str(surrogate)))
    for env in (one, other):
        env.reset(seed=0)
        env.action_space.seed(0)
    for _ in range(20):
        assert one.step(one.action_space.sample())[1] == pytest.approx(other.step(other.action_space.sample())[1])
    search = ("search.py", "--run-dir", tmp_path / "run")
    chosen = ("--env-id", "NASES-Digits-Surrogate-v0", "--surrogate", surrogate, "--noise", "--children", 5)
    done = run(*search, *chosen)
    assert done.returncode == 0, done.stderr
    done = run(*search, "--resume", "--children", 7)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run/children.csv").read_text().splitlines()) == 8
    done = run("train_final.py", "--run", tmp_path / "run", "--epochs", 1)
    assert done.returncode == 0 and "protocol digits-final" in done.stdout, done.stderr


def test_one_that_is_no_better_than_a_linear_model_is_not_written(run, table, tmp_path):
    """Accuracies that depend on nothing: trees only add noise."""
    rng = np.random.default_rng(0)

    def scramble(lines):
        for line in lines:
            line["validation_accuracy"] = line["train_accuracy"] = accuracy = rng.uniform(0.3, 0.9)
            line["reward"] = accuracy**3

    rewrite(table, scramble)
    done = run("fit_surrogate.py", "--table", table, "--out", tmp_path / "surrogate")
    assert done.returncode == 1 and "nothing is written" in done.stdout, done.stderr
    assert not (tmp_path / "surrogate").exists()


def test_wrong_tables_are_told_in_a_line(run, table, tmp_path):
    fit = ("fit_surrogate.py", "--out", tmp_path / "surrogate", "--table")
    done = run(*fit, tmp_path / "none.csv.gz")
    assert done.returncode == 2 and "none.csv.gz is missing" in done.stderr and "Traceback" not in done.stderr
    change_card(card_path(table), dataset="imagefolder")
    done = run(*fit, table)
    assert done.returncode == 2 and "with --dataset" in done.stderr and "Traceback" not in done.stderr
