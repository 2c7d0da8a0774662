"""A search on the surrogate needs nothing that only POSIX systems have."""

import csv
import json
import os
import subprocess
import sys

from tests.agents.commands.conftest import ROOT

WITHOUT_POSIX = """
import os, signal, sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for module, names in {
    os: ("fork", "forkpty", "getuid", "geteuid", "sched_getaffinity", "sched_setaffinity", "mkfifo", "killpg"),
    signal: ("SIGKILL", "SIGHUP", "SIGALRM", "SIGCHLD", "SIGUSR1", "SIGUSR2", "pthread_sigmask", "alarm", "setitimer"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
"""


def _without_posix(code, tmp_path, *arguments):
    """Run code where these modules and names are hidden, as on Windows."""
    script = tmp_path / "without_posix.py"
    script.write_text(WITHOUT_POSIX + code, encoding="utf-8")
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_the_package_is_imported_and_steps(tmp_path):
    code = """
import gymnasium as gym, nases_env, nases_env.ledger, nases_env.executors.processes
env = gym.make("NASES-Digits-Surrogate-v0", ledger=sys.argv[1])
env.reset(seed=0)
print(env.step(env.action_space.low)[1])
env.close()
"""
    done = _without_posix(code, tmp_path, tmp_path / "journal.log")
    assert done.returncode == 0, done.stderr
    assert -1 <= float(done.stdout) <= 8


def test_a_search_on_the_surrogate_runs_and_resumes(tmp_path):
    code = """
from agents.commands import startup
sys.exit(startup.run_command("search"))
"""
    arguments = ("--env-id", "NASES-Digits-Surrogate-v0", "--run-dir", tmp_path / "run", "--children", 4)
    assert (done := _without_posix(code, tmp_path, *arguments)).returncode == 0, done.stderr
    done = _without_posix(code, tmp_path, "--run-dir", tmp_path / "run", "--resume", "--children", 6)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "children.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert json.loads((tmp_path / "run" / "best.json").read_text(encoding="utf-8"))["space"] == "macro"
