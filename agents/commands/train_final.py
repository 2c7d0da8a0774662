"""Retrains the child that a search believes in with its final protocol, and opens the test set once, at the end.

    nases train-final --run runs/RUN
    nases train-final --run runs/RUN --epochs 20 --cutout 16 --add-filters 100 --out runs/RUN/final-wide

Started again with the same options it goes on from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agents.commands import startup
from agents.search import final_record
from agents.search.final_training import FinalTraining
from agents.search.overrides import parse_overrides
from agents.search.run_directory import FoundChild, RunDirectory
from nases_env.children import datasets
from nases_env.children.cpu import cpu_threads
from nases_env.children.memory import is_out_of_memory
from nases_env.children.presets import final_protocol
from nases_env.children.protocol import Protocol
from nases_env.children.training import Diverged, TimeLimitExceeded, resolve_device
from nases_env.env import NASESEnv
from nases_env.search_spaces import Architecture


@dataclass(frozen=True)
class Options:
    """Retrains one child of a search and tests it once."""

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
    child: Literal["believed", "best"] = "believed"
    """Which child: the one that the search believes in, or the one with the highest reward. They are the same where the
    search's agent has no belief of its own."""

    def fields(self) -> dict[str, Any]:
        """Protocol fields that the options change."""
        named = {"epochs": self.epochs, "added_filters": self.add_filters, "cutout": self.cutout}
        return {name: value for name, value in named.items() if value is not None} | parse_overrides(self.overrides)


def main(options: Options) -> int:
    """Retrain, test once, write; returns the exit status."""
    try:
        if options.checkpoint_every < 1:
            raise ValueError(f"--checkpoint-every {options.checkpoint_every} has to be at least 1")
        child, architecture, protocol, environment = _chosen_child(options)
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
        final_record.claim(folder, identity)
        if (before := final_record.measured_accuracy(folder)) is not None:
            print(f"{folder} is finished and was tested: test accuracy {before:.4f}")
            return 0
        device = resolve_device(options.device)
        source = environment.dataset, environment.data_dir
        with cpu_threads(protocol.threads):
            training = FinalTraining(folder, architecture, protocol, *source, options.seed, device)
            print(
                f"child {child.number}, search reward {child.reward:.4f}, {training.parameters:,} parameters, "
                f"protocol {protocol.name} with {protocol.epochs} epochs on {device}; results: {folder}"
            )
            training.train(options.checkpoint_every)
            accuracy = training.test()
            final_record.write_metrics(folder, identity, training.metrics(accuracy))
    except (ValueError, OSError, Diverged, TimeLimitExceeded) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: out of memory ({error}); try a smaller --overrides batch_size=", file=sys.stderr)
        return startup.WRONG
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint")
        return startup.INTERRUPTED
    print(f"load it: nases_env.children.build.load({str(folder)!r})")
    print(f"test accuracy {accuracy:.4f} (error {100 * (1 - accuracy):.2f} %), opened once, at the last epoch")
    print(f"weights: {folder / 'model.safetensors'}, metrics: {folder / 'metrics.json'}, curve: {folder / 'curve.csv'}")
    return 0


def _chosen_child(options: Options) -> tuple[FoundChild, Architecture, Protocol, NASESEnv]:
    """The child, its architecture, the final protocol, and the environment it was found in."""
    run = RunDirectory(options.run, options.trust)
    environment = run.make_nases_environment()
    believed = run.believed() if options.child == "believed" else None
    child = believed or run.best()
    protocol = final_protocol(environment.protocol, options.protocol, options.fields())
    return child, child.architecture(environment.space), protocol, environment
