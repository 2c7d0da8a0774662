"""Options of every command that trains children without searching: on what, how, and in which space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.search.overrides import parse_overrides


@dataclass(frozen=True)
class ChildOptions:
    """What children are trained on, how, and what space they are from."""

    dataset: str = "digits"
    """digits, cifar10 or imagefolder:PATH."""
    data_dir: str = "data"
    """Folder of CIFAR-10."""
    protocol: str = "digits"
    """Protocol preset."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str = "macro"
    """Search space: macro or micro."""
    rules: str = "paper"
    """Rules of the macro space."""
    reward: str = "eq1"
    """eq1 or validation."""

    def named_protocol(self) -> dict[str, Any]:
        """The protocol as the environment takes it."""
        return {"preset": self.protocol, **parse_overrides(self.overrides)}
