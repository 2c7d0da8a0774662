"""What goes wrong around a search is told in a sentence, costs no child, and can be gone on from."""

import csv
import json
import random
import shutil
import signal
import subprocess
import time

import pytest

from nases_env.ledger import read_trials
from tests.agents.commands.conftest import TINY

SURROGATE = ("--env-id", "NASES-Digits-Surrogate-v0")


def _rewards(folder):
    with (folder / "children.csv").open(encoding="utf-8") as file:
        return [row["reward"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def searched(run, tmp_path_factory):
    """A finished search on the surrogate."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    done = run("search.py", *SURROGATE, "--children", 6, "--run-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(searched, tmp_path):
    """A copy of it."""
    return shutil.copytree(searched, tmp_path / "run")


def test_a_damaged_line_is_named_and_repaired_and_the_search_is_what_it_was(run, searched, folder):
    journal = folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], lines[3][:99] + b"\n", *lines[4:]])
    journal.write_bytes(damaged)
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "line 4" in done.stderr and "2 children stand before it and 3 after it" in done.stderr
    assert journal.read_bytes() == damaged
    done = run("search.py", "--run-dir", folder, "--resume", "--repair")
    assert done.returncode == 0, done.stderr
    assert "2 children are replayed, 3 behind lost ones are found again" in done.stdout
    assert (folder / "journal.damaged-1.log").read_bytes() == damaged
    assert _rewards(folder) == _rewards(searched)
    assert len(read_trials(journal)) == 6


def test_children_that_do_not_replay_are_told_and_repaired_and_older_files_stay_until_then(run, searched, folder):
    journal = folder / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], lines[4], lines[3], *lines[5:]]))
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 2 and "holds child 2 as" in done.stderr and "Traceback" not in done.stderr
    assert _rewards(folder) == _rewards(searched)
    assert (folder / "best.json").read_bytes() == (searched / "best.json").read_bytes()
    done = run("search.py", "--run-dir", folder, "--resume", "--repair")
    assert done.returncode == 0, done.stderr
    assert "2 children are replayed, 4 behind lost ones" in done.stdout
    assert _rewards(folder) == _rewards(searched) and len(read_trials(journal)) == 6


def test_repair_alone_is_no_search(run, tmp_path):
    done = run("search.py", *SURROGATE, "--run-dir", tmp_path / "run", "--repair")
    assert done.returncode == 2 and "--resume" in done.stderr and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b'{"options": {"agent"', b"[]", b"{}", None],
    ids=["empty", "truncated", "list", "mapping", "another type"],
)
def test_damaged_settings_are_told(run, folder, content):
    settings = folder / "settings.json"
    if content is None:
        stored = json.loads(settings.read_bytes())
        stored["options"]["children"] = "many"
        content = json.dumps(stored).encode()
    settings.write_bytes(content)
    done = run("search.py", "--run-dir", folder, "--resume")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "settings.json" in done.stderr and "restore it" in done.stderr
    settings.unlink()
    done = run("search.py", *SURROGATE, "--children", 6, "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr


def test_a_folder_from_a_stranger_runs_no_other_packages_code(run, folder):
    settings = folder / "settings.json"
    stored = json.loads(settings.read_bytes())
    stored["options"]["env_id"] = stored["environment"]["id"] = "antigravity:NASES-Digits-Surrogate-v0"
    settings.write_text(json.dumps(stored), encoding="utf-8")
    for command in (("search.py", "--run-dir", folder, "--resume"), ("train_final.py", "--run", folder)):
        done = run(*command)
        assert done.returncode == 2 and "--trust" in done.stderr and "Traceback" not in done.stderr


def test_wrong_data_leave_no_folder_and_no_progress_bar(run, tmp_path):
    own = ("--env-id", "NASES-v0", "--dataset", f"imagefolder:{tmp_path}", "--protocol", "cifar10-mini")
    done = run("search.py", *own, "--run-dir", tmp_path / "run")
    assert done.returncode == 2 and "no images" in done.stderr and "child/s" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_folder_that_vanishes_is_told(start, tmp_path):
    folder = tmp_path / "run"
    process = start("search.py", "--run-dir", folder, "--children", 500, "--device", "cpu", "--overrides", *TINY)
    deadline = time.monotonic() + 120
    while not (folder / "children.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(folder)
    assert process.wait(60) == 2
    output = (tmp_path / "log0").read_text(encoding="utf-8")
    assert "was removed or cut while the search ran" in output and "Traceback" not in output


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 120 KiB that can be made larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_ends_the_search_in_words_and_it_goes_on_with_more_room(run, small_disk, tmp_path):
    arguments = (*SURROGATE, "--children", 40, "--agent", "random")
    done = run("search.py", *arguments, "--run-dir", small_disk / "run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "could not be written (No space left on device)" in done.stderr and "--resume" in done.stderr
    kept = len(read_trials(small_disk / "run" / "journal.log"))
    assert 0 < kept < 40
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    done = run("search.py", "--run-dir", small_disk / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert run("search.py", *arguments, "--run-dir", tmp_path / "run").returncode == 0
    assert _rewards(small_disk / "run") == _rewards(tmp_path / "run")


@pytest.mark.slow
def test_thirty_kills_at_random_moments_change_nothing(start, run, tmp_path):
    folder, arguments = tmp_path / "killed", ("--children", 60, "--device", "cpu", "--overrides", *TINY)
    moments = random.Random(0)
    for kill in range(30):
        process = start("search.py", *arguments, "--run-dir", folder, "--resume")
        time.sleep(moments.uniform(0, 1 if kill < 10 else 8))
        process.send_signal(moments.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.wait(60)
        assert "Traceback" not in (tmp_path / f"log{kill}").read_text(encoding="utf-8")
    done = run("search.py", *arguments, "--run-dir", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert run("search.py", *arguments, "--run-dir", tmp_path / "whole").returncode == 0
    assert _rewards(folder) == _rewards(tmp_path / "whole") and len(_rewards(folder)) == 60
