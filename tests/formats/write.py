"""Writes one small file of every kind, with the code of a checkout, for `test_formats.py` to open for ever.

    python tests/formats/write.py --checkout . --out tests/formats/v1

Folder `v0` was written by the last code whose files had no schema number but in `network.json` (commit 581c83d).
A new folder is due when a schema number goes up; the old ones stay as they are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TINY = ["train_images=64", "validation_images=32", "epochs=1", "width=0.01", "width_multiple=2"]
SEARCH = ["--agent", "random-origin", "--seed", "3"]
"""It decodes nothing, so its children stay the same when a decoder is trained anew."""
CARDS = """
import sys
from pathlib import Path
import lightgbm
import numpy as np
from nases_env import embeddings, search_spaces, surrogates
from nases_env.embeddings.autoencoders import autoencoder
from nases_env.surrogates import model

def told(card):
    return {name: value for name, value in card.items() if name not in ("schema", "kind", "features")}

out = Path(sys.argv[1])
decoder = embeddings.make("autoencoder", search_spaces.make("micro"))
halves = decoder.simulator_half, decoder.decoder_half
autoencoder.save(out / "decoder.safetensors", decoder.card["kind"], *halves, told(decoder.card))
digits = surrogates.make("digits")
trees = lightgbm.Booster(model_file=surrogates.FITTED / "digits" / "trees.txt")
regressor = model.Regressor(digits.regressor.coefficients, digits.regressor.intercepts, trees)
noise = model.Noise(np.array(digits.card["noise_covariance"]))
model.save(out / "surrogate", regressor, noise, told(digits.card))
"""
"""A decoder and a surrogate are too large to keep: their cards stand for them, with the shipped weights and trees."""
KEPT = {
    "surrogate-search": ("journal.log", "settings.json"),
    "digits-search": ("journal.log", "settings.json"),
    "collected": ("table.csv.gz", "table.json"),
    "final": (
        "network.json",
        "model.safetensors",
        "training.json",
        "metrics.json",
        "checkpoint.safetensors",
        "curve.csv",
    ),
    "compared": ("runs/random-origin/seed1000.json",),
    ".": ("decoder.json", "surrogate/card.json"),
}
"""What is kept of all that is written, by folder."""


def write(checkout: Path, out: Path) -> None:
    """Run the checkout's commands, and keep the files that a test opens."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "scripts").symlink_to(checkout / "scripts")  # cards tell commands, and no machine's paths
        digits = ["--device", "cpu", "--data-dir", "/data"]

        def run(*arguments: str) -> None:
            environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
            subprocess.run([sys.executable, *arguments], cwd=work, env=environment, check=True)

        def script(name: str, *arguments: str) -> None:
            run(f"scripts/{name}.py", *arguments)

        surrogate = ["--env-id", "NASES-Digits-Surrogate-v0", "--children", "3", "--run-dir", "surrogate-search"]
        script("search", *SEARCH, *surrogate)
        script("search", *SEARCH, *digits, "--children", "2", "--run-dir", "digits-search", "--overrides", *TINY)
        plan = ["--children", "3", "--repeated", "1", "--seeds", "2", "--workers", "1"]
        table = ["--run-dir", "collected", "--table", "collected/table.csv.gz"]
        script("collect", *plan, *digits, *table, "--overrides", *TINY)
        final = ["--run", "digits-search", "--out", "final", "--epochs", "1", "--device", "cpu"]
        script("train_final", *final, "--overrides", *TINY[3:])
        script("compare", "--agents", "random-origin", "--seeds", "1", "--children", "3", "--out", "compared")
        run("-c", CARDS, str(work))
        for name, files in KEPT.items():
            for file in files:
                kept = out / name / file
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(work / name / file, kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, required=True, help="root of the code that writes")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is kept")
    options = parser.parse_args()
    write(options.checkout.resolve(), options.out.resolve())
