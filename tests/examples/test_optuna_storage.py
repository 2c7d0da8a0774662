"""The mirror of a journal holds the same trials, once each, however often it is made."""

import importlib.util
import os
from pathlib import Path

import optuna
import pytest

from agents.commands import search
from nases_env.ledger import read_trials

FILE = Path(__file__).parents[2] / "examples" / "optuna_storage.py"
POSTGRES = os.environ.get("NASES_TEST_POSTGRES", "")
"""URL of an empty database to test with, where there is one."""


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("optuna_storage", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.skipif(not POSTGRES, reason="needs NASES_TEST_POSTGRES")),
    ]
)
def storage(request, tmp_path):
    return POSTGRES if request.param == "postgres" else f"sqlite:///{tmp_path / 'searches.db'}"


@pytest.fixture
def run(tmp_path):
    """The folder of a search of three children, and a way to make it one of more."""

    def search_to(children):
        folder = tmp_path / tmp_path.name
        options = ["--env-id", "NASES-Digits-Surrogate-v0", "--agent", "random", "--children", str(children)]
        assert search.main(search.parse([*options, "--run-dir", str(folder), "--resume"])) == 0
        return folder

    return search_to


def test_it_holds_the_trials_of_the_journal_once_each(example, run, storage):
    folder = run(3)
    for children, follow in ((3, False), (3, True), (5, False)):
        run(children)
        example.main(example.Args(folder, storage, follow=follow))
        mirror = optuna.load_study(study_name=folder.name, storage=storage).get_trials()
        journal = read_trials(folder / "journal.log")
        assert [trial.number for trial in mirror] == [*range(children)]
        for one, other in zip(mirror, journal, strict=True):
            assert one.params == other.params
            assert one.value == other.value
            assert one.user_attrs == other.user_attrs
            assert one.datetime_complete == other.datetime_complete


def test_a_study_of_something_else_is_left_as_it_is(example, run, storage):
    folder = run(3)
    study = optuna.create_study(study_name=folder.name, storage=storage, direction="maximize")
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(ValueError, match="holds 1 trials that are not the first of the journal"):
        example.main(example.Args(folder, storage))
    assert len(optuna.load_study(study_name=folder.name, storage=storage).trials) == 1


def test_a_folder_without_a_search_is_told(example, tmp_path):
    with pytest.raises(FileNotFoundError):
        example.main(example.Args(tmp_path, f"sqlite:///{tmp_path / 'searches.db'}"))
    assert [*tmp_path.iterdir()] == []
