"""Ray Tune chooses settings of an agent: each trial is one choice, measured by whole searches on a surrogate.

    python examples/ray_tune.py
    python examples/ray_tune.py --agent reinforce --trials 50 --seeds 10 --children 100

It needs `pip install 'ray[tune]'`. A trial tells its mean after each search, so that ASHA stops poor choices after a
few seeds. `nases tune` does the same without Ray, with agents' settings from a grid. What wins here has won on these
seeds: report it on others, with `nases compare`.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import tyro
from ray import tune
from ray.tune.schedulers import ASHAScheduler

import agents
import nases_env  # noqa: F401  (registers the ids)
from agents.trace import Trace

SPACES = {
    "reinforce": {"sigma": tune.uniform(0.2, 1.5), "warmup": tune.randint(5, 31)},
    "evolution": {"population": tune.randint(5, 41), "mutations": tune.randint(1, 4)},
}
"""What is chosen for each agent."""


@dataclass
class Args:
    """Runs trials and prints the best one."""

    agent: str = "reinforce"
    """Whose settings are chosen: reinforce or evolution."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment, a surrogate with noise."""
    trials: int = 8
    """Choices of settings."""
    seeds: int = 6
    """Searches of a choice, with seeds from 0 on."""
    children: int = 60
    """The budget of a search."""


def search(args: Args, settings: dict[str, Any], seed: int) -> float:
    """The best reward of one search."""
    trace = Trace(gym.make(args.env_id, noise=True, max_episode_steps=args.children), args.children)
    agents.find(args.agent)(trace, seed, agents.make_settings(args.agent, settings)).run(trace, args.children)
    trace.close()
    return max(row["reward"] for row in trace.rows)


def trial(settings: dict[str, Any], args: Args) -> None:
    """Search with one seed after the other, and tell the mean after each."""
    rewards: list[float] = []
    for seed in range(args.seeds):
        rewards.append(search(args, settings, seed))
        tune.report({"mean_best_reward": float(np.mean(rewards))})


def main(args: Args) -> None:
    """Tune."""
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, args=args), {"cpu": 1}),
        param_space=SPACES[args.agent],
        tune_config=tune.TuneConfig(
            metric="mean_best_reward",
            mode="max",
            num_samples=args.trials,
            scheduler=ASHAScheduler(max_t=args.seeds, grace_period=min(2, args.seeds)),
        ),
    )
    best = tuner.fit().get_best_result(scope="last", filter_nan_and_inf=True)
    print(f"best of {args.trials}: {best.config}, mean best reward {best.metrics['mean_best_reward']:.3f}")


if __name__ == "__main__":
    main(tyro.cli(Args))
