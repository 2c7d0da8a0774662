"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
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
