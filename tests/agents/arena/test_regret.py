import numpy as np
import pytest

from agents.arena import regret
from agents.arena.noise_free import NoiseFree
from agents.arena.runs import Entry, Run
from nases_env import search_spaces

ENVIRONMENT = "NASES-Digits-Surrogate-v0"


def test_the_regret_splits_into_three_that_add_up():
    searched = regret.Searched(np.zeros((3, 60)), np.array([0.9, 0.5, 0.7]), np.array([0.6, 0.4, 0.8]), chosen=0)
    split = regret.regret(searched, reachable=0.9, best=1.0)
    assert split == pytest.approx({"not reachable": 0.1, "not found": 0.1, "not chosen": 0.2})


def test_a_search_that_repeats_itself_is_concentrated():
    space = search_spaces.make("macro")
    origins = np.full((40, 60), 4.0)
    origins[-1, 2] = 29  # layer 1 is a convolution whatever is said
    origins[-2, 6] = 29  # layer 2 is an average pool instead of a separable convolution
    rewards = np.zeros(40)
    rewards[-2:] = 1
    found = regret.concentration(regret.Searched(origins, rewards, rewards, chosen=39), space)
    assert found["last reward"] == pytest.approx(2 / 30)
    assert found["last distinct"] == pytest.approx(2 / 30)
    assert found["last differ"] == pytest.approx((2 / 30) / 15 / 4)  # pairs with one of its kind, layers, names


def test_a_search_is_the_one_of_a_comparison(tmp_path):
    entry = Entry.parse("evolution:population=4")
    reward = NoiseFree(ENVIRONMENT)
    searched = regret.search(entry, ENVIRONMENT, 5, 12, reward)
    (run,) = Run.of(entry, ENVIRONMENT, (), [5], 12, tmp_path)
    np.testing.assert_array_equal(searched.rewards, [row["reward"] for row in run.make()["children"]])
    np.testing.assert_array_equal(searched.noise_free, reward(searched.origins))
    assert (searched.noise_free != searched.rewards).all()
