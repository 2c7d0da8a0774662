"""Which executor an environment's arguments `executor` and `workers` stand for."""

from __future__ import annotations

from typing import Any, cast

from nases_env.executors.base import Executor
from nases_env.words import shown

INLINE = "inline"
PROCESSES = "processes:"
MOST_WORKERS = 1_024
EXPECTED = f"expected {INLINE!r}, '{PROCESSES}4', or an object with workers (at least 1), here, start, run and close"


def check_executor(executor: Any, workers: int) -> str | Executor:
    """The executor that the arguments ask for, by its name or as the object that was given.

    Args:
        executor: `inline`, `processes:N`, an executor, or None for what `workers` says.
        workers: Short form: 0 for `inline`, N for `processes:N`.

    Raises:
        ValueError: If there is no such executor, or the two contradict each other.
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
    count = executor.removeprefix(PROCESSES)
    if count == executor or not (count.isascii() and count.isdigit()) or not 1 <= int(count[:9]) <= MOST_WORKERS:
        raise ValueError(f"executor is {shown(executor)}; {EXPECTED}; at most {MOST_WORKERS:,} processes")
    return f"{PROCESSES}{int(count)}"


def make(executor: str | Executor) -> Executor:
    """The executor of a name that `check_executor` gave; an object is itself."""
    if not isinstance(executor, str):
        return executor
    if executor == INLINE:
        from nases_env.executors.inline import InlineExecutor

        return InlineExecutor()
    from nases_env.executors.processes import ProcessExecutor

    return ProcessExecutor(int(executor.removeprefix(PROCESSES)))


def _check_object(executor: Any) -> Executor:
    methods = ("start", "run", "close")
    whole = all(callable(getattr(executor, name, None)) for name in methods) and hasattr(executor, "here")
    workers = getattr(executor, "workers", None)
    if isinstance(executor, type) or not whole or type(workers) is not int or workers < 1:
        raise ValueError(f"executor is {shown(executor)}; {EXPECTED}")
    return cast(Executor, executor)
