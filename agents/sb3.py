"""stable-baselines3's agents, with settings that learn within 100 children.

Actions are rescaled to [−1, 1] and observations to [−1, 1]; `gamma=0`, because a reward depends on its action alone.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium.wrappers import RescaleAction, RescaleObservation

from agents.base import Agent
from agents.recorder import Recorder

try:
    import stable_baselines3 as sb3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.vec_env import DummyVecEnv
except ImportError as error:
    raise ImportError(
        "this agent needs stable-baselines3, which is not installed; pip install 'stable-baselines3>=2.9'"
    ) from error

_OFF_POLICY: dict[str, Any] = {"learning_starts": 10, "batch_size": 32, "train_freq": 1, "gradient_steps": 4}


class _Stop(BaseCallback):
    """Ends learning when the budget is spent, also in the middle of a roll-out."""

    def __init__(self, children: int):
        super().__init__()
        self._children = children

    def _on_step(self) -> bool:
        return self.num_timesteps < self._children


class SB3Agent(Agent):
    """A stable-baselines3 model; subclasses name its class and settings."""

    algorithm: ClassVar[str]
    settings: ClassVar[dict[str, Any]]

    def __init__(self, env: Recorder, seed: int, settings: dict[str, Any] | None = None):
        super().__init__(env, seed, settings)
        self.source = self.algorithm.lower()
        rescaled = RescaleObservation(RescaleAction(env, np.float32(-1), np.float32(1)), np.float32(-1), np.float32(1))
        vector = DummyVecEnv([lambda: rescaled])
        vector.seed(seed)
        model = getattr(sb3, self.algorithm)
        self.model = model("MlpPolicy", vector, gamma=0.0, seed=seed, device="cpu", **self.settings | (settings or {}))
        self.model.set_logger(configure(str(env.tensorboard_dir), ["tensorboard"]))

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions in [0, 1] for origin vectors, drawn from the present policy."""
        actions, _ = self.model.predict((observations / 15.0 - 1.0).astype(np.float32))
        return ((actions + 1.0) / 2.0).astype(np.float32)

    def run(self, env: Recorder, children: int) -> None:
        """Let the model collect and learn."""
        env.source = self.source
        self.model.learn(children, callback=_Stop(children), log_interval=1)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The policy's weights."""
        return {name: tensor.numpy() for name, tensor in self.model.policy.state_dict().items()}


class PPO(SB3Agent):
    """Proximal policy optimisation (Schulman et al. 2017), a roll-out of 10 children."""

    algorithm = "PPO"
    settings: ClassVar[dict[str, Any]] = {
        "n_steps": 10,
        "batch_size": 10,
        "policy_kwargs": {"log_std_init": -0.5},
    }


class A2C(SB3Agent):
    """Advantage actor-critic (Mnih et al. 2016), a roll-out of 5 children."""

    algorithm = "A2C"
    settings: ClassVar[dict[str, Any]] = {"n_steps": 5, "policy_kwargs": {"log_std_init": -0.5}}


class SAC(SB3Agent):
    """Soft actor-critic (Haarnoja et al. 2018), 10 random children, then 4 updates a child."""

    algorithm = "SAC"
    settings = _OFF_POLICY


class TD3(SB3Agent):
    """Twin delayed DDPG (Fujimoto et al. 2018), 10 random children, then 4 updates a child."""

    algorithm = "TD3"
    settings = _OFF_POLICY


AGENTS: dict[str, type[SB3Agent]] = {"ppo": PPO, "a2c": A2C, "sac": SAC, "td3": TD3}
