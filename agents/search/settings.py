"""What a search is: everything that decides its children."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from gymnasium.envs.registration import load_env_creator

import agents
from agents.reinforce import ReinforceSettings
from agents.search.overrides import parse_overrides
from nases_env.children.dataset_names import absolute
from nases_env.env import NASESEnv
from nases_env.evaluators.choice import OF_SURROGATES, OF_TRAINING
from nases_env.surrogates import SHIPPED

ENVIRONMENT = (
    "dataset",
    "data_dir",
    "protocol",
    "space",
    "rules",
    "decoder",
    "calibration",
    "reward",
    "device",
    "workers",
    "executor",
    "surrogate",
    "noise",
)
"""Settings that are keywords of the environment."""


@dataclass(frozen=True)
class SearchSettings:
    """Which agent searches which environment. Settings of the environment default to what its id registers."""

    env_id: str = "NASES-Digits-v0"
    """Environment: NASES-Digits-v0, NASES-Digits-Surrogate-v0, NASES-CIFAR10-v0, version 3's NASES-Digits-Micro-v0,
    NASES-Digits-Micro-Surrogate-v0 and NASES-CIFAR10-Micro-v0, NASES-v0 or another registered one."""
    agent: str = "reinforce"
    """Agent that searches: reinforce, random, random-origin, evolution, lstm, q-learning, predictor, gradient-ascent,
    tpe, cmaes, gp, ppo, a2c, sac or td3."""
    agent_settings: tuple[str, ...] = ()
    """Settings of agents other than reinforce: --agent-settings population=20 sample=3."""
    children: int = 30
    """Networks to build: the budget."""
    seed: int = 0
    """Seed of the agent and of the environment."""
    reuse: tuple[str, ...] = ()
    """Folders or journals of other searches whose evaluations need not be trained again."""
    start_from: str | None = None
    """A known network: a search's folder (its best child), a best.json or its text. Its encoding is the first child;
    stable-baselines3's agents only see it as their first state."""

    dataset: str | None = None
    """digits, cifar10 or imagefolder:PATH (with PATH/train/<class>/* and PATH/test/<class>/*)."""
    data_dir: str | None = None
    """Folder of CIFAR-10."""
    protocol: str | None = None
    """How children are trained: a preset, for example v1-search, digits or cifar10-mini."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str | None = None
    """Search space: macro or micro."""
    rules: str | None = None
    """paper or published."""
    decoder: str | None = None
    """autoencoder, pca, random, identity or a weights file; in the macro space also autoencoder-profiles (its default),
    autoencoder-uniform and autoencoder-paper."""
    calibration: str | None = None
    """output, none or both."""
    reward: str | None = None
    """eq1 or validation."""
    device: str | None = None
    """auto, cpu or cuda."""
    workers: int | None = None
    """Processes that train children: 1 keeps the search alive whatever happens to one; None or 0: in this process."""
    executor: str | None = None
    """Where children are trained: processes:4, which --workers 4 is short for, or on the nodes of a Ray cluster:
    ray:cpu*16, ray:cuda*8 or ray://HOST:PORT/cuda*8."""
    surrogate: str | None = None
    """Surrogate of a surrogate's environment: digits, digits-micro or a folder that `nases fit-surrogate` wrote."""
    noise: bool = False
    """Whether the accuracies of a surrogate's environment vary with the child seed."""
    batch: int = 1
    """Children that are chosen before any of them is known, so that as many workers have something to do. Unlike the
    number of workers it changes the search."""
    asynchronous: bool = False
    """Whether the next child is chosen as soon as one of the batch is known, so that no worker waits for the slowest.
    The journal keeps the order in which children were known, and a resumed search follows it."""

    recipe: Literal["ours", "paper", "embedding"] = "ours"
    """Settings that the options of reinforce start from; `embedding`: with a critic that sees embeddings alone."""
    reinforce: ReinforceSettings = ReinforceSettings()

    def check(self) -> None:
        """Raise ValueError where a number is out of its range."""
        if self.children < 1 or self.seed < 0:
            raise ValueError(f"--children {self.children} has to be at least 1, --seed {self.seed} at least 0")
        if self.batch < 1:
            raise ValueError(f"--batch {self.batch} has to be at least 1")
        if self.asynchronous and self.batch == 1:
            raise ValueError(
                "--asynchronous keeps as many children in training as --batch says, and that is 1; give --batch at "
                "least as many as there are --workers"
            )

    def agent_class(self) -> type[agents.Agent]:
        """The agent's class.

        Raises:
            ValueError: If there is no such agent, or it cannot choose several children at a time.
            ImportError: If it needs a library that is not installed.
        """
        found = agents.find(self.agent)
        if self.batch > 1 and not found.batches:
            raise ValueError(f"--batch {self.batch}: {self.agent} chooses one child at a time; leave --batch out")
        return found

    def make_agent_settings(self) -> Any:
        """The agent's settings; None for its defaults.

        Raises:
            ValueError: If it has no such setting, or one has a value that cannot be.
        """
        if self.agent == "reinforce":
            if self.agent_settings:
                raise ValueError("settings of reinforce have options of their own: --reinforce.epsilon 0.2, see --help")
            return self.reinforce
        return agents.make_settings(self.agent, parse_overrides(self.agent_settings))

    def keywords(self) -> dict[str, Any]:
        """Keywords for gym.make; folders by their absolute paths, so that the search can be retrained from anywhere.

        Raises:
            ValueError: If the environment has no such keyword.
            gym.error.Error: If there is no such environment.
        """
        keywords = {**agents.find(self.agent).env_kwargs, **self._environment()}
        parameters = inspect.signature(load_env_creator(str(gym.spec(self.env_id).entry_point))).parameters
        if unknown := [name for name in keywords if name not in parameters]:
            known = [name for name in ENVIRONMENT if name in parameters]
            raise ValueError(f"{self.env_id} has no {', '.join(unknown)}; its options are {', '.join(known)}")
        return keywords

    def make_environment(self) -> NASESEnv:
        """The environment that is searched, without a journal, so that no folder is made.

        Raises:
            ValueError: If a keyword is wrong, or the id names another kind of environment.
            gym.error.Error: If there is no such environment.
        """
        environment = gym.make(self.env_id, **self.keywords()).unwrapped
        if not isinstance(environment, NASESEnv):
            raise ValueError(f"{self.env_id} is no NASES environment: {type(environment).__name__}")
        return environment

    def _environment(self) -> dict[str, Any]:
        """The keywords that were given."""
        given = {name: getattr(self, name) for name in ENVIRONMENT}
        keywords = {name: value for name, value in given.items() if value is not None and value is not False}
        if self.overrides:
            registered = gym.spec(self.env_id).kwargs.get("protocol", "digits")
            keywords["protocol"] = {"preset": self.protocol or registered, **parse_overrides(self.overrides)}
        if "dataset" in keywords:
            keywords["dataset"] = absolute(keywords["dataset"])
        if "data_dir" in keywords:
            keywords["data_dir"] = str(Path(keywords["data_dir"]).expanduser().resolve())
        if keywords.get("surrogate", SHIPPED[0]) not in SHIPPED:
            keywords["surrogate"] = str(Path(keywords["surrogate"]).resolve())
        return keywords


def flat(settings: dict[str, Any], environment: NASESEnv) -> dict[str, Any]:
    """Settings on one level, with the values that the environment's keywords have where none was given.

    Args:
        settings: What `dataclasses.asdict` makes of SearchSettings.
        environment: The environment that they stand for.
    """
    parameters = inspect.signature(type(environment)).parameters
    without_use = OF_TRAINING if environment.surrogate else OF_SURROGATES
    told = [name for name in ENVIRONMENT if name in parameters and name not in without_use]
    defaults = {name: parameters[name].default for name in told}
    registered = environment.spec.kwargs if environment.spec else {}
    keywords = defaults | {name: value for name, value in registered.items() if name in defaults}
    nested = {f"reinforce.{name}": value for name, value in settings["reinforce"].items()}
    others = {name: value for name, value in settings.items() if name not in ("reinforce", *ENVIRONMENT)}
    return others | keywords | (nested if settings["agent"] == "reinforce" else {})
