"""What can be built: search spaces and their architectures. Numpy and dataclasses only."""

from nases_env.search_spaces.base import Architecture, Dimension, SearchSpace, read_fields
from nases_env.search_spaces.macro import MacroArchitecture, MacroLayer, MacroSpace
from nases_env.search_spaces.micro import MicroArchitecture, MicroSpace
from nases_env.words import shown

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
    expected = f"expected JSON whose 'space' is one of {', '.join(ARCHITECTURES)}"
    try:
        space = read_fields(text)["space"]
    except ValueError as error:
        raise ValueError(f"not an architecture: {shown(text)}; {expected} ({error})") from error
    if not isinstance(space, str) or space not in ARCHITECTURES:
        raise ValueError(f"not an architecture: {shown(text)}; {expected}, not {shown(space)}")
    return ARCHITECTURES[space].from_json(text)


def make(space: str = "macro", rules: str = "paper") -> SearchSpace:
    """The search space of that name.

    Raises:
        ValueError: If there is no such space, or it has no such rules.
    """
    if not isinstance(space, str) or space not in ARCHITECTURES:
        raise ValueError(f"there is no search space {shown(space)}; choose one of {', '.join(ARCHITECTURES)}")
    if space == MacroSpace.name:
        return MacroSpace(rules)
    if not isinstance(rules, str) or rules != "paper":
        raise ValueError(f"the micro space has no rules {shown(rules)}; it has 'paper' only")
    return MicroSpace()
