"""Which executor an environment's arguments `executor` and `workers` stand for."""

from __future__ import annotations

import re
from typing import Any, cast

from nases_env.executors.base import Executor
from nases_env.executors.ray_cluster import CLIENT, check_installed
from nases_env.words import shown

INLINE = "inline"
PROCESSES = "processes:"
RAY = "ray:"
MOST_WORKERS = 1_024
EXPECTED = (
    f"expected {INLINE!r}, '{PROCESSES}4', '{RAY}cpu*4', '{RAY}cuda*4', '{RAY}//HOST:PORT/cuda*4', or an object with "
    "workers (at least 1), here, start, run and close"
)
_ON_RAY = re.compile(RAY + r"(?://([^/\s]+)/)?(cpu|cuda)\*([0-9]+)")


def check_executor(executor: Any, workers: int) -> str | Executor:
    """The executor that the arguments ask for, by its name or as the object that was given.

    Args:
        executor: `inline`, `processes:N`, `ray:cpu*N` (N children at once on a Ray cluster), `ray:cuda*N` (there with a
            GPU each), `ray://HOST:PORT/cuda*N` (the cluster that answers there), an executor, or None for what
            `workers` says.
        workers: Short form: 0 for `inline`, N for `processes:N`.

    Raises:
        ValueError: If there is no such executor, or the two contradict each other.
        ImportError: If it needs Ray, and Ray is not installed.
    """
    by_workers = f"{PROCESSES}{workers}" if workers else INLINE
    if executor is None:
        return by_workers
    if workers and executor != by_workers:
        raise ValueError(
            f"executor is {shown(executor)}, but workers is {workers}, short for {by_workers!r}; leave one of them out"
        )
    if not isinstance(executor, str):
        return _check_object(executor)
    if executor == INLINE:
        return executor
    place, count = _place(executor)
    if not (count.isascii() and count.isdigit()) or not 1 <= int(count[:9]) <= MOST_WORKERS:
        raise ValueError(f"executor is {shown(executor)}; {EXPECTED}; at most {MOST_WORKERS:,} workers")
    if place != PROCESSES:
        check_installed()
    return f"{place}{int(count)}"


def make(executor: str | Executor) -> Executor:
    """The executor of a name that `check_executor` gave; an object is itself."""
    if not isinstance(executor, str):
        return executor
    if executor == INLINE:
        from nases_env.executors.inline import InlineExecutor

        return InlineExecutor()
    if on_ray := _ON_RAY.fullmatch(executor):
        from nases_env.executors.ray_executor import RayExecutor

        address, device, workers = on_ray.groups()
        return RayExecutor(address and f"{CLIENT}{address}", workers=int(workers), device=device)
    from nases_env.executors.processes import ProcessExecutor

    return ProcessExecutor(int(executor.removeprefix(PROCESSES)))


def _place(executor: str) -> tuple[str, str]:
    """What stands before the number of workers in a name, and the number; empty where it is no name."""
    if on_ray := _ON_RAY.fullmatch(executor):
        return executor[: on_ray.start(3)], on_ray[3]
    count = executor.removeprefix(PROCESSES)
    return (PROCESSES, count) if count != executor else ("", "")


def _check_object(executor: Any) -> Executor:
    methods = ("start", "run", "close")
    whole = all(callable(getattr(executor, name, None)) for name in methods) and hasattr(executor, "here")
    workers = getattr(executor, "workers", None)
    if isinstance(executor, type) or not whole or type(workers) is not int or workers < 1:
        raise ValueError(f"executor is {shown(executor)}; {EXPECTED}")
    return cast(Executor, executor)
