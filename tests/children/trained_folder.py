"""The folder of a small trained network, without the training."""

import dataclasses
import json

import numpy as np
import torch

from nases_env import search_spaces
from nases_env.children import build, network_file, padding
from nases_env.children.presets import resolve

PROTOCOLS = {
    "macro": resolve({"preset": "digits-final", "width": 0.01, "width_multiple": 2}),
    "micro": resolve({"preset": "digits-micro-final", "cell_filters": 2}),
}


def write_network(folder, space="macro", **changes):
    """Write a network of random weights; returns the child that was written."""
    rng, protocol = np.random.default_rng(0), PROTOCOLS[space]
    found = search_spaces.make(space)
    architecture = found.architecture(found.discretise(found.sample(rng, 1))[0])
    child = build.materialise(build.skeleton(architecture, protocol, 1, 10), torch.Generator().manual_seed(0), "cpu")
    fields = dataclasses.asdict(protocol)
    network = {
        "architecture": json.loads(architecture.to_json()),
        "protocol": {"preset": fields.pop("name"), **fields},
        "channels": 1,
        "classes": 10,
        "class_names": [f"digit {label}" for label in range(10)],
        "image_size": 8,
        "mean": [0.3],
        "deviation": [0.4],
    }
    folder.mkdir(exist_ok=True)
    network_file.write(folder, network | changes, padding.state_dict(child))
    return child
