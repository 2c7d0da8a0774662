"""docs/architecture.md is the plan of the code as it is: what it names is there."""

import re
import tomllib
from pathlib import Path

import pytest

from nases_env.schemas import SCHEMA

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", PAGE)))
"""Files and folders, from the root of the repository or of the package."""


def test_the_page_names_files():
    assert len(NAMED) > 30


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_there(name):
    assert any((ROOT / folder / name).exists() for folder in ("", "nases_env"))


def test_the_page_has_every_kind_of_file_with_its_schema():
    assert {kind: int(number) for kind, number in re.findall(r"(\w+) \((\d+)\)[,| ]", PAGE)} == SCHEMA


def test_the_page_has_the_layers_that_import_linter_holds():
    """Environments stand on one line of the page, which the linter has one by one."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [each for each in settings["tool"]["importlinter"]["contracts"] if "containers" in each]
    layers = {each["containers"][0]: each["layers"] for each in contracts}
    drawn = PAGE.partition("```\n")[2].partition("```")[0]
    names = re.findall(r"\w+", re.sub(r"\(.*\)", "", drawn))
    rooms = [layer for layer in layers["agents"] if (ROOT / "agents" / layer).is_dir()]
    assert names == ["scripts", *rooms, "agents", *re.findall(r"\w+", " ".join(layers["nases_env"]))]
