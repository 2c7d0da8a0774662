"""The training of a network that a search found: to the last epoch, with checkpoints, and one look at the test set."""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from nases_env import files
from nases_env.children import build, checkpoint, datasets, network_file, padding
from nases_env.children.protocol import Protocol
from nases_env.children.training import OtherDevice, Trainer
from nases_env.search_spaces import Architecture


class FinalTraining:
    """A training that can be stopped and continued.

    Args:
        folder: Where everything is written.
        architecture: What to train.
        protocol: The final protocol.
        dataset: See NASESEnv.
        data_dir: See NASESEnv.
        seed: Seed of weights, order and augmentation.
        device: A torch device.
    """

    def __init__(
        self,
        folder: Path,
        architecture: Architecture,
        protocol: Protocol,
        dataset: str,
        data_dir: str,
        seed: int,
        device: str,
    ):
        self.folder, self.protocol, self.device = folder, protocol, device
        self._dataset, self._data_dir = dataset, data_dir
        data = self._data = datasets.load(dataset, data_dir, protocol, device)
        model = build.drawn(architecture, protocol, data, seed, device)
        self.parameters = padding.count_parameters(model)
        self.trainer = Trainer(model, data.train, protocol, seed)
        fields = dataclasses.asdict(protocol)
        self.network = {
            "architecture": json.loads(architecture.to_json()),
            "protocol": {"preset": fields.pop("name"), **fields},
            "channels": data.train.images.shape[1],
            "classes": data.classes,
            "class_names": list(data.class_names),
            "image_size": data.train.images.shape[-1],
            "mean": data.mean.tolist(),
            "deviation": data.deviation.tolist(),
        }
        """What `nases_env.children.build.load` builds the network from, and how its images are standardised."""
        self.curve: list[dict[str, float]] = []
        """One row for each epoch so far."""
        self.checkpoint = folder / "checkpoint.safetensors"
        if self.checkpoint.is_file():
            self._resume()

    def train(self, checkpoint_every: int) -> None:
        """Train to the last epoch and write the weights."""
        remaining = range(self.trainer.epoch, self.protocol.epochs)
        with (
            SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.trainer.epoch) as writer,
            tqdm(remaining, initial=self.trainer.epoch, total=self.protocol.epochs, unit="epoch") as bar,
        ):
            classes = (f"{label}: {name}" for label, name in enumerate(self.network["class_names"]))
            writer.add_text("final/classes", "  \n".join(classes), self.trainer.epoch)
            for epoch in bar:
                start = time.perf_counter()
                loss, accuracy = self.trainer.train_epoch()
                row = {"epoch": epoch + 1, "loss": loss, "running_train_accuracy": accuracy}
                self.curve.append(row | {"seconds": round(time.perf_counter() - start, 3)})
                writer.add_scalar("final/loss", loss, epoch + 1)
                writer.add_scalar("final/running_train_accuracy", accuracy, epoch + 1)
                bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
                if (epoch + 1) % checkpoint_every == 0 or epoch + 1 == self.protocol.epochs:
                    self._save_checkpoint()
        network_file.write(self.folder, self.network, padding.state_dict(self.trainer.model))

    def test(self) -> float:
        """Measure the accuracy on the test part, after the last epoch."""
        return self.trainer.accuracy(datasets.load_test(self._dataset, self._data_dir, self._data))

    def metrics(self, accuracy: float) -> dict[str, Any]:
        """What was trained, with the accuracy that `test` measured."""
        return {
            "class_names": self.network["class_names"],
            "test_accuracy": accuracy,
            "running_train_accuracy": self.curve[-1]["running_train_accuracy"],
            "parameters": self.parameters,
            "epochs": self.protocol.epochs,
            "seconds": round(sum(row["seconds"] for row in self.curve), 1),
            "device": self.device,
            "torch": torch.__version__,
        }

    def _save_checkpoint(self) -> None:
        """Write the curve, then the checkpoint, which so never knows more epochs than the curve has.

        A kill leaves both files whole.
        """
        files.write_csv(self._curve_file, self.curve)
        checkpoint.save(self.checkpoint, self.trainer.state())

    def _resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            ValueError: If it or the curve is damaged, or it is another kind of device's.
        """
        state = checkpoint.load(self.checkpoint)
        try:
            self.trainer.load_state(state)
            with self._curve_file.open(encoding="utf-8", newline="") as file:
                rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except OtherDevice as error:
            raise ValueError(
                f"{self.checkpoint} cannot be gone on from ({error}); choose the other device with --device, or "
                "another --out for a training from its start"
            ) from error
        except (RuntimeError, ValueError, TypeError, LookupError, OSError) as error:
            raise checkpoint.damaged(self.checkpoint, f"or {self._curve_file}: {error}") from error
        if len(rows) < self.trainer.epoch:
            why = f"it knows {self.trainer.epoch} epochs, {self._curve_file} only {len(rows)}"
            raise checkpoint.damaged(self.checkpoint, why)
        self.curve = rows[: self.trainer.epoch]

    @property
    def _curve_file(self) -> Path:
        return self.folder / "curve.csv"
