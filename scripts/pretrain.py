"""Stage 1: trains the autoencoder whose decoder turns actions into architectures.

python scripts/pretrain.py --out runs/autoencoder.safetensors
python scripts/pretrain.py --out runs/quick.safetensors --steps 2000 --cycles 1 --finetune-steps 0
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tqdm import tqdm

from nases_env.embeddings import pretraining


@dataclass(frozen=True)
class Options:
    """Trains an autoencoder and writes its weights, rank tables and card."""

    out: Path
    """The .safetensors file to write; its card goes beside it as .json."""
    recipe: Annotated[pretraining.PretrainingSettings, tyro.conf.arg(name="")]
    device: str = "cpu"
    """A torch device."""
    overwrite: bool = False
    """Whether an existing file may be replaced."""


def main(options: Options) -> None:
    """Train, test and write."""
    if options.out.suffix != ".safetensors":
        sys.exit(f"--out {options.out} has to end in .safetensors")
    if options.out.exists() and not options.overwrite:
        sys.exit(f"{options.out} exists; choose another --out, or --overwrite it")
    torch.set_num_threads(1)  # faster than two for matrices of this size, and the same weights on every machine
    recipe = options.recipe
    with tqdm(total=recipe.steps * recipe.cycles + recipe.finetune_steps, unit="step") as bar:

        def report(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.2f}", refresh=False)
            bar.update(step - bar.n)

        pretrained = pretraining.pretrain(recipe, options.device, report)
    card = pretraining.write(pretrained, recipe, options.out)
    print(f"test loss {card['test_loss']} (v1: 46.15 with 20 numbers), weights: {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options))
