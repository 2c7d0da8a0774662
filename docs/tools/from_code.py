"""Puts what the code itself says into pages: the environments' ids with a picture each, and class docstrings.

`<!-- environments -->` becomes a section for each id, `<!-- docstring: MODULE:CLASS -->` the docstring of a class.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from matplotlib import image
from sphinx.application import Sphinx

import nases_env  # noqa: F401  (registers the ids)
from nases_env.env import NASESEnv

DOCSTRING = re.compile(r"<!-- docstring: ([\w.]+):(\w+) -->")
ENVIRONMENTS = "<!-- environments -->"
PICTURES = Path("_build", "pictures")
DOCTEST = re.compile(r"```python\n(>>> .*?)\n```", re.DOTALL)
FIELD = re.compile(r"^(Args|Raises):\n((?:    .*\n?|\n)+)", re.MULTILINE)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
ITEM = re.compile(r"^    (\w+): ", re.MULTILINE)
ROW = re.compile(r"^\|.*\|$")
PAGE = re.compile(r"\bdocs/([\w-]+\.md)\b")


def specs() -> list[EnvSpec]:
    """Every id that importing the package registers."""
    return [spec for spec in gym.registry.values() if str(spec.entry_point).startswith("nases_env.")]


def docstring(module: str, name: str) -> str:
    """The docstring of a class as Markdown; Google sections become lists, doctests sessions, pages links."""
    text = _with_whole_rows(inspect.getdoc(getattr(import_module(module), name)) or "")
    text = PAGE.sub(r"[\1](\1)", text)
    text = DOCTEST.sub(r"```pycon\n\1\n```", text)
    return FIELD.sub(lambda found: f"**{found[1]}**\n\n{_items(found[2])}\n", text + "\n")


def _with_whole_rows(text: str) -> str:
    """The text, with table rows that go on in a second line, whose first cell is empty, as one row each."""
    lines: list[str] = []
    for line in text.split("\n"):
        if lines and ROW.match(lines[-1]) and ROW.match(line) and not _cells(line)[0]:
            pairs = zip(_cells(lines[-1]), _cells(line), strict=True)
            lines[-1] = f"| {' | '.join(f'{above} {below}'.strip() for above, below in pairs)} |"
        else:
            lines.append(line)
    return "\n".join(lines)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def _items(block: str) -> str:
    return inspect.cleandoc("\n" + ITEM.sub(r"    * `\1`: ", block).replace("\n        ", "\n      "))


def section(spec: EnvSpec, seed: int, pages: Path) -> str:
    """What an id is made with, its spaces, and a network that `reset` draws."""
    env = gym.make(spec.id, render_mode="rgb_array")
    env.reset(seed=seed)
    (pages / PICTURES).mkdir(parents=True, exist_ok=True)
    picture = PICTURES / f"{spec.id}.png"
    image.imsave(pages / picture, env.render())
    defaults = inspect.signature(NASESEnv).parameters
    made = {name: spec.kwargs.get(name, defaults[name].default) for name in TOLD}
    if (surrogate := env.get_wrapper_attr("surrogate")) is not None:
        decided = surrogate.decides | {"protocol": surrogate.protocol.name}
        made |= {name: decided[name] for name in TOLD if name in decided}
        made |= {"evaluator": f"surrogate:{spec.kwargs['surrogate']}"}
    told = ", ".join(f"`{name}={value!r}`" for name, value in made.items())
    promise = "may differ from run to run on a GPU" if spec.nondeterministic else "the same bits on one kind of CPU"
    lines = [
        f"## {spec.id}\n",
        "| | |\n|---|---|",
        f"| made with | {told} |",
        f"| action | `{env.action_space}` |",
        f"| observation | `{env.observation_space}` |",
        f"| results | {promise} |\n",
        f"![A network of {spec.id}](/{picture.as_posix()})\n",
    ]
    return "\n".join(lines)


TOLD = ("dataset", "protocol", "space", "reward", "evaluator")
"""Arguments that a section names."""


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the marks of a page that Sphinx has just read."""
    text = DOCSTRING.sub(lambda mark: docstring(mark[1], mark[2]), source[0])
    if ENVIRONMENTS in text:
        sections = (section(spec, seed, Path(app.srcdir)) for seed, spec in enumerate(specs()))
        text = text.replace(ENVIRONMENTS, "\n".join(sections))
    source[0] = text


def as_restructured(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of a docstring that autodoc has read; one with headings has a page of its own."""
    if any(line.startswith("## ") for line in lines):
        del lines[1:]
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment, or napoleon takes what stands before a colon for a type
    lines[:] = CODE.sub(r"``\1``", "\n".join(lines)).split("\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx when to ask."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", as_restructured, priority=400)  # before napoleon reads it
    return {"parallel_read_safe": True}
