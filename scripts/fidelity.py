"""Measures whether children that are good after a search's short training are good after a long one.

python scripts/fidelity.py --protocol digits --children 30 --factor 10
"""

from __future__ import annotations

import startup

import sys
from dataclasses import dataclass
from pathlib import Path

import noise_floor
import numpy as np
import tables
import tyro
from command_line import parse_overrides
from scipy.stats import kendalltau, spearmanr

from nases_env.children.presets import resolve

RESAMPLES = 2000


@dataclass(frozen=True)
class Options(noise_floor.Options):
    """Trains random children twice, with the protocol's epochs and with more; writes a table of both."""

    factor: int = 10
    """The long training has so many times the epochs."""
    seeds: int = 2
    """Child seeds for each; correlations are of their means."""
    out: Path = Path("runs/fidelity.csv")
    """Table of every child."""

    def longer(self) -> Options:
        """The same options with the long training."""
        overrides = parse_overrides(self.overrides)
        protocol = resolve({"preset": self.protocol, **overrides})
        longer = [f"epochs={self.factor * protocol.epochs}"]
        if protocol.restart_period:
            longer.append(f"restart_period={self.factor * protocol.restart_period}")
        return self.with_overrides(*longer)


def interval(short: np.ndarray, long: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval over children of Spearman's correlation of two columns (children,)."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(short), size=(RESAMPLES, len(short)))
    low, high = np.nanquantile([spearmanr(short[rows], long[rows]).statistic for rows in drawn], (0.025, 0.975))
    return float(low), float(high)


def main(options: Options) -> int:
    """Run the experiment; returns the exit status."""
    try:
        if min(options.children, options.seeds, options.factor, options.workers) < 1:
            raise ValueError("--children, --seeds, --factor and --workers have to be at least 1")
        both = [options, options.longer()]
        found = noise_floor.evaluate_all(list(both))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tables.write(
        options.out,
        [{"factor": factor} | row for factor, rows in zip((1, options.factor), found, strict=True) for row in rows],
    )
    for name in ("reward", "validation_accuracy"):
        for long_name in ("validation_accuracy", "reward"):
            short, long = (
                noise_floor.by_child(rows, column, one).mean(axis=1)
                for rows, column, one in zip(found, (name, long_name), both, strict=True)
            )
            low, high = interval(short, long)
            print(
                f"{name} of the search, {long_name} of {options.factor} x the epochs: Spearman "
                f"{spearmanr(short, long).statistic:.2f} ({low:.2f} to {high:.2f}), "
                f"Kendall {kendalltau(short, long).statistic:.2f}"
            )
    print(f"table: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(lambda: main(tyro.cli(Options))))
