import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from nases_env import rendering, search_spaces
from tests.surrogate_fitting.conftest import few  # noqa: F401  (a fixture)

ROOT = Path(__file__).parents[3]
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


def best_child(folder):
    """The architecture of a search's best.json; best.png has to show it."""
    architecture = search_spaces.from_json((folder / "best.json").read_text(encoding="utf-8"))
    pixels = np.asarray(Image.open(folder / "best.png"))
    np.testing.assert_array_equal(pixels, rendering.picture(architecture))
    return architecture


def pixels_of(picture, colour):
    """How many pixels of a picture have a colour of matplotlib's cycle, such as C0."""
    wanted = [round(255 * part) for part in to_rgb(colour)]
    return int((np.asarray(Image.open(picture).convert("RGB")) == wanted).all(axis=2).sum())


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
