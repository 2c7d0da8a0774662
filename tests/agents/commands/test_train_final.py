import json
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agents.commands import train_final
from agents.search.run_directory import RunDirectory
from nases_env.children import build, checkpoint, datasets, padding
from nases_env.children.presets import resolve
from nases_env.search_spaces import MacroArchitecture
from tests.agents.commands.conftest import TINY

FAST = ["--device", "cpu", "--epochs", "4"]


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    import subprocess

    from tests.agents.commands.conftest import _command

    folder = tmp_path_factory.mktemp("final") / "run"
    arguments = ["--run-dir", folder, "--agent", "random", "--children", 3, "--device", "cpu", "--overrides", *TINY]
    subprocess.run(_command("search.py", *arguments), check=True, capture_output=True, timeout=300)
    return folder


@pytest.mark.parametrize("child", ["believed", "best"])
def test_the_child_that_is_asked_for_is_retrained(search, tmp_path, child):
    folder = shutil.copytree(search, tmp_path / "run")
    best, other = sorted(RunDirectory(folder).children(), key=lambda found: -found.reward)[:2]
    (folder / "believed.json").write_text(json.dumps(other.evaluation["architecture_json"]))
    tiny = ("width=0.01", "width_multiple=2")
    given = train_final.Options(str(folder), child=child, epochs=1, device="cpu", overrides=tiny)
    assert train_final.main(given) == 0
    assert _metrics(folder / "final")["child"] == {"believed": other, "best": best}[child].number


def _metrics(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in metrics.items() if name != "seconds"}


def test_the_best_child_is_retrained_and_tested(search, run, tmp_path):
    done = run("train_final.py", "--run", search, "--out", tmp_path / "final", *FAST)
    assert done.returncode == 0, done.stderr
    metrics = _metrics(tmp_path / "final")
    best = MacroArchitecture.from_json((search / "best.json").read_text())
    assert metrics["architecture"] == json.loads(best.to_json())
    assert metrics["epochs"] == 4 and metrics["protocol"]["name"] == "digits-final"
    assert metrics["test_accuracy"] > 0.5
    network = json.loads((tmp_path / "final" / "network.json").read_text())
    assert len(network["mean"]) == len(network["deviation"]) == network["channels"] == 1
    protocol = resolve("digits-final")
    model, test = (
        build.load(tmp_path / "final"),
        datasets.load_test("digits", "", datasets.load("digits", "", protocol, "cpu")),
    )
    with torch.no_grad():
        predicted = model(test.images).argmax(dim=1)
    assert float((predicted == test.labels).double().mean()) == pytest.approx(metrics["test_accuracy"])
    images = datasets.read("digits", "", "test")
    truth = [model.class_names[label] for label in images.labels]
    assert np.mean(np.array(model.predict(images.pixels)) == truth) == pytest.approx(metrics["test_accuracy"])
    assert metrics["class_names"] == network["class_names"] == list("0123456789")
    assert network["image_size"] == 8
    events = b"".join(file.read_bytes() for file in (tmp_path / "final" / "tensorboard").iterdir())
    assert b"final/classes" in events and b"3: 3" in events
    assert not list((tmp_path / "final").glob("*.partial"))
    assert len((tmp_path / "final" / "curve.csv").read_text().splitlines()) == 5


def test_a_kill_changes_nothing(search, start, run, tmp_path):
    arguments = ["--run", search, "--device", "cpu", "--epochs", "12", "--overrides", "width=0.05", "--out"]
    assert run("train_final.py", *arguments, tmp_path / "whole").returncode == 0
    process = start("train_final.py", *arguments, tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # polling another process
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "metrics.json").exists(), "it ended before it could be killed"
    done = run("train_final.py", *arguments, tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert _metrics(tmp_path / "killed") == _metrics(tmp_path / "whole")
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(whole[name].equal(killed[name]) for name in whole)


def test_a_damaged_checkpoint_is_told_and_without_it_the_training_starts_again(search, run, tmp_path):
    arguments = ["--run", search, "--device", "cpu", "--epochs", "1", "--overrides", "width=0.05", "--out", tmp_path]
    assert run("train_final.py", *arguments).returncode == 0
    (tmp_path / "metrics.json").unlink()
    file = tmp_path / "checkpoint.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    done = run("train_final.py", *arguments)
    assert done.returncode == 2 and "remove it, and the training starts again" in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "curve.csv").write_text("epoch,loss\n")
    file.write_bytes(whole)
    done = run("train_final.py", *arguments)
    assert done.returncode == 2 and "knows 1 epochs" in done.stderr and "Traceback" not in done.stderr
    checkpoint.save(file, checkpoint.load(file) | {"generator": torch.zeros(16, dtype=torch.uint8)})  # as CUDA's
    done = run("train_final.py", *arguments)
    assert done.returncode == 2 and "another kind of device than cpu" in done.stderr and "--device" in done.stderr
    file.unlink()
    assert run("train_final.py", *arguments).returncode == 0


def test_a_finished_training_does_not_open_the_test_set_again(search, run, tmp_path):
    arguments = ["--run", search, "--out", tmp_path / "final", "--epochs", "1", "--device", "cpu"]
    run("train_final.py", *arguments)
    before = (tmp_path / "final" / "metrics.json").read_bytes()
    done = run("train_final.py", *arguments)
    assert "was tested" in done.stdout
    assert (tmp_path / "final" / "metrics.json").read_bytes() == before


def test_more_filters_and_cutout_reach_the_child(search, run, tmp_path):
    done = run("train_final.py", "--run", search, "--out", tmp_path / "wide", "--epochs", "1", "--device", "cpu",
               "--add-filters", "100", "--cutout", "4")  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = _metrics(tmp_path / "wide")
    assert (metrics["protocol"]["added_filters"], metrics["protocol"]["cutout"]) == (100, 4)
    best = MacroArchitecture.from_json((search / "best.json").read_text())
    plain = padding.count_parameters(build.skeleton(best, resolve("digits-final"), 1, 10))
    assert metrics["parameters"] > plain


def test_a_folder_of_another_training_is_refused(search, run, tmp_path):
    arguments = ["--run", search, "--out", tmp_path / "final", "--epochs", "1", "--device", "cpu"]
    run("train_final.py", *arguments)
    done = run("train_final.py", *arguments, "--seed", "1")
    assert done.returncode == 2 and "another seed" in done.stderr


def test_a_folder_without_a_search_says_so(run, tmp_path):
    done = run("train_final.py", "--run", tmp_path)
    assert done.returncode == 2 and "holds no search" in done.stderr and "Traceback" not in done.stderr


def test_what_the_search_changed_of_its_protocol_holds_for_the_final_training(run, tmp_path):
    folder = tmp_path / "run"
    changed = [*TINY, "image_size=6", "reductions=[3]"]
    run(
        "search.py",
        "--run-dir",
        folder,
        "--agent",
        "random",
        "--children",
        1,
        "--device",
        "cpu",
        "--overrides",
        *changed,
    )
    done = run("train_final.py", "--run", folder, "--epochs", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    protocol = _metrics(folder / "final")["protocol"]
    assert (protocol["image_size"], protocol["reductions"]) == (6, [3])
    assert (protocol["width"], protocol["train_images"], protocol["epochs"]) == (0.25, None, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--checkpoint-every", "0"], "at least 1"),
        (["--protocol", "digits"], "holds images out"),
        (["--device", "tpu9000"], "tpu9000"),
        (["--cutout", "8"], "would blank whole images"),
        (["--overrides", "max_seconds=1", "epochs=3000"], "1 seconds are over"),
    ],
)
def test_wrong_options_say_what_to_do(search, run, tmp_path, arguments, words):
    done = run("train_final.py", "--run", search, "--out", tmp_path / "final", *arguments)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
