"""NASES: neural architecture search in embedding space as a Gymnasium environment.

Importing this package registers the environments; it loads neither torch nor data.
"""

from gymnasium.envs.registration import register

_ENTRY_POINT = "nases_env.env:NASESEnv"

register("NASES-v0", entry_point=_ENTRY_POINT, nondeterministic=True)
register(
    "NASES-CIFAR10-v0",
    entry_point=_ENTRY_POINT,
    nondeterministic=True,
    kwargs={"dataset": "cifar10", "protocol": "v1-search"},
)
register("NASES-Digits-v0", entry_point=_ENTRY_POINT, kwargs={"dataset": "digits", "protocol": "digits"})
