"""Trains the autoencoders of Table 1, several rows side by side, each in a process of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from nases_env.processes import end_with_parent
from nases_env.stage_one import table1
from nases_env.stage_one.pretraining_job import PretrainingJob, other_settings
from nases_env.stage_one.settings import PretrainingSettings

MakeJob = Callable[[Path, PretrainingSettings], PretrainingJob]
"""Makes the job that trains the model of a `.safetensors` file with some settings."""


def jobs(folder: Path, settings: PretrainingSettings, sizes: Sequence[int], make_job: MakeJob) -> list[PretrainingJob]:
    """The jobs of the table's rows, one for every embedding size and seed.

    Args:
        folder: The rows' files are written here.
        settings: What all rows have in common; sizes and seeds are the table's, and there is no fine-tune.
        sizes: Embedding sizes, all different.
        make_job: Makes one of them.
    """
    return [
        make_job(
            folder / f"k{size}-seed{seed}.safetensors",
            dataclasses.replace(settings, embedding_size=size, seed=seed, finetune_steps=0),
        )
        for size in sizes
        for seed in table1.SEEDS.get(size, (0,))
    ]


def claim_missing(rows: Sequence[PretrainingJob], overwrite: bool) -> list[PretrainingJob]:
    """The rows that are still to be trained, wholly or from a checkpoint on.

    Raises:
        FileExistsError: If one was trained or begun with other settings and is not to be overwritten.
    """
    missing = [job for job in rows if job.begun or not job.written or job.difference()]
    for job in missing:
        if job.written and not (job.begun or overwrite):
            raise FileExistsError(f"{job.out} was trained with {other_settings(job.difference())}")
        job.claim(overwrite)
    return missing


def train(rows: Sequence[PretrainingJob], workers: int, finished: Callable[[], object]) -> None:
    """Train rows side by side, each on one thread and under a bar of its own.

    Args:
        rows: What to train.
        workers: Processes.
        finished: It is called in this process whenever a row has been written.

    Raises:
        ChildProcessError: If a row's process ended unexpectedly. The checkpoints of all rows stay.
        ValueError, OSError: What `PretrainingJob.run` raises.
    """
    context = get_context("spawn")
    pool = ProcessPool(workers, initializer=_start_worker, initargs=(context.RLock(),), context=context)
    try:
        for future in as_completed([pool.schedule(_run_row, row) for row in enumerate(rows)]):
            future.result()
            finished()
    except ProcessExpired as error:
        raise ChildProcessError(f"a row's process ended ({error}); the same command goes on") from error
    finally:
        pool.stop()  # the other rows' checkpoints stay
        pool.join()


def _start_worker(lock: Any) -> None:
    """Prepare a worker process: its bar takes turns with the others on the terminal."""
    end_with_parent()
    tqdm.set_lock(lock)


def _run_row(position: int, job: PretrainingJob) -> None:
    """Train one row in a process of its own, under a bar at its place."""
    with tqdm(desc=job.out.stem, position=position, unit="step") as bar:
        job.run(bar)
