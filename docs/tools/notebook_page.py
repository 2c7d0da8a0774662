"""Lets Sphinx read a notebook as a page: its Markdown, its code and the outputs that are saved in it."""

from __future__ import annotations

import json
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


class NotebookParser(MystParser):
    """Parses the Markdown that a notebook amounts to."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Parse the JSON of a notebook."""
        super().parse(as_markdown(json.loads(inputstring)), document)


def as_markdown(notebook: dict[str, Any]) -> str:
    """The cells of a notebook, one below the other."""
    return "\n\n".join(_cell(cell) for cell in notebook["cells"])


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return source
    return "\n\n".join([_fenced("python", source), *map(_output, cell["outputs"])])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![Output of the code above](data:image/png;base64,{''.join(data['image/png']).replace(chr(10), '')})"
    return _fenced("text", "".join(output.get("text") or data["text/plain"]).rstrip("\n"))


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx that it can read notebooks."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True}
