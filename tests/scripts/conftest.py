import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = ["train_images=64", "validation_images=32", "epochs=1", "width=0.03"]


def _command(script, *arguments):
    return [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]


def _run(script, *arguments, **environment):
    return subprocess.run(
        _command(script, *arguments),
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.fixture(scope="session")
def run():
    """Run a script to its end."""
    return _run


@pytest.fixture
def start(tmp_path):
    """Start a script and leave it running; killed at the end of the test."""
    processes = []

    def start(script, *arguments):
        log = (tmp_path / f"log{len(processes)}").open("w")
        process = subprocess.Popen(
            _command(script, *arguments),
            stdout=log,
            stderr=subprocess.STDOUT,
            # A shell's background job ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
