"""What errors show of a value that was given."""

from __future__ import annotations

from typing import Any

LONGEST = 200
"""Characters of a value that an error shows."""


def shown(value: Any) -> str:
    """The value as Python writes it; the end of a long one is left out."""
    try:
        return shortened(repr(value))
    except Exception:  # a whole number of more digits than Python writes, or an object that cannot be shown
        return object.__repr__(value)


def shortened(text: str) -> str:
    """The text itself, or the beginning of a long one and how long it is."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
