"""Models of real evaluations: an architecture's accuracies without training it."""

from __future__ import annotations

from pathlib import Path

from nases_env.surrogates.model import Surrogate

__all__ = ["FITTED", "SHIPPED", "Surrogate", "make"]

FITTED = Path(__file__).parent / "fitted"
SHIPPED = ("digits",)


def make(surrogate: str, noise: bool = False) -> Surrogate:
    """The surrogate of that name. Cheap: its models are read when they are first used.

    Args:
        surrogate: One of SHIPPED, or a folder that `scripts/fit_surrogate.py` wrote.
        noise: Whether accuracies vary with the child seed, as those of real children do.

    Raises:
        ValueError: If there is no such surrogate, or it is damaged.
        FileNotFoundError: If files are missing in it.
    """
    path = FITTED / surrogate if surrogate in SHIPPED else Path(surrogate)
    if not path.is_dir():
        raise ValueError(
            f"there is no surrogate {surrogate!r}; choose one of {SHIPPED} or a folder that "
            "scripts/fit_surrogate.py wrote"
        )
    return Surrogate(path, noise)
