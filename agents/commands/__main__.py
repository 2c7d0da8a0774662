"""The console command `nases`, which finds the command that is asked for and runs it.

nases --help
nases search --children 60 --run-dir runs/mine
"""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata, resources

from agents.commands import startup

COMMANDS = (
    "search", "status", "report", "train-final", "compare", "tune", "collect", "pretrain", "fit-surrogate", "benchmark",
    "simulate-cluster", "noise-floor", "fidelity", "inspect-decoder", "inspect-landscape", "inspect-proxies",
    "inspect-reach", "inspect-sizes", "plot-curves", "plot-table1",
)  # fmt: skip
"""Names of all commands; each has a module of its own beside this one, with underscores for dashes."""


def main() -> int:
    """Run the command of this process's command line; returns its exit status."""
    return startup.run(partial(find, sys.argv[1:]))


def find(arguments: Sequence[str]) -> Callable[[], int]:
    """What the arguments ask for, a command or an answer; returns what runs it."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        return partial(_answer, overview())
    if name == "--version":
        return partial(_answer, f"nases-env {metadata.version('nases-env')}")
    if name not in COMMANDS:
        return partial(_refuse, name)
    return startup.command(_module(name), rest, f"nases {name}")


def overview() -> str:
    """The text of `nases --help`: every command with a sentence."""
    lines = [f"  {name:18}{_sentence(name)}" for name in COMMANDS]
    told = "nases COMMAND --help tells the options of a command."
    return "\n".join(["usage: nases COMMAND [OPTIONS]", "", *lines, "", told])


def _sentence(name: str) -> str:
    """The first sentence of a command's module, which is not imported: that takes seconds."""
    text = resources.files("agents.commands").joinpath(f"{_module(name)}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def _module(name: str) -> str:
    return name.replace("-", "_")


def _answer(text: str) -> int:
    print(text)
    return 0


def _refuse(name: str) -> int:
    near = difflib.get_close_matches(name, COMMANDS)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    print(f"error: there is no command {name!r}; {guess}nases --help lists all", file=sys.stderr)
    return startup.WRONG


if __name__ == "__main__":
    sys.exit(main())
