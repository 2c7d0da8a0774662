"""A search from its settings to its end, without a command around it."""

import csv
import json

import pytest

from agents.reinforce import Reinforce
from agents.search.run_directory import RunDirectory
from agents.search.session import Session
from agents.search.settings import SearchSettings
from nases_env.env import NASESEnv
from nases_env.executors import choice

SURROGATE = {"env_id": "NASES-Digits-Surrogate-v0", "seed": 3}


def _rewards(folder):
    with (folder / "children.csv").open(encoding="utf-8") as file:
        return [row["reward"] for row in csv.DictReader(file)]


def test_a_search_runs_is_gone_on_with_and_finds_the_same(tmp_path):
    outcome = Session(SearchSettings(**SURROGATE, children=4), RunDirectory(tmp_path / "run")).run()
    assert (outcome.children, outcome.interrupted, outcome.errors) == (4, False, ())
    first = _rewards(tmp_path / "run")
    assert outcome.best.reward == max(map(float, first))
    outcome = Session(SearchSettings(**SURROGATE, children=6), RunDirectory(tmp_path / "run"), resume=True).run()
    assert outcome.children == 6 and _rewards(tmp_path / "run")[:4] == first


def test_the_folder_tells_the_child_that_the_agent_recommends(tmp_path, monkeypatch):
    monkeypatch.setattr(Reinforce, "recommend", lambda agent, env: 2)
    outcome = Session(SearchSettings(**SURROGATE, children=4), RunDirectory(tmp_path)).run()
    assert outcome.believed.step == 2 != outcome.best.step
    assert (tmp_path / "believed.json").read_text().strip() == outcome.believed.architecture.to_json()
    assert (tmp_path / "best.json").read_text().strip() == outcome.best.architecture.to_json()
    assert RunDirectory(tmp_path).believed().number == 2


def test_a_search_on_a_cluster_is_opened_and_gone_on_with_where_there_is_none(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    tiny = {"overrides": ("train_images=64", "validation_images=32", "epochs=1", "width=0.01"), "children": 1}
    session = Session(SearchSettings(**tiny, executor="ray:cpu*2"), RunDirectory(tmp_path))
    assert session.environment.executor == "ray:cpu*2"
    monkeypatch.setattr(choice, "check_installed", lambda: pytest.fail("nobody asked for a cluster"))
    assert RunDirectory(tmp_path).make_nases_environment().executor == "inline"
    outcome = Session(SearchSettings(**tiny, device="cpu"), RunDirectory(tmp_path), resume=True).run()
    assert (outcome.children, outcome.errors) == (1, ())


def test_settings_of_another_search_are_refused(tmp_path):
    Session(SearchSettings(**SURROGATE, children=2), RunDirectory(tmp_path)).run()
    with pytest.raises(FileExistsError, match="--resume"):
        Session(SearchSettings(**SURROGATE, children=2), RunDirectory(tmp_path))
    with pytest.raises(ValueError, match="agent: 'reinforce', now 'random'"):
        Session(SearchSettings(**SURROGATE, children=2, agent="random"), RunDirectory(tmp_path), resume=True)
    with pytest.raises(ValueError, match="asynchronous: False, now True; batch: 1, now 2"):
        Session(
            SearchSettings(**SURROGATE, children=2, batch=2, asynchronous=True), RunDirectory(tmp_path), resume=True
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"children": 0}, "--children 0 has to be at least 1"),
        ({"batch": 0}, "--batch 0 has to be at least 1"),
        ({"asynchronous": True}, "--asynchronous keeps as many children in training as --batch says.*give --batch"),
        ({"agent": "hill"}, "no agent 'hill'"),
        ({"device": "cpu"}, "device is .cpu., but a surrogate trains nothing"),
        ({"agent": "tpe", "agent_settings": ("speed",)}, "'speed' overrides nothing"),
    ],
)
def test_wrong_settings_leave_no_folder(tmp_path, settings, words):
    with pytest.raises(ValueError, match=words):
        Session(SearchSettings(**SURROGATE | settings), RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_what_went_wrong_is_told_and_what_was_found_before_is_recorded(tmp_path, monkeypatch):
    session = Session(SearchSettings(**SURROGATE, children=5, agent="random"), RunDirectory(tmp_path))
    step, children = NASESEnv.step, iter(range(2))

    def fail_at_the_third(environment, action):
        if next(children, None) is None:
            raise OSError("the disk is full")
        return step(environment, action)

    monkeypatch.setattr(NASESEnv, "step", fail_at_the_third)
    outcome = session.run()
    assert [str(error) for error in outcome.errors] == ["the disk is full"]
    assert outcome.children == 2 == len(_rewards(tmp_path))


def test_ctrl_c_ends_a_search_and_keeps_what_it_learned(tmp_path, monkeypatch):
    session = Session(SearchSettings(**SURROGATE, children=50), RunDirectory(tmp_path))
    tell, calls = Reinforce.tell, iter(range(3))

    def interrupted_at_the_fourth(*given):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return tell(*given)

    monkeypatch.setattr(Reinforce, "tell", interrupted_at_the_fourth)
    outcome = session.run()
    assert outcome.interrupted and outcome.children == 4
    assert (tmp_path / "controller.safetensors").is_file()


def test_a_search_starts_from_a_known_network_whatever_becomes_of_its_folder(tmp_path):
    Session(SearchSettings(**SURROGATE, children=2), RunDirectory(tmp_path / "other")).run()
    known = str(tmp_path / "other")
    session = Session(SearchSettings(**SURROGATE, children=1, start_from=known), RunDirectory(tmp_path / "run"))
    assert "15 operation" in session.describe_start()
    assert session.run().children == 1
    stored = RunDirectory(tmp_path / "run").options()["start_from"]
    assert json.loads(stored)["space"] == "macro"


def test_a_journal_to_reuse_that_is_missing_is_told_before_a_folder_is_made(tmp_path):
    settings = SearchSettings(env_id="NASES-Digits-Surrogate-v0", children=1, reuse=(str(tmp_path / "nope"),))
    with pytest.raises(FileNotFoundError, match=r"--reuse .*nope: there is no journal .*nope; name the folder"):
        Session(settings, RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_network_to_start_from_that_is_missing_is_told(tmp_path):
    settings = SearchSettings(env_id="NASES-Digits-Surrogate-v0", children=1, start_from="nope")
    with pytest.raises(FileNotFoundError, match="--start-from nope: there is no such folder or file"):
        Session(settings, RunDirectory(tmp_path / "run"))
