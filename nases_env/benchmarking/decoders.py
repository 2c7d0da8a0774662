"""Times decoders."""

from __future__ import annotations

import numpy as np

from nases_env import embeddings
from nases_env.benchmarking.timing import Row, timed
from nases_env.search_spaces import SearchSpace

ACTIONS = 10_000
"""So many actions are decoded together."""


def rows(name: str, space: SearchSpace, repeats: int) -> list[Row]:
    """Time loading a decoder, decoding one action and many, and encoding, on one core."""
    decoder = embeddings.make(name, space)
    actions = np.random.default_rng(0).uniform(size=(ACTIONS, decoder.action_size)).astype(np.float32)
    origins = space.sample(np.random.default_rng(1), ACTIONS)

    def load() -> None:
        embeddings.make(name, space).decode(actions[:1])

    return [
        timed(f"{name}: load and decode one action", load, repeats),
        timed(f"{name}: decode one action", lambda: decoder.decode(actions[:1]), repeats, calls=100),
        timed(f"{name}: decode {ACTIONS:,} actions", lambda: decoder.decode(actions), repeats),
        timed(f"{name}: encode {ACTIONS:,} vectors", lambda: decoder.encode(origins), repeats),
    ]
