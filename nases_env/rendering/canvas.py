"""The canvas that every picture is drawn on. Places are in pixels from the lower left corner."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
INK = "#333333"


def draw(width: int, height: int, paint: Callable[[Axes], None]) -> np.ndarray:
    """Let `paint` draw on white axes of so many pixels; returns the picture, uint8 (height, width, 3)."""
    _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    paint(axes)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _import_matplotlib() -> None:
    """Import matplotlib also where MPLBACKEND names a backend that is not installed.

    Processes inherit such a name from a notebook.

    Nothing changes for the caller: a backend that can be had is the chosen one afterwards. Pictures here are drawn with
    Agg whatever it is.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


def draw_text(axes: Axes, x: float, y: float, size: float, text: str) -> None:
    """Write text centred at a place."""
    axes.text(x, y, text, size=size, ha="center", va="center", color=INK, linespacing=1.5)
