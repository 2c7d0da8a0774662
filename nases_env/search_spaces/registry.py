"""All search spaces, and where everything is that belongs to each of them. A new space is one record here.

Networks, pictures and features need torch or matplotlib, so the record only names them; they are imported when they are
asked for.
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
    """The class of the space's architectures; its attribute `space` is the name of the space."""
    make: Callable[[str], SearchSpace]
    """It makes the space under the rules of a given name."""
    rules: tuple[str, ...]
    """The names of rules that the space can follow."""
    child: str
    """The class of the network that is built from an architecture, as `module:attribute`; see `children.build`."""
    rendering: str
    """The module whose functions `table` and `picture` show an architecture, see `rendering`."""
    features: Mapping[str, str] = field(default_factory=dict)
    """The features that surrogates read, as `module:attribute`, for each of the rules that they know; see
    `surrogates.features`."""
    decoders: tuple[str, ...] = ()
    """Names of the decoders that are shipped for the space, see `embeddings.make`."""
    covering: str = "identity"
    """The decoder whose uniform actions reach most of the space."""

    @property
    def name(self) -> str:
        """The name of the space."""
        return self.architecture.space

    @property
    def default_decoder(self) -> str:
        """The decoder of whoever names none: the first that is shipped, or `identity` where none is."""
        return self.decoders[0] if self.decoders else "identity"


REGISTERED: dict[str, Registration] = {}
"""The registration of every space, by the name of the space."""


def register(registration: Registration) -> None:
    """Make a search space known.

    Raises:
        ValueError: If there is a space of that name already.
    """
    if registration.name in REGISTERED:
        raise ValueError(f"there is a search space {registration.name!r} already; choose another name")
    REGISTERED[registration.name] = registration


def find(name: Any) -> Registration:
    """The registration of the search space of that name.

    Raises:
        ValueError: If there is no such space.
    """
    if not isinstance(name, str) or name not in REGISTERED:
        raise ValueError(f"there is no search space {shown(name)}; choose one of {', '.join(REGISTERED)}")
    return REGISTERED[name]


def of(architecture: object) -> Registration | None:
    """The registration of the space that an architecture is from; subclasses count. None where it is from no space."""
    known = {registration.architecture: registration for registration in REGISTERED.values()}
    return next((known[kind] for kind in type(architecture).__mro__ if kind in known), None)  # type: ignore[type-abstract]


def load(place: str) -> Any:
    """Import what a registration names as `module:attribute`, or the whole module where it names a `module`."""
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
        decoders=("autoencoder-profiles", "autoencoder", "autoencoder-uniform", "autoencoder-paper"),
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
        features={"paper": "nases_env.surrogates.micro:MicroFeatures"},
        decoders=("autoencoder",),
        covering="autoencoder",
    )
)
