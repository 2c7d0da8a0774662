import json

import gymnasium as gym
import numpy as np
import pytest

from tests.surrogates.conftest import change_card, few, rewrite  # noqa: F401


@pytest.fixture(scope="module")
def fitted(run, tmp_path_factory):
    from tests.surrogates.conftest import COLLECTED

    folder = tmp_path_factory.mktemp("fitted")
    done = run("fit_surrogate.py", "--table", COLLECTED, "--out", folder / "surrogate", "--report", folder / "report")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_the_report_reaches_what_readme_says(fitted):
    folder, printed = fitted
    found = json.loads((folder / "report.json").read_text())
    assert found["children"] == 4000 and found["evaluations"] == 4120
    reward, validation = found["held_out"]["reward"], found["held_out"]["validation_accuracy"]
    assert reward["tau"] > 0.6 and validation["tau"] > 0.65
    assert reward["r2"] > 2 / 3 * found["ceiling"]["reward"]["r2"]
    assert found["with_first_epochs"]["1"]["validation_accuracy"]["tau"] > 0.75
    assert [point["children"] for point in found["learning_curve"]] == sorted(
        point["children"] for point in found["learning_curve"]
    )
    assert (folder / "report.png").stat().st_size > 10_000
    assert "reward, source left out: uniform" in printed


@pytest.mark.slow
def test_its_surrogate_is_the_shipped_one(fitted):
    one, other = (
        gym.make("NASES-Digits-Surrogate-v0", surrogate=surrogate)
        for surrogate in ("digits", str(fitted[0] / "surrogate"))
    )
    for env in (one, other):
        env.reset(seed=0)
        env.action_space.seed(0)
    for _ in range(20):
        assert one.step(one.action_space.sample())[1] == pytest.approx(other.step(other.action_space.sample())[1])


def test_a_surrogate_is_fitted_on_another_table_and_searched(run, few, tmp_path):  # noqa: F811
    done = run("fit_surrogate.py", "--table", few, "--out", tmp_path / "surrogate", "--dataset", "digits")
    assert done.returncode == 0, done.stderr
    assert "of 230 evaluations" in done.stdout
    searched = run(
        "search.py", "--env-id", "NASES-Digits-Surrogate-v0", "--surrogate", tmp_path / "surrogate", "--noise",
        "--children", 5, "--run-dir", tmp_path / "run",
    )  # fmt: skip
    assert searched.returncode == 0, searched.stderr
    assert len((tmp_path / "run/children.csv").read_text().splitlines()) == 6


def test_one_that_is_no_better_than_a_linear_model_is_not_written(run, few, tmp_path):  # noqa: F811
    """Accuracies that depend on nothing: trees only add noise."""
    rng = np.random.default_rng(0)

    def scramble(lines):
        for line in lines:
            line["validation_accuracy"] = line["train_accuracy"] = accuracy = rng.uniform(0.3, 0.9)
            line["reward"] = accuracy**3

    rewrite(few, scramble)
    done = run("fit_surrogate.py", "--table", few, "--out", tmp_path / "surrogate", "--report", tmp_path / "report")
    assert done.returncode == 1 and "nothing is written" in done.stdout
    assert not (tmp_path / "surrogate").exists() and (tmp_path / "report.json").is_file()


def test_wrong_tables_are_told_in_a_line(run, few, tmp_path):  # noqa: F811
    done = run("fit_surrogate.py", "--table", tmp_path / "none.csv.gz", "--out", tmp_path / "surrogate")
    assert done.returncode == 2 and "none.csv.gz is missing" in done.stderr and "Traceback" not in done.stderr
    from nases_env.surrogates.table import card_path

    change_card(card_path(few), rules="published")
    done = run("fit_surrogate.py", "--table", few, "--out", tmp_path / "surrogate")
    assert done.returncode == 2 and "Traceback" not in done.stderr
