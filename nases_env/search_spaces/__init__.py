"""What can be built: search spaces and their architectures. Numpy and dataclasses only."""

import json

from nases_env.search_spaces.base import Architecture, Dimension, SearchSpace
from nases_env.search_spaces.macro import MacroArchitecture, MacroLayer, MacroSpace
from nases_env.search_spaces.micro import MicroArchitecture, MicroSpace

__all__ = [
    "Architecture",
    "Dimension",
    "MacroArchitecture",
    "MacroLayer",
    "MacroSpace",
    "MicroArchitecture",
    "MicroSpace",
    "SearchSpace",
    "from_json",
    "make",
]


ARCHITECTURES: dict[str, type[MacroArchitecture | MicroArchitecture]] = {
    MacroSpace.name: MacroArchitecture,
    MicroSpace.name: MicroArchitecture,
}
"""What each space is made of."""


def from_json(text: str) -> Architecture:
    """The architecture of `Architecture.to_json`, of whichever space.

    Raises:
        ValueError: If the text is not an architecture.
    """
    try:
        kind = ARCHITECTURES[json.loads(text)["space"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"not an architecture: {text!r}; expected JSON whose 'space' is one of {', '.join(ARCHITECTURES)}"
        ) from error
    return kind.from_json(text)


def make(space: str = "macro", rules: str = "paper") -> SearchSpace:
    """The search space of that name.

    Raises:
        ValueError: If there is no such space, or it has no such rules.
    """
    if space == MacroSpace.name:
        return MacroSpace(rules)
    if space != MicroSpace.name:
        raise ValueError(f"there is no search space {space!r}; choose one of {', '.join(ARCHITECTURES)}")
    if rules != "paper":
        raise ValueError(f"the micro space has no rules {rules!r}; it has 'paper' only")
    return MicroSpace()
