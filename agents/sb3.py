"""Agents of stable-baselines3, with settings that learn within 100 children.

Actions and observations are rescaled to [−1, 1]. `gamma` is 0, because a reward depends on its action alone.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
from gymnasium.wrappers import RescaleAction, RescaleObservation

from agents.base import Agent, Proposal
from agents.trace import Trace
from nases_env.search_spaces import Architecture
from nases_env.search_spaces.base import HIGH, LOW

try:
    import stable_baselines3 as sb3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import KVWriter, Logger
    from stable_baselines3.common.noise import NormalActionNoise
    from stable_baselines3.common.vec_env import DummyVecEnv
except ImportError as error:
    raise ImportError(
        "this agent needs stable-baselines3, which is not installed; pip install 'stable-baselines3>=2.9'"
    ) from error

HALF_RANGE = (HIGH - LOW) / 2
"""Half the range of an origin vector's numbers: so many units become 1 when observations are rescaled to [−1, 1]."""
_OFF_POLICY: dict[str, Any] = {"learning_starts": 20, "train_freq": 1, "gradient_steps": 4}


class _ToRecorder(KVWriter):
    """Writes a model's numbers beside the search's own, at the last child."""

    def __init__(self, trace: Trace):
        self._trace = trace

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        numbers = {tag: number for tag, number in key_values.items() if isinstance(number, int | float | np.number)}
        self._trace.log({tag: float(number) for tag, number in numbers.items()})


class _Budget(BaseCallback):
    """Ends learning in the middle of a roll-out if the budget does; logs after each roll-out, not each episode."""

    def __init__(self, children: int):
        super().__init__()
        self._children = children

    def _on_step(self) -> bool:
        whole = self._children % getattr(self.model, "n_steps", 1) == 0
        return whole or self.num_timesteps < self._children

    def _on_rollout_end(self) -> None:
        self.logger.dump(self.num_timesteps)


class SB3Agent(Agent):
    """A stable-baselines3 model; subclasses name its class and settings.

    The model has a loop of its own, in which it steps and learns: `run` starts that loop instead of asking and telling.
    An agent that is asked proposes what its present policy draws; what it is told teaches it nothing.
    """

    settings_class = dict
    batches = False
    algorithm: ClassVar[str]
    settings: ClassVar[dict[str, Any]]

    def __init__(self, env: Trace, seed: int, settings: dict[str, Any] | None = None):
        super().__init__(env, seed, settings)
        rescaled = RescaleObservation(RescaleAction(env, np.float32(-1), np.float32(1)), np.float32(-1), np.float32(1))
        vector = DummyVecEnv([lambda: rescaled])
        vector.seed(seed)
        model = getattr(sb3, self.algorithm)
        # The settings are copied, because A2C writes its optimiser into policy_kwargs.
        chosen = deepcopy(self._ready(self.settings | (settings or {})))
        self.model = model("MlpPolicy", vector, gamma=0.0, seed=seed, device="cpu", **chosen)
        self.model.set_logger(Logger(None, [_ToRecorder(env)]))

    @property
    def source(self) -> str:
        """What its children come from, for the record."""
        return self.algorithm.lower()

    def ask(self, states: np.ndarray) -> list[Proposal]:
        """Propose actions that are drawn from the present policy."""
        # The wrappers in `__init__` rescale what the model sees in its own loop; here it is done by hand.
        observations = ((states - LOW) / HALF_RANGE - 1.0).astype(np.float32)
        actions, _ = self.model.predict(observations)
        return [Proposal(action, self.source) for action in ((actions + 1.0) / 2.0).astype(np.float32)]

    def run(
        self,
        env: Trace,
        children: int,
        start: Architecture | None = None,
        batch: int = 1,
        asynchronous: bool = False,
    ) -> None:
        """Let the model collect and learn; a network to start from is its first state, no child.

        Raises:
            ValueError: If it should choose several children at once.
        """
        if batch > 1 or asynchronous:
            raise ValueError(
                f"stable-baselines3's agents choose one child at a time; batch is {batch}, asynchronous {asynchronous}"
            )
        env.default_source = self.source
        if start is not None:
            self.model.get_env().set_options({"architecture": start})
        self.model.learn(children, callback=_Budget(children), log_interval=1)
        self.model.logger.dump(children)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The policy's weights."""
        return {name: tensor.numpy() for name, tensor in self.model.policy.state_dict().items()}

    def _ready(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings in the form that the library takes."""
        return settings


class PPO(SB3Agent):
    """Proximal policy optimisation (Schulman et al. 2017), a roll-out of 5 children."""

    algorithm = "PPO"
    settings: ClassVar[dict[str, Any]] = {
        "n_steps": 5,
        "batch_size": 5,
        "learning_rate": 3e-3,
        "ent_coef": 0.001,
        "policy_kwargs": {"log_std_init": -0.5},
    }


class A2C(SB3Agent):
    """Advantage actor-critic (Mnih et al. 2016), a roll-out of 3 children."""

    algorithm = "A2C"
    settings: ClassVar[dict[str, Any]] = {"n_steps": 3, "learning_rate": 5e-3, "policy_kwargs": {"log_std_init": -0.5}}


class SAC(SB3Agent):
    """Soft actor-critic (Haarnoja et al. 2018), 20 random children, then 4 updates a child.

    Its entropy is worth little from the start: the automatic weight begins at 1 and outweighs rewards below 1 for
    longer than a search lasts.
    """

    algorithm = "SAC"
    settings: ClassVar[dict[str, Any]] = {
        **_OFF_POLICY,
        "batch_size": 16,
        "ent_coef": 0.005,
        "learning_rate": 1e-3,
    }


class TD3(SB3Agent):
    """Twin delayed DDPG (Fujimoto et al. 2018), 20 random children, then 4 updates a child.

    Its `action_noise` is the deviation of normal noise on actions in [−1, 1], or a noise of stable-baselines3.
    """

    algorithm = "TD3"
    settings: ClassVar[dict[str, Any]] = {
        **_OFF_POLICY,
        "batch_size": 64,
        "learning_rate": 3e-4,
        "action_noise": 0.2,
    }

    def _ready(self, settings: dict[str, Any]) -> dict[str, Any]:
        noise = settings["action_noise"]
        if isinstance(noise, int | float):
            size = self._decoder.action_size
            noise = NormalActionNoise(np.zeros(size), np.full(size, noise))
        return settings | {"action_noise": noise}
