import json

import gymnasium as gym
import numpy as np
import pytest

from agents.search.run_directory import RunDirectory
from nases_env import embeddings, rewards
from nases_env.evaluators import Evaluation
from nases_env.ledger import DamagedJournalError, EvaluationId, JournalLedger
from nases_env.schemas import SCHEMA
from nases_env.search_spaces import MacroArchitecture

OPTIONS = {"agent": "random", "seed": 0, "children": 3, "device": None}
PROTOCOL = {"epochs": 2}
KEYWORDS = {"protocol": {"preset": "digits", "epochs": 2}}


def _started(tmp_path, children=0):
    run = RunDirectory(tmp_path / "run")
    run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)
    ledger = JournalLedger(run.journal)
    for seed in range(children):
        identity = EvaluationId("", MacroArchitecture.published().key, seed)
        evaluation = Evaluation(0.25 * seed, 0.25 * seed)
        ledger.record(np.zeros(2), identity, MacroArchitecture.published(), evaluation, rewards.eq1(evaluation))
    ledger.close()
    return run


def test_starting_records_options_command_and_versions(tmp_path):
    run = _started(tmp_path)
    assert run.options() == OPTIONS
    assert "torch" in json.loads((run.path / "versions.json").read_text())
    assert (run.path / "command.txt").read_text().count("\n") == 1


def test_the_environment_can_be_made_again(tmp_path):
    env = _started(tmp_path).make_environment()
    assert env.unwrapped.protocol.epochs == 2


def test_a_second_start_needs_resume(tmp_path):
    run = _started(tmp_path, children=1)
    with pytest.raises(FileExistsError, match="--resume"):
        run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)


def test_a_folder_without_children_can_be_started_with_other_options(tmp_path):
    run = _started(tmp_path)
    run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)
    assert run.options()["seed"] == 7


def test_a_budget_below_what_was_found_is_refused(tmp_path):
    run = _started(tmp_path, children=3)
    with pytest.raises(ValueError, match="3 children; ask for at least as many, not 2"):
        run.start(OPTIONS | {"children": 2}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)


def test_nothing_is_written_under_a_search_that_runs(tmp_path):
    run = _started(tmp_path)
    running = JournalLedger(run.journal)
    with pytest.raises(BlockingIOError, match="another process"):
        run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options() == OPTIONS
    running.close()


def test_the_best_child_is_the_earliest_with_the_highest_reward(tmp_path):
    assert _started(tmp_path, children=3).best().number == 2
    with pytest.raises(ValueError, match="no child that succeeded"):
        _started(tmp_path / "empty").best()


def test_the_believed_child_is_the_earliest_of_its_architecture(tmp_path):
    run = _started(tmp_path, children=3)
    assert run.believed() is None  # the search told of none
    file = run.path / "believed.json"
    file.write_text(MacroArchitecture.published().to_json())
    assert run.believed().number == 0
    space = run.make_nases_environment().space
    other = space.architecture(space.discretise(space.sample(np.random.default_rng(0), 1))[0])
    file.write_text(other.to_json())
    assert run.believed() is None  # the journal has lost it
    file.write_text("{")
    with pytest.raises(ValueError, match=r"believed\.json is damaged .*resume the search"):
        run.believed()


def test_a_search_of_an_earlier_version_goes_on_with_its_critic(tmp_path):
    reinforce = {"width": 1.0, "ridge": 0.2}
    run = RunDirectory(tmp_path / "run")
    run.start(OPTIONS | {"reinforce": reinforce}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=False)
    assert run.options()["reinforce"] == reinforce | {"critic": "embedding"}


def _as_written_before(run, **keywords):
    """Change the settings to what a version wrote whose default decoder was another."""
    file = run.path / "settings.json"
    settings = json.loads(file.read_text()) | {"schema": 1}
    settings["environment"]["keywords"] |= keywords
    file.write_text(json.dumps(settings))


def test_a_search_of_an_earlier_version_goes_on_with_the_decoder_that_was_the_default(tmp_path):
    run, action = _started(tmp_path), np.full((1, 20), 0.3, np.float32)
    now = run.make_nases_environment()
    assert not np.array_equal(now.decoder.decode(action), embeddings.make("autoencoder", now.space).decode(action))
    _as_written_before(run)
    assert run.options() == OPTIONS | {"decoder": "autoencoder"}
    then = run.make_nases_environment()
    assert np.array_equal(then.decoder.decode(action), embeddings.make("autoencoder", then.space).decode(action))


def test_a_search_of_an_earlier_version_goes_on_without_an_embedding(tmp_path):
    run = _started(tmp_path)
    _as_written_before(run, decoder="identity")  # an agent chose it, and no option
    assert run.options()["decoder"] == "identity"


def test_resuming_with_other_options_names_them(tmp_path):
    run = _started(tmp_path, children=1)
    with pytest.raises(ValueError, match="seed: 0, now 7"):
        run.start(OPTIONS | {"seed": 7}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options() == OPTIONS


def test_resuming_may_change_budget_and_device(tmp_path):
    run = _started(tmp_path)
    run.start(OPTIONS | {"children": 9, "device": "cpu"}, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.options()["children"] == 9


def test_resuming_an_empty_folder_starts_it(tmp_path):
    run = RunDirectory(tmp_path / "new")
    run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)
    assert run.exists()


def test_a_folder_without_a_search_says_so(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no search"):
        run.options()
    with pytest.raises(FileNotFoundError, match="no journal"):
        run.best()


def _edit_journal(run, line, before, after):
    lines = run.journal.read_text(encoding="utf-8").splitlines(keepends=True)
    assert before in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(before, after)
    run.journal.write_text("".join(lines), encoding="utf-8")


def test_a_reward_that_was_edited_is_not_believed(tmp_path):
    run = _started(tmp_path, children=3)
    _edit_journal(run, 2, '"value":0.0', '"value":0.9')
    for attempt in (run.best, lambda: run.start(OPTIONS, "NASES-Digits-v0", KEYWORDS, PROTOCOL, resume=True)):
        with pytest.raises(DamagedJournalError, match="line 2 .* 0.9"):
            attempt()


def test_an_architecture_that_was_edited_is_not_the_best_one(tmp_path):
    run = _started(tmp_path, children=3)
    _edit_journal(run, 4, '["max_pool",0,0]', '["average_pool",0,0]')
    with pytest.raises(DamagedJournalError, match="line 4 .* architecture_json"):
        run.best()


@pytest.mark.parametrize(
    "settings",
    [
        b"", b"{", b"[]", b"{}", b"null", b"\xff", b'{"options": {}, "environment": []}', b"[" * 100_000,
        b'{"options": [], "environment": {"id": "NASES-Digits-v0", "keywords": {}}}',
        b'{"options": {}, "environment": {"id": 3, "keywords": {}}}',
        b'{"options": {}, "environment": {"id": "NASES-Digits-v0", "keywords": "none"}}',
    ],
)  # fmt: skip
def test_damaged_settings_say_what_to_do(tmp_path, settings):
    run = _started(tmp_path, children=1)
    (run.path / "settings.json").write_bytes(settings)
    for attempt in (run.options, run.make_environment, run.best):
        with pytest.raises(ValueError, match=r"settings.json is damaged .* remove it and resume"):
            attempt()


def test_an_architecture_that_is_missing_is_told(tmp_path):
    run = _started(tmp_path, children=1)
    _edit_journal(run, 2, '"architecture_json"', '"another"')
    with pytest.raises(ValueError, match="holds no architecture of its best child, 0"):
        run.best()


def test_a_reward_that_another_packages_environment_chooses_is_compared(tmp_path):
    gym.register("Mine-v0", "nases_env.env:NASESEnv", kwargs={"reward": "validation"})
    try:
        run = RunDirectory(tmp_path / "run", trust=True)
        run.start(OPTIONS, "Mine-v0", {}, PROTOCOL, resume=False)
        ledger, found = JournalLedger(run.journal), Evaluation(0.5, 0.75)
        identity = EvaluationId("", MacroArchitecture.published().key, 0)
        ledger.record(np.zeros(2), identity, MacroArchitecture.published(), found, rewards.validation(found))
        ledger.close()
        assert run.best().reward == 0.75
    finally:
        del gym.registry["Mine-v0"]


def _with_environment(run, env_id, **keywords):
    environment = {"id": env_id, "keywords": keywords, "protocol": PROTOCOL}
    settings = {"schema": SCHEMA["settings"], "options": OPTIONS, "environment": environment}
    (run.path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def test_a_strangers_folder_cannot_make_another_packages_code_run(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = _started(tmp_path)
    for env_id in ("stranger:NASES-Digits-v0", "CartPole-v1", "GymV21Environment-v0"):
        _with_environment(run, env_id)
        for attempt in (run.options, run.make_environment):
            with pytest.raises(ValueError, match="not one of this package's"):
                attempt()
    assert not (tmp_path / "ran").exists()
    _with_environment(run, "stranger:NASES-Digits-v0")
    RunDirectory(run.path, trust=True).make_environment().close()
    assert (tmp_path / "ran").exists()


def test_the_searchs_options_cannot_name_another_environment_than_the_settings(tmp_path):
    run = _started(tmp_path)
    settings = json.loads((run.path / "settings.json").read_bytes())
    settings["options"]["env_id"] = "CartPole-v1"
    (run.path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match="its options name the environment 'CartPole-v1'"):
        run.options()


@pytest.mark.parametrize("keywords", [{"foo": 1}, {"id": "NASES-v0"}, {"max_episode_steps": "x"}])
def test_keywords_that_the_environment_does_not_have_are_told(tmp_path, keywords):
    run = _started(tmp_path)
    _with_environment(run, "NASES-Digits-v0", **keywords)
    with pytest.raises(ValueError, match="this version cannot make"):
        run.make_environment()


@pytest.mark.parametrize("name", ["children.csv", "tensorboard", "final/model.safetensors"])
def test_a_strangers_folder_has_no_links_that_lead_out_of_it(tmp_path, name):
    run = _started(tmp_path)
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).symlink_to(tmp_path / "elsewhere")
    (run.path / "inside").symlink_to(run.path / "command.txt")
    with pytest.raises(ValueError, match=f"{name} is a link to .*elsewhere.*--trust"):
        run.options()
    assert RunDirectory(run.path, trust=True).options() == OPTIONS


def test_a_strangers_folder_cannot_write_elsewhere(tmp_path):
    run = _started(tmp_path)
    _with_environment(run, "NASES-Digits-v0", ledger=str(tmp_path / "elsewhere.log"))
    with pytest.raises(ValueError, match="ledger.*--trust"):
        run.make_environment()
    assert RunDirectory(run.path, trust=True).options() == OPTIONS
