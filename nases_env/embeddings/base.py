"""The base class of all decoders: from actions to origin vectors and back, between two rank tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nases_env import threads
from nases_env.arguments import in_box
from nases_env.embeddings.calibration import RankTable
from nases_env.search_spaces.base import HIGH, LOW

if TYPE_CHECKING:
    import torch


class Decoder(ABC):
    """Turns actions into origin vectors, and back.

    Actions in [0, 1]^n → (action table) → codes → raw vectors → (output table) → origin vectors in [0, 30]^m. Tables
    stand in brackets because only calibrated decoders have them.

    An origin vector is clipped before anything reads it, so the observation is exactly what was built.
    """

    action_size: int
    """The number of numbers in an action, n."""
    origin_size: int
    """The number of numbers in an origin vector, m."""

    def decode(self, actions: np.ndarray) -> np.ndarray:
        """Origin vectors, float32 (K, m) in [0, 30], of actions (K, n) in [0, 1].

        Raises:
            ValueError: If the actions have another shape, or a number is outside by more than rounding.
        """
        return self.raw_to_origin(self.decode_raw(in_box("actions", actions, (None, self.action_size), 0.0, 1.0)))

    def decode_raw(self, actions: np.ndarray) -> np.ndarray:
        """Raw vectors (K, m) of actions (K, n), before the output table and the clip."""
        return self._decode_codes(self.action_to_code(actions))

    def encode(self, origins: np.ndarray) -> np.ndarray:
        """Actions, float32 (K, n) in [0, 1], that decode near the origin vectors (K, m) in [0, 30].

        Raises:
            ValueError: If the vectors have another shape, or a number is outside by more than rounding.
        """
        checked = in_box("origin vectors", origins, (None, self.origin_size), LOW, HIGH)
        codes = self._encode_codes(self.origin_to_raw(checked))
        return np.clip(self.code_to_action(codes), 0.0, 1.0).astype(np.float32)

    def raw_to_origin(self, raw: np.ndarray) -> np.ndarray:
        """Origin vectors, float32 (K, m) in [0, 30], of raw vectors (K, m): the output table, then the clip."""
        table = self._output_table
        return np.clip(raw if table is None else table(raw), LOW, HIGH).astype(np.float32)

    def origin_to_raw(self, origins: np.ndarray) -> np.ndarray:
        """Undo the output table: raw vectors (K, m) of origin vectors (K, m). Simulators were trained on raw ones."""
        table = self._output_table
        return np.asarray(origins, dtype=np.float32) if table is None else table.inverse(origins)

    def action_to_code(self, actions: np.ndarray) -> np.ndarray:
        """Codes (K, n) of actions (K, n)."""
        table = self._action_table
        return np.asarray(actions, dtype=np.float32) if table is None else table.inverse(actions)

    def code_to_action(self, codes: np.ndarray) -> np.ndarray:
        """Actions (K, n) of codes (K, n)."""
        table = self._action_table
        return np.asarray(codes, dtype=np.float32) if table is None else table(codes)

    def simulator(self) -> torch.nn.Module | None:
        """A trainable copy of the pretrained simulator, which maps raw vectors (K, m) to logits of codes (K, n).

        It is None for a decoder that has none.
        """
        return None

    @property
    def _output_table(self) -> RankTable | None:
        return None

    @property
    def _action_table(self) -> RankTable | None:
        return None

    @abstractmethod
    def _decode_codes(self, codes: np.ndarray) -> np.ndarray:
        """Raw vectors (K, m) of codes (K, n)."""

    @abstractmethod
    def _encode_codes(self, raw: np.ndarray) -> np.ndarray:
        """Codes (K, n) of raw vectors (K, m)."""


BLOCK = 8
"""Rows of a matrix product. BLAS rounds products of 1, 8 and 10,000 rows, and of 1 and 2 threads, differently. Eight
rows at a time on one thread, a row's result depends on the row alone: K searches side by side see what each would see
by itself, on any number of cores."""
COLUMNS = 192
"""Rows are multiplied with so many columns of a matrix at a time, which stay in the cache from block to block."""
PIECE = 16
"""A thread takes so many blocks at a time."""


def in_blocks(rows: np.ndarray, walk: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a walk to rows (K, a); the result is float32 (K, b), and no row's depends on the others or on K.

    Args:
        rows: The walk gets them as float32 blocks (B, BLOCK, a); the last block is filled up with zeros.
        walk: What is done to a block. It may call `product` any number of times, and do anything to each number by
            itself.
    """
    rows = np.asarray(rows, dtype=np.float32)
    missing = -len(rows) % BLOCK if len(rows) else BLOCK  # one block at least, which tells b
    padded = np.concatenate([rows, np.zeros((missing, rows.shape[1]), dtype=np.float32)])
    blocks = padded.reshape(-1, BLOCK, rows.shape[1])
    with threads.one_blas_thread():
        pieces = [blocks[start : start + PIECE] for start in range(0, len(blocks), PIECE)]
        walked = np.concatenate(threads.share(walk, pieces))
    return walked.reshape(-1, walked.shape[2])[: len(rows)]


def product(blocks: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Multiply blocks (B, BLOCK, a) by a matrix (a, b); the result is (B, BLOCK, b)."""
    result = np.empty((*blocks.shape[:2], matrix.shape[1]), dtype=np.float32)
    for start in range(0, matrix.shape[1], COLUMNS):
        result[:, :, start : start + COLUMNS] = blocks @ matrix[:, start : start + COLUMNS]
    return result


def multiply(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Multiply rows (K, a) by a matrix (a, b) to float32 (K, b); no row's result depends on the others or on K."""
    return in_blocks(rows, lambda blocks: product(blocks, matrix))


def fit_output_table(decode, action_size: int, samples: int = 40_000) -> RankTable:
    """Fit the table that makes every decoded number uniform on [0, 30] when actions are uniform.

    Args:
        decode: Turns actions (N, n) into raw vectors (N, m).
        action_size: Numbers in an action, n.
        samples: Uniform actions that the table is fitted on, N.
    """
    actions = np.random.default_rng(0).uniform(size=(samples, action_size)).astype(np.float32)
    return RankTable.fit(decode(actions), LOW, HIGH)
