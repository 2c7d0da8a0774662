"""The fine-tune's penalty, because an autoencoder trained by squared error alone uses only the middle of its cube.

It adds up distances of samples to uniform ones, sliced as in Kolouri et al. 2018 (sliced-Wasserstein autoencoders). The
papers have no such step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nases_env.embeddings.autoencoders.halves import UNIT_DEVIATION

Decode = Callable[[torch.Tensor], torch.Tensor]

# Weights of the distances, code by code or number by number (UNIFORM) and along random directions (SLICED). They were
# chosen so that the fewest points of an operation's share are lost while no more than 7 % of decoded numbers lie
# outside [0, 30].
CODES_UNIFORM, CODES_SLICED = 0.1, 0.25
DECODED_UNIFORM, DECODED_SLICED = 0.6, 0.4
CORNERS_UNIFORM = 0.1


def standard_uniform(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """A uniform sample with mean 0 and deviation 1."""
    return (torch.rand(shape, generator=generator, device=generator.device) - 0.5) / UNIT_DEVIATION


def distribution_penalty(codes: torch.Tensor, decode: Decode, generator: torch.Generator) -> torch.Tensor:
    """Distance of codes from uniform, and of decoded uniform and corner codes from uniform origin vectors.

    Args:
        codes: Encodings of uniform origin vectors, standardised, (N, n).
        decode: Turns standardised codes into standardised origin vectors.
        generator: Draws codes, references and directions.
    """
    half, size = len(codes) // 2, codes.shape[1]
    decoded = decode(standard_uniform((half, size), generator))
    corners = torch.randint(0, 2, (half, size), generator=generator, device=generator.device)
    decoded_corners = decode((corners - 0.5) / UNIT_DEVIATION)
    return (
        CODES_UNIFORM * wasserstein_to_uniform(codes)
        + CODES_SLICED * sliced_wasserstein(codes, standard_uniform(tuple(codes.shape), generator), generator)
        + DECODED_UNIFORM * wasserstein_to_uniform(decoded)
        + DECODED_SLICED * sliced_wasserstein(decoded, standard_uniform(tuple(decoded.shape), generator), generator)
        + CORNERS_UNIFORM * wasserstein_to_uniform(decoded_corners)
    )


def wasserstein_to_uniform(samples: torch.Tensor) -> torch.Tensor:
    """Squared 2-Wasserstein distance of each column of (N, d) to the standardised uniform, averaged."""
    count = len(samples)
    quantiles = ((torch.arange(count, device=samples.device) + 0.5) / count - 0.5) / UNIT_DEVIATION
    return ((samples.sort(dim=0).values - quantiles[:, None]) ** 2).mean()


def sliced_wasserstein(
    samples: torch.Tensor, reference: torch.Tensor, generator: torch.Generator, projections: int = 20
) -> torch.Tensor:
    """Squared 2-Wasserstein distance of two (N, d) samples, averaged over random directions."""
    directions = torch.randn((samples.shape[1], projections), generator=generator, device=generator.device)
    directions = directions / directions.norm(dim=0)
    return (((samples @ directions).sort(dim=0).values - (reference @ directions).sort(dim=0).values) ** 2).mean()
