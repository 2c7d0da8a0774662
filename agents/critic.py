"""Learns from everything seen what children are worth, and moves the controller's logits to what is worth more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nases_env.threads import one_blas_thread


class Critic:
    """Advantages as a smooth function of inputs that tell children apart: kernel ridge regression.

    The inputs are embeddings, or features of what was built; the kernel is exp(−|a − b|² / scale). Fitting costs O(N³):
    0.2 s for 1,000 children, a second for 2,000.

    Args:
        inputs: What tells N children apart, (N, F).
        advantages: (N,), in any unit.
        scale: Squared distance of inputs at which the kernel has fallen to 1/e.
        ridge: Variance of an advantage's noise, as a multiple of the advantages' variance.
    """

    def __init__(self, inputs: np.ndarray, advantages: np.ndarray, scale: float, ridge: float):
        self._inputs = inputs.astype(np.float64)
        self._squares = (self._inputs**2).sum(axis=1)
        self._scale = scale
        centred = advantages - advantages.mean()
        deviation = centred.std()
        differ = deviation > 1e-12
        targets = centred / deviation if differ else np.zeros_like(centred)
        with one_blas_thread():
            inverse = np.linalg.inv(self.kernel(self._inputs) + ridge * np.eye(len(targets)))
            self._weights = inverse @ targets
        left_out = self._weights / inverse.diagonal()
        self.explained = float(1 - (left_out**2).mean()) if differ else 0.0
        """Share of the advantages' variance that is explained when each is predicted from all others. It is negative
        where the critic misleads."""

    def value(self, inputs: np.ndarray) -> np.ndarray:
        """Predict the advantages (S,) of inputs (S, F), in deviations from the mean."""
        return self.kernel(inputs) @ self._weights

    def gradient(self, inputs: np.ndarray) -> np.ndarray:
        """The gradient (S, F) of the values of inputs (S, F)."""
        pulls = self.kernel(inputs) * self._weights
        return 2 / self._scale * (pulls @ self._inputs - pulls.sum(axis=1, keepdims=True) * inputs)

    def ascend(
        self, logits: np.ndarray, sigma: np.ndarray, steps: int, length: float, draws: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Take policy-gradient steps to logits around which sigmoid(N(logits, σ²)) is expected to be worth more.

        The critic's inputs have to be embeddings.

        Args:
            logits: Where to start, (n,).
            sigma: The policy's deviations, (n,).
            steps: How many steps to take.
            length: Length of each step, in logits.
            draws: A gradient is averaged over so many draws from the policy, the same ones in every step
                (reparameterised).
            rng: Makes the draws.

        Returns:
            Where the steps end, (n,).
        """
        noise = sigma * rng.standard_normal((draws, len(logits)))
        for _ in range(steps):
            embeddings = _embeddings(logits + noise)
            gradient = (self.gradient(embeddings) * embeddings * (1 - embeddings)).mean(axis=0)
            norm = np.linalg.norm(gradient)
            if norm > 1e-12:
                logits = logits + length / norm * gradient
        return logits

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that `value` needs: the inputs, the weight of each, and the scale of squared distances."""
        scale = np.array(self._scale)
        return {"critic.inputs": self._inputs, "critic.weights": self._weights, "critic.scale": scale}

    def kernel(self, inputs: np.ndarray) -> np.ndarray:
        """The kernel (S, N) of inputs (S, F) with those that were learned from."""
        products = inputs @ self._inputs.T
        squares = (inputs**2).sum(axis=1)[:, None] + self._squares
        return np.exp((2 * products - squares) / self._scale)


def climb(
    value: Callable[[np.ndarray], np.ndarray],
    logits: np.ndarray,
    sigma: float,
    steps: int,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Go to the best of a few draws from the policy, draw around that, and so on; no gradient is needed.

    Args:
        value: Tells what embeddings (S, n) are worth, (S,).
        logits: Where to start, (n,).
        sigma: Standard deviation of the draws, in logits.
        steps: How often to draw. A step without a better draw stays where it is.
        draws: Draws of each step.
        rng: Makes the draws.

    Returns:
        The best logits drawn, (n,), or the first ones where none were better.
    """
    highest = value(_embeddings(logits[None]))[0]
    for _ in range(steps):
        drawn = logits + sigma * rng.standard_normal((draws, len(logits)))
        values = value(_embeddings(drawn))
        if values.max() > highest:
            logits, highest = drawn[values.argmax()], values.max()
    return logits


def _embeddings(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
