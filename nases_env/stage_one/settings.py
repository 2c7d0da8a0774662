"""How stage 1 is trained: the default recipe, and the paper's (v1, section 4.1.2).

Deviations of the default recipe from the paper: inputs and outputs are standardised (folded into the weights
afterwards), vectors are always fresh, Adam at 2e-3 with warm-up and cosine; then a fine-tune.
`PretrainingSettings.paper()` is the paper's own recipe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from nases_env.embeddings.autoencoders.autoencoder import Kind

Finetune = Literal["inverse", "uniform"]
"""An autoencoder that was trained by squared error alone encodes uniform vectors into the middle of the cube and knows
nothing of the rest. `inverse`: the decoder stays, the encoder learns to find the codes of what it decodes (only then
does a controller that starts from it stay near the network that it sees). `uniform`: both learn to match
distributions, so that uniform codes decode to uniform vectors."""

Vectors = Literal["independent", "profiles"]
"""How the numbers of an origin vector that is trained on go together; each by itself is uniform. `independent`: every
number is drawn by itself, as in the papers. `profiles`: numbers of one name are drawn together as a profile along the
depth, which changes within a few layers or hardly at all. An embedding of profiles has directions that change many
layers at once, and more is found in it."""


@dataclass(frozen=True)
class PretrainingSettings:
    """How stage 1 is trained."""

    space: str = "macro"
    """Search space whose origin vectors are learned."""
    kind: Kind = "mlp"
    """The layers: v1's multilayer perceptron or v3's LSTM."""
    embedding_size: int = 20
    """Numbers in the embedding, k."""
    vectors: Vectors = "independent"
    """How the origin vectors that are trained on are drawn."""
    steps: int = 18_000
    """Optimiser steps that minimise the squared error."""
    finetune: Finetune = "inverse"
    """What is learned afterwards, beside the squared error."""
    finetune_steps: int = 6000
    """Optimiser steps of the fine-tune; 0 leaves it out."""
    batch_size: int = 256
    """Origin vectors per step."""
    batch_growth: tuple[float, ...] = ()
    """Shares of the steps after each of which the batch doubles."""
    learning_rate: float = 2e-3
    """Adam's highest learning rate."""
    finetune_learning_rate: float = 1e-3
    """Adam's highest learning rate in the fine-tune."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises linearly."""
    decay: bool = True
    """Whether the learning rate falls to 0 along a cosine."""
    beta2: float = 0.99
    """Adam's second moment decay."""
    standardise: bool = True
    """Whether the network sees numbers with mean 0 and deviation 1."""
    training_vectors: int | None = None
    """Origin vectors that are drawn once and trained on in epochs; None: fresh ones in every step."""
    keep_lowest: bool = False
    """Whether the weights with the lowest test loss are kept, not the last: test vectors are then not unseen."""
    seed: int = 0
    """Seed of the initial weights and of every vector."""

    def __post_init__(self) -> None:
        positive = {"embedding_size": self.embedding_size, "steps": self.steps, "batch_size": self.batch_size}
        if self.training_vectors is not None:
            positive["training_vectors"] = self.training_vectors
        if wrong := {name: value for name, value in positive.items() if value < 1}:
            raise ValueError(f"these have to be at least 1: {wrong}")
        if self.finetune not in get_args(Finetune):
            raise ValueError(f"there is no fine-tune {self.finetune!r}; choose one of {get_args(Finetune)}")
        if self.vectors not in get_args(Vectors):
            raise ValueError(f"there are no vectors {self.vectors!r}; choose one of {get_args(Vectors)}")
        if self.finetune_steps < 0 or self.seed < 0:
            raise ValueError(f"finetune_steps {self.finetune_steps} and seed {self.seed} have to be at least 0")
        if not all(0 < share < 1 for share in (*self.batch_growth, self.warmup or 0.5)):
            raise ValueError(f"batch_growth {self.batch_growth} and warmup {self.warmup} are shares, between 0 and 1")
        if min(self.learning_rate, self.finetune_learning_rate) <= 0:
            raise ValueError(
                f"learning_rate {self.learning_rate} and finetune_learning_rate {self.finetune_learning_rate} have to "
                "be above 0"
            )
        if self.finetune_steps and not self.standardise:
            raise ValueError("a fine-tune compares standardised numbers: set finetune_steps to 0, or standardise")
        if self.finetune_steps and self.keep_lowest:
            raise ValueError("a fine-tune raises the test loss: set finetune_steps to 0, or do not keep the lowest")
        if self.vectors == "profiles" and self.finetune_steps and self.finetune == "uniform":
            raise ValueError("the fine-tune `uniform` is for independent numbers: choose `inverse` for profiles")
        if self.vectors == "profiles" and self.keep_lowest:
            raise ValueError("the test loss is that of independent numbers: do not keep the lowest for profiles")

    @classmethod
    def paper(cls) -> PretrainingSettings:
        """The settings that the paper gives (section 4.1.2). It is silent on batches and on the length."""
        return cls(
            steps=600_000,
            finetune_steps=0,
            batch_size=32,
            batch_growth=(0.6, 0.8, 0.9),
            learning_rate=1e-5,
            warmup=0.0,
            decay=False,
            beta2=0.999,
            standardise=False,
            training_vectors=300_000,
            keep_lowest=True,
        )

    @property
    def total_steps(self) -> int:
        """All steps, the fine-tune's included."""
        return self.steps + self.finetune_steps

    def batch_size_at(self, step: int) -> int:
        """Vectors in the batch of a step."""
        return self.batch_size * 2 ** sum(step >= share * self.steps for share in self.batch_growth)

    def learning_rate_at(self, step: int) -> float:
        """Adam's learning rate in a step."""
        if step < self.steps:
            progress, peak = step / self.steps, self.learning_rate
        else:
            progress, peak = (step - self.steps) / self.finetune_steps, self.finetune_learning_rate
        if progress < self.warmup:
            return peak * progress / self.warmup
        if not self.decay:
            return peak
        return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - self.warmup) / (1.0 - self.warmup)))
