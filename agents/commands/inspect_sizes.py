"""Measures how large the networks of a space are under a protocol: parameters and FLOPs of random, untrained ones.

nases inspect-sizes --space micro --protocol v3-search
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.commands import startup
from agents.search.overrides import parse_overrides
from nases_env import files, search_spaces
from nases_env.children import build
from nases_env.children.padding import count_parameters
from nases_env.children.presets import resolve

QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Options:
    """Draws uniform origin vectors and builds what they mean, for CIFAR-10; digits: --image-size 8 --channels 1."""

    space: str = "macro"
    """Search space: macro or micro."""
    rules: str = "paper"
    """Rules of the macro space."""
    protocol: str = "v1-search"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides cell_filters=20."""
    children: int = 200
    """Random networks to build."""
    seed: int = 0
    """Seed of the vectors."""
    image_size: int = 32
    """Pixels a side of an image, where the protocol does not say it."""
    channels: int = 3
    """Channels of an image."""
    classes: int = 10
    """Classes of the data set."""
    out: Path = Path("runs/sizes.csv")
    """Table of every network."""


def measure(options: Options) -> list[dict[str, int | str]]:
    """A row for each network."""
    for name in ("children", "image_size", "channels", "classes"):
        if (value := getattr(options, name)) < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value} has to be at least 1")
    space = search_spaces.make(options.space, options.rules)
    protocol = resolve({"preset": options.protocol, **parse_overrides(options.overrides)})
    side = protocol.image_size or options.image_size
    rows: list[dict[str, int | str]] = []
    for row in space.discretise(space.sample(np.random.default_rng(options.seed), options.children)):
        architecture = space.architecture(row)
        child = build.skeleton(architecture, protocol, options.channels, options.classes, device="meta")
        rows.append(
            {
                "parameters": count_parameters(child),
                "flops": child.flops(side),
                "architecture_key": architecture.key,
            }
        )
    return rows


def main(options: Options) -> int:
    """Build, print, write; returns the exit status."""
    try:
        rows = measure(options)
        files.write_csv(options.out, rows)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for name in ("parameters", "flops"):
        values = np.quantile([float(row[name]) for row in rows], QUANTILES) / 1e6
        told = ", ".join(f"{q:.0%} {value:.2f}" for q, value in zip(QUANTILES, values, strict=True))
        print(f"{name} of {len(rows)} networks, in millions: {told}")
    print(f"table: {options.out}")
    return 0
