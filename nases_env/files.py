"""Files that are written whole or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write(file: Path, data: bytes) -> None:
    """Write a file so that a kill leaves it as it was before or as it is after."""
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(file: Path, content: Any, indent: int = 2) -> None:
    """Write JSON so that a kill leaves the file as it was before or as it is after."""
    write(file, (json.dumps(content, indent=indent) + "\n").encode())


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Write a table so that a kill leaves the file as it was before or as it is after.

    Args:
        file: The file; its folder is made.
        rows: What to write; all have the same keys.
        columns: Names of the columns, where there may be no row; None: the keys of the first.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, _csv(rows, columns or list(rows[0]), "\r\n"))


def write_compressed_csv(file: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a compressed table so that a kill leaves the file as it was before or as it is after.

    Args:
        file: The file; its folder is made. The same rows give the same file.
        rows: What to write; a field that a row lacks stays empty.
        columns: Names of the columns.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, gzip.compress(_csv(rows, columns, "\n"), mtime=0))


def read_compressed_csv(data: bytes) -> list[dict[str, str]]:
    """The rows of a compressed table, from its bytes."""
    return list(csv.DictReader(io.StringIO(gzip.decompress(data).decode())))


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], end: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
