"""The search spaces that there are, and where everything lies that belongs to each. A new space is one record here.

Networks, pictures and features need torch or matplotlib: they are named, and imported when they are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nases_env.search_spaces.base import Architecture, SearchSpace
from nases_env.search_spaces.macro import RULES, MacroArchitecture, MacroSpace
from nases_env.search_spaces.micro import MicroArchitecture, MicroSpace
from nases_env.words import shown


@dataclass(frozen=True)
class Registration:
    """Everything that belongs to one search space."""

    architecture: type[Architecture]
    """What the space is made of; its `space` is the space's name."""
    make: Callable[[str], SearchSpace]
    """The space under the rules of that name."""
    rules: tuple[str, ...]
    """Names of its rules."""
    child: str
    """`module:attribute` of the network that is built from an architecture, see `children.build.skeleton`."""
    rendering: str
    """Module with `table` and `picture`, see `rendering`."""
    features: Mapping[str, str] = field(default_factory=dict)
    """For each of the rules that surrogates know: `module:attribute` of the features, see `surrogates.features`."""
    decoders: tuple[str, ...] = ()
    """Pretrained decoders that are shipped for it, see `embeddings.make`; the first is the default."""
    covering: str = "identity"
    """The decoder whose uniform actions reach most of the space."""

    @property
    def name(self) -> str:
        """Of the space."""
        return self.architecture.space


REGISTERED: dict[str, Registration] = {}
"""Every space by its name."""


def register(registration: Registration) -> None:
    """Make a search space known.

    Raises:
        ValueError: If there is a space of that name already.
    """
    if registration.name in REGISTERED:
        raise ValueError(f"there is a search space {registration.name!r} already; choose another name")
    REGISTERED[registration.name] = registration


def find(name: Any) -> Registration:
    """What belongs to the search space of that name.

    Raises:
        ValueError: If there is no such space.
    """
    if not isinstance(name, str) or name not in REGISTERED:
        raise ValueError(f"there is no search space {shown(name)}; choose one of {', '.join(REGISTERED)}")
    return REGISTERED[name]


def of(architecture: object) -> Registration | None:
    """What belongs to the space that an architecture, or one of a subclass, is from; None: it is from none."""
    known = {registration.architecture: registration for registration in REGISTERED.values()}
    return next((known[kind] for kind in type(architecture).__mro__ if kind in known), None)  # type: ignore[type-abstract]


def load(place: str) -> Any:
    """What lies at `module:attribute`, or at `module`."""
    module, _, attribute = place.partition(":")
    imported = importlib.import_module(module)
    return getattr(imported, attribute) if attribute else imported


register(
    Registration(
        architecture=MacroArchitecture,
        make=MacroSpace,
        rules=tuple(RULES),
        child="nases_env.children.macro:MacroChild",
        rendering="nases_env.rendering.macro",
        features={"paper": "nases_env.surrogates.macro:MacroFeatures"},
        decoders=("autoencoder", "autoencoder-uniform", "autoencoder-paper"),
        covering="autoencoder-uniform",
    )
)
register(
    Registration(
        architecture=MicroArchitecture,
        make=lambda rules: MicroSpace(),
        rules=("paper",),
        child="nases_env.children.micro:MicroChild",
        rendering="nases_env.rendering.micro",
        decoders=("autoencoder",),
        covering="autoencoder",
    )
)
