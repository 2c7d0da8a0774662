"""The card of a surrogate: for which children it speaks, its linear model, its noise, and its trees' hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nases_env import search_spaces
from nases_env.children.protocol import Protocol
from nases_env.schemas import NewerVersionError, check_schema
from nases_env.search_spaces import SearchSpace
from nases_env.surrogates import features
from nases_env.surrogates.features import Features, ImageShape
from nases_env.untrusted import check_size, check_types, numbers, parse_json

TARGETS = ("train_accuracy", "validation_accuracy")
KIND = "surrogate"
NEEDED: dict[str, type] = {
    "kind": str,
    "features": int,
    "dataset": str,
    "space": str,
    "rules": str,
    "protocol": dict,
    "images": dict,
    "noise_covariance": list,
    "trees_sha256": str,
    "linear": dict,
}
"""Fields that a prediction needs, and their types."""
TOLD: dict[str, type] = {
    "table": dict,
    "fingerprint": str,
    "hardware": str,
    "dates": list,
    "versions": dict,
    "sources": dict,
    "lightgbm": str,
}
"""Fields for readers."""
ROUNDING = 1e-9
"""How far rounding may take a covariance from being symmetric and positive semi-definite, as a share."""


@dataclass(frozen=True)
class Card:
    """What a card says, all of it checked."""

    fields: dict[str, Any]
    protocol: Protocol
    space: SearchSpace
    features: Features
    coefficients: np.ndarray
    """The linear model's coefficients, (2, F), in the order of TARGETS."""
    intercepts: np.ndarray
    """The linear model's intercepts, (2,)."""
    noise_covariance: np.ndarray
    """(2, 2), see `model.Noise`."""


def parse(data: bytes, file: Path) -> Card:
    """The card with this text.

    Args:
        data: The text.
        file: Where it is from, for the error.

    Raises:
        ValueError: If it is not what the fit of a surrogate writes; NewerVersionError if a newer version wrote it.
    """
    try:
        fields = parse_json(data)
        check_schema(fields, KIND, file)
        check_types(fields, NEEDED)
        check_types(fields, TOLD, optional=True)
        return _card(fields)
    except NewerVersionError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise ValueError(
            f"{file} is no card that nases fit-surrogate writes now ({error}); fit the surrogate again"
        ) from error


def _card(fields: dict[str, Any]) -> Card:
    if (fields["kind"], fields["features"]) != (KIND, features.VERSION):
        raise ValueError(
            f"its kind is {fields['kind']!r} with features {fields['features']}; expected {KIND!r} with features "
            f"{features.VERSION}"
        )
    fields["dataset"].encode()  # half a character, which JSON can hold, cannot be printed
    space, protocol = search_spaces.make(fields["space"], fields["rules"]), _protocol(fields["protocol"])
    check_types(fields["images"], dict.fromkeys(ImageShape._fields, int))
    images = ImageShape(**{name: check_size(value, name) for name, value in fields["images"].items()})
    inputs = features.make(space, protocol, images)
    check_types(fields["linear"], dict.fromkeys(TARGETS, dict))
    linear = [fields["linear"][target] for target in TARGETS]
    for target in linear:
        check_types(target, {"coefficients": list})
    return Card(
        fields,
        protocol,
        space,
        inputs,
        numbers([target["coefficients"] for target in linear], (len(TARGETS), inputs.count), "coefficients"),
        numbers([target.get("intercept") for target in linear], (len(TARGETS),), "intercept"),
        _covariance(fields["noise_covariance"]),
    )


def _protocol(fields: dict[str, Any]) -> Protocol:
    check_types(fields, {"name": str, "final": str}, optional=True)
    protocol = Protocol(**fields)
    check_size(protocol.filters(300), "the protocol's most filters in a layer")
    return protocol


def _covariance(value: Any) -> np.ndarray:
    covariance = numbers(value, (len(TARGETS), len(TARGETS)), "noise_covariance")
    (first, both), (other, second) = covariance.tolist()
    symmetric = abs(both - other) <= ROUNDING * max(abs(both), abs(other))
    if not symmetric or min(first, second) < 0 or both**2 > first * second * (1 + ROUNDING):
        raise ValueError("noise_covariance is no covariance: it has to be symmetric and positive semi-definite")
    return covariance
