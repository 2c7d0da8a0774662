"""Decoders turn actions into origin vectors: the autoencoder's decoder and the controls of the experiment."""

from __future__ import annotations

import os
from pathlib import Path

from nases_env.arguments import is_path
from nases_env.embeddings import calibration as calibrations
from nases_env.embeddings.autoencoders.autoencoder import Autoencoder, fresh_simulator
from nases_env.embeddings.base import Decoder
from nases_env.embeddings.linear import IdentityDecoder, LinearDecoder, principal_components, random_projection
from nases_env.search_spaces import registry
from nases_env.search_spaces.base import SearchSpace
from nases_env.words import shown

__all__ = [
    "EMBEDDING_SIZE",
    "Autoencoder",
    "Decoder",
    "IdentityDecoder",
    "LinearDecoder",
    "fresh_simulator",
    "make",
]

EMBEDDING_SIZE = 20
"""An action has so many numbers, which v1 chose by the compression of Table 1 (section 4.1.3)."""
LINEAR = {"pca": principal_components, "random": random_projection}
PRETRAINED = Path(__file__).parent / "pretrained"
"""The folder with weights and cards of all decoders that registrations name, v1's MLPs and v3's LSTM.
`autoencoder-profiles` was trained on vectors whose layers vary together along the depth, `autoencoder` on independent
numbers, both by squared error, with an encoder fine-tuned as the decoder's inverse; both halves of
`autoencoder-uniform` were fine-tuned so that uniform actions reach the whole space; `autoencoder-paper` has the paper's
test loss."""


def make(decoder: str | None, space: SearchSpace, calibration: str = "none") -> Decoder:
    """The decoder of that name, for a space. The call is cheap, because weights are read when they are first used.

    Args:
        decoder: The name of a decoder that is shipped for the space (see `search_spaces.registry`), or `pca`, `random`
            or `identity`, or the path of a `.safetensors` file that `nases pretrain` wrote. None: the space's
            default, `autoencoder-profiles` for macro, `autoencoder` for micro.
        space: The space whose origin vectors are decoded.
        calibration: `output`, `none` or `both`; `calibration.Calibration` tells what they are.

    Raises:
        ValueError: If there is no such decoder or calibration, or it decodes vectors of another size.
        FileNotFoundError: If the weights or their card are missing.
    """
    checked = calibrations.check(calibration)
    registration = registry.find(space.name)
    decoder = registration.default_decoder if decoder is None else decoder
    shipped, name = registration.decoders, os.fspath(decoder) if is_path(decoder) else ""
    if name == "identity":
        return IdentityDecoder(space.origin_size)
    if name in LINEAR:
        return LinearDecoder(space.origin_size, EMBEDDING_SIZE, LINEAR[name], checked)
    if name in shipped:
        path = PRETRAINED / f"{space.name}-{name}.safetensors"
    elif name.endswith(".safetensors"):
        path = Path(name)
    else:
        known = (*shipped, *LINEAR, "identity")
        raise ValueError(
            f"there is no decoder {shown(decoder)}; choose one of {known} or the path of a .safetensors file"
        )
    autoencoder = Autoencoder(path, checked)
    if autoencoder.origin_size != space.origin_size:
        raise ValueError(
            f"{path} decodes {autoencoder.origin_size} numbers; the {space.name} space has {space.origin_size}"
        )
    return autoencoder
