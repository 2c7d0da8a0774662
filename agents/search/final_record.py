"""What a final training leaves behind as JSON: which training its folder belongs to, and what was measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from nases_env import files
from nases_env.children.protocol import Protocol
from nases_env.schemas import SCHEMA, NewerVersionError, check_schema
from nases_env.untrusted import check_types, parse_json


def claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make a folder a training's own.

    Args:
        folder: The folder; made if missing.
        identity: What tells one training from another, JSON types.

    Raises:
        FileExistsError: If it belongs to another training.
        ValueError: If its file `training.json` is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "training.json"
    before = _with_every_field(_read(file, "training", {})) if file.is_file() else identity
    if different := [name for name in identity if before.get(name) != identity[name]]:
        raise FileExistsError(
            f"{folder} belongs to a training with another {', '.join(different)}; choose another --out"
        )
    files.write_json(file, {"schema": SCHEMA["training"], **identity})


def _with_every_field(identity: dict[str, Any]) -> dict[str, Any]:
    """The identity that an earlier version wrote, whose protocol lacks the fields that did not exist then."""
    if not isinstance(protocol := identity.get("protocol"), dict):
        return identity
    return identity | {"protocol": json.loads(json.dumps(dataclasses.asdict(Protocol()))) | protocol}


def measured_accuracy(folder: Path) -> float | None:
    """The accuracy that a finished training measured; None where it is not finished.

    Raises:
        ValueError: If its file `metrics.json` is damaged.
    """
    file = folder / "metrics.json"
    return _read(file, "metrics", {"test_accuracy": float})["test_accuracy"] if file.is_file() else None


def write_metrics(folder: Path, identity: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Write what a finished training measured; see `claim` and `FinalTraining.metrics`."""
    files.write_json(folder / "metrics.json", {"schema": SCHEMA["metrics"], **identity, **metrics})


def _read(file: Path, kind: str, types: dict[str, type]) -> dict[str, Any]:
    """What a file of an earlier run says.

    Raises:
        ValueError: If it is damaged; NewerVersionError if a newer version wrote it.
    """
    try:
        content = parse_json(file.read_bytes())
        check_schema(content, kind, file)
        check_types(content, types)
    except NewerVersionError:
        raise
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); choose another --out") from error
    return content
