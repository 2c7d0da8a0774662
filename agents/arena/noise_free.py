"""Rewards without noise: what a surrogate knows of a search space, whoever built the child."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from nases_env.search_spaces import SearchSpace


class NoiseFree:
    """The rewards of a search space without the noise of child seeds.

    Args:
        env_id: A surrogate's environment.

    Raises:
        ValueError: If the environment trains its children.
        gym.error.Error: If there is no such environment.
    """

    def __init__(self, env_id: str):
        with gym.make(env_id, decoder="identity") as env:
            self.space: SearchSpace = env.get_wrapper_attr("space")
            surrogate = env.get_wrapper_attr("surrogate")
            self._reward = env.get_wrapper_attr("reward_function")
        if surrogate is None:
            raise ValueError(f"{env_id} trains its children; choose a surrogate's environment, which knows all of them")
        self._surrogate = surrogate

    def __call__(self, origins: np.ndarray) -> np.ndarray:
        """Rewards (K,) of origin vectors (K, m)."""
        rows = self.space.discretise(origins)
        nameless = [""] * len(rows)  # keys and child seeds decide nothing but noise
        return self._reward(self._surrogate.predict(rows, nameless, [0] * len(rows)))
