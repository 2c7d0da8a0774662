"""One autoencoder to train, on disk: checkpoints, TensorBoard, weights and card, and what must not be overwritten."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from nases_env import files
from nases_env.embeddings.autoencoders import autoencoder
from nases_env.file_lock import lock
from nases_env.stage_one import pretraining
from nases_env.stage_one.pretraining import Pretraining, PretrainingSettings

REPORT_STEPS = 100
TEST_STEPS = 1000


class PretrainingJob:
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
    def written(self) -> bool:
        """Whether the file of the weights or that of the card exists."""
        return self.out.exists() or self.out.with_suffix(".json").exists()

    def stored_settings(self) -> dict[str, Any]:
        """Settings of the checkpoint or, where there is none, of the finished model's card."""
        return json.loads(self._metadata()["settings"]) if self.begun else autoencoder.read_card(self.out)["settings"]

    def difference(self) -> str:
        """Tell which settings of the checkpoint or the finished model differ from these; empty where none does."""
        # A model that was trained before a setting existed was trained with what is now its default.
        before = dataclasses.asdict(PretrainingSettings()) | self.stored_settings()
        now = dataclasses.asdict(self.settings)
        before, now = (json.loads(json.dumps(settings)) for settings in (before, now))
        if self.begun:
            before, now = before | {"device": self._metadata()["device"]}, now | {"device": self._device_type}
        return "; ".join(
            f"{name}: {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]
        )

    def claim(self, overwrite: bool) -> None:
        """Refuse to lose anything unless it is to be overwritten; a checkpoint that is to be overwritten is removed.

        Raises:
            FileExistsError: If there is a model already, or one begun with other settings.
        """
        if not self.begun:
            if self.written and not overwrite:
                raise FileExistsError(f"{self.out} or its card exists; choose another --out, or --overwrite it")
        elif difference := self.difference():
            if not overwrite:
                raise FileExistsError(f"{self.out} was begun with {other_settings(difference)}")
            self._checkpoint.unlink()

    def run(self, bar: tqdm) -> dict[str, Any]:
        """Train from the last checkpoint to the end; returns the card.

        Raises:
            BlockingIOError: If another process trains it.
            ValueError: If the loss is no longer a number.
        """
        torch.set_num_threads(1)  # faster than two for matrices of this size, and the same weights on every machine
        self.folder.mkdir(parents=True, exist_ok=True)
        held = lock(self._checkpoint, f"another process trains {self.out}; wait for it or choose another --out")
        try:
            return self._run(bar)
        finally:
            held.release()

    def _run(self, bar: tqdm) -> dict[str, Any]:
        training = Pretraining(self.settings, self.device)
        before = 0.0
        if self.begun:
            training.load_state(load_file(self._checkpoint))
            before = float(self._metadata()["seconds"])
        bar.reset(self.settings.total_steps)
        bar.update(training.step)
        start = saved = time.monotonic()
        with SummaryWriter(str(self.folder / "tensorboard"), purge_step=training.step + 1) as writer:
            while not training.finished:
                training.advance(REPORT_STEPS - training.step % REPORT_STEPS)
                if not math.isfinite(training.train_loss):
                    raise ValueError(
                        f"the loss is not finite at step {training.step}; --overwrite it with a lower --learning-rate"
                    )
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
            writer.add_scalar("pretraining/test_loss", pretraining.test_loss(*training.halves(), samples=10_000), step)
        bar.set_postfix(loss=f"{training.train_loss:.2f}", refresh=False)
        bar.update(step - bar.n)

    def _save(self, training: Pretraining, seconds: float) -> None:
        settings = json.dumps(dataclasses.asdict(training.settings))
        metadata = {"settings": settings, "device": self._device_type, "seconds": str(seconds)}
        files.write(self._checkpoint, save(training.state(), metadata))

    @property
    def _device_type(self) -> str:
        return torch.device(self.device).type

    def _metadata(self) -> dict[str, str]:
        try:
            with safetensors.safe_open(self._checkpoint, "pt") as file:
                return file.metadata()
        except safetensors.SafetensorError as error:
            raise ValueError(f"{self._checkpoint} is damaged ({error}); remove it to start anew") from error


def other_settings(difference: str) -> str:
    """The words about a model that was trained with other settings, for an error message."""
    return f"other settings ({difference}); choose another --out, or --overwrite it"
