"""REINFORCE with an LSTM over the layers' choices (Zoph and Le 2017, arXiv 1611.01578)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from agents.discrete import DiscreteAgent
from agents.trace import Trace


@dataclass(frozen=True)
class LSTMSettings:
    """What won on the digits surrogate with 100 children."""

    hidden: int = 64
    """Units of the LSTM; the paper has 35."""
    learning_rate: float = 0.02
    """Adam's; the paper's is 0.0006 for 12,800 children."""
    entropy: float = 0.03
    """Weight of the choices' mean entropy."""
    baseline_decay: float = 0.9
    """Of the moving average that is the rewards' baseline."""


class ChoiceLSTM(nn.Module):
    """Chooses one number after the other; each choice is the next step's input.

    Args:
        names: What each number means; numbers of one name share an embedding and an output layer.
        bins: Choices of each; of one name, the fewer are the first of the more.
        hidden: Units.
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

    def forward(self, count: int, uniform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw choices (count, m) by uniform numbers (count, m); their log-probabilities (count,) and mean entropy."""
        size = self.cell.hidden_size
        state = torch.zeros(count, size), torch.zeros(count, size)
        step = torch.zeros(count, size)
        choices, scores, entropies = [], [], []
        for position, (name, bins) in enumerate(zip(self.names, self.bins, strict=True)):
            state = self.cell(step, state)
            logits = self.outputs[name](state[0])[:, :bins].log_softmax(dim=1)
            below = logits.detach().double().exp().cumsum(dim=1) < uniform[:, position, None]
            choice = below.sum(dim=1).clamp(max=logits.shape[1] - 1)
            choices.append(choice)
            scores.append(logits.gather(1, choice[:, None])[:, 0])
            entropies.append(-(logits.exp() * logits).sum(dim=1))
            step = self.embeddings[name](choice)
        return torch.stack(choices, dim=1), torch.stack(scores).sum(dim=0), torch.stack(entropies).mean()


class LSTMReinforce(DiscreteAgent):
    """Each child is drawn from the LSTM, which learns from it at once."""

    settings_class = LSTMSettings

    def __init__(self, env: Trace, seed: int, settings: LSTMSettings | None = None):
        super().__init__(env, seed, settings)
        self.settings = settings or LSTMSettings()
        generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        names = [dimension.name for dimension in self.space.dimensions]
        self.lstm = ChoiceLSTM(names, self.bins, self.settings.hidden, generator)
        self._optimiser = torch.optim.Adam(self.lstm.parameters(), lr=self.settings.learning_rate)
        self._baseline: float | None = None
        self._drawn: tuple[torch.Tensor, torch.Tensor] | None = None

    def choose(self, count: int) -> tuple[list[str], np.ndarray]:
        """Choices that the LSTM draws."""
        choices, scores, entropy = self.lstm(count, torch.from_numpy(self.rng.random((count, len(self.bins)))))
        self._drawn = scores, entropy
        return ["controller"] * count, choices.numpy()

    def observe(self, choices: np.ndarray, rewards: np.ndarray) -> dict[str, float]:
        """One step up the gradient of the rewards above the baseline."""
        mean = float(rewards.mean())
        self._baseline = mean if self._baseline is None else self._baseline
        if self._drawn is None:  # a known network to start from was not drawn
            return {}
        scores, entropy = self._drawn
        advantages = torch.from_numpy(rewards - self._baseline).float()
        loss = -(advantages * scores).mean() - self.settings.entropy * entropy
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        decay = self.settings.baseline_decay
        self._baseline = decay * self._baseline + (1 - decay) * mean
        return {"train/loss": float(loss.detach()), "train/entropy": float(entropy.detach())}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The LSTM's weights."""
        return {name: tensor.numpy() for name, tensor in self.lstm.state_dict().items()}
