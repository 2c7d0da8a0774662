"""Learns from everything seen what embeddings are worth, and gives the policy gradient that follows from it."""

from __future__ import annotations

import numpy as np

from nases_env.threads import one_blas_thread


class Critic:
    """Advantages as a smooth function of the embedding: kernel ridge regression.

    The kernel is exp(−|a − b|² / (width² · n / 6)), where n / 6 is the mean squared distance of two uniform embeddings.
    Fitting costs O(N³): 0.2 s for 1,000 children, a second for 2,000.

    Args:
        embeddings: (N, n) in [0, 1], whoever drew them.
        advantages: (N,), in any unit.
        width: Width of the kernel, as a multiple of the distance of two uniform embeddings.
        ridge: Variance of an advantage's noise, as a multiple of the advantages' variance.
    """

    def __init__(self, embeddings: np.ndarray, advantages: np.ndarray, width: float, ridge: float):
        self._embeddings = embeddings.astype(np.float64)
        self._squares = (self._embeddings**2).sum(axis=1)
        self._scale = width**2 * embeddings.shape[1] / 6
        centred = advantages - advantages.mean()
        deviation = centred.std()
        differ = deviation > 1e-12
        targets = centred / deviation if differ else np.zeros_like(centred)
        with one_blas_thread():
            inverse = np.linalg.inv(self.kernel(self._embeddings) + ridge * np.eye(len(targets)))
            self._weights = inverse @ targets
        left_out = self._weights / inverse.diagonal()
        self.explained = float(1 - (left_out**2).mean()) if differ else 0.0
        """Share of the advantages' variance that is explained when each is predicted from all others. It is negative
        where the critic misleads."""

    def value(self, embeddings: np.ndarray) -> np.ndarray:
        """Predict the advantages (S,) of embeddings (S, n), in deviations from the mean."""
        return self.kernel(embeddings) @ self._weights

    def gradient(self, embeddings: np.ndarray) -> np.ndarray:
        """The gradient (S, n) of the values of embeddings (S, n)."""
        pulls = self.kernel(embeddings) * self._weights
        return 2 / self._scale * (pulls @ self._embeddings - pulls.sum(axis=1, keepdims=True) * embeddings)

    def ascend(
        self, logits: np.ndarray, sigma: np.ndarray, steps: int, length: float, draws: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Take policy-gradient steps to logits around which sigmoid(N(logits, σ²)) is expected to be worth more.

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
            embeddings = 1 / (1 + np.exp(-(logits + noise)))
            gradient = (self.gradient(embeddings) * embeddings * (1 - embeddings)).mean(axis=0)
            norm = np.linalg.norm(gradient)
            if norm > 1e-12:
                logits = logits + length / norm * gradient
        return logits

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that `value` needs: the embeddings, the weight of each, and the scale of squared distances."""
        scale = np.array(self._scale)
        return {"critic.embeddings": self._embeddings, "critic.weights": self._weights, "critic.scale": scale}

    def kernel(self, embeddings: np.ndarray) -> np.ndarray:
        """The kernel (S, N) of embeddings (S, n) with those that were learned from."""
        products = embeddings @ self._embeddings.T
        squares = (embeddings**2).sum(axis=1)[:, None] + self._squares
        return np.exp((2 * products - squares) / self._scale)
