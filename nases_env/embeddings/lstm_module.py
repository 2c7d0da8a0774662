"""The torch twin of `lstm.LSTM`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nases_env.embeddings.halves import torch_activation

if TYPE_CHECKING:
    from nases_env.embeddings.lstm import LSTMBlueprint


class LSTMModule(nn.Module):
    """(K, a) → (K, b), see LSTMBlueprint."""

    def __init__(self, blueprint: LSTMBlueprint, hidden_units: int):
        super().__init__()
        self._steps, self._reads = blueprint.steps, blueprint.reads
        # Weights come from the half; drawing some would move torch's global generator.
        self.cells = nn.LSTM(blueprint.inputs, hidden_units, batch_first=True, device="meta").to_empty(device="cpu")
        self.linear = nn.utils.skip_init(nn.Linear, hidden_units, blueprint.outputs)
        self.activation = torch_activation(blueprint.activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read the sequence, or write it."""
        sequence = x.view(len(x), self._steps, -1) if self._reads else x[:, None].expand(-1, self._steps, -1)
        hidden, _ = self.cells(sequence)
        if self._reads:
            return self.activation(self.linear(hidden[:, -1]))
        return self.activation(self.linear(hidden)).flatten(1)
