"""Zero-cost proxies: numbers that are to tell, of an untrained network and one batch, how good it will be.

Each proxy is a function of a network, images and labels, in a file of its own that names its paper. The higher number
is to mean the better network; nothing else is promised of its size.
"""

from __future__ import annotations

from nases_env.proxies.base import Proxy
from nases_env.proxies.gradients import grad_norm, snip
from nases_env.proxies.jacov import jacov
from nases_env.proxies.nwot import nwot
from nases_env.proxies.sizes import flops, parameters
from nases_env.proxies.synflow import synflow
from nases_env.words import shown

__all__ = ["PROXIES", "Proxy", "proxy"]

PROXIES: dict[str, Proxy] = {each.__name__: each for each in (parameters, flops, nwot, synflow, snip, grad_norm, jacov)}
"""All proxies by their names."""


def proxy(name: str) -> Proxy:
    """The proxy of a name.

    Raises:
        ValueError: If there is none.
    """
    if name not in PROXIES:
        raise ValueError(f"there is no proxy {shown(name)}; choose one of {', '.join(PROXIES)}")
    return PROXIES[name]
