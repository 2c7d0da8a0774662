"""Stage 1 (v1, section 4.1): trains the autoencoder whose decoder turns actions into architectures.

    nases pretrain --out runs/autoencoder.safetensors
    nases pretrain --table1 --out runs/table1

Started again with the same options it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from agents.commands import startup
from nases_env import files
from nases_env.children.training import resolve_device
from nases_env.stage_one import pretraining, table1, table1_training
from nases_env.stage_one.duration import fit_minutes
from nases_env.stage_one.pretraining_job import PretrainingJob
from nases_env.stage_one.settings import PretrainingSettings

SIZES = tuple(table1.PAPER)


@dataclass(frozen=True)
class Options:
    """Trains an autoencoder and writes its weights, rank tables and card; or one for every row of Table 1."""

    out: Path
    """The .safetensors file to write; its card goes beside it as .json. With --table1 it is a folder."""
    settings: Annotated[PretrainingSettings, tyro.conf.arg(name="")]
    recipe: Literal["ours", "paper"] = "ours"
    """Settings that the options start from."""
    minutes: float | None = None
    """Choose the steps so that training takes about so long on this machine."""
    device: str = "auto"
    """auto, cpu or cuda."""
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints."""
    overwrite: bool = False
    """Whether finished weights, or ones begun with other options, may be replaced; the old ones stay until then."""
    table1: bool = False
    """Train all of Table 1, without fine-tune, and write table1.csv."""
    sizes: tuple[int, ...] = SIZES
    """Embedding sizes of --table1."""
    workers: int = 2
    """Rows of --table1 that are trained side by side, one thread each."""


def make_job(options: Options, out: Path, settings: PretrainingSettings) -> PretrainingJob:
    """The job of training one model of the options."""
    return PretrainingJob(out, settings, options.recipe, resolve_device(options.device), options.checkpoint_seconds)


def train_model(options: Options) -> None:
    """Train one autoencoder."""
    if options.out.suffix != ".safetensors":
        raise ValueError(f"--out {options.out} has to end in .safetensors")
    job = make_job(options, options.out, options.settings)
    if options.minutes is not None:
        if job.begun:
            counts = {name: job.stored_settings()[name] for name in ("steps", "finetune_steps")}
            job.settings = dataclasses.replace(job.settings, **counts)
        else:
            job.settings = fit_minutes(job.settings, options.minutes, job.device)
    job.claim(options.overwrite)
    print(_told_steps(job.settings), flush=True)
    with tqdm(unit="step") as bar:
        card = job.run(bar)
    print(f"test loss {card['test_loss']} on {pretraining.TEST_VECTORS:,} vectors never trained on", end="")
    if card["origin_size"] == table1.ORIGIN_SIZE and (paper := table1.PAPER.get(card["embedding_size"])):
        print(f" (v1's Table 1: {paper.test})", end="")
    print(f", {card['steps']} steps, {card['minutes']} minutes")
    print(f"weights: {job.out}, card: {job.out.with_suffix('.json')}")
    print(f"TensorBoard: tensorboard --logdir {job.folder}")


def _told_steps(settings: PretrainingSettings) -> str:
    """How long training is: the fine-tune has steps of its own, whatever --steps says."""
    if not settings.finetune_steps:
        return f"{settings.steps:,} steps"
    return (
        f"{settings.steps:,} steps and {settings.finetune_steps:,} of the fine-tune, which --finetune-steps 0 leaves "
        f"out: {settings.total_steps:,} together"
    )


def train_table1(options: Options) -> None:
    """Train whatever rows of Table 1 are missing, and write the table whenever one is finished."""
    check_table1(options)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = table1_training.jobs(options.out, options.settings, options.sizes, partial(make_job, options))
    missing = table1_training.claim_missing(rows, options.overwrite)
    path = write_table(options.out)
    table1_training.train(missing, options.workers, lambda: write_table(options.out))
    print(path.read_text(encoding="utf-8"), end="")
    print(f"table: {path}; nases plot-table1 --table {shlex.quote(str(path))} draws Figure 3")


def check_table1(options: Options) -> None:
    """Refuse what rows of one table do not have.

    Raises:
        ValueError: If it was given.
    """
    base = recipe_settings(options.recipe)
    taken = {"minutes": options.minutes is not None} | {
        name: getattr(options.settings, name) != getattr(base, name)
        for name in ("seed", "embedding_size", "finetune_steps", "space", "vectors")
    }
    if wrong := [f"--{name.replace('_', '-')}" for name, given in taken.items() if given]:
        raise ValueError(
            "--table1 is of independent numbers of the macro space and has sizes and seeds, but no fine-tune; leave "
            f"out {', '.join(wrong)}"
        )
    if not options.sizes or len(set(options.sizes)) < len(options.sizes):
        raise ValueError(f"--sizes {options.sizes} have to be different embedding sizes")


def write_table(folder: Path) -> Path:
    """Write table1.csv, a row for every model in the folder."""
    path = folder / "table1.csv"
    files.write_csv(path, table1.rows(folder), table1.COLUMNS)
    return path


def recipe_settings(recipe: str) -> PretrainingSettings:
    """The settings that a recipe starts from."""
    return PretrainingSettings.paper() if recipe == "paper" else PretrainingSettings()


def parse(args: Sequence[str] | None = None, prog: str | None = None) -> Options:
    """Options of the command line; those not given come from the recipe."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--recipe", default="ours")
    recipe = finder.parse_known_args(args)[0].recipe
    default = Options(out=tyro.MISSING, settings=recipe_settings(recipe))
    return tyro.cli(Options, args=args, prog=prog, default=default)


def main(options: Options) -> int:
    """Train what is asked for; returns the exit status."""
    try:
        if options.workers < 1 or (options.minutes is not None and options.minutes <= 0):
            raise ValueError(f"--workers {options.workers} and --minutes {options.minutes} have to be above 0")
        if options.table1:
            train_table1(options)
        else:
            train_model(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint")
        return startup.INTERRUPTED
    return 0
