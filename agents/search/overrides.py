"""Values that are given as texts, `name=value`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Read the fields to override from texts `field=value`. A value is JSON; what is no JSON is taken as a word.

    Raises:
        ValueError: If there is no `=`.
    """
    overrides = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"{text!r} overrides nothing; expected field=value, for example epochs=2")
        try:
            overrides[name] = json.loads(value)
        except ValueError:
            overrides[name] = value
    return overrides
