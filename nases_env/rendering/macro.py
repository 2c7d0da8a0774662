"""Shows macro architectures: a table has a line for each layer, a picture a box for each layer and arcs for links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nases_env.rendering.canvas import INK, draw, draw_text
from nases_env.search_spaces.macro import LAYERS, OPERATIONS, MacroArchitecture, MacroLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = dict(zip(OPERATIONS, ("separable conv", "convolution", "max pool", "average pool"), strict=True))
_SHORT_NAMES = dict(zip(OPERATIONS, ("sep\nconv", "conv", "max\npool", "avg\npool"), strict=True))
_COLOURS = dict(zip(OPERATIONS, ("#7cc8a4", "#8db8ec", "#f2a37e", "#c9aee6"), strict=True))

# Everything is drawn in pixels, from the lower left corner.
_WIDTH, _HEIGHT = 1500, 700
_PITCH, _BOX_WIDTH, _CLASSIFIER_WIDTH, _FIRST_X = 85, 52, 72, 135
_BOTTOM, _TOP = 145, 295
_MIDDLE = (_BOTTOM + _TOP) / 2
_RAIL, _ARC_HEIGHT, _LANDING = 320, 330, 60
"""The height at which arcs start and end, the height of the widest arc above it, and the width on which the arcs into
one gap land."""
_FULL = 300
"""A box is filled to the top for so many filters, the most that a layer can have."""
_GREY = "#bbbbbb"
_SOURCE_COLOURS = (
    "#e6194b", "#4363d8", "#2f9e3a", "#911eb4", "#f58231", "#17a2b8", "#800000", "#808000",
    "#000075", "#f032e6", "#9a6324", "#00796b", "#d9a400", "#777777", "#000000",
)  # fmt: skip
"""Colours of the layers' numbers and of the links that leave them. They are far apart, so that arcs can be followed."""


def _headline(architecture: MacroArchitecture) -> str:
    count = len(architecture.links)
    links = "1 link" if count == 1 else f"{count or 'no'} links"
    return f"macro space, {architecture.rules} rules, key {architecture.key}, {links}"


def _size(layer: MacroLayer) -> str:
    return f"{layer.size}x{layer.size}" if layer.size else "2x2 /2"


def table(architecture: MacroArchitecture) -> str:
    """The architecture as text, a line for each layer.

    `linked from` are the earlier layers whose outputs are concatenated behind a layer. Under `published`
    rules a pool is 2x2 with stride 2 (`/2`) and keeps the channels it reads (`-`).
    """
    lines = [_headline(architecture), _line("layer", "operation", "size", "filters", "linked from")]
    for index, layer in enumerate(architecture.layers):
        linked = ", ".join(str(source + 1) for source in architecture.sources[index])
        name = _NAMES[layer.operation]
        lines.append(_line(str(index + 1), name, _size(layer), str(layer.filters or "-"), linked or "-"))
    return "\n".join(lines)


def _line(number: str, operation: str, size: str, filters: str, linked: str) -> str:
    return f"{number:>5}  {operation:<14}  {size:<6}  {filters:>7}  {linked}"


def picture(architecture: MacroArchitecture) -> np.ndarray:
    """The architecture as boxes from the image to the classifier, uint8 (700, 1500, 3)."""
    return draw(_WIDTH, _HEIGHT, lambda axes: _draw(axes, architecture))


def _draw(axes: Axes, architecture: MacroArchitecture) -> None:
    draw_text(axes, _WIDTH / 2, _HEIGHT - 22, 13, _headline(architecture))
    _draw_ends(axes)
    for index, layer in enumerate(architecture.layers):
        _draw_layer(axes, index, layer)
    for index, sources in enumerate(architecture.sources):
        if sources:
            _draw_links(axes, index, sources)
        _draw_way(axes, index, len(sources))
    _draw_legend(axes)
    draw_text(axes, _WIDTH / 2, 42, 10, _note(architecture))


def _x(index: float) -> float:
    """The centre of layer `index`, 0-based, in pixels; -1 is the image, LAYERS the classifier, halves are gaps."""
    return _FIRST_X + _PITCH * index


def _draw_box(axes: Axes, left: float, width: float, label: str, colour: str, filled: float) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    corner, height = (left, _BOTTOM), _TOP - _BOTTOM
    axes.add_patch(Rectangle(corner, width, height, facecolor=colour, alpha=0.25))
    axes.add_patch(Rectangle(corner, width, height * filled, facecolor=colour))
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=INK, linewidth=0.8))
    text = axes.text(left + width / 2, _MIDDLE, label, size=9, ha="center", va="center", linespacing=1.35)
    # The surface of the fill would strike the text through.
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.6)])


def _draw_layer(axes: Axes, index: int, layer: MacroLayer) -> None:
    parts = (_SHORT_NAMES[layer.operation], _size(layer), str(layer.filters or ""))
    label = "\n".join(part for part in parts if part)
    left, number = _x(index) - _BOX_WIDTH / 2, str(index + 1)
    _draw_box(axes, left, _BOX_WIDTH, label, _COLOURS[layer.operation], layer.filters / _FULL)
    colour = _SOURCE_COLOURS[index]
    axes.text(_x(index), _BOTTOM - 16, number, size=12, weight="bold", ha="center", va="center", color=colour)


def _draw_ends(axes: Axes) -> None:
    """Draw the image at the left with its way to layer 1, and the classifier at the right."""
    image, classifier = _x(-1) - _BOX_WIDTH / 2, _x(LAYERS) - _BOX_WIDTH / 2
    _draw_box(axes, image, _BOX_WIDTH, "image", _GREY, 0)
    _draw_box(axes, classifier, _CLASSIFIER_WIDTH, "global\naverage\npooling,\nlinear", _GREY, 0)
    _draw_arrow(axes, _x(-1) + _BOX_WIDTH / 2, _x(0) - _BOX_WIDTH / 2)


def _draw_arrow(axes: Axes, start: float, end: float) -> None:
    arrow = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
    axes.annotate("", (end, _MIDDLE), (start, _MIDDLE), arrowprops=arrow)


def _draw_way(axes: Axes, index: int, links: int) -> None:
    """Draw the way from a layer to the next; it passes a dot where links are concatenated."""
    _draw_arrow(axes, _x(index) + _BOX_WIDTH / 2, _x(index + 1) - _BOX_WIDTH / 2)
    if links:
        x, reach, shelf = _x(index + 0.5), _landings(index, links)[[0, -1]], _RAIL - 5
        axes.plot(reach, [shelf, shelf], color=INK, linewidth=1)
        axes.plot([x, x], [_MIDDLE, shelf], color=INK, linewidth=1)
        axes.plot(x, _MIDDLE, "o", markersize=6, color=INK)


def _landings(index: int, links: int) -> np.ndarray:
    """The places where the links into the gap behind layer `index` end, from left to right."""
    spacing = min(6.0, _LANDING / links)
    return _x(index + 0.5) + spacing * (np.arange(links) - (links - 1) / 2)


def _draw_links(axes: Axes, index: int, sources: tuple[int, ...]) -> None:
    """Draw arcs into the gap behind layer `index`; the longest lands at the right, so that they do not cross."""
    turn = np.linspace(0, np.pi, 80)
    for source, end in zip(reversed(sources), _landings(index, len(sources)), strict=True):
        start, colour = _x(source), _SOURCE_COLOURS[source]
        radius = (end - start) / 2
        height = _ARC_HEIGHT * (2 * radius / (_PITCH * LAYERS)) ** 0.8
        x, y = start + radius * (1 - np.cos(turn)), _RAIL + height * np.sin(turn)
        axes.plot(x, y, color=colour, linewidth=1.2, alpha=0.7)
        axes.plot([start, start], [_TOP, _RAIL], color=colour, linewidth=1.5)
        axes.plot(end, _RAIL, "v", markersize=4, color=colour)


def _draw_legend(axes: Axes) -> None:
    from matplotlib.patches import Patch

    operations = [Patch(facecolor=_COLOURS[name], edgecolor=INK, label=_NAMES[name]) for name in OPERATIONS]
    axes.legend(handles=operations, loc="center", bbox_to_anchor=(0.5, 96 / _HEIGHT), ncols=4, frameon=False)


def _note(architecture: MacroArchitecture) -> str:
    """The note on how to read the picture; it mentions only what the picture shows."""
    text = f"In a box: operation, filter size, number of filters before the protocol's width ({_FULL} fill the box)."
    if not all(layer.filters for layer in architecture.layers):
        text += " A pool 2x2 /2 halves the image and keeps its channels."
    if architecture.links:
        text += (
            "\nAn arc has the colour of the layer it leaves;"
            " that layer's output is concatenated at the dot the arc leads to."
        )
    return text
