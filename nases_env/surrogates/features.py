"""What surrogates know of an architecture, for every search space that they know."""

from __future__ import annotations

from nases_env.children.protocol import Protocol
from nases_env.search_spaces import SearchSpace
from nases_env.surrogates.macro import Images, MacroFeatures

VERSION = 1
"""Of the features: a surrogate that was fitted on others would predict nonsense."""


def make(space: SearchSpace, protocol: Protocol, images: Images) -> MacroFeatures:
    """The features of a space's architectures.

    Raises:
        ValueError: If there are none for this space or its rules.
    """
    rules = getattr(space, "rules_name", None)
    if (space.name, rules) != ("macro", "paper"):
        raise ValueError(f"surrogates know the macro space under paper rules only, not {space.name} under {rules}")
    return MacroFeatures(space, protocol, images)
