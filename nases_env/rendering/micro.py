"""Shows micro architectures: a table has a line for each node, a picture both cells as graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nases_env.rendering.canvas import INK, draw, draw_text
from nases_env.search_spaces.micro import (
    CELL_INPUTS,
    CELLS,
    NODES,
    OPERATIONS,
    Cell,
    MicroArchitecture,
    input_name,
    outputs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = dict(
    zip(OPERATIONS, ("identity", "separable 3x3", "separable 5x5", "average pool 3x3", "max pool 3x3"), strict=True)
)
_COLOURS = dict(zip(OPERATIONS, ("#888888", "#2f9e3a", "#1c5fc0", "#911eb4", "#e8590c"), strict=True))

_WIDTH, _HEIGHT = 1500, 700
_CELL_WIDTH = _WIDTH / len(CELLS)
_LEFT, _PITCH, _RADIUS = 80, 92, 24
"""The centre of a cell's first column, the distance of columns and the radius of a node, in pixels."""
_MIDDLE = 350
_INPUT_HEIGHTS, _NODE_HEIGHTS, _END_HEIGHT = (200, -130), (-200, -196, 133, 158, 24), 26
"""Heights above the middle, in pixels. A random search found them as those at which edges pass furthest from the nodes
that they do not join."""


def table(architecture: MicroArchitecture) -> str:
    """The architecture as text, a line for each node.

    The column `given` marks the nodes that no other node reads: concatenated, they are the cell's output.
    """
    lines = [f"micro space, key {architecture.key}"]
    for name in CELLS:
        cell = getattr(architecture, name)
        lines += ["", f"{name} cell", _line("node", "first", "second", "given")]
        given = outputs(cell)
        for index, node in enumerate(cell):
            first, second = (f"{_NAMES[edge.operation]} of {input_name(edge.input)}" for edge in node)
            lines.append(_line(str(index + 1), first, second, "yes" if index in given else "-"))
    return "\n".join(lines)


def picture(architecture: MicroArchitecture) -> np.ndarray:
    """Both cells side by side as graphs, uint8 (700, 1500, 3)."""
    return draw(_WIDTH, _HEIGHT, lambda axes: _draw(axes, architecture))


def _line(node: str, first: str, second: str, given: str) -> str:
    return f"{node:>4}  {first:<26}  {second:<26}  {given}"


def _draw(axes: Axes, architecture: MicroArchitecture) -> None:
    draw_text(axes, _WIDTH / 2, _HEIGHT - 22, 13, f"micro space, key {architecture.key}")
    for number, name in enumerate(CELLS):
        left = number * _CELL_WIDTH
        draw_text(axes, left + _CELL_WIDTH / 2, _HEIGHT - 62, 12, f"{name} cell")
        _draw_cell(axes, left, getattr(architecture, name))
    _draw_legend(axes)
    draw_text(
        axes,
        _WIDTH / 2,
        36,
        10,
        "A node adds the outputs of its two operations. What no node reads is concatenated: the cell's output. In the "
        "reduction cell the operations on the cells before it halve the images.",
    )


def _draw_cell(axes: Axes, left: float, cell: Cell) -> None:
    columns = [0, 0, *range(1, NODES + 1)]
    heights = (*_INPUT_HEIGHTS, *_NODE_HEIGHTS)
    places = [(left + _LEFT + _PITCH * x, _MIDDLE + float(y)) for x, y in zip(columns, heights, strict=True)]
    end = (left + _LEFT + _PITCH * (NODES + 1.15), float(_MIDDLE + _END_HEIGHT))
    for node, edges in enumerate(cell):
        same = edges[0].input == edges[1].input
        for half, edge in enumerate(edges):
            bend = (0.15 if half else -0.15) if same else 0.0
            _draw_arrow(axes, places[edge.input], places[CELL_INPUTS + node], _COLOURS[edge.operation], bend)
    for node in outputs(cell):
        _draw_arrow(axes, places[CELL_INPUTS + node], end, INK, 0.0)
    for index, place in enumerate(places):
        words = input_name(index).replace("cell", "cell\n") if index < CELL_INPUTS else str(index - CELL_INPUTS + 1)
        _draw_node(axes, place, words, "#dddddd" if index < CELL_INPUTS else "#ffe8a3")
    _draw_node(axes, end, "out", "#dddddd")


def _draw_node(axes: Axes, place: tuple[float, float], words: str, colour: str) -> None:
    from matplotlib.patches import Circle

    axes.add_patch(Circle(place, _RADIUS, facecolor=colour, edgecolor=INK, linewidth=0.8, zorder=3))
    axes.text(*place, words, size=9, ha="center", va="center", zorder=4, linespacing=1.1)


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, bend: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=_RADIUS,
            shrinkB=_RADIUS,
            color=colour,
            linewidth=1.6,
            zorder=2,
        )
    )


def _draw_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=_COLOURS[name], linewidth=2.5, label=_NAMES[name]) for name in OPERATIONS]
    axes.legend(handles=lines, loc="center", bbox_to_anchor=(0.5, 84 / _HEIGHT), ncols=len(lines), frameon=False)
