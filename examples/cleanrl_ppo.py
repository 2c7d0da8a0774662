"""PPO for continuous actions in one file, in the manner of CleanRL: searches side by side share one policy.

    python examples/cleanrl_ppo.py
    python examples/cleanrl_ppo.py --env-id NASES-Digits-v0 --num-envs 2 --num-steps 8 --total-timesteps 200

It needs nothing but nases-env; `tensorboard --logdir runs` shows the curves. The first command takes half a minute.
Two things differ from PPO elsewhere. A reward depends on its action alone, so the advantage is the reward less the
value, and there is no discount. A step in which a search starts again builds no child, so it teaches nothing.
"""

import time
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium.wrappers.vector import ClipAction, RescaleAction, RescaleObservation
from torch import Tensor, nn
from torch.distributions import Normal
from torch.utils.tensorboard import SummaryWriter

import nases_env  # noqa: F401  (registers the ids)


@dataclass
class Args:
    """Trains a policy and prints what its rewards were in the beginning and in the end."""

    exp_name: str = "cleanrl_ppo"
    """The run's folder is runs/ENV-ID__EXP-NAME__SEED__TIME."""
    seed: int = 0
    """Seed of the policy and of the first search; the others follow it."""
    env_id: str = "NASES-Digits-Surrogate-v0"
    """The environment."""
    total_timesteps: int = 40_000
    """Children to build, in all searches together."""
    children: int = 100
    """The budget of a search, after which it starts again."""
    num_envs: int = 32
    """Searches side by side."""
    num_steps: int = 25
    """Steps of each between two updates."""
    learning_rate: float = 1e-3
    """Adam's learning rate, which falls to zero."""
    update_epochs: int = 8
    """Passes over the children of an update."""
    num_minibatches: int = 4
    """Parts that a pass is cut into."""
    clip_coef: float = 0.2
    """How far an update may move an action's probability."""
    ent_coef: float = 0.0
    """Weight of the entropy."""
    vf_coef: float = 0.5
    """Weight of the value's error."""
    max_grad_norm: float = 0.5
    """Gradients are clipped to this norm."""


def make_envs(args: Args) -> gym.vector.VectorEnv:
    """Searches side by side, with actions and observations in [-1, 1]."""
    envs = gym.make_vec(args.env_id, num_envs=args.num_envs, max_episode_steps=args.children)
    envs = RescaleObservation(envs, np.float32(-1), np.float32(1))
    return ClipAction(RescaleAction(envs, np.float32(-1), np.float32(1)))


def layer(inputs: int, outputs: int, gain: float) -> nn.Linear:
    """A linear layer with orthogonal weights."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    """A normal distribution over actions, and a value."""

    def __init__(self, observation_size: int, action_size: int):
        super().__init__()
        self.critic = nn.Sequential(layer(observation_size, 64, 2**0.5), nn.Tanh(), layer(64, 1, 1.0))
        self.actor = nn.Sequential(layer(observation_size, 64, 2**0.5), nn.Tanh(), layer(64, action_size, 0.01))
        self.log_std = nn.Parameter(torch.full((action_size,), -0.5))

    def policy(self, observations: Tensor) -> Normal:
        """The distribution of each action's numbers."""
        return Normal(self.actor(observations), self.log_std.exp())

    def value(self, observations: Tensor) -> Tensor:
        """What an action is expected to bring."""
        return self.critic(observations).squeeze(-1)


class Rollout:
    """Steps of all searches, from the present observations on."""

    def __init__(self, envs: gym.vector.VectorEnv, seed: int):
        self.envs = envs
        self.observations = torch.as_tensor(envs.reset(seed=seed)[0])
        self.restarts = np.zeros(envs.num_envs, dtype=bool)

    @torch.no_grad()
    def collect(self, agent: Agent, num_steps: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Observations, actions, their log-probabilities and rewards of the children that were built, (N, …)."""
        steps = []
        for _ in range(num_steps):
            policy = agent.policy(self.observations)
            actions = policy.sample()
            observations, rewards, terminations, truncations, _ = self.envs.step(actions.numpy())
            log_probabilities = policy.log_prob(actions).sum(-1)
            step = (self.observations, actions, log_probabilities, torch.as_tensor(rewards, dtype=torch.float32))
            steps.append([part[torch.as_tensor(~self.restarts)] for part in step])
            self.observations = torch.as_tensor(observations)
            self.restarts = terminations | truncations
        observations, actions, log_probabilities, rewards = map(torch.cat, zip(*steps, strict=True))
        return observations, actions, log_probabilities, rewards


def loss_of(args: Args, agent: Agent, part: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, float]]:
    """PPO's loss of a minibatch, and its parts."""
    observations, actions, old, rewards, advantages = part
    policy = agent.policy(observations)
    ratio = (policy.log_prob(actions).sum(-1) - old).exp()
    clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
    policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
    value_loss = 0.5 * (agent.value(observations) - rewards).square().mean()
    entropy = policy.entropy().sum(-1).mean()
    loss = policy_loss + args.vf_coef * value_loss - args.ent_coef * entropy
    told = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    return loss, {f"losses/{name}": number.item() for name, number in told.items()}


def update(args: Args, agent: Agent, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, ...]) -> dict[str, float]:
    """Learn from what a roll-out brought; returns the last minibatch's losses."""
    observations, *_, rewards = batch
    with torch.no_grad():
        advantages = rewards - agent.value(observations)
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    losses: dict[str, float] = {}
    for _ in range(args.update_epochs):
        for indices in torch.randperm(len(rewards)).chunk(args.num_minibatches):
            loss, losses = loss_of(args, agent, tuple(tensor[indices] for tensor in (*batch, advantages)))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()
    return losses


def main(args: Args) -> None:
    """Train."""
    torch.manual_seed(args.seed)
    writer = SummaryWriter(f"runs/{args.env_id}__{args.exp_name}__{args.seed}__{int(time.time())}")
    writer.add_text("hyperparameters", "\n".join(f"    {name} = {value}" for name, value in vars(args).items()))
    envs = make_envs(args)
    agent = Agent(envs.single_observation_space.shape[0], envs.single_action_space.shape[0])
    optimizer = torch.optim.Adam(agent.parameters(), args.learning_rate, eps=1e-5)
    rollout, built, means = Rollout(envs, args.seed), 0, []
    start = time.perf_counter()
    while built < args.total_timesteps:
        optimizer.param_groups[0]["lr"] = args.learning_rate * (1 - built / args.total_timesteps)
        batch = rollout.collect(agent, args.num_steps)
        losses = update(args, agent, optimizer, batch)
        built += len(batch[-1])
        means.append(batch[-1].mean().item())
        charts = {"charts/mean_reward": means[-1], "charts/best_reward": batch[-1].max().item()}
        for tag, number in (charts | losses | {"charts/SPS": built / (time.perf_counter() - start)}).items():
            writer.add_scalar(tag, number, built)
    envs.close()
    writer.close()
    print(f"{built} children: mean reward {means[0]:.3f} in the first update, {means[-1]:.3f} in the last")


if __name__ == "__main__":
    main(tyro.cli(Args))
