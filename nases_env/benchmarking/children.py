"""Trains the same children on every rung, each rung in a process of its own, in turns.

`b0` and `b1` are the baselines, `ours` and `graphed` the package. On a CPU a rung has as many cores as the protocol
has threads.
"""

from __future__ import annotations

import dataclasses
import math
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from tqdm import tqdm

from nases_env.benchmarking.baselines import Baseline
from nases_env.benchmarking.package import Package, check
from nases_env.benchmarking.profile import StepProfile
from nases_env.benchmarking.timing import Row, timed
from nases_env.children import datasets
from nases_env.children.cpu import KERNEL_CACHE
from nases_env.children.protocol import Protocol
from nases_env.children.training import Trainer, batch_sizes
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors import make
from nases_env.search_spaces import MacroArchitecture

OWN = {"ours", "graphed"}
"""Rungs on which the package trains: with training steps as they are, and recorded as CUDA graphs."""


@dataclass(frozen=True)
class Job:
    """What to train, and how.

    Args:
        children: Architectures by name.
        rungs: Some of b0, b1, ours and graphed.
        dataset: See NASESEnv.
        data_dir: See NASESEnv.
        protocol: How children are trained.
        device: A torch device.
        loader_workers: Processes of the baselines' DataLoaders.
        repeats: Timed runs of each child on each rung.
    """

    children: dict[str, MacroArchitecture]
    rungs: tuple[str, ...]
    dataset: str
    data_dir: str
    protocol: Protocol
    device: str
    loader_workers: int
    repeats: int

    @property
    def cuda(self) -> bool:
        """Whether the device is an NVIDIA GPU."""
        return self.device.startswith("cuda")


Run = tuple[float, dict[str, float], float]
"""Seconds, seconds of each phase, and memory in MB of one training."""

_trainer: Baseline | Package
"""Trains a child; it is there only in the process of a rung."""


def training(job: Job) -> Iterator[list[Row]]:
    """Time every child on every rung, in turns, and all of them together; yields the rows of one child at a time.

    Raises:
        ValueError: If a child fails, or the protocol asks for what the baselines do not do.
    """
    if job.protocol.cutout and set(job.rungs) - OWN:
        raise ValueError("the baselines know no cutout; leave it out, or time --rungs ours alone")
    rows: list[Row] = []
    here = TrainingEvaluator(job.dataset, job.data_dir, job.protocol, "cpu")  # measures children, and trains none
    with ExitStack() as stack:
        spawn = get_context("spawn")
        pools = {rung: stack.enter_context(ProcessPoolExecutor(1, spawn, _start, (rung, job))) for rung in job.rungs}
        ceiling = pools[job.rungs[0]].submit(_matmul_tflops, job).result()
        for pool in pools.values():  # not counted: a process's first child is slower
            pool.submit(_train, next(iter(job.children.values())), job).result()
        for name, child in tqdm(job.children.items(), desc="children", leave=False, disable=None):
            runs: dict[str, list[Run]] = {rung: [] for rung in job.rungs}
            for _ in range(job.repeats):
                for rung in job.rungs:
                    runs[rung].append(pools[rung].submit(_train, child, job).result())
            found = _with_ratios([_row(job, here, name, rung, runs[rung], ceiling) for rung in job.rungs])
            if job.cuda:
                found = [_with_profile(row, pools[row.rung].submit(_profile, child).result()) for row in found]
            rows += found
            yield found
    yield _with_ratios([_together([row for row in rows if row.rung == rung]) for rung in job.rungs])


def in_workers(job: Job, workers: int) -> list[Row]:
    """Time all children, three times each, in one worker process and in several."""
    children = [*job.children.values()] * 3
    rows: list[Row] = []
    for count in (1, workers):
        evaluator = TrainingEvaluator(job.dataset, job.data_dir, job.protocol, job.device, make(f"processes:{count}"))

        def run(evaluator: TrainingEvaluator = evaluator) -> None:
            for _, evaluation in evaluator.evaluate(children, range(len(children))):
                check(evaluation)

        row = timed(f"{len(children)} children in {count} worker processes", run, job.repeats)
        evaluator.close()
        ratio = rows[0].seconds / row.seconds if rows else None
        rows.append(dataclasses.replace(row, protocol=job.protocol.name, device=job.device, ratio_one_worker=ratio))
    return rows


# --- in a rung's process


def _start(rung: str, job: Job) -> None:
    """Make the trainer of this process, on as many cores as the protocol has threads."""
    global _trainer
    if rung not in OWN:
        os.environ.pop(KERNEL_CACHE, None)  # the package set it, if the parent process trained children
    if threads := None if job.cuda else job.protocol.threads:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        torch.set_num_threads(threads)
    if rung in OWN:
        protocol = dataclasses.replace(job.protocol, cuda_graph=rung == "graphed")
        evaluator = TrainingEvaluator(job.dataset, job.data_dir, protocol, job.device)
        _trainer = Package(evaluator)
        return
    data = datasets.load(job.dataset, job.data_dir, job.protocol, job.device)
    images = datasets.read(job.dataset, job.data_dir, "train", job.protocol.image_size)
    parts = datasets.split(images, job.protocol)
    _trainer = Baseline(rung == "b1", *parts, data, job.protocol, job.device, job.loader_workers)


def _train(architecture: MacroArchitecture, job: Job) -> Run:
    """Train a child in this process."""
    if job.cuda:
        torch.cuda.empty_cache()  # what is kept of the child before is not this one's
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    with warnings.catch_warnings(action="ignore"), _phase_clock() as phases:
        _trainer(architecture)
    seconds = time.perf_counter() - start
    phases["build"] = seconds - sum(phases.values())
    return seconds, phases, (torch.cuda.max_memory_reserved() if job.cuda else _peak_memory()) / 1e6


def _profile(architecture: MacroArchitecture) -> StepProfile | None:
    """What a child's steps do on the GPU in this process; None on the baselines' rungs."""
    return _trainer.profile(architecture) if isinstance(_trainer, Package) else None


def _peak_memory() -> int:
    """The most resident bytes that this process has had so far."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss, which on Linux begins with the parent's.
    return next(
        int(line.split()[1]) * 1024
        for line in status.read_text(encoding="utf-8").splitlines()
        if line.startswith("VmHWM")
    )


@contextmanager
def _phase_clock() -> Iterator[dict[str, float]]:
    """Count the seconds that are spent in training and in evaluating inside the block."""
    phases = {"train": 0.0, "evaluate": 0.0}

    def clocked(phase: str, method: Callable) -> Callable:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            found = method(*arguments)
            phases[phase] += time.perf_counter() - start
            return found

        return run

    with ExitStack() as patches:
        for phase, name in (("train", "train_epoch"), ("evaluate", "accuracy")):
            for trainer in (Trainer, Baseline):
                patches.enter_context(mock.patch.object(trainer, name, clocked(phase, getattr(trainer, name))))
        yield phases


def _matmul_tflops(job: Job) -> float:
    """Measure the TFLOP/s of a large matrix product here, in bfloat16 on CUDA, else in float32."""
    size, kind = (8192, torch.bfloat16) if job.cuda else (2048, torch.float32)
    left, right = (torch.randn(size, size, device=job.device, dtype=kind) for _ in range(2))

    def multiply() -> None:
        torch.matmul(left, right)
        if job.cuda:
            torch.cuda.synchronize()

    return 2 * size**3 / timed("", multiply, 7).spread[0] / 1e12


# --- rows


def _row(job: Job, here: TrainingEvaluator, name: str, rung: str, runs: list[Run], ceiling: float) -> Row:
    seconds, phases, memory = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    train, validation = here.data.train, here.data.validation
    assert validation is not None
    images = len(train) * job.protocol.epochs
    evaluated = len(validation) * (job.protocol.epochs + (job.protocol.train_accuracy == "clean"))
    steps = job.protocol.epochs * _steps(rung, len(train), job.protocol.batch_size)
    tflops = here.measure(job.children[name]).flops * (3 * images + evaluated) / seconds / 1e12
    return Row(
        name=name,
        seconds=seconds,
        spread=(min(runs)[0], max(runs)[0]),
        rung=rung,
        protocol=job.protocol.name,
        device=torch.cuda.get_device_name() if job.cuda else job.device,
        images_per_second=images / seconds,
        tflops=tflops,
        ceiling=tflops / ceiling,
        step_milliseconds=1000 * phases["train"] / steps,
        phases=phases,
        memory=memory,
    )


def _steps(rung: str, images: int, batch_size: int) -> int:
    """Training steps an epoch."""
    return len(batch_sizes(images, batch_size)) if rung in OWN else math.ceil(images / batch_size)


def _with_profile(row: Row, profile: StepProfile | None) -> Row:
    """The row of a child with what its steps do on the GPU, where that is known."""
    if profile is None or row.step_milliseconds is None:
        return row
    return dataclasses.replace(row, launches=profile.launches, busy=profile.gpu_milliseconds / row.step_milliseconds)


def _together(rows: list[Row]) -> Row:
    """The row of all children of a rung, trained one after the other."""
    seconds = sum(row.seconds for row in rows)

    def mean(field: str) -> float | None:
        values = [getattr(row, field) for row in rows]
        if None in values:
            return None
        return sum(value * row.seconds for value, row in zip(values, rows, strict=True)) / seconds

    return dataclasses.replace(
        rows[-1],
        name=f"all {len(rows)}",
        seconds=seconds,
        spread=(sum(row.spread[0] for row in rows), sum(row.spread[1] for row in rows)),
        images_per_second=mean("images_per_second"),
        tflops=mean("tflops"),
        ceiling=mean("ceiling"),
        step_milliseconds=float(np.mean([row.step_milliseconds for row in rows])),
        launches=None if rows[0].launches is None else float(np.mean([row.launches for row in rows])),
        busy=mean("busy"),
        memory=max(row.memory or 0 for row in rows),
        phases={name: sum(row.phases[name] for row in rows) for name in rows[0].phases},
    )


def _with_ratios(rows: list[Row]) -> list[Row]:
    """A child's rows with their ratios to those on b0 and on b1."""
    seconds = {row.rung: row.seconds for row in rows}

    def ratio(row: Row, rung: str) -> float | None:
        return seconds[rung] / row.seconds if rung in seconds else None

    return [dataclasses.replace(row, ratio_b0=ratio(row, "b0"), ratio_b1=ratio(row, "b1")) for row in rows]
