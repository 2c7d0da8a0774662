"""Rewards by hand."""

import math
import sys

import numpy as np
import pytest

from nases_env import rewards
from nases_env.evaluation import Evaluations
from nases_env.evaluators import Evaluation


@pytest.mark.parametrize(
    ("train", "validation", "reward"),
    [
        (1.0, 0.9, 0.512),  # (1.8 − 1)³ = 0.8³
        (0.5, 0.5, 0.125),
        (0.8, 0.4, 0.0),
        (0.75, 0.25, -0.015625),  # (−1/4)³
        (1.0, 0.0, -1.0),
        (0.0, 1.0, 8.0),
    ],
)
def test_eq1_is_the_cube_of_twice_validation_less_training_accuracy(train, validation, reward):
    evaluation = Evaluation(train_accuracy=train, validation_accuracy=validation)
    assert rewards.make("eq1")(evaluation) == pytest.approx(reward, abs=1e-12)


def test_validation_reward_is_the_validation_accuracy():
    assert rewards.make("validation")(Evaluation(train_accuracy=0.9, validation_accuracy=0.7)) == 0.7


@pytest.mark.parametrize("proxy", [0.0, 5.0, 1e300, -1e5, sys.float_info.max, -sys.float_info.max])
def test_proxy_reward_is_a_share_of_the_largest_logarithm(proxy):
    found = rewards.make("proxy")(Evaluation(proxy=proxy))
    assert found == pytest.approx(math.copysign(math.log1p(abs(proxy)) / math.log1p(sys.float_info.max), proxy))


def test_proxy_reward_keeps_the_proxys_order_and_is_above_that_of_a_failed_child():
    proxies = [-1e300, -1e5, -3.0, 0.0, 522.1, 522.2, 1e20, 1.1e20]
    found = [rewards.make("proxy")(Evaluation(proxy=proxy)) for proxy in proxies]
    assert found == sorted(set(found)) and found[0] > -1 and found[-1] < 1


@pytest.mark.parametrize("evaluation", [Evaluation(validation_accuracy=0.5), Evaluations(*np.ones((4, 2)))])
def test_proxy_reward_of_what_no_proxy_was_asked_about_is_refused(evaluation):
    with pytest.raises(ValueError, match="needs an evaluator that asks one, such as evaluator='proxy:nwot'"):
        rewards.make("proxy")(evaluation)


@pytest.mark.parametrize("name", sorted(rewards.REWARDS))
@pytest.mark.parametrize("failure", ["nan", "out_of_memory", "too_many_parameters", "too_many_flops"])
def test_failed_child_gets_the_lowest_reward(name, failure):
    # The accuracies would give 1 if the failure were overlooked.
    evaluation = Evaluation(train_accuracy=1.0, validation_accuracy=1.0, failure=failure)
    assert rewards.make(name)(evaluation) == -1.0


def test_a_child_that_learns_nothing_is_better_than_a_failed_one():
    evaluation = Evaluation(train_accuracy=0.1, validation_accuracy=0.1)
    assert rewards.make("eq1")(evaluation) == pytest.approx(0.001)


def test_unknown_reward_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'speed'.*eq1.*validation"):
        rewards.make("speed")


def test_a_mapping_names_a_reward_too():
    assert rewards.make({"name": "eq1"}) is rewards.make("eq1")


def test_parameters_reach_the_reward(monkeypatch):
    def power(evaluation, *, exponent=3):
        return evaluation.validation_accuracy**exponent

    monkeypatch.setitem(rewards.REWARDS, "power", power)
    assert rewards.make({"name": "power", "exponent": 2})(Evaluation(validation_accuracy=0.5)) == 0.25


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        ({"name": "eq1", "power": 3}, r"the reward 'eq1' has no parameters \['power'\]; it has none"),
        ({"name": "eq1", 3: 4}, r"no parameters \[3\]"),
        ({"name": "speed"}, "no reward 'speed'"),
        ({"exponent": 2}, "no reward None; choose one of"),
        ({}, "no reward None"),
    ],
)
def test_a_mapping_that_says_no_reward_is_refused(reward, words):
    with pytest.raises(ValueError, match=words):
        rewards.make(reward)
