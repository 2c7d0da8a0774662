"""PPO of TorchRL: an environment's specs are checked, a random roll-out is shown, a policy is trained.

    python examples/torchrl_ppo.py
    python examples/torchrl_ppo.py --env-id NASES-Digits-v0 --searches 2 --batch-size 20 --children 60

It needs `pip install torchrl`. The training is on searches side by side. TorchRL starts those again that have ended,
which is what `autoreset_mode="Disabled"` asks the environment to leave to others.
"""

from dataclasses import dataclass

import gymnasium as gym
import torch
import tyro
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import GymEnv, GymWrapper, check_env_specs
from torchrl.modules import ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import nases_env  # noqa: F401  (registers the ids)


@dataclass
class Args:
    """Trains a policy and prints the mean reward of each batch."""

    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment."""
    children: int = 100
    """The budget of a search, after which it starts again."""
    searches: int = 32
    """Searches side by side."""
    batch_size: int = 800
    """Children between two updates."""
    total_children: int = 24_000
    """Children of all searches together."""
    epochs: int = 8
    """Passes over the children of an update."""
    seed: int = 0
    """Seed of the policy and of the searches."""


def show_single(args: Args) -> None:
    """Check one search's specs and roll it out with random actions."""
    env = GymEnv(f"nases_env:{args.env_id}", max_episode_steps=3)
    check_env_specs(env)
    env.set_seed(args.seed)
    print("a random search of three children:", env.rollout(3)["next", "reward"].squeeze(-1).tolist())
    env.close()


def make_actor(observation_size: int, action_size: int) -> ProbabilisticActor:
    """A policy whose actions are in [0, 1]."""
    network = nn.Sequential(
        nn.Linear(observation_size, 64), nn.Tanh(), nn.Linear(64, 2 * action_size), NormalParamExtractor()
    )
    return ProbabilisticActor(
        TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": 0.0, "high": 1.0},
        return_log_prob=True,
    )


def main(args: Args) -> None:
    """Train."""
    torch.manual_seed(args.seed)
    show_single(args)
    searches = gym.make_vec(
        args.env_id, num_envs=args.searches, max_episode_steps=args.children, autoreset_mode="Disabled"
    )
    env = GymWrapper(searches)
    env.set_seed(args.seed)
    actor = make_actor(env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1])
    critic = ValueOperator(nn.Sequential(nn.LazyLinear(64), nn.Tanh(), nn.Linear(64, 1)), in_keys=["observation"])
    critic(env.fake_tensordict())
    # A reward depends on its action alone: no discount.
    advantage = GAE(gamma=0.0, lmbda=0.0, value_network=critic)
    loss_module = ClipPPOLoss(actor, critic, normalize_advantage=True, entropy_bonus=False, critic_coeff=0.5)
    optimizer = torch.optim.Adam(loss_module.parameters(), lr=1e-3)
    collector = Collector(
        env,
        actor,
        frames_per_batch=args.batch_size,
        total_frames=args.total_children,
        auto_register_policy_transforms=True,
    )
    for number, batch in enumerate(collector):
        advantage(batch)
        children = batch.reshape(-1)
        for _ in range(args.epochs):
            for part in children[torch.randperm(len(children))].split(max(len(children) // 4, 1)):
                losses = loss_module(part)
                optimizer.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"]).backward()
                nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
                optimizer.step()
        print(f"batch {number}: mean reward {children['next', 'reward'].mean():.3f}")
    collector.shutdown()


if __name__ == "__main__":
    main(tyro.cli(Args))
