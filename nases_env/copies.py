"""Copies of an environment in mid-episode."""

from __future__ import annotations

import copy
from typing import Any, Self

from gymnasium.utils import EzPickle

from nases_env.ledger import Ledger
from nases_env.pipeline import Pipeline

SHARED = ("decoder", "surrogate")
"""What nothing changes: copies share it, and pickles leave it out because the constructor makes it again."""


class CarriesEpisode(EzPickle):
    """An environment whose copies and pickles carry the search in progress.

    A copy's pipeline is its own. It knows in memory what the original's ledger knew, and has no file where the original
    has opened its own.
    """

    _known: Ledger | None = None
    """What the original's ledger knew; None where this is no copy."""

    @property
    def in_search(self) -> bool:
        """Whether a search was started."""
        raise NotImplementedError

    @property
    def pipeline(self) -> Pipeline:
        """The walk from actions to rewards."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """The constructor's arguments and the search in progress."""
        left_out = (*SHARED, "pipeline")
        ledger = self.pipeline.opened or self._known
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return state | {"_known": ledger and ledger.in_memory()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).__init__(self, *state["_ezpickle_args"], **state["_ezpickle_kwargs"])
        self.__dict__.update(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self.in_search:
            _ = self.pipeline.ledger  # opened here, a journal is not the copy's to open
        twin = memo[id(self)] = object.__new__(type(self))
        state = self.__getstate__()
        known = state.pop("_known")  # already a copy, of evaluations that nothing changes
        shared = {name: self.__dict__[name] for name in SHARED if name in self.__dict__}
        twin.__dict__.update(copy.deepcopy(state, memo), **shared, _known=known)
        return twin

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # two environments never share an episode
