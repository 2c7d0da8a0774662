"""What every picture is drawn on: pixels from the lower left corner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
INK = "#333333"


def draw(width: int, height: int, paint: Callable[[Axes], None]) -> np.ndarray:
    """What is painted on white axes of so many pixels, uint8 (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    paint(axes)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_text(axes: Axes, x: float, y: float, size: float, text: str) -> None:
    """Centred text."""
    axes.text(x, y, text, size=size, ha="center", va="center", color=INK, linespacing=1.5)
