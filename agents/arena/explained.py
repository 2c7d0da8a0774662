"""How much of the rewards' variance models of an architecture's decisions explain, from few numbers to many."""

from __future__ import annotations

import numpy as np
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge

from agents.arena.noise_free import NoiseFree
from nases_env.search_spaces import SearchSpace
from nases_env.search_spaces.base import HIGH, LOW

MANY = 10
"""Decisions with values above this are quantities, such as filters: how large they are counts, not which they are."""
QUANTITY_BINS = 5
"""The values of a quantity are cut into so many equal bins where each decision has columns of its own."""
BEST = 0.01
"""Share of uniform architectures that are the best region's parents."""
DRAWN_ANEW = 0.2
"""Share of a parent's numbers that are drawn anew in the best region."""


def explained(reward: NoiseFree, samples: int, rng: np.random.Generator) -> list[dict]:
    """Fit the models to uniform architectures, and to ones near the best; three quarters fit them, one tests them.

    Args:
        reward: Tells rewards without noise.
        samples: Architectures of each region, some thousands.
        rng: Draws them.

    Returns:
        A row for each region and model: how many numbers the model sees, and its R² on architectures that it did not
        see.
    """
    regions = {"uniform": reward.space.sample(rng, samples), "near the best": near_the_best(reward, samples, rng)}
    return [
        {"region": region, **row} for region, origins in regions.items() for row in _rows(reward, origins, samples // 4)
    ]


def near_the_best(reward: NoiseFree, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Origin vectors (samples, m): one of the best of many uniform ones each, with some numbers drawn anew."""
    uniform = reward.space.sample(rng, 5 * samples)
    best = uniform[np.argsort(-reward(uniform), kind="stable")[: int(BEST * len(uniform))]]
    parents = best[rng.integers(len(best), size=samples)]
    anew = rng.random(parents.shape) < DRAWN_ANEW
    return np.where(anew, rng.uniform(LOW, HIGH, parents.shape), parents).astype(np.float32)


def shares(space: SearchSpace, origins: np.ndarray, parts: int) -> np.ndarray:
    """What whole parts of the depth have in common, (K, n).

    Args:
        space: The origin vectors' space.
        origins: The vectors, (K, m).
        parts: How many equal parts the decisions of each name are cut into, in their order.

    Returns:
        For each name and part, the share of decisions that have each value but the first; the mean of a quantity.
    """
    columns = []
    for values in space.decisions(space.discretise(origins)).values():
        known = np.unique(values)
        for part in np.array_split(values, parts, axis=1):
            told = [part] if known[-1] > MANY else [part == value for value in known[1:]]
            columns += [table.mean(axis=1) for table in told]
    return np.stack(columns, axis=1)


def one_hot(space: SearchSpace, origins: np.ndarray) -> np.ndarray:
    """Every decision of origin vectors (K, m), a column of 0 and 1 for each of its values or bins but the first."""
    columns = []
    for values in space.decisions(space.discretise(origins)).values():
        known = np.unique(values)
        if known[-1] > MANY:
            values = QUANTITY_BINS * (values - known[0]) // (known[-1] + 1 - known[0])
        columns += [values == value for value in np.unique(values)[1:]]
    return np.concatenate(columns, axis=1).astype(float)


def _rows(reward: NoiseFree, origins: np.ndarray, test: int) -> list[dict]:
    rewards, hot = reward(origins), one_hot(reward.space, origins)
    trees = LGBMRegressor(
        n_estimators=1000, learning_rate=0.1, max_depth=2, num_leaves=4, n_jobs=1, random_state=0, verbose=-1
    )
    models = {
        "shares of the whole network": (Ridge(0.1), shares(reward.space, origins, 1)),
        "shares in each third": (Ridge(0.1), shares(reward.space, origins, 3)),
        "each decision, added up": (Ridge(3.0), hot),
        "each pair of decisions, added up": (trees, hot),
    }
    rows = []
    for name, (model, table) in models.items():
        model.fit(table[test:], rewards[test:])
        errors = rewards[:test] - model.predict(table[:test])
        r2 = 1 - float((errors**2).mean() / rewards[:test].var())
        rows.append({"model": name, "numbers": table.shape[1], "r2": r2})
    return rows
