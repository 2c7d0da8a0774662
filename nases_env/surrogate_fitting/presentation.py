"""A report on a surrogate as text and as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def describe(found: dict[str, Any]) -> str:
    """What `report.report` found, as text."""
    lines = [f"{'held out':>34}{'R²':>8}{'τ':>8}{'ρ':>8}"]

    def add(name: str, scores: dict[str, Any]) -> None:
        lines.append(f"{name:>34}{scores['r2']:8.3f}{scores['tau']:8.3f}{scores.get('rho', np.nan):8.3f}")

    for quantity, scores in found["held_out"].items():
        add(quantity, scores)
        lines.append(f"{'the noise allows an R² of':>34}{found['ceiling'][quantity]:8.3f}")
    for name in ("linear", "linear_of_choices", "linear_of_parameters"):
        add(f"reward, {name.replace('_', ' ')}", found[name]["reward"])
    for kind in ("by_source", "source_left_out", "with_first_epochs"):
        for name, scores in found[kind].items():
            add(f"reward, {kind.replace('_', ' ')}: {name}", scores["reward"])
    for point in found["learning_curve"]:
        add(f"reward, {point['children']} children", point["reward"])
    lines += [f"{name}: {found[name]}" for name in ("gain_over_linear", "best", "ensemble")]
    return "\n".join(lines)


def draw_learning_curve(found: dict[str, Any]) -> Figure:
    """Draw R² and τ of held-out children against the number of children fitted on."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    children = [point["children"] for point in found["learning_curve"]]
    for quantity, colour in (("validation_accuracy", "C0"), ("reward", "C1")):
        for score, style in (("r2", "o-"), ("tau", "s--")):
            values = [point[quantity][score] for point in found["learning_curve"]]
            label = f"{quantity.replace('_', ' ')}, {'R²' if score == 'r2' else 'τ'}"
            axes.plot(children, values, style, color=colour, label=label)
        axes.axhline(found["ceiling"][quantity], color=colour, linestyle=":", linewidth=1)
    axes.set(xscale="log", xlabel="children fitted on", title="held-out architectures (dotted: R² that noise allows)")
    axes.set_xticks(children, [str(count) for count in children])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
