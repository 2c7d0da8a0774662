"""Commands end cleanly, however early they are asked to."""

import os
import signal
import subprocess
import sys
import time

import pytest

from agents.commands import startup
from tests.agents.commands.conftest import ROOT, TINY, best_child


def _started_command(*code, **environment):
    """A command as Python's arguments, `-c` and code or a file; it says when it has begun."""
    return subprocess.Popen(
        [sys.executable, *map(str, code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


MAIN = """
import sys, time
from agents.commands import startup
def main():
    print('begun', flush=True)
    time.sleep(60)
sys.exit(startup.run(lambda: main))
"""
IMPORTS = MAIN.replace("lambda: main", "main")


@pytest.mark.parametrize(
    ("code", "number", "status", "words"),
    [
        (IMPORTS, signal.SIGINT, -signal.SIGINT, ""),
        (MAIN, signal.SIGINT, 130, "interrupted\n"),
        (MAIN, signal.SIGTERM, 143, "interrupted\n"),
    ],
)
def test_a_signal_ends_a_command_without_a_traceback(code, number, status, words):
    with _started_command("-c", code) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, words)


def test_a_thread_that_cannot_write_says_so_in_a_line():
    code = """
import sys, threading
from agents.commands import startup
def fail():
    raise OSError(28, "No space left on device")
def main():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    return 0
sys.exit(startup.run(lambda: main))
"""
    with _started_command("-c", code) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "error: [Errno 28] No space left on device\n")


def test_a_background_job_goes_on_ignoring_ctrl_c():
    code = MAIN.replace("time.sleep(60)", "time.sleep(0.5); return 0")
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + code
    with _started_command("-c", ignoring) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_pictures_need_no_notebooks_backend(run, tmp_path):
    surrogate = ("--env-id", "NASES-Digits-Surrogate-v0", "--children", 2, "--run-dir", tmp_path / "run")
    done = run("search.py", *surrogate, MPLBACKEND="module://no_such_backend")
    assert done.returncode == 0, done.stderr
    best_child(tmp_path / "run")


def test_sigterm_ends_a_search_as_ctrl_c_does(start, run, tmp_path):
    folder = tmp_path / "run"
    process = start("search.py", "--run-dir", folder, "--children", 500, "--device", "cpu", "--overrides", *TINY)
    deadline = time.monotonic() + 120
    while not (folder / "children.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    output = (tmp_path / "log0").read_text(encoding="utf-8")
    assert "interrupted after" in output and "Traceback" not in output
    assert (folder / "best.json").is_file()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_command_whose_output_nobody_reads_ends_quietly(unbuffered):
    code = """
import sys
from agents.commands import startup
def main():
    sys.stdin.read()  # until the output is closed
    print("found")
    return 0
sys.exit(startup.run(lambda: main))
"""
    with _started_command("-c", code, PYTHONUNBUFFERED=unbuffered) as process:
        process.stdout.close()
        process.stdin.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (startup.CLOSED, "")


def test_a_broken_pipe_that_is_not_the_output_is_an_error():
    code = """
import sys
from agents.commands import startup
def main():
    raise BrokenPipeError("a worker is gone")
sys.exit(startup.run(lambda: main))
"""
    with _started_command("-c", code) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "a worker is gone" in errors


def test_ctrl_c_ends_a_worker_process_without_a_traceback(tmp_path):
    code = """
import multiprocessing, signal, sys
from agents.commands import startup
def interrupted():
    signal.raise_signal(signal.SIGINT)
def main():
    process = multiprocessing.get_context("spawn").Process(target=interrupted)
    process.start()
    process.join()
    return -process.exitcode
if __name__ == "__main__":
    sys.exit(startup.run(lambda: main))
"""
    file = tmp_path / "command.py"
    file.write_text(code, encoding="utf-8")
    with _started_command(file) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (signal.SIGINT, "")


def test_a_warning_is_a_line_without_code():
    code = """
import sys, warnings
from agents.commands import startup
def warn():
    warnings.warn("images are grey")
    return 0
sys.exit(startup.run(lambda: warn))
"""
    with _started_command("-c", code) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "warning: images are grey\n")
