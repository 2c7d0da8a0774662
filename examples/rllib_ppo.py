"""PPO of RLlib, in its new API stack, on searches side by side.

    python examples/rllib_ppo.py
    python examples/rllib_ppo.py --env-id NASES-Digits-v0 --searches 2 --batch-size 20 --iterations 5

It needs `pip install 'ray[rllib]'`, which brings a Gymnasium of its own choice: give it an environment of its own.
Workers import the environment by the name before the colon, `nases_env:`. One vector environment in the driver builds
all children (`num_env_runners=0`); env runners of their own processes are for children that are trained.
"""

from dataclasses import dataclass

import gymnasium as gym
import tyro
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


@dataclass
class Args:
    """Trains a policy and prints each iteration's mean of a search's rewards."""

    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment."""
    children: int = 20
    """The budget of a search, which is one episode."""
    searches: int = 32
    """Searches side by side."""
    env_runners: int = 0
    """Processes that build children; 0: this one."""
    batch_size: int = 640
    """Children of an iteration."""
    iterations: int = 30
    """How often the policy learns."""
    seed: int = 0
    """Seed of the policy and of the searches."""


def configure(args: Args) -> PPOConfig:
    """PPO whose discount is 0, because a reward depends on its action alone."""
    return (
        PPOConfig()
        .environment(f"nases_env:{args.env_id}", env_config={"max_episode_steps": args.children})
        .env_runners(
            num_env_runners=args.env_runners,
            num_envs_per_env_runner=args.searches,
            gym_env_vectorize_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT,
            rollout_fragment_length="auto",
        )
        .learners(num_learners=0)
        .training(
            gamma=0.0,
            lambda_=0.0,
            use_kl_loss=False,
            lr=1e-3,
            train_batch_size_per_learner=args.batch_size,
            minibatch_size=min(args.batch_size, 160),
            num_epochs=8,
        )
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64], vf_share_layers=False, free_log_std=True))
        .debugging(seed=args.seed)
    )


def main(args: Args) -> None:
    """Train."""
    algorithm = configure(args).build_algo()
    for iteration in range(args.iterations):
        found = algorithm.train()["env_runners"]
        mean = found["episode_return_mean"] / args.children
        print(f"iteration {iteration}: {found['num_env_steps_sampled_lifetime']:.0f} children, mean reward {mean:.3f}")
    algorithm.stop()


if __name__ == "__main__":
    main(tyro.cli(Args))
