"""What can be built: search spaces and their architectures. Numpy and dataclasses only."""

from nases_env.search_spaces import registry
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


def from_json(text: str) -> Architecture:
    """The architecture of `Architecture.to_json`, of whichever space.

    Raises:
        ValueError: If the text is not an architecture.
    """
    expected = f"expected JSON whose 'space' is one of {', '.join(registry.REGISTERED)}"
    try:
        space = read_fields(text)["space"]
    except ValueError as error:
        raise ValueError(f"not an architecture: {shown(text)}; {expected} ({error})") from error
    if not isinstance(space, str) or space not in registry.REGISTERED:
        raise ValueError(f"not an architecture: {shown(text)}; {expected}, not {shown(space)}")
    return registry.find(space).architecture.from_json(text)


def make(space: str = "macro", rules: str = "paper") -> SearchSpace:
    """The search space of that name.

    Raises:
        ValueError: If there is no such space, or it has no such rules.
    """
    found = registry.find(space)
    if not isinstance(rules, str) or rules not in found.rules:
        known = ", ".join(map(repr, found.rules))
        raise ValueError(f"the {found.name} space has no rules {shown(rules)}; it has {known}")
    return found.make(rules)
