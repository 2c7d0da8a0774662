"""Tables of embeddings and of the search spaces behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np

from measured.formatting import Row, markdown, percent, read
from nases_env import search_spaces


def table1() -> str:
    """Table 1 of version 1 beside what was measured; where there are several seeds, their mean and range."""
    rows: dict[str, list[Row]] = {}
    for row in read("table1.csv"):
        rows.setdefault(row["embedding_size"], []).append(row)
    header = [
        "k", "compression ratio", "training loss", "test loss", "paper: training", "paper: test", "PCA", "minutes",
    ]  # fmt: skip
    return markdown(
        header,
        [
            [
                size,
                f"{float(seeds[0]['compression_ratio']):.2f}",
                _loss(seeds, "train_loss"),
                _loss(seeds, "test_loss"),
                *(f"{float(seeds[0][name]):.2f}" for name in PAPERS),
                f"{fmean(float(row['minutes']) for row in seeds):.0f}",
            ]
            for size, seeds in rows.items()
        ],
    )


PAPERS = ("paper_train_loss", "paper_test_loss", "pca_loss")


def _loss(seeds: list[Row], name: str) -> str:
    losses = [float(row[name]) for row in seeds]
    if len(losses) == 1:
        return f"{losses[0]:.2f}" if losses[0] >= 0.01 else f"{losses[0]:.3f}"
    return f"{fmean(losses):.2f} ({min(losses):.2f} to {max(losses):.2f}, {len(losses)} seeds)"


Measures = dict[tuple[str, str], float]
"""Value by draw and measure."""


def measured(name: str) -> dict[tuple[str, str], Measures]:
    """What decoders reach, by decoder and calibration."""
    found: dict[tuple[str, str], Measures] = {}
    for row in read(name):
        measures = found.setdefault((row["decoder"], row["calibration"]), {})
        measures[row["draw"], row["measure"]] = float(row["value"])
    return found


def told(decoder: str, calibration: str) -> bool:
    """Whether a decoder's row is shown: calibrations that change nothing, or that nobody uses, are left out."""
    if decoder == "identity":
        return calibration == "none"
    return calibration != "both" or decoder.startswith("autoencoder")


def coverage() -> str:
    """What macro decoders reach."""
    header = [
        "decoder", "calibration", "outside", "worst share", "Hamming", "links: uniform, encoded", "flips 0.05",
        "flips 0.2", "round trip", "error", "with noise",
    ]  # fmt: skip
    rows = measured("coverage.csv").items()
    return markdown(header, [_named(*name, _coverage(measures)) for name, measures in _sorted(rows) if told(*name)])


def _sorted(rows: Iterable[tuple[tuple[str, str], Any]]) -> list[tuple[tuple[str, str], Any]]:
    return sorted(rows, key=lambda row: ("none", "output", "both").index(row[0][1]))


def _named(decoder: str, calibration: str, cells: Sequence[str]) -> list[str]:
    return [f"`{decoder}`", "any" if decoder == "identity" else f"`{calibration}`", *cells]


def _coverage(measures: Measures) -> list[str]:
    of = partial(_of, measures)
    kernel = search_spaces.make("macro", "paper").dimensions[2]
    even = dict(zip(kernel.labels, np.diff(kernel.edges) / (kernel.edges[-1] - kernel.edges[0]), strict=True))
    worst = max(abs(of("uniform", f"kernel_type {label}") - share) for label, share in even.items())
    kept = ", ".join(f"{100 * of('round trip', f'{part} kept'):.0f}" for part in ("operation", "filter_size", "links"))
    return [
        percent(of("uniform", "outside"), 1), f"{100 * worst:.1f}", f"{of('uniform', 'hamming'):.1f}",
        f"{of('uniform', 'links on'):.1f}, {of('encoder', 'links on'):.1f}",
        *(
            f"{of('uniform', f'operation flips {step}') + of('uniform', f'filter_size flips {step}'):.1f}, "
            f"{of('uniform', f'links flips {step}'):.1f}"
            for step in ("0.05", "0.2")
        ),
        f"{kept} %", f"{of('round trip', 'error'):.1f}", f"{of('round trip', 'error at noise 0.05'):.1f}",
    ]  # fmt: skip


def _of(measures: Measures, draw: str, measure: str) -> float:
    return measures[draw, measure]


def coverage_micro() -> str:
    """What micro decoders reach."""
    header = [
        "", "calibration", "outside", "differ", "steps 0.05", "steps 0.2", "first operations", "kept", "error",
        "with noise 0.05", "found again",
    ]  # fmt: skip
    names = {"autoencoder": "LSTM (shipped)", "runs/micro-mlp.safetensors": "MLP"}
    rows = measured("coverage-micro.csv")
    return markdown(
        header,
        [
            [name, f"`{calibration}`", *_coverage_micro(rows[decoder, calibration])]
            for decoder, name in names.items()
            for calibration in ("none", "output", "both")
        ],
    )


def _coverage_micro(measures: Measures) -> list[str]:
    of = partial(_of, measures)
    first = [
        value for (draw, name), value in measures.items() if draw == "uniform" and name.startswith("first_operation ")
    ]
    return [
        percent(of("uniform", "outside"), 1), f"{of('uniform', 'hamming'):.1f}",
        *(
            f"{of('uniform', f'input flips {step}'):.1f}, {of('uniform', f'operation flips {step}'):.1f}"
            for step in ("0.05", "0.2")
        ),
        f"{100 * min(first):.0f} to {100 * max(first):.0f} %",
        f"{100 * of('round trip', 'input kept'):.0f}, {100 * of('round trip', 'operation kept'):.0f} %",
        f"{of('round trip', 'error'):.1f}", f"{of('round trip', 'error at noise 0.05'):.1f}",
        f"{of('round trip', 'found again'):.2f}",
    ]  # fmt: skip


def landscape(name: str) -> str:
    """What a search of a digits surrogate finds in each embedding."""
    header = [
        "decoder", "calibration", "rewards' deviation", "correlation at 0.05, 0.1, 0.2", "linear R²", "found again",
    ]  # fmt: skip
    return markdown(
        header,
        [
            _named(
                row["decoder"],
                row["calibration"],
                [
                    f"{float(row['reward deviation']):.2f}",
                    ", ".join(f"{float(row[f'correlation {step}']):.2f}" for step in ("0.05", "0.1", "0.2")),
                    f"{float(row['linear r2']):.2f}",
                    f"{float(row['found again']):.2f}",
                ],
            )
            for row in read(name)
            if told(row["decoder"], row["calibration"])
        ],
    )


def micro_sizes() -> str:
    """Sizes of random networks of the micro space beside the paper's."""
    sizes = np.array([int(row["parameters"]) for row in read("sizes-micro.csv")]) / 1e6
    low, median, high = np.quantile(sizes, (0.1, 0.5, 0.9))
    here = (
        f"{len(sizes)} random networks: median {median:.2f} M, 80 % between {low:.2f} M and {high:.2f} M, "
        f"the largest {sizes.max():.2f} M"
    )
    header = ["", "parameters", "test error", "with cutout", "cost of the search"]
    rows = [
        ["the paper", "4.7 M", "3.45 %", "2.85 %", "0.15 GPU days (V100)"],
        ["here", here, *["not measured: no GPU at hand"] * 3],
    ]
    return markdown(header, rows)
