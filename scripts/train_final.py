"""Retrains the best child of a search with its final protocol, and opens the test set once, at the end.

    python scripts/train_final.py --run runs/RUN
    python scripts/train_final.py --run runs/RUN --epochs 20 --cutout 16 --add-filters 100 --out runs/RUN/final-wide

Started again with the same options it goes on from its last checkpoint.
"""

from __future__ import annotations

import startup

import csv
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tables
import torch
import tyro
from command_line import parse_overrides
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.run_directory import FoundChild, RunDirectory
from nases_env import files
from nases_env.children import build, checkpoint, datasets, network_file, padding
from nases_env.children.cpu import cpu_threads
from nases_env.children.presets import final_protocol
from nases_env.children.protocol import Protocol
from nases_env.children.training import Diverged, TimeLimitExceeded, Trainer, is_out_of_memory, resolve_device
from nases_env.env import NASESEnv
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.search_spaces import Architecture
from nases_env.untrusted import check_types, parse_json


@dataclass(frozen=True)
class Options:
    """Retrains the child with the highest reward and tests it once."""

    run: str
    """Folder of the search."""
    out: str | None = None
    """Folder for the results; None: final/ in the search's folder."""
    protocol: str | None = None
    """Final protocol; None: the one that the search's protocol names."""
    epochs: int | None = None
    """Passes over the training images; None: the protocol's."""
    add_filters: int | None = None
    """Filters added to every layer (Table 2: 0, 100, 150); None: the protocol's."""
    cutout: int | None = None
    """Side of the square cut out of training images; None: the protocol's."""
    overrides: tuple[str, ...] = ()
    """Other protocol fields to change: --overrides width=1.0 batch_size=128."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    device: str = "auto"
    """auto, cpu or cuda."""
    checkpoint_every: int = 1
    """Epochs between checkpoints."""
    trust: bool = False
    """Whether the folder's settings may name an environment of another package, whose code is run."""

    def fields(self) -> dict[str, Any]:
        """Protocol fields that the options change."""
        named = {"epochs": self.epochs, "added_filters": self.add_filters, "cutout": self.cutout}
        return {name: value for name, value in named.items() if value is not None} | parse_overrides(self.overrides)


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
        self._source = (dataset, data_dir, protocol, device)
        data = datasets.load(*self._source)
        channels = data.train.images.shape[1]
        skeleton = build.skeleton(architecture, protocol, channels, data.classes)
        self.parameters = padding.count_parameters(skeleton)
        model = build.materialise(skeleton, torch.Generator().manual_seed(seed), device)
        self.trainer = Trainer(model, data.train, protocol, seed)
        fields = dataclasses.asdict(protocol)
        self.network = {
            "architecture": json.loads(architecture.to_json()),
            "protocol": {"preset": fields.pop("name"), **fields},
            "channels": channels,
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
        return self.trainer.accuracy(datasets.load_test(*self._source))

    def _save_checkpoint(self) -> None:
        """Write the curve, then the checkpoint, which so never knows more epochs than the curve has.

        A kill leaves both files whole.
        """
        tables.write(self._curve_file, self.curve)
        checkpoint.save(self.checkpoint, self.trainer.state())

    def _resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            ValueError: If it or the curve is damaged.
        """
        state = checkpoint.load(self.checkpoint)
        try:
            self.trainer.load_state(state)
            with self._curve_file.open(encoding="utf-8", newline="") as file:
                rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except (RuntimeError, ValueError, TypeError, LookupError, OSError) as error:
            raise checkpoint.damaged(self.checkpoint, f"or {self._curve_file}: {error}") from error
        if len(rows) < self.trainer.epoch:
            why = f"it knows {self.trainer.epoch} epochs, {self._curve_file} only {len(rows)}"
            raise checkpoint.damaged(self.checkpoint, why)
        self.curve = rows[: self.trainer.epoch]

    @property
    def _curve_file(self) -> Path:
        return self.folder / "curve.csv"


def main(options: Options) -> int:
    """Retrain, test once, write; returns the exit status."""
    try:
        if options.checkpoint_every < 1:
            raise ValueError(f"--checkpoint-every {options.checkpoint_every} has to be at least 1")
        child, architecture, protocol, environment = _best_child(options)
        datasets.check_test_part(environment.dataset)
        folder = Path(options.out or f"{options.run}/final")
        identity = {
            "child": child.number,
            "reward": child.reward,
            "architecture": json.loads(architecture.to_json()),
            "protocol": json.loads(json.dumps(dataclasses.asdict(protocol))),
            "dataset": environment.dataset,
            "seed": options.seed,
        }
        _claim(folder, identity)
        if (folder / "metrics.json").is_file():
            metrics = _read(folder / "metrics.json", "metrics", {"test_accuracy": float})
            print(f"{folder} is finished and was tested: test accuracy {metrics['test_accuracy']:.4f}")
            return 0
        device = resolve_device(options.device)
        with cpu_threads(protocol.threads):
            training = FinalTraining(
                folder,
                architecture,
                protocol,
                environment.dataset,
                environment.data_dir,
                options.seed,
                device,
            )
            print(
                f"child {child.number}, search reward {child.reward:.4f}, {training.parameters:,} parameters, "
                f"protocol {protocol.name} with {protocol.epochs} epochs on {device}; results: {folder}"
            )
            training.train(options.checkpoint_every)
            accuracy = training.test()
            _write_metrics(training, identity, accuracy)
    except (ValueError, OSError, Diverged, TimeLimitExceeded) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: out of memory ({error}); try a smaller --overrides batch_size=", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint")
        return 130
    print(f"load it: nases_env.children.build.load('{folder}')")
    print(f"test accuracy {accuracy:.4f} (error {100 * (1 - accuracy):.2f} %), opened once, at the last epoch")
    print(f"weights: {folder / 'model.safetensors'}, metrics: {folder / 'metrics.json'}, curve: {folder / 'curve.csv'}")
    return 0


def _best_child(options: Options) -> tuple[FoundChild, Architecture, Protocol, NASESEnv]:
    """The child, its architecture, the final protocol, and the environment it was found in."""
    run = RunDirectory(options.run, options.trust)
    environment = run.make_environment().unwrapped
    assert isinstance(environment, NASESEnv)
    child = run.best()
    architecture = environment.space.from_json(json.dumps(child.evaluation["architecture_json"]))
    protocol = final_protocol(environment.protocol, options.protocol, options.fields())
    return child, architecture, protocol, environment


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder this training's own.

    Raises:
        FileExistsError: If it belongs to another training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "training.json"
    before = _read(file, "training", {}) if file.is_file() else identity
    if different := [name for name in identity if before.get(name) != identity[name]]:
        raise FileExistsError(
            f"{folder} belongs to a training with another {', '.join(different)}; choose another --out"
        )
    files.write_json(file, {"schema": SCHEMA["training"], **identity})


def _read(file: Path, kind: str, types: dict[str, type]) -> dict[str, Any]:
    """What a file of an earlier run says.

    Raises:
        ValueError: If it is damaged; NewerVersionError if a newer version wrote it.
    """
    try:
        content = parse_json(file.read_bytes())
        check_schema(content, kind, file)
        check_types(content, types)
    except NewerVersionError:
        raise
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); choose another --out") from error
    return content


def _write_metrics(training: FinalTraining, identity: dict[str, Any], accuracy: float) -> None:
    metrics = {
        "schema": SCHEMA["metrics"],
        **identity,
        "class_names": training.network["class_names"],
        "test_accuracy": accuracy,
        "running_train_accuracy": training.curve[-1]["running_train_accuracy"],
        "parameters": training.parameters,
        "epochs": training.protocol.epochs,
        "seconds": round(sum(row["seconds"] for row in training.curve), 1),
        "device": training.device,
        "torch": torch.__version__,
    }
    files.write_json(training.folder / "metrics.json", metrics)


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
