import numpy as np
import pytest

from agents.arena import explained
from agents.arena.noise_free import NoiseFree
from nases_env import search_spaces


@pytest.fixture(scope="module")
def space():
    return search_spaces.make("macro")


class Known:
    """A reward that is a known function of the decisions."""

    def __init__(self, space, function):
        self.space, self._function = space, function

    def __call__(self, origins):
        return self._function(self.space.decisions(self.space.discretise(origins)))


def r2(reward):
    rows = explained.explained(reward, 2000, np.random.default_rng(0))
    return {row["model"]: row["r2"] for row in rows if row["region"] == "uniform"}


def test_shares_of_a_network_are_counted_by_hand(space):
    origin = space.origin(np.zeros((1, 60), dtype=int)).repeat(2, axis=0)
    origin[1, 0:20:4] = 30  # 5 of 15 layers have 300 filters instead of 10
    table = explained.shares(space, origin, 1)
    filters = table[:, np.ptp(table, axis=0) > 0]
    np.testing.assert_allclose(filters, [[1], [(10 + 5 * 30) / 15]])


def test_a_reward_of_the_mean_width_is_explained_by_shares(space):
    found = r2(Known(space, lambda decided: decided["filters"].mean(axis=1)))
    assert found["shares of the whole network"] == pytest.approx(1, abs=1e-3)
    assert found["each decision, added up"] > 0.9


def test_a_reward_of_one_layer_is_explained_by_that_layer_alone(space):
    found = r2(Known(space, lambda decided: (decided["operation"][:, 7] == 1) + 0.0))
    assert found["each decision, added up"] > 0.99
    assert found["shares of the whole network"] < 0.2


def test_a_reward_of_two_layers_that_have_to_agree_needs_pairs(space):
    def agree(decided):
        signs = np.where(decided["filter_size"][:, 3:5] == 7, 1, -1)
        return signs.prod(axis=1) + 0.0

    found = r2(Known(space, agree))
    assert found["each pair of decisions, added up"] > 0.9 > found["each decision, added up"] + 0.3


def test_the_best_region_has_higher_rewards(space):
    reward = NoiseFree("NASES-Digits-Surrogate-v0")
    rng = np.random.default_rng(0)
    near = explained.near_the_best(reward, 500, rng)
    assert near.shape == (500, 60)
    assert reward(near).mean() > reward(space.sample(rng, 500)).mean() + 0.1
