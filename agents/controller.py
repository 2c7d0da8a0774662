"""The controller g turns a state into a distribution over embeddings. It starts as the pretrained simulator.

It stands between the decoder's two fixed tables, as `decoder.encode` does.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from nases_env.embeddings import Decoder, fresh_simulator

Policy = Literal["logit_normal", "bernoulli", "deterministic"]
EPSILON = 1e-6


class Controller(nn.Module):
    """A simulator with one of three policies on its logits.

    * `logit_normal`: z ~ N(logits, σ²), embedding = sigmoid(z).
    * `bernoulli`: every number of the embedding is 0 or 1, with probability sigmoid(logits) of a 1.
    * `deterministic`: the embedding is sigmoid(logits), and its own cross-entropy target.

    Args:
        decoder: Gives the simulator and the tables. For a decoder without a simulator a fresh one is made.
        policy: One of the three above.
        sigma: The σ that `logit_normal` starts with.
        pretrained: Whether to start from the simulator's weights.
        rng: Draws fresh weights.
    """

    def __init__(self, decoder: Decoder, policy: Policy, sigma: float, pretrained: bool, rng: np.random.Generator):
        super().__init__()
        if policy not in get_args(Policy):
            raise ValueError(f"there is no policy {policy!r}; choose one of {get_args(Policy)}")
        self.policy = policy
        self._decoder = decoder
        simulator = decoder.simulator() if pretrained else None
        self.simulator = simulator or fresh_simulator(decoder, rng)
        self.log_sigma = nn.Parameter(torch.full((decoder.action_size,), float(np.log(sigma))))

    def logits(self, states: np.ndarray) -> np.ndarray:
        """The logits, float64 (K, n), of origin vectors (K, m); embeddings are drawn around them before the sigmoid."""
        with torch.no_grad():
            return self._logits(states).double().numpy()

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviations of what is drawn before the sigmoid, (n,); 0 for policies that draw no normal numbers."""
        sigma = np.exp(self.log_sigma.detach().numpy())
        return sigma if self.policy == "logit_normal" else np.zeros_like(sigma)

    def draw(self, logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Embeddings, float32 (K, n) in [0, 1], drawn around logits (K, n)."""
        if self.policy == "logit_normal":
            logits = logits + self.sigma * rng.standard_normal(logits.shape)
        probabilities = 1.0 / (1.0 + np.exp(-logits))
        if self.policy == "bernoulli":
            return (rng.random(logits.shape) < probabilities).astype(np.float32)
        return probabilities.astype(np.float32)

    def random(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Embeddings, float32 (count, n), of random children: uniform actions; fair bits for `bernoulli`."""
        uniform = rng.uniform(size=(count, self._decoder.action_size)).astype(np.float32)
        if self.policy == "bernoulli":
            return (uniform < 0.5).astype(np.float32)
        return self._decoder.action_to_code(uniform)

    def score(self, states: np.ndarray, embeddings: np.ndarray) -> torch.Tensor:
        """Log-probabilities (K,) of embeddings (K, n) under the present policy.

        For `deterministic`, which has none, it is minus their cross-entropy.
        """
        logits = self._logits(states)
        target = torch.from_numpy(np.asarray(embeddings, dtype=np.float32))
        if self.policy != "logit_normal":
            return -nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=1)
        z = torch.logit(target.clamp(EPSILON, 1 - EPSILON))
        return torch.distributions.Normal(logits, self.log_sigma.exp()).log_prob(z).sum(dim=1)

    def _logits(self, states: np.ndarray) -> torch.Tensor:
        return self.simulator(torch.from_numpy(self._decoder.origin_to_raw(states)))
