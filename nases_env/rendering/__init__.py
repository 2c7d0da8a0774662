"""Shows architectures to people, as a table for a terminal and as a picture. It needs neither torch nor data."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from nases_env.search_spaces import Architecture, registry

__all__ = ["picture", "table"]


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
    found = registry.of(architecture)
    if found is None:
        known = ", ".join(each.architecture.__name__ for each in registry.REGISTERED.values())
        raise TypeError(
            f"cannot render {architecture!r} of type {type(architecture).__name__}; expected one of {known}, such as a "
            "space's `architecture` returns"
        )
    return registry.load(found.rendering)
