"""What can be built: search spaces and their architectures. Numpy and dataclasses only."""

from nases_env.search_spaces.base import Architecture, Dimension, SearchSpace
from nases_env.search_spaces.macro import MacroArchitecture, MacroLayer, MacroSpace

__all__ = [
    "Architecture",
    "Dimension",
    "MacroArchitecture",
    "MacroLayer",
    "MacroSpace",
    "SearchSpace",
    "from_json",
    "make",
]


def from_json(text: str) -> Architecture:
    """The architecture of `Architecture.to_json`, of whichever space.

    Raises:
        ValueError: If the text is not an architecture.
    """
    return MacroArchitecture.from_json(text)


def make(space: str = "macro", rules: str = "paper") -> SearchSpace:
    """The search space of that name.

    Raises:
        ValueError: If there is no such space, or it has no such rules.
    """
    if space != "macro":
        raise ValueError(f"there is no search space {space!r}; choose 'macro'")
    return MacroSpace(rules)
