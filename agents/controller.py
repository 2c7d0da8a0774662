"""The controller g: the pretrained simulator and an offset of its logits; state → distribution over embeddings.

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
LARGEST_LOGIT = 4.0
"""Of an embedding, in a natural step: beyond it the sigmoid hardly changes."""
RANDOM_DEVIATION = {"logit_normal": 1.8, "bernoulli": 0.5, "deterministic": 0.5}
"""Of logits of uniform codes, and of fair bits: what a natural step is measured in."""


class Controller(nn.Module):
    """Any simulator with one of three policies on its logits, which an offset (n,) is added to.

    * `logit_normal`: z ~ N(logits, σ²), embedding = sigmoid(z).
    * `bernoulli`: every number of the embedding is 0 or 1, with probability sigmoid(logits) of a 1.
    * `deterministic`: the embedding is sigmoid(logits), and its own cross-entropy target.

    Args:
        decoder: Gives the simulator and the tables. One without a simulator gets a fresh one.
        policy: See above.
        sigma: First σ of `logit_normal`.
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
        self.offset: torch.Tensor
        self.register_buffer("offset", torch.zeros(decoder.action_size))
        self.log_sigma = nn.Parameter(torch.full((decoder.action_size,), float(np.log(sigma))))

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Embeddings, float32 (K, n) in [0, 1], drawn for origin vectors (K, m)."""
        with torch.no_grad():
            logits = self._logits(states).double().numpy()
        if self.policy == "logit_normal":
            logits = logits + np.exp(self.log_sigma.detach().numpy()) * rng.standard_normal(logits.shape)
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
        """Log-probability (K,) of embeddings (K, n) under the present policy; for `deterministic` minus their
        cross-entropy.
        """
        logits = self._logits(states)
        target = torch.from_numpy(np.asarray(embeddings, dtype=np.float32))
        if self.policy != "logit_normal":
            return -nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=1)
        z = torch.logit(target.clamp(EPSILON, 1 - EPSILON))
        return torch.distributions.Normal(logits, self.log_sigma.exp()).log_prob(z).sum(dim=1)

    def natural_step(self, embeddings: np.ndarray, advantages: np.ndarray, length: float, ridge: float) -> None:
        """Put the offset one natural-gradient step away from the simulator's logits.

        The gradient is the ridge regression of advantages (N,) on embeddings (N, n) before the sigmoid: an episodic
        natural actor-critic (Peters and Schaal 2008) whose features leave the state out. It holds for embeddings that
        other policies drew, random ones too.

        Args:
            embeddings: As they were drawn.
            advantages: What they brought.
            length: Of the step: logits per advantage and deviation of a random embedding.
            ridge: Penalty, in random embeddings.
        """
        features = self._features(embeddings)
        features -= features.mean(axis=0)
        covariance = features.T @ features + ridge * np.eye(features.shape[1])
        gradient = np.linalg.solve(covariance, features.T @ (advantages - advantages.mean()))
        self.offset.copy_(torch.from_numpy(length * gradient))

    def _features(self, embeddings: np.ndarray) -> np.ndarray:
        """What the policy's score is linear in, float64 (N, n); of uniform codes and of fair bits about 0 with a
        deviation of 1 (with calibration `both`, random codes vary less).
        """
        embeddings = embeddings.astype(np.float64)
        if self.policy == "logit_normal":
            clipped = np.clip(embeddings, EPSILON, 1 - EPSILON)
            centred = np.clip(np.log(clipped / (1 - clipped)), -LARGEST_LOGIT, LARGEST_LOGIT)
        else:
            centred = embeddings - 0.5
        return centred / RANDOM_DEVIATION[self.policy]

    def _logits(self, states: np.ndarray) -> torch.Tensor:
        return self.simulator(torch.from_numpy(self._decoder.origin_to_raw(states))) + self.offset
