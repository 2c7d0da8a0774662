"""Which values of `evaluator`, `surrogate` and `noise` make sense together."""

import pytest

from nases_env.env import NASESEnv
from nases_env.vector_env import NASESVectorEnv


class Evaluator:
    """Looks like an evaluator."""

    fingerprint = "toy"

    def evaluate(self, architectures, seeds):
        raise NotImplementedError


class Unread(Evaluator):
    """Its fingerprint is expensive."""

    @property
    def fingerprint(self):
        raise OSError("the data were read")


@pytest.mark.parametrize(
    "keywords",
    [
        {"evaluator": "surrogate:digits"},
        {"surrogate": "digits"},
        {"evaluator": "surrogate:digits", "surrogate": "digits", "noise": True, "dataset": "digits"},
    ],
)
def test_a_surrogate_can_be_named_in_two_ways(keywords):
    env = NASESEnv(**keywords)
    assert env.surrogate.noise is keywords.get("noise", False) and not env.trains


def test_a_surrogate_decides_data_protocol_space_and_rules():
    env = NASESEnv(evaluator="surrogate:digits")
    found = env.dataset, env.protocol, env.space.name, env.space.rules_name
    assert found == ("digits", env.surrogate.protocol, "macro", "paper")


def test_without_a_surrogate_there_is_none():
    assert NASESEnv().surrogate is None and NASESEnv().trains
    env = NASESEnv(evaluator=Evaluator())
    assert env.surrogate is None and not env.trains


def test_making_an_environment_does_not_ask_for_a_fingerprint_that_reads_data():
    assert NASESEnv(evaluator=Unread()).in_search is False


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"evaluator": "train"}, "evaluator is 'train'; expected 'training', 'surrogate:digits'"),
        ({"evaluator": Evaluator}, "make an object of the class"),
        ({"evaluator": object()}, "expected .* an object with evaluate and fingerprint"),
        ({"evaluator": type("", (), {"evaluate": print})()}, "has no fingerprint"),
        ({"evaluator": type("", (Evaluator,), {"fingerprint": 3})()}, "fingerprint is 3; expected a text of 1 to 200"),
        ({"evaluator": type("", (Evaluator,), {"fingerprint": ""})()}, "fingerprint is ''; expected a text of 1 to"),
        (
            {"evaluator": Evaluator(), "workers": 2},
            "executor is 'processes:2', but only evaluators that build children have one",
        ),
        ({"evaluator": Evaluator(), "noise": True}, "only a surrogate has noise"),
        ({"evaluator": Evaluator(), "surrogate": "digits"}, "leave one of the two out"),
        ({"evaluator": "surrogate:digits", "surrogate": "other"}, "leave one of the two out"),
        ({"evaluator": "surrogate:nowhere"}, "there is no surrogate 'nowhere'"),
        ({"evaluator": "surrogate:"}, "the surrogate is ''; expected one of"),
        ({"evaluator": "proxy:zen", "reward": "proxy"}, "there is no proxy 'zen'; choose one of"),
        ({"evaluator": "proxy:nwot"}, "reward is 'eq1', .* measures none; choose reward='proxy'"),
        ({"evaluator": "proxy:nwot", "reward": {"name": "validation"}}, "measures none; choose reward='proxy'"),
        ({"evaluator": "proxy:nwot", "surrogate": "digits"}, "leave one of the two out"),
        ({"evaluator": "proxy:nwot", "reward": "proxy", "noise": True}, "only a surrogate has noise"),
        ({"reward": "proxy"}, "no proxy is asked; choose evaluator='proxy:nwot'"),
        ({"surrogate": "digits", "reward": {"name": "proxy"}}, "no proxy is asked"),
        ({"noise": True}, "noise is True, but only a surrogate has noise"),
        ({"surrogate": "digits", "dataset": "cifar10"}, "dataset is 'cifar10', but a surrogate .* leave dataset out"),
        ({"surrogate": "digits", "space": "micro"}, "leave space out"),
        ({"surrogate": "digits", "rules": "published"}, "leave rules out"),
        ({"surrogate": "digits", "protocol": {"preset": "digits", "epochs": 1}}, "leave protocol out"),
        ({"surrogate": "digits", "workers": 1}, "leave workers out"),
        ({"surrogate": "digits", "device": "cpu"}, "leave device out"),
    ],
)
@pytest.mark.parametrize("cls", [NASESEnv, NASESVectorEnv])
def test_what_makes_no_sense_is_refused(cls, keywords, words):
    with pytest.raises(ValueError, match=words):
        cls(**keywords)
