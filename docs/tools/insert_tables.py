"""Writes the tables of measurements into README and the pages, from the files in docs/results.

python docs/tools/insert_tables.py

A page marks a table's place by two comments, `<!-- table: NAME -->` and `<!-- end of table -->`. Between them stands
what `measured.TABLES[NAME]` makes. A test fails where a page and the data differ.
"""

from __future__ import annotations

import re
from pathlib import Path

from measured import TABLES

ROOT = Path(__file__).parents[2]
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def pages() -> list[Path]:
    """README and the pages of the documentation."""
    return [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]


def with_tables(text: str) -> str:
    """The text of a page with every marked table made again from the data.

    Raises:
        KeyError: If a mark names a table that there is not.
    """
    return MARKED.sub(lambda mark: f"{mark[1]}{TABLES[mark[2]]()}\n{mark[4]}", text)


def names(text: str) -> list[str]:
    """Names of the tables that a page marks."""
    return [mark[2] for mark in MARKED.finditer(text)]


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := with_tables(before)) != before:
            page.write_text(after, encoding="utf-8", newline="\n")
            print(f"tables written: {page.relative_to(ROOT)}")
