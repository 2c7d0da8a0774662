"""The torch twin of `lstm.LSTM`."""

from __future__ import annotations

import torch
from torch import nn

from nases_env.embeddings.autoencoders.halves import torch_activation


class LSTMModule(nn.Module):
    """Maps tensors (K, a) to (K, b); its arguments are those of LSTMBlueprint."""

    def __init__(self, hidden_units: int, steps: int, inputs: int, outputs: int, reads: bool, activation: str):
        super().__init__()
        self._steps, self._reads = steps, reads
        # Weights come from the half; drawing some would move torch's global generator.
        self.cells = nn.LSTM(inputs, hidden_units, batch_first=True, device="meta").to_empty(device="cpu")
        self.linear = nn.utils.skip_init(nn.Linear, hidden_units, outputs)
        self.activation = torch_activation(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read a sequence (K, a) into (K, b), or write one."""
        sequence = x.view(len(x), self._steps, -1) if self._reads else x[:, None].expand(-1, self._steps, -1)
        hidden, _ = self.cells(sequence)
        if self._reads:
            return self.activation(self.linear(hidden[:, -1]))
        return self.activation(self.linear(hidden)).flatten(1)
