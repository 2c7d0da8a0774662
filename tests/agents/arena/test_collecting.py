"""What a collection asks for, and in which order."""

import gymnasium as gym
import numpy as np
import pytest

from agents.arena.collecting import ROUND, Plan
from nases_env import embeddings


@pytest.fixture(scope="module")
def environment():
    return gym.make("NASES-Digits-v0", decoder="identity").unwrapped


def _rounds(environment, children=50, repeated=3, best=0, seeds=2, seed=0):
    """The rounds of a plan whose rewards are the first numbers of the actions."""
    plan = Plan(environment, embeddings.make("pca", environment.space), children, repeated, best, seeds, seed)
    rounds = []
    for requests in plan.rounds():
        rounds.append(requests)
        plan.learn(requests, [float(request.action[0]) for request in requests])
    assert sum(map(len, rounds)) == plan.evaluations
    return rounds


def test_the_first_architectures_are_asked_for_with_several_seeds_and_all_others_once(environment):
    first, again, *others = _rounds(environment)
    np.testing.assert_array_equal([request.action for request in again], [request.action for request in first])
    seeds = [request.child_seed for requests in (first, again) for request in requests]
    assert len(set(seeds)) == 6
    assert [len(requests) for requests in others] == [ROUND, ROUND, 7]
    actions = np.stack([request.action for requests in (first, *others) for request in requests])
    space, decoder = environment.space, environment.decoder
    rows = space.discretise(decoder.decode(actions))
    assert len({space.architecture(row).key for row in rows}) == 50


def test_the_best_of_those_that_were_asked_for_once_are_asked_for_again_in_the_end(environment):
    rounds = _rounds(environment, best=4, seeds=3)
    once = [request for requests in rounds[3:-2] for request in requests]
    best = sorted(once, key=lambda request: -request.action[0])[:4]
    for again in rounds[-2:]:
        np.testing.assert_array_equal([request.action for request in again], [request.action for request in best])
    seeds = {request.child_seed for requests in rounds for request in requests}
    assert len(seeds) == 50 + (3 + 4) * 2


def test_the_same_seed_and_rewards_ask_for_the_same(environment):
    one, same, other = (_rounds(environment, seed=seed) for seed in (0, 0, 1))
    told = [[request.child_seed for requests in rounds for request in requests] for rounds in (one, same, other)]
    assert told[0] == told[1] != told[2]


def test_mutations_change_good_children_in_few_numbers(environment):
    rounds = _rounds(environment, children=200)
    done = [request for requests in rounds for request in requests]
    mutations = [request for request in done if request.source == "mutation"]
    assert len(mutations) > 20
    for request in mutations:
        parent = done[request.parent]
        assert 0 < (request.action != parent.action).sum() <= 3
    better = np.mean([done[request.parent].action[0] for request in mutations])
    assert better > np.mean([request.action[0] for request in done])
