"""NASES: neural architecture search in embedding space as a Gymnasium environment.

Importing this package registers the environments; it loads neither torch nor data.
"""

from functools import partial

from gymnasium.envs.registration import register

_register = partial(
    register, entry_point="nases_env.env:NASESEnv", vector_entry_point="nases_env.vector_env:NASESVectorEnv"
)

_register("NASES-v0", nondeterministic=True)
_register("NASES-CIFAR10-v0", nondeterministic=True, kwargs={"dataset": "cifar10", "protocol": "v1-search"})
_register("NASES-Digits-v0", kwargs={"dataset": "digits", "protocol": "digits"})
_register(
    "NASES-CIFAR10-Micro-v0",
    nondeterministic=True,
    kwargs={"dataset": "cifar10", "protocol": "v3-search", "space": "micro", "reward": "validation"},
)
_register(
    "NASES-Digits-Micro-v0",
    kwargs={"dataset": "digits", "protocol": "digits-micro", "space": "micro", "reward": "validation"},
)
_register("NASES-Digits-Surrogate-v0", kwargs={"surrogate": "digits"})
_register("NASES-Digits-Micro-Surrogate-v0", kwargs={"surrogate": "digits-micro", "reward": "validation"})
