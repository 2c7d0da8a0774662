"""Which version of its kind a file is: the number `schema` in it.

A number goes up when a file says something that earlier versions would misread. What they may leave out needs no new
number: fields that a file lacks have defaults.
"""

from __future__ import annotations

from typing import Any

from nases_env.words import shown

SCHEMA = {
    "evaluation": 1,
    "table": 1,
    "decoder": 1,
    "surrogate": 1,
    "network": 1,
    "settings": 2,
    "training": 1,
    "metrics": 1,
    "record": 1,
}
"""What this version writes, by kind, and the newest that it reads. Files of kinds that had no number once are 0."""


class NewerVersionError(ValueError):
    """A newer version wrote a file. Nothing is wrong with it, so it must be neither repaired nor written again."""


def check_schema(fields: Any, kind: str, what: object) -> int:
    """The schema that fields of a file were written with.

    Args:
        fields: What JSON gave; where it is no object, other checks tell.
        kind: One of SCHEMA.
        what: What the fields are called in an error, the file's path or so.

    Raises:
        NewerVersionError: If it is newer than this version knows.
        ValueError: If it is no number of a schema.
    """
    schema = fields.get("schema", 0) if isinstance(fields, dict) else 0
    if type(schema) is not int or schema < 0:
        raise ValueError(f"its schema is {shown(schema)}; expected a whole number, at least 0")
    if schema > SCHEMA[kind]:
        raise NewerVersionError(
            f"{what} was written by a newer version: its schema is {shown(schema)}, and this version knows those up to "
            f"{SCHEMA[kind]}. Nothing was changed; update nases-env to open it"
        )
    return schema
