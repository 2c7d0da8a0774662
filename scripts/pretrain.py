"""Stage 1 (v1, section 4.1): trains the autoencoder whose decoder turns actions into architectures.

    python scripts/pretrain.py --out runs/autoencoder.safetensors
    python scripts/pretrain.py --table1 --out runs/table1

Started again with the same options it goes on from its last checkpoint.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors
import torch
import tyro
from safetensors.torch import load_file, save_file
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from nases_env.children.training import resolve_device
from nases_env.embeddings import mlp, pretraining, table1
from nases_env.embeddings.pretraining import Pretraining, PretrainingSettings

REPORT_STEPS = 100
TEST_STEPS = 1000
SIZES = tuple(table1.PAPER)


@dataclass(frozen=True)
class Options:
    """Trains an autoencoder and writes its weights, rank tables and card; or one for every row of Table 1."""

    out: Path
    """The .safetensors file to write, its card goes beside it as .json; with --table1 a folder."""
    settings: Annotated[PretrainingSettings, tyro.conf.arg(name="")]
    recipe: Literal["ours", "paper"] = "ours"
    """Settings that the options start from."""
    kind: Literal["mlp"] = "mlp"
    """The network: v1's multilayer perceptron."""
    minutes: float | None = None
    """Choose the steps so that training takes about so long on this machine."""
    device: str = "auto"
    """auto, cpu or cuda."""
    checkpoint_seconds: float = 30.0
    """Time between checkpoints."""
    overwrite: bool = False
    """Whether a finished file, or one begun with other options, may be replaced."""
    table1: bool = False
    """Train all of Table 1, without fine-tune, and write table1.csv."""
    sizes: tuple[int, ...] = SIZES
    """Embedding sizes of --table1."""
    workers: int = 2
    """Rows of --table1 that are trained side by side, one thread each."""


class Job:
    """One model to train: where it is written, and how far it is.

    Args:
        out: The .safetensors file.
        settings: How to train it.
        recipe: What its card calls the settings.
        device: A torch device.
        checkpoint_seconds: Time between checkpoints.
    """

    def __init__(self, out: Path, settings: PretrainingSettings, recipe: str, device: str, checkpoint_seconds: float):
        self.out, self.settings, self.recipe, self.device = out, settings, recipe, device
        self.checkpoint_seconds = checkpoint_seconds
        self.folder = out.with_suffix(".training")
        self._checkpoint = self.folder / "checkpoint.safetensors"

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return self._checkpoint.is_file()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.out.exists() and not self.begun

    def stored_settings(self) -> dict[str, Any]:
        """Settings of the checkpoint or, where the training is finished, of the card."""
        return json.loads(self._metadata()["settings"]) if self.begun else mlp.read_card(self.out)["settings"]

    def check(self) -> None:
        """Refuse to go on with what was begun, or finished, in another way.

        Raises:
            FileExistsError: If it was.
        """
        before, now = self.stored_settings(), json.loads(json.dumps(dataclasses.asdict(self.settings)))
        if self.begun:
            before, now = before | {"device": self._metadata()["device"]}, now | {"device": self._device_type}
        if different := [
            f"{name}: {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]
        ]:
            raise FileExistsError(
                f"{self.out} was trained with other settings ({'; '.join(different)}); choose another --out, or "
                "--overwrite it"
            )

    def clear(self) -> None:
        """Forget what was trained."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for file in (self.out, self.out.with_suffix(".json")):
            file.unlink(missing_ok=True)

    def run(self, bar: tqdm) -> dict[str, Any]:
        """Train from the last checkpoint to the end; returns the card."""
        torch.set_num_threads(1)  # faster than two for matrices of this size, and the same weights on every machine
        training = Pretraining(self.settings, self.device)
        before = 0.0
        if self.begun:
            training.load_state(load_file(self._checkpoint))
            before = float(self._metadata()["seconds"])
        self.folder.mkdir(parents=True, exist_ok=True)
        bar.reset(self.settings.total_steps)
        bar.update(training.step)
        start = saved = time.monotonic()
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=training.step + 1) as writer:
            while not training.finished:
                training.advance(REPORT_STEPS - training.step % REPORT_STEPS)
                if not math.isfinite(training.train_loss):
                    raise ValueError(f"the loss is not finite at step {training.step}; try a lower --learning-rate")
                self._report(training, writer, bar)
                if time.monotonic() - saved > self.checkpoint_seconds or training.finished:
                    saved = time.monotonic()
                    self._save(training, before + saved - start)
            card = pretraining.write(training, self.out, self.recipe, (before + time.monotonic() - start) / 60)
            writer.add_text("card", f"```\n{json.dumps(card, indent=2)}\n```", training.step)
        self._checkpoint.unlink()
        return card

    def _report(self, training: Pretraining, writer: SummaryWriter, bar: tqdm) -> None:
        settings, step = training.settings, training.step
        writer.add_scalar("pretraining/train_loss", training.train_loss, step)
        writer.add_scalar("pretraining/learning_rate", settings.learning_rate_at(step - 1), step)
        writer.add_scalar("pretraining/batch_size", settings.batch_size_at(step - 1), step)
        if step % TEST_STEPS == 0 or training.finished:
            writer.add_scalar("pretraining/test_loss", pretraining.test_loss(*training.layers(), samples=10_000), step)
        bar.set_postfix(loss=f"{training.train_loss:.2f}", refresh=False)
        bar.update(step - bar.n)

    def _save(self, training: Pretraining, seconds: float) -> None:
        settings = json.dumps(dataclasses.asdict(training.settings))
        metadata = {"settings": settings, "device": self._device_type, "seconds": str(seconds)}
        partial = self._checkpoint.with_suffix(".partial")
        save_file(training.state(), partial, metadata)
        partial.replace(self._checkpoint)

    @property
    def _device_type(self) -> str:
        return torch.device(self.device).type

    def _metadata(self) -> dict[str, str]:
        with safetensors.safe_open(self._checkpoint, "pt") as file:
            return file.metadata()


def make_job(options: Options, out: Path, settings: PretrainingSettings) -> Job:
    """The job of training one model of the options."""
    return Job(out, settings, options.recipe, resolve_device(options.device), options.checkpoint_seconds)


def fit_minutes(settings: PretrainingSettings, minutes: float, device: str) -> PretrainingSettings:
    """The settings with as many steps as take about so many minutes here; the shares of their phases stay."""
    torch.set_num_threads(1)
    starts = [0, *(int(share * settings.steps) for share in settings.batch_growth)]
    if settings.finetune_steps:
        starts.append(settings.steps)
    seconds = 0.0
    for start, end in zip(starts, [*starts[1:], settings.total_steps], strict=True):
        training = Pretraining(settings, device)
        training.step = start
        training.advance(5)
        begin = time.perf_counter()
        training.advance(20)
        float(training.train_loss)  # waits for a GPU
        seconds += (time.perf_counter() - begin) / 20 * (end - start)
    scale = minutes * 60 / seconds
    return dataclasses.replace(
        settings,
        steps=max(1, round(settings.steps * scale)),
        finetune_steps=round(settings.finetune_steps * scale),
    )


def train_model(options: Options) -> None:
    """Train one autoencoder."""
    if options.out.suffix != ".safetensors":
        raise ValueError(f"--out {options.out} has to end in .safetensors")
    job = make_job(options, options.out, options.settings)
    if options.minutes:
        if job.begun and not options.overwrite:
            counts = {name: job.stored_settings()[name] for name in ("steps", "finetune_steps")}
            job.settings = dataclasses.replace(job.settings, **counts)
        else:
            job.settings = fit_minutes(job.settings, options.minutes, job.device)
    if options.overwrite:
        job.clear()
    if job.finished:
        raise FileExistsError(f"{job.out} exists; choose another --out, or --overwrite it")
    if job.begun:
        job.check()
    with tqdm(unit="step") as bar:
        card = job.run(bar)
    print(f"test loss {card['test_loss']} on {pretraining.TEST_VECTORS:,} vectors never trained on", end="")
    if paper := table1.PAPER.get(card["embedding_size"]):
        print(f" (v1's Table 1: {paper.test})", end="")
    print(f", {card['steps']} steps, {card['minutes']} minutes")
    print(f"weights: {job.out}, card: {job.out.with_suffix('.json')}")
    print(f"TensorBoard: tensorboard --logdir {job.folder}")


def train_table1(options: Options) -> None:
    """Train whatever rows of Table 1 are missing, and write the table after each."""
    if options.minutes:
        raise ValueError("--minutes is for one model; rows of one table have the same --steps")
    settings = dataclasses.replace(options.settings, finetune_steps=0)
    runs = [(size, seed) for size, seed in table1.RUNS if size in options.sizes]
    runs += [(size, 0) for size in options.sizes if size not in table1.PAPER]
    cards: dict[tuple[int, int], dict[str, Any]] = {}
    missing = []
    for position, (size, seed) in enumerate(runs):
        row_settings = dataclasses.replace(settings, embedding_size=size, seed=seed)
        job = make_job(options, options.out / f"k{size}-seed{seed}.safetensors", row_settings)
        if options.overwrite:
            job.clear()
        if job.begun or job.finished:
            job.check()
        if job.finished:
            cards[size, seed] = mlp.read_card(job.out)
        else:
            missing.append((position, job))
    context = get_context("spawn")
    with ProcessPoolExecutor(options.workers, context, initializer=tqdm.set_lock, initargs=(context.RLock(),)) as pool:
        try:
            for card in pool.map(run_row, missing):
                cards[card["embedding_size"], card["settings"]["seed"]] = card
                _write_table(options.out, cards, runs)
        except KeyboardInterrupt:
            for process in active_children():  # the pool would wait for their rows; their checkpoints stay
                process.terminate()
            raise
    path = _write_table(options.out, cards, runs)
    print(path.read_text(), end="")
    print(f"table: {path}; python scripts/plot_table1.py --table {path} draws Figure 3")


def run_row(numbered: tuple[int, Job]) -> dict[str, Any]:
    """Train one row in a process of its own, under a bar at its place."""
    position, job = numbered
    with tqdm(desc=job.out.stem, position=position, unit="step") as bar:
        return job.run(bar)


def _write_table(folder: Path, cards: dict[tuple[int, int], dict[str, Any]], runs: list[tuple[int, int]]) -> Path:
    rows = [table1.row(cards[run]) for run in sorted(runs) if run in cards]
    path = folder / "table1.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def parse(arguments: list[str] | None = None) -> Options:
    """Options of the command line; those not given come from the recipe."""
    ours = tyro.cli(Options, args=arguments)
    if ours.recipe == "ours":
        return ours
    return tyro.cli(Options, args=arguments, default=Options(out=ours.out, settings=PretrainingSettings.paper()))


def main(arguments: list[str] | None = None) -> int:
    """Train what the command line asks for; returns the exit status."""
    try:
        options = parse(arguments)
        if options.workers < 1 or (options.minutes is not None and options.minutes <= 0):
            raise ValueError(f"--workers {options.workers} and --minutes {options.minutes} have to be above 0")
        if options.table1:
            train_table1(options)
        else:
            train_model(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
