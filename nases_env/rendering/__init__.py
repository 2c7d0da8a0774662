"""Architectures for human eyes: a table for a terminal and a picture. Needs neither torch nor data."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from nases_env.rendering import macro, micro
from nases_env.search_spaces import Architecture, MacroArchitecture, MicroArchitecture

__all__ = ["picture", "table"]

ROOMS: dict[type[Architecture], ModuleType] = {MacroArchitecture: macro, MicroArchitecture: micro}


def table(architecture: Architecture) -> str:
    """The architecture as text for a terminal.

    Raises:
        TypeError: If there is no table for this kind of architecture.
    """
    return _room(architecture).table(architecture)


def picture(architecture: Architecture) -> np.ndarray:
    """The architecture as a picture, uint8 (700, 1500, 3); equal architectures have equal pixels.

    Raises:
        TypeError: If there is no picture for this kind of architecture.
    """
    return _room(architecture).picture(architecture)


def _room(architecture: Architecture) -> ModuleType:
    room = next((room for known, room in ROOMS.items() if isinstance(architecture, known)), None)
    if room is None:
        raise TypeError(
            f"cannot render {architecture!r} of type {type(architecture).__name__}; expected one of "
            f"{', '.join(kind.__name__ for kind in ROOMS)}, such as a space's `architecture` returns"
        )
    return room
