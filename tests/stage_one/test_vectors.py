"""Vectors that stage 1 trains on."""

import pytest
import torch

from nases_env.stage_one.vectors import FixedVectors


def test_fixed_vectors_come_once_an_epoch_in_another_order_each():
    vectors = FixedVectors(100, 60, 0, "cpu")
    epochs = [torch.cat([vectors.draw(30) for _ in range(4)]) for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [100, 100]
    assert torch.equal(epochs[0].sort(dim=0).values, epochs[1].sort(dim=0).values)
    assert not torch.equal(epochs[0], epochs[1])
    assert epochs[0].min() >= 0 and epochs[0].max() <= 30 and epochs[0].mean() == pytest.approx(15, abs=0.5)
    again = FixedVectors(100, 60, 0, "cpu")
    again.seen = 130
    assert torch.equal(again.draw(30), epochs[1][30:60])
    assert not torch.equal(FixedVectors(100, 60, 1, "cpu").draw(30), epochs[0][:30])
