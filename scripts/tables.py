"""Tables that scripts write."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nases_env import files


def write(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Write rows that have the same keys as CSV, whole or not at all.

    Args:
        path: The file; its folder is made.
        rows: What to write.
        columns: Names of the columns, where there may be no row; None: the keys of the first.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns or rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text.getvalue().encode())
