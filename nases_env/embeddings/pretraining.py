"""Stage 1 (v1, section 4.1): trains the autoencoder on uniform origin vectors, then makes its decoder use the cube.

Deviations from the paper: inputs and outputs are standardised (folded into the weights afterwards), samples are
always fresh, Adam at 2e-3 with warm-up and cosine; then a fine-tune that matches distributions (sliced Wasserstein,
as in Kolouri et al. 2018), because a decoder trained by squared error alone sees only the middle of the cube.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nases_env.embeddings import mlp

CODE_DEVIATION = 1.0 / math.sqrt(12.0)


@dataclass(frozen=True)
class PretrainingSettings:
    """How stage 1 is trained."""

    embedding_size: int = 20
    """Numbers in the embedding, k."""
    origin_size: int = 60
    """Numbers in an origin vector."""
    steps: int = 9000
    """Optimiser steps of one cycle of warm-up and cosine."""
    cycles: int = 3
    """Cycles, each from the full learning rate again."""
    finetune_steps: int = 6000
    """Steps of the distribution-matching fine-tune; 0 leaves it out."""
    batch_size: int = 256
    """Origin vectors per step, drawn afresh each time."""
    learning_rate: float = 2e-3
    """Adam's peak learning rate."""
    finetune_learning_rate: float = 1e-3
    """Its peak in the fine-tune."""
    warmup: float = 0.03
    """Share of a cycle in which the learning rate rises linearly."""
    seed: int = 0
    """Seed of the initial weights and of every sample."""


@dataclass(frozen=True)
class Pretrained:
    """What stage 1 leaves: both halves with the standardisation folded in, and the last training loss."""

    simulator: list[mlp.Dense]
    decoder: list[mlp.Dense]
    train_loss: float


def pretrain(
    settings: PretrainingSettings,
    device: str = "cpu",
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Pretrained:
    """Train an autoencoder from scratch.

    Args:
        settings: The recipe.
        device: A torch device.
        report: Called every 50 steps with the step and the mean training loss since, in raw squared units.
    """
    rng = np.random.default_rng(settings.seed)
    shapes = (
        mlp.simulator_shape(settings.origin_size, settings.embedding_size),
        mlp.decoder_shape(settings.origin_size, settings.embedding_size),
    )
    encoder, decoder = (mlp.to_module(mlp.fresh_layers(shape, rng)).to(device) for shape in shapes)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], betas=(0.9, 0.99), fused=True, lr=0.0)
    generator = torch.Generator(device).manual_seed(settings.seed)
    losses: list[torch.Tensor] = []
    train_loss = math.nan
    plain = settings.steps * settings.cycles
    for step in range(plain + settings.finetune_steps):
        finetune = step >= plain
        optimiser.param_groups[0]["lr"] = _learning_rate(settings, step)
        origins = _uniform((settings.batch_size, settings.origin_size), generator)
        codes = encoder(origins)
        reconstruction = torch.nn.functional.mse_loss(decoder(_standardise_codes(codes)), origins)
        loss = reconstruction
        if finetune:
            loss = loss + _distribution_penalty(codes, decoder, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(reconstruction.detach())
        if len(losses) == 50:
            train_loss = float(torch.stack(losses).mean()) * mlp.ORIGIN_DEVIATION**2
            losses.clear()
            report(step + 1, train_loss)
    activations = [[activation for *_, activation in shape] for shape in shapes]
    simulator_layers = mlp.scale_input(mlp.from_module(encoder, activations[0]), mlp.ORIGIN_MEAN, mlp.ORIGIN_DEVIATION)
    decoder_layers = mlp.scale_input(mlp.from_module(decoder, activations[1]), 0.5, CODE_DEVIATION)
    return Pretrained(
        simulator_layers, mlp.scale_output(decoder_layers, mlp.ORIGIN_MEAN, mlp.ORIGIN_DEVIATION), train_loss
    )


def write(pretrained: Pretrained, settings: PretrainingSettings, path: Path) -> dict:
    """Write the weights with their rank tables and a card; returns the card."""
    card = {
        "recipe": dataclasses.asdict(settings),
        "train_loss": round(pretrained.train_loss, 3),
        "test_loss": round(test_loss(pretrained.simulator, pretrained.decoder), 3),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    return mlp.save(path, pretrained.simulator, pretrained.decoder, card)


def test_loss(simulator: list[mlp.Dense], decoder: list[mlp.Dense], samples: int = 100_000) -> float:
    """Mean squared error in raw units on uniform origin vectors never trained on (Table 1's testing loss)."""
    rng = np.random.default_rng(2**32)
    origin_size = simulator[0].weight.shape[1]
    total = 0.0
    chunk = 10_000
    for start in range(0, samples, chunk):
        origins = rng.uniform(0, 30, (min(chunk, samples - start), origin_size)).astype(np.float32)
        decoded = mlp.forward(decoder, mlp.forward(simulator, origins))
        total += float(((decoded - origins) ** 2).mean(axis=1).sum())
    return total / samples


def _learning_rate(settings: PretrainingSettings, step: int) -> float:
    plain = settings.steps * settings.cycles
    if step < plain:
        progress, peak = step % settings.steps / settings.steps, settings.learning_rate
    else:
        progress, peak = (step - plain) / settings.finetune_steps, settings.finetune_learning_rate
    if progress < settings.warmup:
        return peak * progress / settings.warmup
    return peak * 0.5 * (1.0 + math.cos(math.pi * (progress - settings.warmup) / (1.0 - settings.warmup)))


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Uniform with mean 0 and deviation 1."""
    sample = torch.rand(shape, generator=generator, device=generator.device)
    return (sample - 0.5) / CODE_DEVIATION


def _standardise_codes(codes: torch.Tensor) -> torch.Tensor:
    return (codes - 0.5) / CODE_DEVIATION


def _distribution_penalty(codes: torch.Tensor, decoder: torch.nn.Module, generator: torch.Generator) -> torch.Tensor:
    """Distance of codes from uniform, and of decoded uniform and corner codes from uniform origin vectors."""
    half = len(codes) // 2
    size = codes.shape[1]
    scaled = _standardise_codes(codes)
    uniform_codes = _uniform((half, size), generator)
    decoded = decoder(uniform_codes)
    corners = (torch.rand((half, size), generator=generator, device=generator.device) < 0.5).float()
    decoded_corners = decoder(_standardise_codes(corners))
    return (
        0.1 * _wasserstein_to_uniform(scaled)
        + 0.5 * _sliced_wasserstein(scaled, _uniform(tuple(codes.shape), generator), generator)
        + 0.1 * _wasserstein_to_uniform(decoded)
        + 0.1 * _sliced_wasserstein(decoded, _uniform(tuple(decoded.shape), generator), generator)
        + 0.1 * _wasserstein_to_uniform(decoded_corners)
    )


def _wasserstein_to_uniform(samples: torch.Tensor) -> torch.Tensor:
    """Squared 2-Wasserstein distance of each column of (N, d) to the standardised uniform, averaged."""
    count = len(samples)
    quantiles = ((torch.arange(count, device=samples.device) + 0.5) / count - 0.5) / CODE_DEVIATION
    return ((samples.sort(dim=0).values - quantiles[:, None]) ** 2).mean()


def _sliced_wasserstein(
    samples: torch.Tensor, reference: torch.Tensor, generator: torch.Generator, projections: int = 20
) -> torch.Tensor:
    """Squared 2-Wasserstein distance of two (N, d) samples, averaged over random directions."""
    directions = torch.randn((samples.shape[1], projections), generator=generator, device=generator.device)
    directions = directions / directions.norm(dim=0)
    return (((samples @ directions).sort(dim=0).values - (reference @ directions).sort(dim=0).values) ** 2).mean()
