"""Stage 1 (v1, section 4.1): trains the autoencoder on uniform origin vectors, then fits its halves to the whole cube.

Deviations of the default recipe from the paper: inputs and outputs are standardised (folded into the weights
afterwards), vectors are always fresh, Adam at 2e-3 with warm-up and cosine; then a fine-tune.
`PretrainingSettings.paper()` is the paper's own recipe.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from nases_env import search_spaces
from nases_env.embeddings.autoencoders import autoencoder
from nases_env.embeddings.autoencoders.autoencoder import Autoencoder, Kind
from nases_env.embeddings.autoencoders.halves import ORIGIN_DEVIATION, ORIGIN_MEAN, UNIT_DEVIATION, Half
from nases_env.embeddings.calibration import Calibration
from nases_env.embeddings.coverage import coverage
from nases_env.embeddings.distribution_matching import distribution_penalty, standard_uniform
from nases_env.search_spaces.base import HIGH, LOW

Finetune = Literal["inverse", "uniform"]
"""An autoencoder that was trained by squared error alone encodes uniform vectors into the middle of the cube and knows
nothing of the rest. `inverse`: the decoder stays, the encoder learns to find the codes of what it decodes (only then
does a controller that starts from it stay near the network that it sees). `uniform`: both learn to match
distributions, so that uniform codes decode to uniform vectors."""
TEST_VECTORS = 100_000
RECENT = 400
"""The training loss is averaged over so many steps: 102,400 vectors in batches of 256."""
KEEPING_INTERVAL = 10_000
"""Steps between two looks at the test loss where the lowest is kept: about an epoch of the paper's vectors."""


@dataclass(frozen=True)
class PretrainingSettings:
    """How stage 1 is trained."""

    space: str = "macro"
    """Search space whose origin vectors are learned."""
    kind: Kind = "mlp"
    """The layers: v1's multilayer perceptron or v3's LSTM."""
    embedding_size: int = 20
    """Numbers in the embedding, k."""
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


class Pretraining:
    """An autoencoder in training. It can be stopped after any step and continued, bit for bit on a CPU.

    Args:
        settings: The recipe.
        device: A torch device.
    """

    def __init__(self, settings: PretrainingSettings, device: str = "cpu"):
        self.settings, self.device = settings, device
        self.step = 0
        """Steps done."""
        size = search_spaces.make(settings.space).origin_size
        self._blueprints = autoencoder.blueprints(settings.kind, size, settings.embedding_size)
        weights = np.random.default_rng(settings.seed)
        self._encoder, self._decoder = (half.fresh(weights).module().to(device) for half in self._blueprints)
        self._modules = torch.nn.ModuleDict({"encoder": self._encoder, "decoder": self._decoder})
        self._optimiser = torch.optim.Adam(self._modules.parameters(), lr=0.0, betas=(0.9, settings.beta2), fused=True)
        self._generator = torch.Generator(device).manual_seed(settings.seed)
        self._vectors = (
            FreshVectors(size, self._generator)
            if settings.training_vectors is None
            else FixedVectors(settings.training_vectors, size, settings.seed, device)
        )
        self._origin_scale = (ORIGIN_MEAN, ORIGIN_DEVIATION) if settings.standardise else (0.0, 1.0)
        self._code_scale = (0.5, UNIT_DEVIATION) if settings.standardise else (0.0, 1.0)
        self._recent = torch.zeros(RECENT, device=device)
        self._lowest: tuple[float, dict[str, torch.Tensor]] = (math.inf, {})

    @property
    def train_loss(self) -> float:
        """Mean squared error in raw units over the last RECENT steps (Table 1's training loss)."""
        return float(self._recent.sum()) / max(1, min(self.step, RECENT)) * self._origin_scale[1] ** 2

    def advance(self, steps: int) -> None:
        """Train so many steps further, or to the end."""
        for step in range(self.step, min(self.step + steps, self.settings.total_steps)):
            self._optimiser.param_groups[0]["lr"] = self.settings.learning_rate_at(step)
            self._recent[step % RECENT] = self._update(step)
            self.step = step + 1
            if self.settings.keep_lowest and (self.step % KEEPING_INTERVAL == 0 or self.finished):
                self._keep_if_lowest()

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.settings.total_steps

    def halves(self) -> tuple[Half, Half]:
        """Simulator and decoder as trained so far, with raw vectors in and out.

        Where the weights with the lowest test loss are kept, it is those.
        """
        if not self._lowest[1]:
            return self._present_halves()
        present = {name: tensor.clone() for name, tensor in self._modules.state_dict().items()}
        self._modules.load_state_dict(self._lowest[1])
        kept = self._present_halves()
        self._modules.load_state_dict(present)
        return kept

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on, as tensors on the CPU."""
        tensors = {f"module.{name}": tensor for name, tensor in self._modules.state_dict().items()}
        tensors |= {f"lowest.{name}": tensor for name, tensor in self._lowest[1].items()}
        for i, parameter in enumerate(self._modules.parameters()):
            tensors |= {f"adam.{i}.{name}": tensor for name, tensor in self._optimiser.state[parameter].items()}
        tensors |= {
            "generator": self._generator.get_state(),
            "recent": self._recent,
            "lowest_loss": torch.tensor(self._lowest[0], dtype=torch.float64),
            "vectors_seen": torch.tensor(self._vectors.seen),
            "step": torch.tensor(self.step),
        }
        return {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from what `state` returned."""
        self._modules.load_state_dict(_part(state, "module."))
        for i, parameter in enumerate(self._modules.parameters()):
            moments = _part(state, f"adam.{i}.")
            self._optimiser.state[parameter] = {name: moment.to(parameter.device) for name, moment in moments.items()}
        self._lowest = (float(state["lowest_loss"]), _part(state, "lowest."))
        self._generator.set_state(state["generator"])
        self._recent.copy_(state["recent"])
        self._vectors.seen = int(state["vectors_seen"])
        self.step = int(state["step"])

    def _update(self, step: int) -> torch.Tensor:
        """One step of Adam; returns the batch's squared error, scaled."""
        finetunes = step >= self.settings.steps
        self._decoder.requires_grad_(not (finetunes and self.settings.finetune == "inverse"))
        mean, deviation = self._origin_scale
        origins = (self._vectors.draw(self.settings.batch_size_at(step)) - mean) / deviation
        mean, deviation = self._code_scale
        codes = (self._encoder(origins) - mean) / deviation
        reconstruction = torch.nn.functional.mse_loss(self._decoder(codes), origins)
        loss = reconstruction
        if finetunes:
            loss = loss + self._finetune_penalty(codes)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return reconstruction.detach()

    def _finetune_penalty(self, codes: torch.Tensor) -> torch.Tensor:
        """What a fine-tune's step adds to the squared error; codes (N, k) are the batch's, standardised."""
        if self.settings.finetune == "uniform":
            return distribution_penalty(codes, self._decoder, self._generator)
        uniform = standard_uniform(tuple(codes.shape), self._generator)
        (low, high), (mean, deviation) = (LOW, HIGH), self._origin_scale
        decoded = self._decoder(uniform).clamp((low - mean) / deviation, (high - mean) / deviation)
        mean, deviation = self._code_scale
        return torch.nn.functional.mse_loss((self._encoder(decoded) - mean) / deviation, uniform)

    def _present_halves(self) -> tuple[Half, Half]:
        simulator = self._blueprints.simulator.read(self._encoder).scale_input(*self._origin_scale)
        decoder = self._blueprints.decoder.read(self._decoder).scale_input(*self._code_scale)
        return simulator, decoder.scale_output(*self._origin_scale)

    def _keep_if_lowest(self) -> None:
        loss = test_loss(*self._present_halves())
        if loss < self._lowest[0]:
            self._lowest = (loss, {name: tensor.clone() for name, tensor in self._modules.state_dict().items()})


class FreshVectors:
    """Uniform origin vectors, never the same twice."""

    def __init__(self, size: int, generator: torch.Generator):
        self._size, self._generator = size, generator
        self.seen = 0
        """Vectors drawn so far."""

    def draw(self, count: int) -> torch.Tensor:
        """The next vectors, (count, size) in [0, 30]."""
        self.seen += count
        sample = torch.rand((count, self._size), generator=self._generator, device=self._generator.device)
        return LOW + (HIGH - LOW) * sample


class FixedVectors:
    """A training set of uniform origin vectors, shuffled in every epoch; the last batch of an epoch is what is left.

    Which vectors come next depends on nothing but the seed and how many were seen.
    """

    def __init__(self, count: int, size: int, seed: int, device: str):
        self._seed = seed
        self._vectors = FreshVectors(size, self._generator(0, device)).draw(count)
        self._epoch = -1
        self.seen = 0
        """Vectors drawn so far."""

    def draw(self, count: int) -> torch.Tensor:
        """The next vectors of the epoch, at most count."""
        epoch, start = divmod(self.seen, len(self._vectors))
        if epoch != self._epoch:
            device = self._vectors.device
            self._order = torch.randperm(
                len(self._vectors), generator=self._generator(epoch + 1, device), device=device
            )
            self._epoch = epoch
        chosen = self._order[start : start + count]
        self.seen += len(chosen)
        return self._vectors[chosen]

    def _generator(self, stream: int, device: str | torch.device) -> torch.Generator:
        seed = np.random.SeedSequence(self._seed, spawn_key=(stream,)).generate_state(1, np.uint64)[0]
        return torch.Generator(device).manual_seed(int(seed >> np.uint64(1)))


def write(training: Pretraining, path: Path, recipe: str, minutes: float) -> dict:
    """Write the weights with their rank tables and a card: recipe, losses, what uniform actions reach, versions.

    Args:
        training: Finished or not.
        path: The `.safetensors` file.
        recipe: What to call the settings.
        minutes: How long it took.

    Returns:
        The card.
    """
    simulator, decoder = training.halves()
    card = {
        "recipe": recipe,
        "settings": dataclasses.asdict(training.settings),
        "steps": training.step,
        "minutes": round(minutes, 2),
        "device": training.device,
        "train_loss": round(training.train_loss, 3),
        "test_loss": round(test_loss(simulator, decoder), 3),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    card = autoencoder.save(path, training.settings.kind, simulator, decoder, card)
    space = search_spaces.make(training.settings.space)
    reached = {
        calibration: coverage(Autoencoder(path, calibration), space, "uniform") for calibration in get_args(Calibration)
    }
    card["coverage"] = {
        calibration: {name: round(value, 4) for name, value in found.items()} for calibration, found in reached.items()
    }
    autoencoder.write_card(path, card)
    return card


def test_loss(simulator: Half, decoder: Half, samples: int = TEST_VECTORS) -> float:
    """Mean squared error in raw units on uniform origin vectors never trained on (Table 1's testing loss)."""
    rng = np.random.default_rng(2**32)
    total = 0.0
    chunk = 10_000
    for start in range(0, samples, chunk):
        count = min(chunk, samples - start)
        origins = rng.uniform(LOW, HIGH, (count, simulator.input_size)).astype(np.float32)
        decoded = decoder.forward(simulator.forward(origins))
        total += float(((decoded - origins) ** 2).mean(axis=1).sum())
    return total / samples


def _part(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
