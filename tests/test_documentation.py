"""What README and the pages show is so: their code runs, their commands parse, their tables are the data's.

The Python blocks of a page run in order, in one namespace and an empty folder. A command is parsed; one that stands
below `<!-- run -->` is run as well, with the budgets of TINY. What stands below `<!-- not run: why -->` is only read.
"""

import configparser
import json
import re
import shlex
import sys
from contextlib import nullcontext
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import tyro
from matplotlib import pyplot

import agents
from nases_env import rewards
from nases_env.search_spaces import registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*/*.md"))]
NOTEBOOK = DOCS / "tutorial.ipynb"
FENCED = re.compile(r"(?:^<!-- (run|not run: [^>]+?) -->\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINKED = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TINY = {"search": ["--children", "2"], "train-final": ["--epochs", "1"]}
"""What is put behind a command that is run, so that it takes seconds."""


class Block(NamedTuple):
    """A block of code of a page."""

    mark: str
    language: str
    text: str

    @property
    def commands(self):
        """The words of each command of a shell block, without variables that are set for it."""
        lines = (shlex.split(line, comments=True) for line in self.text.replace("\\\n", " ").splitlines())
        return [list(dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)) for words in lines if words]


def blocks(page):
    return [Block(*found) for found in FENCED.findall(page.read_text(encoding="utf-8"))]


def with_code(*languages):
    """Pages that have blocks in one of the languages, as parameters."""
    pages = [page for page in PAGES if any(block.language in languages for block in blocks(page))]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


def parse(name, arguments):
    """The options that a command makes of its arguments."""
    module = import_module(f"agents.commands.{name.replace('-', '_')}")
    own = getattr(module, "parse", None)
    return module, own(arguments) if own else tyro.cli(module.Options, args=arguments)


def check(words):
    """Look at a command that is not run: whether its options, targets, extras and files are there."""
    program, *arguments = words
    if program == "nases":
        with nullcontext() if arguments[-1] != "--help" else pytest.raises(SystemExit, match="^0$"):
            parse(arguments[0], arguments[1:])
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(arguments[:1]) <= {*targets}
    elif program == "pip":
        settings = configparser.ConfigParser(interpolation=None)
        settings.read(ROOT / "setup.cfg", encoding="utf-8")
        extras = re.findall(r"\w+", " ".join(re.findall(r"\.\[(.*?)\]", " ".join(arguments))))
        assert arguments[0] == "install" and {*extras} <= {*settings["options.extras_require"]}
    elif arguments[0] == "-m":
        assert words[:3] == ["python", "-m", "pytest"] and (ROOT / words[3]).exists()
    else:
        assert program == "python" and (ROOT / arguments[0]).is_file()


@pytest.fixture
def namespace(monkeypatch, tmp_path):
    """A module to run code in, in an empty folder; what the code makes known is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(agents, "CLASSES", dict(agents.CLASSES))
    monkeypatch.setattr(rewards, "REWARDS", dict(rewards.REWARDS))
    monkeypatch.setattr(registry, "REGISTERED", dict(registry.REGISTERED))
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return vars(module)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 9 * 1024


@with_code("python")
def test_the_python_of_a_page_runs(page, namespace):
    for block in blocks(page):
        if block.language == "python" and not block.mark.startswith("not run"):
            exec(compile(block.text, page.name, "exec"), namespace)
        elif block.mark == "run":
            for _, name, *arguments in block.commands:
                module, options = parse(name, [*arguments, *TINY.get(name, [])])
                assert module.main(options) == 0


@with_code("sh")
def test_the_commands_of_a_page_are_commands(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        for words in block.commands if block.language == "sh" else []:
            check(words)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_the_links_of_a_page_outside_the_site_lead_somewhere(page):
    links = LINKED.findall(page.read_text(encoding="utf-8"))
    assert links and [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_tables_of_a_page_are_made_from_the_data(page, monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "tools")
    text = page.read_text(encoding="utf-8")
    assert import_module("insert_tables").with_tables(text) == text


def test_every_table_stands_on_a_page(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "tools")
    marked = {name for page in PAGES for name in import_module("insert_tables").names(page.read_text(encoding="utf-8"))}
    assert marked == import_module("measured").TABLES.keys()


def test_the_notebook_runs_and_shows_what_its_code_made(namespace):
    pyplot.switch_backend("agg")  # shows nothing, wherever it runs
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for cell in code:
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), namespace)
    pyplot.close("all")
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
