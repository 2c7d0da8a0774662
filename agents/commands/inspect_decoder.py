"""Measures what decoders reach: a table and a picture of each, and one CSV.

nases inspect-decoder
nases inspect-decoder --decoders autoencoder pca random identity --calibration none --out runs/controls
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from agents.commands import startup
from nases_env import embeddings, files, search_spaces
from nases_env.search_spaces import registry
from nases_env.stage_one import coverage_picture
from nases_env.stage_one.coverage import DRAWS, Measures, coverage, measures


@dataclass(frozen=True)
class Options:
    """Draws actions in four ways, decodes them and counts what comes out."""

    decoders: tuple[str, ...] = ()
    """autoencoder, pca, random, identity or weights files; of the macro space also autoencoder-profiles,
    autoencoder-uniform and autoencoder-paper. None: the space's default."""
    space: str = "macro"
    """Search space: macro or micro."""
    calibration: str = "none"
    """output, none or both."""
    rules: str = "paper"
    """Rules of the macro space."""
    samples: int = 10_000
    """Actions of each draw."""
    seed: int = 0
    """Seed of the actions."""
    out: Path = Path("runs/decoders")
    """Folder for coverage.csv and a picture of each decoder."""


def print_table(name: str, calibration: str, table: Measures) -> None:
    """Print a line for each measure, with a column for each draw."""
    print(f"\n{f'{name}, calibration {calibration}':36}" + "".join(f"{draw:>10}" for draw in DRAWS))
    for measure in table["uniform"]:
        print(f"{measure:36}" + "".join(f"{table[draw][measure]:10.3f}" for draw in DRAWS))
    for measure, value in table["round trip"].items():
        print(f"{f'round trip, {measure}':36}{value:10.3f}")


def _title(name: str, options: Options, uniform: dict[str, float]) -> str:
    return (
        f"What the decoder {Path(name).stem} reaches (calibration {options.calibration}, {options.samples:,} actions)\n"
        f"uniform actions: {uniform['distinct']:.1%} distinct networks; two of them differ in {uniform['hamming']:.1f} "
        "decisions"
    )


def main(options: Options) -> int:
    """Measure, print, write; returns the exit status."""
    try:
        space = search_spaces.make(options.space, options.rules)
        names = options.decoders or (registry.find(space.name).default_decoder,)
        decoders = {name: embeddings.make(name, space, options.calibration) for name in names}
        reference = coverage(embeddings.make("identity", space), space, "uniform", options.samples, options.seed)
        options.out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out first
        tables = {name: measures(decoder, space, options.samples, options.seed) for name, decoder in decoders.items()}
        columns = ("decoder", "calibration", "draw", "measure", "value")
        values = [
            dict(zip(columns, (name, options.calibration, draw, measure, value), strict=True))
            for name, table in tables.items()
            for draw, row in table.items()
            for measure, value in row.items()
        ]
        files.write_csv(options.out / "coverage.csv", values)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    for name, table in tables.items():
        print_table(name, options.calibration, table)
        path = options.out / f"{name.removesuffix('.safetensors').strip('./').replace('/', '-')}.png"
        coverage_picture.draw(table, space, reference, _title(name, options, table["uniform"]), path)
        print(f"picture: {path}")
    print(f"\ntable: {options.out / 'coverage.csv'}")
    return 0
