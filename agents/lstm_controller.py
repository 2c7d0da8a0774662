"""REINFORCE with an LSTM over the layers' choices (Zoph and Le 2017, arXiv 1611.01578)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from agents.base import START, Proposal
from agents.discrete import DiscreteAgent
from agents.trace import Trace


@dataclass(frozen=True)
class LSTMSettings:
    """The defaults won on the digits surrogate with 100 children."""

    hidden: int = 64
    """Units of the LSTM; the paper has 35."""
    learning_rate: float = 0.02
    """Adam's learning rate; the paper's is 0.0006 for 12,800 children."""
    entropy: float = 0.03
    """Weight of the choices' mean entropy, which keeps the LSTM from settling too early."""
    baseline_decay: float = 0.9
    """How much of the rewards' baseline, a moving average, each child leaves."""


class ChoiceLSTM(nn.Module):
    """Chooses one number after the other; each choice is the next step's input.

    Args:
        names: What each number means; numbers of one name share an embedding and an output layer.
        bins: How many choices each number has. Numbers of one name may have different counts: a number with fewer
            choices uses the first outputs of the shared layer.
        hidden: Units of the LSTM.
        generator: Draws the weights.
    """

    def __init__(self, names: list[str], bins: np.ndarray, hidden: int, generator: torch.Generator):
        super().__init__()
        sizes: dict[str, int] = {}
        for name, count in zip(names, bins.tolist(), strict=True):
            sizes[name] = max(count, sizes.get(name, 0))
        self.names, self.bins = names, bins.tolist()
        self.cell = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleDict({name: nn.Embedding(size, hidden) for name, size in sizes.items()})
        self.outputs = nn.ModuleDict({name: nn.Linear(hidden, size) for name, size in sizes.items()})
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.08, 0.08, generator=generator)

    @torch.no_grad()
    def draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Draw choices (K, m) from the present distribution; uniform numbers (K, m) in [0, 1) select them."""
        return self._walk(len(uniform), lambda position, logits: _selected(logits, uniform[:, position, None]))[0]

    def score(self, choices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (K,) of choices (K, m) under the present weights, and the mean entropy of the choices."""
        return self._walk(len(choices), lambda position, _: choices[:, position])[1:]

    def _walk(
        self, count: int, choose: Callable[[int, torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Let `choose` pick one number after the other; returns choices, log-probabilities and the mean entropy."""
        size = self.cell.hidden_size
        state = torch.zeros(count, size), torch.zeros(count, size)
        step = torch.zeros(count, size)
        choices, scores, entropies = [], [], []
        for position, (name, bins) in enumerate(zip(self.names, self.bins, strict=True)):
            state = self.cell(step, state)
            logits = self.outputs[name](state[0])[:, :bins].log_softmax(dim=1)
            choice = choose(position, logits)
            choices.append(choice)
            scores.append(logits.gather(1, choice[:, None])[:, 0])
            entropies.append(-(logits.exp() * logits).sum(dim=1))
            step = self.embeddings[name](choice)
        return torch.stack(choices, dim=1), torch.stack(scores).sum(dim=0), torch.stack(entropies).mean()


def _selected(logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Find the choice (K,) of log-probabilities (K, bins) that each uniform number (K, 1) falls into."""
    below = logits.double().exp().cumsum(dim=1) < uniform
    return below.sum(dim=1).clamp(max=logits.shape[1] - 1)


class LSTMReinforce(DiscreteAgent):
    """Draws each child from the LSTM, which learns from it at once.

    A child that is told of after others were learned from is scored under the present weights, without importance
    weights.
    """

    settings_class = LSTMSettings

    def __init__(self, env: Trace, seed: int, settings: LSTMSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or LSTMSettings()
        generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        names = [dimension.name for dimension in self.space.dimensions]
        self.lstm = ChoiceLSTM(names, self.bins, self.settings.hidden, generator)
        self._optimiser = torch.optim.Adam(self.lstm.parameters(), lr=self.settings.learning_rate)
        self._baseline: float | None = None

    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Let the LSTM draw the choices."""
        choices = self.lstm.draw(torch.from_numpy(self.rng.random((count, len(self.bins)))))
        return ["controller"] * count, choices.numpy()

    def tell(self, proposals: Sequence[Proposal], rewards: np.ndarray, next_states: np.ndarray) -> dict[str, float]:
        """Learn from what the LSTM drew. It did not draw a known network to start from: that only sets the baseline."""
        drawn = [i for i, proposal in enumerate(proposals) if proposal.source != START]
        if drawn:
            return super().tell([proposals[i] for i in drawn], rewards[drawn], next_states[drawn])
        self._baseline = float(rewards.mean()) if self._baseline is None else self._baseline
        return {}

    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """Take one step up the gradient of the scores, weighted by how far rewards are above the baseline."""
        mean = float(rewards.mean())
        baseline = mean if self._baseline is None else self._baseline
        scores, entropy = self.lstm.score(torch.from_numpy(choices))
        advantages = torch.from_numpy(rewards - baseline).float()
        loss = -(advantages * scores).mean() - self.settings.entropy * entropy
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        decay = self.settings.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean
        return {"train/loss": float(loss.detach()), "train/entropy": float(entropy.detach())}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The LSTM's weights."""
        return {name: tensor.numpy() for name, tensor in self.lstm.state_dict().items()}
