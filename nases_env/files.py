"""Files that are written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write(file: Path, data: bytes) -> None:
    """Write a file so that a kill leaves it as it was before or as it is after."""
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(data)
    partial.replace(file)


def write_json(file: Path, content: Any, indent: int = 2) -> None:
    """Write JSON so that a kill leaves the file as it was before or as it is after."""
    write(file, (json.dumps(content, indent=indent) + "\n").encode())
