import numpy as np
import pytest
import torch
from torch import nn

from nases_env import search_spaces
from nases_env.children import datasets
from nases_env.children.base import Child
from nases_env.children.presets import resolve
from nases_env.proxies.untrained import batch, untrained


class Tiny(Child):
    """One convolution, a ReLU and a linear layer on images of one channel; the weights are what a test gives it."""

    def __init__(self, convolution, linear, normalised=False):
        super().__init__()
        convolution, linear = (torch.tensor(each, dtype=torch.float64) for each in (convolution, linear))
        self.convolution = nn.Conv2d(1, len(convolution), 1, bias=False).double()
        self.norm = nn.BatchNorm2d(len(convolution)).double() if normalised else nn.Identity()
        self.linear = nn.Linear(linear.shape[1], len(linear)).double()
        self.load_state_dict(
            {"convolution.weight": convolution[:, None, None, None], "linear.weight": linear}, strict=False
        )
        nn.init.zeros_(self.linear.bias)

    def forward(self, images):
        return self.linear(nn.functional.relu(self.norm(self.convolution(images))).flatten(1))

    def flops(self, image_size):
        return 2 * (image_size**2 * self.convolution.weight.numel() + self.linear.weight.numel())


def pixels(*values):
    """Images of one pixel each."""
    return torch.tensor(values, dtype=torch.float64)[:, None, None, None]


@pytest.fixture(scope="session")
def digits():
    """A few digits."""
    return datasets.load("digits", "nowhere", resolve("digits"), "cpu")


@pytest.fixture(scope="session", params=["macro paper", "macro published", "micro paper"])
def untrained_child(request, digits):
    """An architecture of each space and rules, what makes its network, and a batch of 12 images."""
    name, rules = request.param.split()
    space = search_spaces.make(name, rules)
    protocol = resolve({"preset": "digits-micro" if name == "micro" else "digits", "batch_size": 12})
    architecture = space.architecture(space.discretise(space.sample(np.random.default_rng(1), 1))[0])
    return lambda seed=3: untrained(architecture, protocol, digits, seed, "cpu"), batch(protocol, digits, 3)
