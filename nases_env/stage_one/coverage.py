"""What a decoder reaches: which decisions its actions lead to, how smoothly, and how well it goes back and forth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from nases_env.embeddings.base import Decoder
from nases_env.search_spaces.base import HIGH, LOW, SearchSpace

Draw = Callable[[Decoder, SearchSpace, np.random.Generator, int], np.ndarray]

DRAWS: dict[str, Draw] = {
    "uniform": lambda decoder, space, rng, count: rng.uniform(size=(count, decoder.action_size)),
    "corners": lambda decoder, space, rng, count: rng.integers(0, 2, (count, decoder.action_size)),
    "encoder": lambda decoder, space, rng, count: decoder.encode(space.sample(rng, count)),
    "gaussian": lambda decoder, space, rng, count: rng.normal(0.5, 0.2, (count, decoder.action_size)).clip(0, 1),
}
"""Ways to draw actions: evenly in the box, at its corners, as encodings of uniform origin vectors, and around its
centre."""

Measures = dict[str, dict[str, float]]
"""What was measured, by the name of the draw and that of the measure; the draw `round trip` has measures of its own."""

STEPS = (0.05, 0.2)
"""Lengths of the steps in one number of an action whose effect is counted."""
NOISES = (0.01, 0.05, 0.1)
"""Standard deviations of the noise that is put on encoded actions."""


def measures(decoder: Decoder, space: SearchSpace, samples: int = 10_000, seed: int = 0) -> Measures:
    """Measure `coverage` for every draw and `round_trip`; the arguments are theirs."""
    drawn = {draw: coverage(decoder, space, draw, samples, seed) for draw in DRAWS}
    return {**drawn, "round trip": round_trip(decoder, space, samples, seed)}


def coverage(decoder: Decoder, space: SearchSpace, draw: str, samples: int = 10_000, seed: int = 0) -> dict[str, float]:
    """What actions drawn in one way lead to.

    Args:
        decoder: It turns actions into origin vectors.
        space: The search space that the origin vectors are from.
        draw: One of DRAWS.
        samples: Actions to draw.
        seed: Seed of the actions and of the steps.

    Returns:
        * `outside`: share of raw numbers outside [0, 30], before table and clip.
        * `NAME LABEL`: share of each bin that has a label, of all numbers of that name (uniform: its width /
          30, averaged over those numbers).
        * `distinct`: share of architectures that no earlier action gave.
        * `links on`: mean number of links in an architecture, where the space has links.
        * `hamming`: mean number of many-valued decisions (filters left out) in which two actions differ.
        * `NAME flips STEP`: mean number of decisions that a step in one number of the action changes.
    """
    rng = _generator(seed)
    actions = DRAWS[draw](decoder, space, rng, samples).astype(np.float32)
    raw = decoder.decode_raw(actions)
    origins = decoder.raw_to_origin(raw)
    rows = space.discretise(origins)
    found = {"outside": float(((raw < LOW) | (raw > HIGH)).mean())}
    found |= _shares(space, origins)
    found["distinct"] = len(np.unique(rows, axis=0)) / samples
    decisions = _compared(space, rows)
    if "links" in decisions:
        found["links on"] = float(decisions["links"].sum(axis=1).mean())
    found["hamming"] = sum(
        float((values != np.roll(values, 1, axis=0)).sum(axis=1).mean())
        for name, values in decisions.items()
        if name != "links"
    )
    for step in STEPS:
        moved = _compared(space, space.discretise(decoder.decode(_stepped(actions, step, rng))))
        for name, values in decisions.items():
            found[f"{name} flips {step}"] = float((moved[name] != values).sum(axis=1).mean())
    return found


def round_trip(decoder: Decoder, space: SearchSpace, samples: int = 10_000, seed: int = 0) -> dict[str, float]:
    """What is left of uniform origin vectors after encoding and decoding, without and with noise on the action.

    Returns:
        * `NAME kept`: share of decisions that stay.
        * `error`, `error at noise DEVIATION`: mean squared error in raw units (two independent vectors: 150).
        * `found again`: the other way round, `found_again` of uniform actions.
    """
    rng = _generator(seed)
    origins = space.sample(rng, samples)
    actions = decoder.encode(origins)
    before = _compared(space, space.discretise(origins))
    after = _compared(space, space.discretise(decoder.decode(actions)))
    found = {f"{name} kept": float((after[name] == values).mean()) for name, values in before.items()}
    for noise in (0.0, *NOISES):
        noisy = (actions + rng.normal(0, 1, actions.shape) * noise).clip(0, 1)
        error = float(((decoder.decode(noisy) - origins) ** 2).mean())
        found[f"error at noise {noise:g}" if noise else "error"] = error
    found["found again"] = found_again(decoder, rng.uniform(size=actions.shape).astype(np.float32))
    return found


def found_again(decoder: Decoder, actions: np.ndarray) -> float:
    """Correlation of actions' numbers, (K, n), with those of the encodings of what they decode to."""
    return float(np.corrcoef(actions.ravel(), decoder.encode(decoder.decode(actions)).ravel())[0, 1])


def _generator(seed: int) -> np.random.Generator:
    """A generator that never repeats the numbers on which rank tables were fitted, whatever the seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))


def _compared(space: SearchSpace, rows: np.ndarray) -> dict[str, np.ndarray]:
    """All decisions except filters, whose 30 values would drown the others."""
    return {name: values for name, values in space.decisions(rows).items() if name != "filters"}


def _shares(space: SearchSpace, origins: np.ndarray) -> dict[str, float]:
    """Share of each labelled bin among all numbers of its name, which may each have bins of their own."""
    counts: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for dimension, bins in zip(space.dimensions, space.choices(origins).T, strict=True):
        for i, label in enumerate(dimension.labels):
            counts[f"{dimension.name} {label}"] += int((bins == i).sum())
        totals[dimension.name] += len(bins)
    return {name: count / totals[name.partition(" ")[0]] for name, count in counts.items()}


def _stepped(actions: np.ndarray, step: float, rng: np.random.Generator) -> np.ndarray:
    """Move one random number of each action by a step; the direction is one that stays in the box."""
    moved = actions.copy()
    index = np.arange(len(actions)), rng.integers(0, actions.shape[1], len(actions))
    sign = np.where(
        moved[index] + step > 1, -1, np.where(moved[index] - step < 0, 1, rng.choice([-1, 1], len(actions)))
    )
    moved[index] += (sign * step).astype(np.float32)
    return moved
