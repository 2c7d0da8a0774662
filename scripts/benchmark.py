"""How fast the parts are on this machine: a table, and JSON to compare machines and versions.

python scripts/benchmark.py
python scripts/benchmark.py --decoders pca identity --json runs/benchmark.json
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tyro

from nases_env import embeddings, search_spaces

ACTIONS = 10_000


@dataclass(frozen=True)
class Options:
    """Times decoders."""

    decoders: tuple[str, ...] = ("autoencoder",)
    """Decoders to time, see scripts/search.py."""
    repeats: int = 7
    """Timed runs of each row, after one that is not counted."""
    json: Path | None = None
    """File for the rows, the machine and the versions."""


@dataclass(frozen=True)
class Row:
    """What one thing took."""

    name: str
    seconds: float
    """Median."""
    spread: tuple[float, float]
    """Lowest and highest."""


def timed(name: str, run: Callable[[], object], repeats: int, calls: int = 1) -> Row:
    """Time a call, as the mean over so many calls in each repeat."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        seconds.append((time.perf_counter() - start) / calls)
    return Row(name, float(np.median(seconds)), (min(seconds), max(seconds)))


def decoding(name: str, repeats: int) -> list[Row]:
    """Loading a decoder, decoding one action and many, encoding; on one core."""
    space = search_spaces.make()
    decoder = embeddings.make(name, space)
    actions = np.random.default_rng(0).uniform(size=(ACTIONS, decoder.action_size)).astype(np.float32)
    origins = space.sample(np.random.default_rng(1), ACTIONS)

    def load() -> None:
        embeddings.make(name, space).decode(actions[:1])

    return [
        timed(f"{name}: load and decode one action", load, repeats),
        timed(f"{name}: decode one action", lambda: decoder.decode(actions[:1]), repeats, calls=100),
        timed(f"{name}: decode {ACTIONS:,} actions", lambda: decoder.decode(actions), repeats),
        timed(f"{name}: encode {ACTIONS:,} vectors", lambda: decoder.encode(origins), repeats),
    ]


def main(options: Options) -> int:
    """Time, print, write; returns the exit status."""
    rows: list[Row] = []
    try:
        for name in options.decoders:
            rows += decoding(name, options.repeats)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{'':48}{'median':>12}{'lowest':>12}{'highest':>12}")
    for row in rows:
        print(f"{row.name:48}" + "".join(f"{1000 * seconds:9.2f} ms" for seconds in (row.seconds, *row.spread)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        machine = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
        written = {"machine": machine, "numpy": np.__version__, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(written, indent=2) + "\n")
        print(f"rows: {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
