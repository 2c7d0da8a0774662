"""Measures how fast children, steps and decoders are on this machine: a table, and JSON to compare machines with.

    nases benchmark
    nases benchmark --children 6 --published --pure --workers 2 --json runs/benchmark.json
    nases benchmark --space micro --protocol digits-micro --rungs ours
    nases benchmark --kernels --decoders --children 0 --protocol v1-search --device cuda

Children are trained three ways: `b0` is a tutorial's loop, `b1` a careful user's, `ours` the package's. The first two
know the macro space only. `graphed`, a fourth one, is the package's with training steps recorded as CUDA graphs.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from agents.commands import startup
from agents.search.overrides import parse_overrides
from nases_env import files, search_spaces
from nases_env.benchmarking import decoders, steps
from nases_env.benchmarking.architectures import architectures
from nases_env.benchmarking.children import OWN, Job, in_workers, training
from nases_env.benchmarking.kernels import Shapes, kernels
from nases_env.benchmarking.timing import Row, table
from nases_env.children.presets import resolve
from nases_env.children.training import resolve_device
from nases_env.evaluators import WorkerStartError
from nases_env.search_spaces import registry


@dataclass(frozen=True)
class Options:
    """Times decoders, steps of the environment and children."""

    decoders: tuple[str, ...] | None = None
    """Decoders to time, see `nases search`; if not given: the space's default."""
    children: int = 4
    """Random architectures (seed 0) to train."""
    published: bool = False
    """Whether the architecture published with v1 is timed as well."""
    pure: bool = False
    """Whether networks of 15 equal layers of 170 filters are timed as well: conv3, conv5, conv7, sep5, max7, avg7."""
    rungs: tuple[Literal["b0", "b1", "ours", "graphed"], ...] = ("b0", "b1", "ours")
    """Ways to train them: the baselines b0 and b1, the package's own, and the same with recorded steps on CUDA."""
    kernels: bool = False
    """Whether single operations are timed as well, forward and backward: convolutions, pools, batch normalisation, each
    in all the ways of which the protocol's `kernels=fastest` takes the quickest on CUDA."""
    kernel_sides: tuple[int, ...] = (32, 16, 8)
    """Pixels a side of their images, of which there are as many as in a batch."""
    kernel_channels: tuple[int, ...] = (16, 64, 168, 320)
    """Channels of these images."""
    workers: int = 0
    """Worker processes in which all children are timed as well, compared with one; 0: they are not."""

    space: str = "macro"
    """Search space: macro or micro."""
    dataset: str = "digits"
    """digits, cifar10 or imagefolder:PATH."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    protocol: str = "digits"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=1 train_images=2000."""
    device: str = "auto"
    """auto, cpu or cuda."""
    loader_workers: int | None = None
    """Processes of the baselines' DataLoaders; None: 4 on CUDA, none on a CPU, where they share the child's cores."""

    repeats: int = 3
    """Timed runs of each row."""
    json: Path | None = None
    """File for the rows, the machine and the versions; it is written anew as rows are added."""

    def check(self) -> None:
        """Raise ValueError where a number is out of its range, or the space lacks what is asked for."""
        if self.repeats < 1 or min(self.children, self.workers) < 0:
            raise ValueError(
                f"--repeats {self.repeats} has to be at least 1, --children {self.children} and --workers "
                f"{self.workers} at least 0"
            )
        if min(*self.kernel_sides, *self.kernel_channels, 1) < 1:
            raise ValueError(
                f"--kernel-sides {self.kernel_sides} and --kernel-channels {self.kernel_channels} have to be at least 1"
            )
        if self.space != "macro" and (self.published or self.pure or set(self.rungs) - OWN):
            raise ValueError(
                f"--published, --pure and the rungs b0 and b1 are of the macro space; time --space {self.space} with "
                "--rungs ours and without the other two"
            )

    def environment(self) -> dict[str, Any]:
        """Arguments of the environment whose steps are timed."""
        return {
            "space": self.space,
            "dataset": self.dataset,
            "data_dir": self.data_dir,
            "device": self.device,
            "protocol": self.named_protocol(),
        }

    def named_protocol(self) -> dict[str, Any]:
        """The protocol as the environment takes it."""
        return {"preset": self.protocol, **parse_overrides(self.overrides)}

    def shapes(self) -> Shapes:
        """On what single operations are timed."""
        device, protocol = resolve_device(self.device), resolve(self.named_protocol())
        half = protocol.precision == "bfloat16" and device.startswith("cuda")
        precision = torch.bfloat16 if half else torch.float32
        return Shapes(protocol.batch_size, self.kernel_sides, self.kernel_channels, device, precision, self.repeats)

    def job(self) -> Job:
        """What to train."""
        device = resolve_device(self.device)
        loader_workers = (4 if device.startswith("cuda") else 0) if self.loader_workers is None else self.loader_workers
        return Job(
            architectures(self.space, self.children, self.published, self.pure),  # type: ignore[arg-type]  # see check
            self.rungs,
            self.dataset,
            self.data_dir,
            resolve(self.named_protocol()),
            device,
            loader_workers,
            self.repeats,
        )


def measured(options: Options) -> Iterator[list[Row]]:
    """All rows that are asked for, a few at a time."""
    space = search_spaces.make(options.space)
    options.check()
    job = options.job()
    if options.kernels:
        yield from kernels(options.shapes())
    default = registry.find(space.name).default_decoder
    for name in (default,) if options.decoders is None else options.decoders:
        yield decoders.rows(name, space, options.repeats)
    yield steps.rows(options.environment(), options.repeats)
    yield steps.surrogate_rows(options.repeats)
    if job.children and job.rungs:
        yield from training(job)
    if job.children and options.workers:
        yield in_workers(job, options.workers)


def write(file: Path, rows: list[Row]) -> None:
    """Write rows with the machine and the versions."""
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    versions = {"numpy": np.__version__, "torch": torch.__version__}
    files.write_json(file, {"machine": machine, **versions, "rows": [asdict(row) for row in rows]})


def main(options: Options) -> int:
    """Time, print, write; returns the exit status."""
    rows: list[Row] = []
    try:
        for more in measured(options):
            rows += more
            if options.json:
                write(options.json, rows)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    print(table(rows))
    if options.json:
        print(f"rows: {options.json}")
    return 0
