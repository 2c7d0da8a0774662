"""Parts of an HTML page that has everything in it: no style sheet, script or picture lies elsewhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

STYLE = """
body{font-family:sans-serif;line-height:1.4;margin:2em auto;max-width:70em;padding:0 1em;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
img{max-width:100%;height:auto} pre{background:#f5f5f5;padding:.7em;overflow-x:auto} summary{cursor:pointer}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page; parts are HTML, the title is text."""
    title = html.escape(title)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\n" + "\n".join(parts) + "</html>\n"
    )


def heading(text: str) -> str:
    """A heading inside the page."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Text for people."""
    return f"<p>{html.escape(text)}</p>"


def code(text: str) -> str:
    """Text in letters of one width, lines as they are."""
    return f"<pre>{html.escape(text)}</pre>"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table whose columns are the keys of the first row; floats are rounded to three digits."""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def folded(summary: str, part: str) -> str:
    """A part that is shown when its summary is clicked."""
    return f"<details><summary>{html.escape(summary)}</summary>{part}</details>"


def png(data: bytes, description: str) -> str:
    """A picture in PNG's bytes."""
    encoded = base64.b64encode(data).decode()
    return f'<img alt="{html.escape(description, quote=True)}" src="data:image/png;base64,{encoded}">'


def drawing(figure: Figure, description: str) -> str:
    """A figure of matplotlib as a picture."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return png(buffer.getvalue(), description)


def pixels(picture: np.ndarray, description: str) -> str:
    """A picture of pixels, uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return png(buffer.getvalue(), description)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "never" if value == float("inf") else f"{value:.3f}"
    return html.escape(str(value))
