import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nases_env.ledger import read_trials
from tests.agents.commands.conftest import TINY, best_child


def _children(folder, without=("seconds",)):
    with (folder / "children.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in without} for row in csv.DictReader(file)]


def _arguments(folder, agent="reinforce", children=14):
    return [
        *("--run-dir", folder, "--agent", agent, "--children", children, "--seed", 3, "--device", "cpu"),
        *("--reinforce.warmup", 10),
        *("--overrides", *TINY),
    ]


def _wait_for_trials(folder, process, count):
    """Until the journal has so many finished lines of trials, or the process ended."""
    journal = folder / "journal.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.is_file() and journal.read_bytes().count(b'"evaluation"') >= count:
            return
        time.sleep(0.02)  # polling another process
    assert process.poll() is None, "the search ended before it could be killed"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    import subprocess

    from tests.agents.commands.conftest import _command

    folder = tmp_path_factory.mktemp("search") / "run"
    done = subprocess.run(_command("search.py", *_arguments(folder)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_search_prints_where_everything_is_and_writes_it(uninterrupted):
    folder, output = uninterrupted
    for name in ("children.csv", "best.png", "tensorboard"):
        assert str(folder / name) in output
        assert (folder / name).exists()
    assert json.loads((folder / "settings.json").read_text())["options"]["children"] == 14
    assert "search.py --run-dir" in (folder / "command.txt").read_text()
    assert json.loads((folder / "versions.json").read_text())["numpy"] == np.__version__
    controller = load_file(folder / "controller.safetensors")
    assert len(controller) > 4 and all(np.isfinite(tensor).all() for tensor in controller.values())
    best = max(_children(folder), key=lambda row: float(row["reward"]))
    assert f"best child: number {best['step']} of 14" in output
    assert best_child(folder).key == best["architecture_key"]


def test_the_journal_and_the_table_tell_the_same(uninterrupted):
    folder, _ = uninterrupted
    trials = read_trials(folder / "journal.log")
    rows = _children(folder)
    assert [trial.value for trial in trials] == [float(row["reward"]) for row in rows]
    assert [row["source"] for row in rows[:10]] == ["warmup"] * 10
    evaluation = trials[0].user_attrs["evaluation"]
    assert evaluation["architecture"] == rows[0]["architecture_key"]
    assert len(evaluation["epochs"]) == 1 and evaluation["seconds"] > 0


def test_kills_at_any_moment_change_nothing(uninterrupted, start, run, tmp_path):
    folder = tmp_path / "killed"
    for trials in (0, 4, 11):
        process = start("search.py", *_arguments(folder), "--resume")
        _wait_for_trials(folder, process, trials)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = (folder / "journal.log").read_bytes() if (folder / "journal.log").exists() else b""
        if trials:
            with (folder / "journal.log").open("ab") as file:
                file.write(before.splitlines()[-1][:100])  # a torn line
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert _children(folder) == _children(uninterrupted[0])
    whole = before[: before.rfind(b"\n") + 1]
    after = (folder / "journal.log").read_bytes()
    assert after.startswith(whole), "the journal keeps what it had"
    assert [trial.number for trial in read_trials(folder / "journal.log")] == list(range(14))


def test_a_finished_search_replays_without_training(uninterrupted, run):
    folder, _ = uninterrupted
    journal, rows = (folder / "journal.log").read_bytes(), _children(folder, without=())
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert (folder / "journal.log").read_bytes() == journal
    assert _children(folder, without=()) == rows


def test_a_search_in_a_worker_process_finds_the_same_and_survives_its_death(uninterrupted, start, tmp_path):
    folder = tmp_path / "worker"
    process = start("search.py", *_arguments(folder), "--workers", 1)
    _wait_for_trials(folder, process, 4)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 1
    os.kill(int(workers[0]), signal.SIGKILL)
    assert process.wait(300) == 0
    assert _children(folder) == _children(uninterrupted[0])


def test_children_chosen_together_are_trained_at_once_with_the_same_results_and_resumed(run, start, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    done = run("search.py", *_arguments(alone), "--batch", 4)
    assert done.returncode == 0, done.stderr
    rows = _children(alone)
    assert [row["step"] for row in rows] == [str(step) for step in range(14)]
    assert {row["source"] for row in rows[:10]} == {"warmup"} and "controller" in {row["source"] for row in rows[10:]}
    process = start("search.py", *_arguments(killed), "--batch", 4, "--workers", 2)
    _wait_for_trials(killed, process, 5)
    process.kill()
    process.wait()
    # With a larger budget: the last batch of the first one was cut.
    for folder in (killed, alone):
        done = run("search.py", "--run-dir", folder, "--resume", "--children", 19)
        assert done.returncode == 0, done.stderr
    assert _children(alone)[:14] == rows and len(_children(alone)) == 19
    assert _children(killed) == _children(alone)


def test_an_asynchronous_search_goes_on_in_the_order_in_which_its_children_were_known(run, start, tmp_path):
    folder = tmp_path / "run"
    process = start("search.py", *_arguments(folder), "--batch", 4, "--workers", 2, "--asynchronous")
    _wait_for_trials(folder, process, 5)
    process.kill()
    process.wait()
    before = [(trial.params, trial.value, trial.user_attrs) for trial in read_trials(folder / "journal.log")]
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr
    trials = read_trials(folder / "journal.log")
    assert [(trial.params, trial.value, trial.user_attrs) for trial in trials[: len(before)]] == before
    evaluations = [trial.user_attrs["evaluation"] for trial in trials]
    asked = [evaluation.get("asked", evaluation["child"]) for evaluation in evaluations]
    assert sorted(asked) == list(range(14)), "every child is recorded once"
    trained = [evaluation["architecture"] for evaluation in evaluations if evaluation["seconds"] > 0]
    assert len(trained) == len(set(trained)), "no network is trained twice"
    rows = _children(folder)
    assert [float(row["reward"]) for row in rows] == [trial.value for trial in trials]
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 0 and _children(folder) == rows


def test_a_batch_is_refused_where_an_agent_chooses_one_by_one(run, tmp_path):
    done = run("search.py", *_arguments(tmp_path / "run", "sac"), "--batch", 4)
    assert done.returncode == 2 and "--batch 4: sac chooses one child at a time" in done.stderr
    assert not (tmp_path / "run").exists()


def test_another_search_reuses_what_this_one_paid_for(uninterrupted, run, tmp_path):
    folder = tmp_path / "reusing"
    done = run("search.py", *_arguments(folder), "--reuse", uninterrupted[0])
    assert done.returncode == 0, done.stderr
    assert _children(folder) == _children(uninterrupted[0])
    with (folder / "children.csv").open() as file:
        assert {float(row["seconds"]) for row in csv.DictReader(file)} == {0.0}


def test_a_search_starts_from_the_best_network_of_another(uninterrupted, run, tmp_path):
    other, folder = tmp_path / "other", tmp_path / "run"
    other.mkdir()
    for name in ("journal.log", "settings.json"):  # a search that was killed has written no best.json
        shutil.copy(uninterrupted[0] / name, other / name)
    known = (uninterrupted[0] / "best.json").read_text()
    done = run("search.py", *_arguments(folder, children=3), "--start-from", other)
    assert done.returncode == 0, done.stderr
    assert "the encoding of the known network keeps" in done.stdout and "of 105 links" in done.stdout
    rows = _children(folder)
    assert [row["source"] for row in rows] == ["start", "warmup", "warmup"]
    # What was asked for is in the run's own settings: the other folder may go.
    shutil.rmtree(other)
    done = run("search.py", "--run-dir", folder, "--resume", "--children", 4)
    assert done.returncode == 0, done.stderr
    assert _children(folder)[:3] == rows
    # Without an embedding the known network itself is the first child.
    done = run(
        "search.py", *_arguments(tmp_path / "identity", "random", 1), "--decoder", "identity", "--start-from", known
    )
    assert done.returncode == 0, done.stderr
    assert "keeps 15 of 15 operation, 15 of 15 filter_size, 15 of 15 filters, 105 of 105 links" in done.stdout
    assert (tmp_path / "identity" / "best.json").read_text() == known


def test_ctrl_c_ends_cleanly_and_can_be_resumed(start, run, tmp_path):
    folder = tmp_path / "interrupted"
    process = start("search.py", *_arguments(folder, "random", 200))
    _wait_for_trials(folder, process, 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    output = (tmp_path / "log0").read_text()
    assert "interrupted after" in output and "Traceback" not in output
    rows = _children(folder)
    assert best_child(folder).key == max(rows, key=lambda row: float(row["reward"]))["architecture_key"]
    done = run("search.py", "--run-dir", folder, "--resume", "--children", len(rows) + 1)
    assert done.returncode == 0, done.stderr
    assert _children(folder)[: len(rows)] == rows


@pytest.mark.parametrize("agent", ["ppo", "sac"])
def test_stable_baselines3_agents_search_and_replay(run, tmp_path, agent):
    pytest.importorskip("stable_baselines3")
    folder = tmp_path / agent
    assert run("search.py", *_arguments(folder, agent, 12)).returncode == 0
    rows = _children(folder)
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(rows) == 12 and _children(folder) == rows


def test_help_lists_every_option_with_a_sentence(run):
    done = run("search.py", "--help")
    assert done.returncode == 0
    for option in ("--env-id", "--agent", "--children", "--protocol", "--resume", "--reinforce.epsilon", "--recipe"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "digit"], "there is no protocol preset 'digit'"),
        (["--overrides", "epoch=3"], "a protocol has no fields ['epoch']"),
        (["--decoder", "vae"], "there is no decoder 'vae'"),
        (["--env-id", "NASES-v9"], "`v9`"),
        (["--env-id", "NASES-v0", "--dataset", "imagefolder:/nowhere"], "/nowhere/train"),
        (["--env-id", "CartPole-v1"], "no NASES environment"),
        (["--dataset", "mnist"], "there is no dataset 'mnist'"),
        (["--protocol", "cifar10-mini"], "train_images=9000"),
        (["--protocol", "digits-final"], "nases train-final"),
        (["--device", "tpu9000"], "tpu9000"),
        (["--seed", -1], "--seed -1"),
        (["--start-from", "/nowhere/best.json"], "/nowhere/best.json"),
        (["--start-from", "{}"], "not a macro architecture"),
    ],
)
def test_wrong_options_say_what_to_do(run, tmp_path, arguments, words):
    done = run("search.py", "--run-dir", tmp_path / "run", "--children", 1, *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "children.csv").exists()


def test_resume_asks_for_a_folder(run):
    done = run("search.py", "--resume")
    assert done.returncode == 2 and "--run-dir" in done.stderr


def test_a_second_process_in_the_folder_of_a_running_search_changes_nothing(start, run, tmp_path):
    folder = tmp_path / "running"
    process = start("search.py", *_arguments(folder, "random", 400))
    _wait_for_trials(folder, process, 3)
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 2 and "another process" in done.stderr
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert [int(row["step"]) for row in _children(folder)] == list(range(len(_children(folder))))


def test_a_used_folder_is_not_overwritten(uninterrupted, run):
    folder, _ = uninterrupted
    before = json.loads((folder / "settings.json").read_text())
    done = run("search.py", *_arguments(folder))
    assert done.returncode == 2 and "--resume" in done.stderr
    done = run("search.py", "--run-dir", folder, "--resume", "--seed", 4)
    assert done.returncode == 2 and "seed: 3, now 4" in done.stderr
    assert json.loads((folder / "settings.json").read_text()) == before


def test_the_paper_recipe_changes_defaults_but_not_what_is_given(run, tmp_path):
    folder = tmp_path / "run"
    done = run("search.py", *_arguments(folder, children=1), "--recipe", "paper", "--reinforce.epsilon", 0.5)
    assert done.returncode == 0, done.stderr
    stored = json.loads((folder / "settings.json").read_text())["options"]["reinforce"]
    assert (stored["policy"], stored["learning_rate"], stored["epsilon"]) == ("bernoulli", 1e-5, 0.5)


@pytest.mark.parametrize(
    ("agent", "settings", "words"),
    [
        ("reinforce", "epsilon=0.2", "--reinforce.epsilon"),
        ("evolution", "size=3", "evolution has no settings size"),
        ("tpe", "speed=3", "tpe cannot be made with {'speed': 3}"),
    ],
)
def test_settings_that_an_agent_does_not_have_are_told(run, tmp_path, agent, settings, words):
    surrogate = ("--env-id", "NASES-Digits-Surrogate-v0", "--children", 3, "--run-dir", tmp_path / "run")
    done = run("search.py", *surrogate, "--agent", agent, "--agent-settings", settings)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_cells_are_searched_resumed_and_trained_to_the_end(run, tmp_path):
    tiny = ("train_images=64", "validation_images=32", "epochs=1", "cell_filters=2")
    search = ("--env-id", "NASES-Digits-Micro-v0", "--device", "cpu", "--run-dir", tmp_path / "run")
    done = run("search.py", *search, "--children", 2, "--overrides", *tiny, "--reinforce.warmup", 1)
    assert done.returncode == 0, done.stderr
    done = run("search.py", *search, "--children", 3, "--resume")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run" / "children.csv").read_text().splitlines()) == 4
    final = ("--epochs", 1, "--device", "cpu", "--out", tmp_path / "final")
    done = run("train_final.py", "--run", tmp_path / "run", *final)
    assert done.returncode == 0, done.stderr
    best = json.loads(best_child(tmp_path / "run").to_json())
    metrics = json.loads((tmp_path / "final" / "metrics.json").read_text())
    assert metrics["architecture"] == best and best["space"] == "micro"
    assert metrics["protocol"]["name"] == "digits-micro-final" and 0 <= metrics["test_accuracy"] <= 1
