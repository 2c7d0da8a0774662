import csv
import gzip
import json

import pytest

from nases_env.ledger import read_trials
from tests.agents.commands.conftest import TINY


def _arguments(folder, children, *more):
    table = folder / "table.csv.gz"
    plan = ["--children", children, "--repeated", 4, "--seeds", 3, "--device", "cpu", "--seed", 5]
    return [*plan, "--run-dir", folder, "--table", table, *more, "--overrides", *TINY]


def _rows(folder, without=("seconds",)):
    with gzip.open(folder / "table.csv.gz", "rt") as file:
        return [{name: value for name, value in row.items() if name not in without} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def collected(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("collected")
    done = run("collect.py", *_arguments(folder, 40), "--workers", 2)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_table_has_every_architecture_once_and_the_first_with_several_seeds(collected):
    rows = _rows(collected)
    assert len(rows) == 40 + 4 * 2 == len(read_trials(collected / "journal.log"))
    architectures = [row["architecture"] for row in rows]
    assert len(set(architectures)) == 40
    assert architectures[:4] == architectures[4:8] == architectures[8:12]
    assert len({row["child_seed"] for row in rows}) == 48
    first = [row["validation_accuracy"] for row in rows[:12]]
    assert first[:4] != first[4:8]


def test_architectures_come_from_all_sources(collected):
    card = json.loads((collected / "table.json").read_text())
    assert set(card["sources"]) == {"uniform", "decoder", "mutation"}
    assert sum(card["sources"].values()) == card["rows"] == 48
    assert "mutation" not in {row["source"] for row in _rows(collected)[:4]}  # nothing is known to be good yet


def test_the_card_says_what_was_done_where_and_when(collected):
    card = json.loads((collected / "table.json").read_text())
    assert card["protocol"]["name"] == "digits" and card["protocol"]["train_images"] == 64
    assert card["columns"] == list(_rows(collected, without=())[0])
    assert card["hardware"] and card["versions"]["torch"] and len(card["dates"]) == 2
    assert card["dataset"] == "digits" and len(card["fingerprint"]) == 16 and card["seed"] == 5
    assert card["class_names"] == list("0123456789") and card["images"]["classes"] == 10


def test_rows_hold_rewards_sizes_and_epochs(collected):
    for row in _rows(collected, without=()):
        reward = (2 * float(row["validation_accuracy"]) - float(row["train_accuracy"])) ** 3
        assert float(row["reward"]) == pytest.approx(reward)
        assert int(row["parameters"]) > 0 and int(row["flops"]) > 0 and float(row["seconds"]) > 0
        assert float(row["validation_accuracy_1"]) == pytest.approx(float(row["validation_accuracy"]), abs=1e-5)
        assert float(row["loss_1"]) > 0 and row["failure"] == ""


def test_a_smaller_collection_goes_on_to_the_same_larger_one_with_other_workers(collected, run, tmp_path):
    for children in (30, 40):
        done = run("collect.py", *_arguments(tmp_path, children), "--workers", 1)
        assert done.returncode == 0, done.stderr
    assert _rows(tmp_path) == _rows(collected)


def test_a_finished_collection_is_replayed_and_trains_nothing(collected, run):
    before = (collected / "journal.log").read_bytes(), (collected / "table.csv.gz").read_bytes()
    assert run("collect.py", *_arguments(collected, 40)).returncode == 0
    assert ((collected / "journal.log").read_bytes(), (collected / "table.csv.gz").read_bytes()) == before


def test_a_table_whose_folder_is_gone_goes_on_and_its_best_are_repeated(collected, run, tmp_path):
    known = collected / "table.csv.gz"
    done = run("collect.py", *_arguments(tmp_path, 40), "--known", known, "--repeated-best", 2)
    assert done.returncode == 0, done.stderr
    assert f"48 evaluations were taken from {known}" in done.stdout
    rows = _rows(tmp_path, without=())
    assert rows[:48] == _rows(collected, without=()) and len(rows) == 48 + 2 * 2
    best = sorted(rows[12:48], key=lambda row: -float(row["reward"]))[:2]
    assert [row["architecture"] for row in rows[48:]] == 2 * [row["architecture"] for row in best]
    before, now = (json.loads((folder / "table.json").read_text()) for folder in (collected, tmp_path))
    assert (now["dates"][0], now["hardware"]) == (before["dates"][0], before["hardware"])


def test_taking_a_table_goes_on_where_it_was_interrupted(collected, run, tmp_path):
    journal, known = tmp_path / "journal.log", ["--known", collected / "table.csv.gz"]
    assert run("collect.py", *_arguments(tmp_path, 40), *known).returncode == 0
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    done = run("collect.py", *_arguments(tmp_path, 40), *known)
    assert done.returncode == 0, done.stderr
    assert _rows(tmp_path, without=()) == _rows(collected, without=())  # seconds too: nothing was trained


def test_the_table_of_another_collection_is_refused(collected, run, tmp_path):
    known = ["--known", collected / "table.csv.gz"]
    done = run("collect.py", *_arguments(tmp_path / "seed", 40), "--seed", 6, *known)
    assert done.returncode == 2 and "holds other children than this collection asks for" in done.stderr
    done = run("collect.py", *_arguments(tmp_path / "protocol", 40), "epochs=2", *known)
    assert done.returncode == 2 and "give the data set and the protocol of the command" in done.stderr


def test_a_collection_without_repeats(run, tmp_path):
    done = run("collect.py", *_arguments(tmp_path, 3, "--repeated", 0))
    assert done.returncode == 0, done.stderr
    assert len(_rows(tmp_path)) == 3


def test_where_fewer_children_are_asked_for_than_are_repeated_all_are_and_it_is_said(run, tmp_path):
    folder = ["--run-dir", tmp_path, "--table", tmp_path / "table.csv.gz"]
    plan = ["--children", 3, "--seeds", 2, "--device", "cpu", *folder]
    done = run("collect.py", *plan, "--overrides", *TINY)
    assert done.returncode == 0, done.stderr
    assert "--children 3 are fewer than the 60 that are repeated by default" in done.stderr
    assert len(_rows(tmp_path)) == 6
    done = run("collect.py", *plan, "--children", 4, "--repeated", 3, "--overrides", *TINY)
    assert done.returncode == 0 and "by default" not in done.stderr, done.stderr
    assert len(_rows(tmp_path)) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--children", 0], "--children, --seeds and --workers have to be at least 1"),
        (["--children", 20, "--repeated", 60], "--repeated 60 are the first of --children 20"),
        (["--children", 20, "--repeated", 12, "--repeated-best", 9], "--repeated-best 9 are of the others"),
        (["--table", "rows.csv"], "--table rows.csv has to be a file that ends in .csv.gz"),
        (["--overrides", "epochs"], "'epochs' overrides nothing; expected field=value"),
        (["--dataset", "mnist"], "there is no dataset 'mnist'"),
        (["--decoder", "vae"], "'autoencoder-paper'"),
    ],
)
def test_what_cannot_be_collected_is_said(run, tmp_path, arguments, words):
    done = run("collect.py", "--run-dir", tmp_path / "run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr


def test_other_options_than_those_of_the_folder_are_refused(collected, run):
    done = run("collect.py", *_arguments(collected, 40), "--rules", "published")
    assert done.returncode == 2 and "was started with other options" in done.stderr


def test_cells_are_collected_by_their_validation_accuracy(run, tmp_path):
    cells = ["--space", "micro", "--reward", "validation", "--protocol", "digits-micro"]
    tiny = ["train_images=64", "validation_images=32", "epochs=1", "cell_filters=2"]
    table = ["--run-dir", tmp_path, "--table", tmp_path / "table.csv.gz", "--device", "cpu"]
    plan = ["--children", 4, "--repeated", 1, "--seeds", 2]
    done = run("collect.py", *plan, *cells, *table, "--overrides", *tiny)
    assert done.returncode == 0, done.stderr
    rows = _rows(tmp_path)
    assert len(rows) == 5
    assert all(row["reward"] == row["validation_accuracy"] for row in rows)
    assert {json.loads(row["architecture"])["space"] for row in rows} == {"micro"}
    assert json.loads((tmp_path / "table.json").read_text())["decoder"] == "autoencoder"
