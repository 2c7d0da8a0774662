"""Models of real evaluations: an architecture's accuracies without training it."""

from __future__ import annotations

from pathlib import Path

from nases_env.arguments import check_path
from nases_env.surrogates.model import Surrogate
from nases_env.words import shown

__all__ = ["FITTED", "SHIPPED", "Surrogate", "make"]

FITTED = Path(__file__).parent / "fitted"
SHIPPED = ("digits", "digits-micro")


def make(surrogate: str, noise: bool = False) -> Surrogate:
    """The surrogate of that name. Cheap: its models are read when they are first used.

    Args:
        surrogate: One of SHIPPED, or a folder that `nases fit-surrogate` wrote.
        noise: Whether accuracies vary with the child seed, as those of real children do.

    Raises:
        ValueError: If there is no such surrogate, or it is damaged.
        FileNotFoundError: If files are missing in it.
    """
    if type(noise) is not bool:
        raise ValueError(f"noise is {shown(noise)}; expected True or False")
    known = f"one of {SHIPPED} or a folder that nases fit-surrogate wrote"
    folder = check_path("the surrogate", surrogate, known)
    path = FITTED / folder if folder in SHIPPED else Path(folder)
    if not path.is_dir():
        raise ValueError(f"there is no surrogate {shown(folder)}; choose {known}")
    return Surrogate(path, noise)
