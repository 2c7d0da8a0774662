"""Searches for a network with one agent.

    python scripts/search.py
    python scripts/search.py --dataset imagefolder:PATH --protocol cifar10-mini --agent reinforce --children 100

Results go to a folder of their own under runs/; `tensorboard --logdir runs` shows the curves.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import torch
import tyro

import agents
from agents.recorder import Recorder
from agents.reinforce import ReinforceSettings
from agents.run_directory import RunDirectory
from nases_env.children.protocol import parse_overrides
from nases_env.ledger import LedgerMismatchError

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
)


@dataclass(frozen=True)
class Options:
    """Runs one search to its end and records it. Options of the environment default to what its id registers."""

    env_id: str = "NASES-Digits-v0"
    """Environment: NASES-Digits-v0, NASES-CIFAR10-v0, NASES-v0 or another registered one."""
    agent: Literal["reinforce", "random", "ppo", "a2c", "sac", "td3"] = "reinforce"
    """Who searches."""
    children: int = 30
    """Networks to build: the budget."""
    seed: int = 0
    """Seed of the agent and of the environment."""
    run_dir: str | None = None
    """Folder for the results; None: runs/<environment>-<agent>-seed<seed>-<time>."""
    resume: bool = False
    """Go on with the search in run_dir, with the settings it was started with; start it if there is none."""
    reuse: tuple[str, ...] = ()
    """Journals of other searches whose evaluations need not be trained again."""

    dataset: str | None = None
    """digits, cifar10 or imagefolder:PATH (with PATH/train/<class>/* and PATH/test/<class>/*)."""
    data_dir: str | None = None
    """Folder of CIFAR-10."""
    protocol: str | None = None
    """How children are trained: v1-search, digits or cifar10-mini."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str | None = None
    """Search space: macro."""
    rules: str | None = None
    """paper or published."""
    decoder: str | None = None
    """autoencoder, pca, random, identity or a weights file."""
    calibration: str | None = None
    """output, none or both."""
    reward: str | None = None
    """eq1 or validation."""
    device: str | None = None
    """auto, cpu or cuda."""

    recipe: Literal["ours", "paper"] = "ours"
    """Settings that the options of reinforce start from."""
    reinforce: ReinforceSettings = ReinforceSettings()

    def environment(self) -> dict[str, Any]:
        """Keywords for gym.make."""
        keywords = {name: getattr(self, name) for name in ENVIRONMENT if getattr(self, name) is not None}
        if self.overrides:
            registered = gym.spec(self.env_id).kwargs.get("protocol", "digits")
            keywords["protocol"] = {"preset": self.protocol or registered, **parse_overrides(self.overrides)}
        return keywords


def parse(arguments: list[str] | None = None) -> Options:
    """Options of the command line; those not given come from the resumed search or the recipe."""
    options = tyro.cli(Options, args=arguments)
    if options.resume and options.run_dir and RunDirectory(options.run_dir).exists():
        stored = RunDirectory(options.run_dir).options()
        stored |= {name: tuple(stored[name]) for name in ("overrides", "reuse")}
        stored["reinforce"] = ReinforceSettings(**stored["reinforce"])
        return tyro.cli(Options, args=arguments, default=Options(**stored))
    if options.recipe == "paper":
        return tyro.cli(Options, args=arguments, default=Options(reinforce=ReinforceSettings.paper()))
    return options


def main(options: Options) -> int:
    """Search; returns the exit status: 0 at the end of the budget, 130 after Ctrl-C."""
    torch.set_num_threads(1)  # for the controller: faster at its size, and the same on every machine
    name = f"{options.env_id}-{options.agent}-seed{options.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    run = RunDirectory(options.run_dir or f"runs/{name}")
    settings = dataclasses.asdict(options) | {"run_dir": str(run.path), "resume": False}
    try:
        agent_class = agents.find(options.agent)
        keywords = {**agent_class.env_kwargs, **options.environment()}
        # Made without a journal first, so that a wrong option leaves no folder behind.
        protocol = dataclasses.asdict(gym.make(options.env_id, **keywords).get_wrapper_attr("protocol"))
        run.start(settings, options.env_id, keywords, protocol, options.resume)
        env = gym.make(
            options.env_id,
            max_episode_steps=options.children,
            ledger=str(run.journal),
            reuse=list(options.reuse),
            **keywords,
        )
    except (ValueError, OSError, ImportError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    recorder = Recorder(env, run.path, options.children, _flat(settings))
    print(f"{options.agent} searches {options.env_id} with {options.children} children; results: {run.path}")
    status = 0
    try:
        agent = agents.find(options.agent)(recorder, options.seed, _agent_settings(options))
        agent.run(recorder, options.children)
        _save_controller(agent, run)
    except KeyboardInterrupt:
        status = 130
    except (LedgerMismatchError, FileNotFoundError, BlockingIOError) as error:
        recorder.close()
        print(f"error: {error}", file=sys.stderr)
        return 2
    recorder.close()
    _summarise(recorder, run, interrupted=status == 130)
    return status


def _agent_settings(options: Options) -> ReinforceSettings | None:
    return options.reinforce if options.agent == "reinforce" else None


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """One level, without what was left to its default."""
    nested = {f"reinforce.{name}": value for name, value in settings["reinforce"].items()}
    flat = {name: value for name, value in settings.items() if name != "reinforce" and value not in (None, ())}
    return flat | (nested if settings["agent"] == "reinforce" else {})


def _save_controller(agent: agents.Agent, run: RunDirectory) -> None:
    from safetensors.numpy import save_file

    if weights := agent.state_dict():
        save_file(weights, run.path / "controller.safetensors")


def _summarise(recorder: Recorder, run: RunDirectory, interrupted: bool) -> None:
    if interrupted:
        print(f"interrupted after {recorder.steps} children; go on with --run-dir {run.path} --resume")
    if recorder.best is None:
        return
    print(f"best child: number {recorder.best.step} of {recorder.steps}, reward {recorder.best.reward:.4f}")
    print(f"  {recorder.best.architecture}")
    print(f"results:     {run.path / 'children.csv'}")
    print(f"picture:     {run.path / 'best.png'}")
    print(f"TensorBoard: tensorboard --logdir {recorder.tensorboard_dir}")
    print(f"retrain it:  python scripts/train_final.py --run {run.path}")


if __name__ == "__main__":
    sys.exit(main(parse()))
