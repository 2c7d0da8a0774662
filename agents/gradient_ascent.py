"""Gradient ascent in the embedding with a learned predictor (as in NAO, Luo et al. 2018, arXiv 1808.07233)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from agents.base import Agent, Proposal
from agents.trace import Trace


@dataclass(frozen=True)
class GradientAscentSettings:
    """A search runs in rounds: fit the predictor, climb from the best children so far, build what is reached."""

    warmup: int = 30
    """Random children in the beginning."""
    every: int = 10
    """Children between two fits; each is the end of a climb of its own."""
    hidden: int = 64
    """Units of the predictor's two layers."""
    fit_steps: int = 200
    """Adam steps of a fit, on all children."""
    learning_rate: float = 0.01
    """Adam's learning rate in a fit."""
    weight_decay: float = 0.01
    """Adam's weight decay in a fit."""
    climb_steps: int = 20
    """Steps of a climb."""
    step_size: float = 0.05
    """Length of each step, in an action's units."""


class GradientAscent(Agent):
    """Builds where the predictor's gradient leads from the best children."""

    settings_class = GradientAscentSettings

    def __init__(self, env: Trace, seed: int, settings: GradientAscentSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or GradientAscentSettings()
        self._generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []
        self._ends: list[np.ndarray] = []

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose uniform actions in the warm-up, then ends of climbs."""
        return [self._next(len(self._actions) + i) for i in range(len(states))]

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Remember the children."""
        self._actions += [proposal.action for proposal in proposals]
        self._rewards += rewards.tolist()
        return {}

    def _next(self, child: int) -> Proposal:
        if child < self.settings.warmup or not self._actions:
            return Proposal(self.rng.uniform(size=self._decoder.action_size).astype(np.float32), "warmup")
        if not self._ends:
            self._ends = list(self._climb(self._fit()))
        return Proposal(self._ends.pop(0), "climb")

    def _fit(self) -> nn.Module:
        """Fit the predictor, which maps actions to normalised rewards."""
        units = self._decoder.action_size, self.settings.hidden, self.settings.hidden, 1
        layers = [nn.utils.skip_init(nn.Linear, before, after) for before, after in zip(units, units[1:], strict=False)]
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, generator=self._generator, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        predictor = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2], nn.Flatten(0))
        optimiser = torch.optim.Adam(
            predictor.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        actions = torch.from_numpy(np.stack(self._actions))
        rewards = torch.tensor(self._rewards)
        rewards = ((rewards - rewards.mean()) / rewards.std().clamp(min=1e-8)).float()
        for _ in range(self.settings.fit_steps):
            loss = (predictor(2 * actions - 1) - rewards).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return predictor.requires_grad_(False)

    def _climb(self, predictor: nn.Module) -> np.ndarray:
        """Climb from the best children; returns where the climbs end, (every, n)."""
        best = np.argsort(-np.array(self._rewards), kind="stable")[: self.settings.every]
        actions = torch.from_numpy(np.stack([self._actions[i] for i in best]))
        for _ in range(self.settings.climb_steps):
            actions.requires_grad_(True)
            (gradient,) = torch.autograd.grad(predictor(2 * actions - 1).sum(), actions)
            direction = gradient / gradient.norm(dim=1, keepdim=True).clamp(min=1e-8)
            actions = (actions.detach() + self.settings.step_size * direction).clamp(0, 1)
        return actions.numpy()
