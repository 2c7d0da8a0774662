"""Vectors that stage 1 trains on."""

import numpy as np
import pytest
import torch

from nases_env import search_spaces
from nases_env.stage_one.vectors import FixedVectors, Independent, Profiles


def test_fixed_vectors_come_once_an_epoch_in_another_order_each():
    vectors = FixedVectors(100, Independent(60), 0, "cpu")
    epochs = [torch.cat([vectors.draw(30) for _ in range(4)]) for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [100, 100]
    assert torch.equal(epochs[0].sort(dim=0).values, epochs[1].sort(dim=0).values)
    assert not torch.equal(epochs[0], epochs[1])
    assert epochs[0].min() >= 0 and epochs[0].max() <= 30 and epochs[0].mean() == pytest.approx(15, abs=0.5)
    again = FixedVectors(100, Independent(60), 0, "cpu")
    again.seen = 130
    assert torch.equal(again.draw(30), epochs[1][30:60])
    assert not torch.equal(FixedVectors(100, Independent(60), 1, "cpu").draw(30), epochs[0][:30])


def profiles(count, space="macro"):
    dimensions = search_spaces.make(space).dimensions
    return dimensions, Profiles(dimensions)(count, torch.Generator().manual_seed(0)).numpy()


@pytest.mark.parametrize("space", ["macro", "micro"])
def test_every_number_of_profiles_is_uniform(space):
    dimensions, vectors = profiles(20_000, space)
    assert vectors.shape == (20_000, len(dimensions))
    assert vectors.min() >= 0 and vectors.max() <= 30
    np.testing.assert_allclose(np.quantile(vectors, (0.1, 0.5, 0.9), axis=0).T, [[3, 15, 27]] * len(dimensions), atol=1)


def test_numbers_of_one_name_go_together_the_more_the_nearer_their_layers_are():
    dimensions, vectors = profiles(20_000)
    correlations = np.corrcoef(vectors, rowvar=False)
    filters = [i for i, dimension in enumerate(dimensions) if dimension.name == "filters"]
    with_first = correlations[filters[0], filters]
    assert list(with_first) == sorted(with_first, reverse=True)
    assert with_first[1] > 0.5 and with_first[-1] > 0.2
    others = [i for i in range(len(dimensions)) if i not in filters]
    assert np.abs(correlations[np.ix_(filters, others)]).max() < 0.05


def test_some_profiles_are_alike_in_all_layers_and_some_are_not():
    _, vectors = profiles(2000)
    spread = vectors.reshape(-1, 15, 4).std(axis=1)
    assert np.quantile(spread, 0.1) < 1.5
    assert np.quantile(spread, 0.9) > 7


def test_profiles_can_be_a_fixed_set():
    draw = Profiles(search_spaces.make("macro").dimensions)
    assert torch.equal(FixedVectors(50, draw, 3, "cpu").draw(50), FixedVectors(50, draw, 3, "cpu").draw(50))
