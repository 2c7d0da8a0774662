"""Stage 1 (v1, section 4.1): trains an autoencoder on random origin vectors, then fits its halves to the cube."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from nases_env import search_spaces
from nases_env.embeddings.autoencoders import autoencoder
from nases_env.embeddings.autoencoders.autoencoder import Autoencoder
from nases_env.embeddings.autoencoders.halves import ORIGIN_DEVIATION, ORIGIN_MEAN, UNIT_DEVIATION, Half
from nases_env.embeddings.calibration import Calibration
from nases_env.search_spaces.base import HIGH, LOW
from nases_env.stage_one.coverage import coverage
from nases_env.stage_one.distribution_matching import distribution_penalty, standard_uniform
from nases_env.stage_one.settings import PretrainingSettings
from nases_env.stage_one.vectors import FixedVectors, FreshVectors, Independent, Profiles

TEST_VECTORS = 100_000
RECENT = 400
"""The training loss is averaged over so many steps: 102,400 vectors in batches of 256."""
KEEPING_INTERVAL = 10_000
"""Steps between two looks at the test loss where the lowest is kept: about an epoch of the paper's vectors."""


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
        space = search_spaces.make(settings.space)
        self._blueprints = autoencoder.blueprints(settings.kind, space.origin_size, settings.embedding_size)
        weights = np.random.default_rng(settings.seed)
        self._encoder, self._decoder = (half.fresh(weights).module().to(device) for half in self._blueprints)
        self._modules = torch.nn.ModuleDict({"encoder": self._encoder, "decoder": self._decoder})
        self._optimiser = torch.optim.Adam(self._modules.parameters(), lr=0.0, betas=(0.9, settings.beta2), fused=True)
        self._generator = torch.Generator(device).manual_seed(settings.seed)
        draw = Profiles(space.dimensions) if settings.vectors == "profiles" else Independent(space.origin_size)
        self._vectors = (
            FreshVectors(draw, self._generator)
            if settings.training_vectors is None
            else FixedVectors(settings.training_vectors, draw, settings.seed, device)
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
