"""Protocols by name: presets, what a user makes of them, and how a search's protocol becomes a final one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nases_env.children.protocol import Protocol, Recipe
from nases_env.words import shown

_DIGITS = Protocol(
    name="digits",
    final="digits-final",
    train_images=897,
    validation_images=450,
    stratified=True,
    crop_padding=1,
    flip=False,
    epochs=3,
    batch_size=64,
    width=0.125,
    width_multiple=8,
    threads=1,
)
_MINI = Protocol(
    name="cifar10-mini",
    final="cifar10-mini-final",
    image_size=16,
    train_images=9_000,
    validation_images=3_000,
    stratified=True,
    crop_padding=2,
    epochs=3,
    batch_size=64,
    width=0.125,
    width_multiple=8,
    threads=1,
)
_MICRO: dict[str, Any] = {"stage_cells": 1, "cell_filters": 8, "width": 1.0, "width_multiple": 1}
"""v3's cells in small."""
_DIGITS_MICRO = dataclasses.replace(_DIGITS, name="digits-micro", final="digits-micro-final", **_MICRO)
_MINI_MICRO = dataclasses.replace(_MINI, name="cifar10-mini-micro", final="cifar10-mini-micro-final", **_MICRO)
_V1 = Protocol(final="v1-final", precision="bfloat16")
_V3 = dataclasses.replace(_V1, name="v3-search", final="v3-final", epochs=70, restart_period=10)
_FINAL: dict[str, Any] = {"final": "", "train_images": None, "validation_images": 0}

PRESETS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _V1,
        dataclasses.replace(_V1, name="v1-final", epochs=700, **_FINAL),
        _V3,
        dataclasses.replace(_V3, name="v3-final", epochs=630, drop_path=0.2, auxiliary_weight=0.4, **_FINAL),
        _DIGITS,
        dataclasses.replace(_DIGITS, name="digits-final", epochs=30, width=0.25, **_FINAL),
        _MINI,
        dataclasses.replace(_MINI, name="cifar10-mini-final", epochs=10, **_FINAL),
        _DIGITS_MICRO,
        dataclasses.replace(_DIGITS_MICRO, name="digits-micro-final", epochs=30, cell_filters=16, **_FINAL),
        _MINI_MICRO,
        dataclasses.replace(_MINI_MICRO, name="cifar10-mini-micro-final", epochs=10, **_FINAL),
    )
}

FINAL = tuple(protocol.name for protocol in PRESETS.values() if not protocol.final)


def final_protocol(search: Protocol, preset: str | None, overrides: Mapping[str, Any]) -> Protocol:
    """The protocol that retrains the best child of a search.

    What the search changed of its own preset is changed here too, unless the final preset changes it itself.

    Args:
        search: The search's protocol.
        preset: The final preset; None: the one that the search's names.
        overrides: Fields to change after that.

    Raises:
        ValueError: If the preset or a field does not exist, or the protocol holds images out.
    """
    name = preset or search.final
    final, own = resolve(name), PRESETS[search.name]
    carried = {
        field.name: getattr(search, field.name)
        for field in dataclasses.fields(Recipe)
        if field.name != "restart_period"  # a search's cosines do not end where a final training does
        and getattr(search, field.name) != getattr(own, field.name) == getattr(final, field.name)
    }
    protocol = resolve({"preset": name, **carried, **overrides})
    if protocol.validation_images:
        raise ValueError(f"protocol {name!r} holds images out for a search; final ones are {', '.join(FINAL)}")
    return protocol


def resolve(protocol: str | Mapping[str, Any] | Protocol) -> Protocol:
    """The protocol that a name, or a mapping with the key `preset` and any fields to override, stands for.

    Raises:
        ValueError: If there is no such preset or field, or a value is out of range.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if not isinstance(protocol, str | Mapping):
        raise ValueError(
            f"the protocol is {shown(protocol)}; expected a preset's name or a mapping with the key 'preset'"
        )
    overrides = {"preset": protocol} if isinstance(protocol, str) else dict(protocol)
    preset = overrides.pop("preset", None)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ValueError(f"there is no protocol preset {shown(preset)}; choose one of {', '.join(PRESETS)}")
    known = {field.name for field in dataclasses.fields(Protocol)} - {"name"}
    if unknown := sorted(overrides.keys() - known, key=str):
        raise ValueError(f"a protocol has no fields {shown(unknown)}; it has {sorted(known)}")
    return dataclasses.replace(PRESETS[preset], **overrides)
