import csv
import dataclasses
import json
import signal
import subprocess
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.commands import pretrain
from nases_env import embeddings, search_spaces
from nases_env.stage_one.settings import PretrainingSettings
from tests.agents.commands.conftest import _command

QUICK = ["--steps", 400, "--finetune-steps", 100, "--batch-size", 16, "--device", "cpu"]
TABLE = ["--table1", "--sizes", 1, 5, "--steps", 100, "--batch-size", 16, "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrain") / "autoencoder.safetensors"
    done = subprocess.run(_command("pretrain.py", "--out", out, *QUICK), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table1") / "rows"
    done = subprocess.run(_command("pretrain.py", "--out", folder, *TABLE), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_it_writes_weights_that_the_environment_can_use(trained):
    out, printed = trained
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["test_loss"] < 75 and card["settings"]["steps"] == 400 and card["steps"] == 500
    assert "400 steps and 100 of the fine-tune, which --finetune-steps 0 leaves out: 500 together" in printed
    assert f"test loss {card['test_loss']}" in printed and "46.15" in printed and str(out) in printed
    space = search_spaces.make()
    decoder = embeddings.make(str(out), space)
    assert decoder.decode(decoder.encode(space.sample(np.random.default_rng(0), 1))).shape == (1, 60)


def test_its_curves_are_in_tensorboard(trained):
    out, _ = trained
    events = EventAccumulator(str(out.with_suffix(".training") / "tensorboard"))
    events.Reload()
    losses = events.Scalars("pretraining/train_loss")
    assert [event.step for event in losses] == [100, 200, 300, 400, 500]
    assert losses[-1].value < losses[0].value
    assert events.Scalars("pretraining/test_loss")[-1].step == 500
    assert "card/text_summary" in events.Tags()["tensors"]


def test_a_kill_changes_nothing(trained, start, run, tmp_path):
    out = tmp_path / "killed.safetensors"
    arguments = ["--out", out, *QUICK, "--checkpoint-seconds", 0]
    checkpoint = out.with_suffix(".training") / "checkpoint.safetensors"
    process = start("pretrain.py", *arguments)
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # polling another process
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists(), "it ended before it could be killed"
    refused = run("pretrain.py", *arguments, "--seed", 1)
    assert refused.returncode == 2 and "seed: 0, now 1" in refused.stderr and "--overwrite" in refused.stderr
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:1000])
    refused = run("pretrain.py", *arguments)
    assert refused.returncode == 2 and "is damaged" in refused.stderr and "Traceback" not in refused.stderr
    checkpoint.write_bytes(whole)
    done = run("pretrain.py", *arguments)
    assert done.returncode == 0, done.stderr
    whole, killed = load_file(trained[0]), load_file(out)
    assert all((whole[name] == killed[name]).all() for name in whole)
    assert not checkpoint.exists()


@pytest.mark.parametrize("name", ["autoencoder.safetensors", "autoencoder.json"])
def test_it_overwrites_nothing_unasked(run, tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = run("pretrain.py", "--out", tmp_path / "autoencoder.safetensors", *QUICK)
    assert done.returncode == 2 and "--overwrite" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / name).read_text() == "mine"


def test_asked_to_it_overwrites_at_the_end(run, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    out.write_text("mine")
    asked = ["--out", out, "--overwrite", *QUICK]
    assert run("pretrain.py", *asked, "--space", "mega").returncode == 2
    assert run("pretrain.py", *asked, "--learning-rate", 1e30).returncode == 2
    assert out.read_text() == "mine"
    done = run("pretrain.py", *asked)
    assert done.returncode == 0, done.stderr
    assert load_file(out)["simulator.0.bias"].shape == (1000,)


def test_two_processes_do_not_train_one_model(start, run, tmp_path):
    out = tmp_path / "autoencoder.safetensors"
    process = start("pretrain.py", "--out", out, "--steps", 100_000, "--device", "cpu")
    deadline = time.monotonic() + 60
    while not out.with_suffix(".training").exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # polling another process
    time.sleep(0.2)  # the lock follows the folder
    done = run("pretrain.py", "--out", out, "--steps", 100_000, "--device", "cpu")
    assert done.returncode == 2 and "another process trains" in done.stderr and "Traceback" not in done.stderr
    assert process.poll() is None


def test_the_recipe_decides_what_is_not_given():
    options = pretrain.parse(["--out", "a.safetensors", "--recipe=paper", "--seed", "3"])
    assert options.settings == dataclasses.replace(PretrainingSettings.paper(), seed=3)
    assert pretrain.parse(["--out", "a.safetensors"]).settings == PretrainingSettings()


def test_table_1_has_a_row_for_every_size_beside_the_papers(table):
    folder, printed = table
    with (folder / "table1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["embedding_size"], row["seed"]) for row in rows] == [("1", "0"), ("5", "0")]
    assert [float(row["paper_test_loss"]) for row in rows] == [72.58, 63.37]
    assert all(60 < float(row["test_loss"]) < 80 and float(row["minutes"]) > 0 for row in rows)
    assert str(folder / "table1.csv") in printed
    card = json.loads((folder / "k5-seed0.json").read_text())
    assert (card["embedding_size"], card["settings"]["finetune_steps"]) == (5, 0)


def test_rows_of_table_1_that_are_finished_are_not_trained_again(table, run):
    folder, _ = table
    before = {path: path.stat().st_mtime_ns for path in folder.glob("k*")}
    done = run("pretrain.py", "--out", folder, *TABLE)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("k*")} == before
    done = run("pretrain.py", "--out", folder, *TABLE, "--learning-rate", 0.1)
    assert done.returncode == 2 and "learning_rate: 0.002, now 0.1" in done.stderr


def test_ctrl_c_ends_all_rows_and_the_same_command_goes_on(start, run, tmp_path):
    folder = tmp_path / "rows"
    arguments = ["--out", folder, "--table1", "--sizes", 1, 5, "--steps", 100_000, "--checkpoint-seconds", 0]
    process = start("pretrain.py", *arguments, "--device", "cpu")
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*/checkpoint.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)  # polling another process
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    log = (tmp_path / "log0").read_text()
    assert "goes on from the last checkpoint" in log and "Traceback" not in log
    done = run("pretrain.py", *arguments, "--device", "cpu", "--batch-size", 8)
    assert done.returncode == 2 and "batch_size: 256, now 8" in done.stderr


def test_rows_end_with_a_killed_process(start, tmp_path):
    folder = tmp_path / "rows"
    process = start(
        "pretrain.py", "--out", folder, "--table1", "--sizes", 1, 5, "--checkpoint-seconds", 0, "--device", "cpu"
    )
    checkpoints = [folder / f"k{size}-seed0.training" / "checkpoint.safetensors" for size in (1, 5)]
    deadline = time.monotonic() + 120
    while not all(path.exists() for path in checkpoints) and time.monotonic() < deadline:
        time.sleep(0.05)  # polling another process
    process.kill()
    process.wait()
    time.sleep(1.0)
    before = [path.stat().st_mtime_ns for path in checkpoints]
    time.sleep(2.0)  # some twenty steps
    assert [path.stat().st_mtime_ns for path in checkpoints] == before


def test_a_loss_that_is_no_number_ends_the_training(run, tmp_path):
    out = tmp_path / "a.safetensors"
    done = run("pretrain.py", "--out", out, *QUICK, "--learning-rate", 1e30)
    assert done.returncode == 2 and "not finite" in done.stderr and "--learning-rate" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "weights.pt"], "has to end in .safetensors"),
        (["--out", "a.safetensors", "--steps", 0], "'steps': 0"),
        (["--out", "a.safetensors", "--space", "mega"], "there is no search space 'mega'"),
        (["--out", "a.safetensors", "--device", "tpu9000"], "tpu9000"),
        (["--out", "a.safetensors", "--minutes", -1], "--minutes -1"),
        (["--out", "a.safetensors", "--minutes", 0], "--minutes 0"),
        (["--out", "rows", "--table1", "--minutes", 1], "leave out --minutes"),
        (["--out", "rows", "--table1", "--seed", 1, "--embedding-size", 5], "leave out --seed, --embedding-size"),
        (["--out", "rows", "--table1", "--vectors", "profiles"], "leave out --vectors"),
        (["--out", "rows", "--table1", "--sizes"], "different embedding sizes"),
        (["--out", "rows", "--table1", "--workers", 0], "--workers 0"),
    ],
)
def test_wrong_options_say_what_to_do(run, tmp_path, arguments, words):
    done = run("pretrain.py", arguments[0], tmp_path / arguments[1], *arguments[2:])
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
