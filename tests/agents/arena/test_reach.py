import numpy as np
import pytest

from agents.arena import reach
from nases_env import embeddings, search_spaces


def test_evolution_finds_the_highest_reward_of_a_hill():
    goal = np.linspace(0.1, 0.9, 10)
    found = reach.evolve(lambda actions: -((actions - goal) ** 2).sum(axis=1), 10, 10_000, np.random.default_rng(0))
    assert found == pytest.approx(0, abs=0.01)


def test_evolution_asks_for_no_more_rewards_than_it_may():
    asked = []

    def reward(actions):
        asked.append(len(actions))
        return actions.sum(axis=1)

    reach.evolve(reward, 3, 1000, np.random.default_rng(0))
    assert sum(asked) == 1000


def test_quantiles_ascend_to_what_is_reachable():
    space = search_spaces.make("macro")

    def reward(origins):
        return origins.mean(axis=1)

    reward.space = space
    row = reach.reach(embeddings.make("identity", space), reward, 2000, 2000, 1, np.random.default_rng(0))
    assert list(row) == ["median", "best 1 %", "best 0.1 %", "best", "reachable"]
    assert list(row.values()) == sorted(row.values())
    assert row["median"] == pytest.approx(15, abs=0.2)
    assert row["reachable"] > 22
