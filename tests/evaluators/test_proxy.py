"""A proxy instead of training."""

import dataclasses
import json
import math

import gymnasium as gym
import numpy as np
import pytest

import nases_env  # noqa: F401  (registers the ids)
from nases_env import proxies, search_spaces
from nases_env.children import datasets
from nases_env.children.presets import resolve
from nases_env.evaluation import Evaluation
from nases_env.evaluators.proxy import ProxyEvaluator
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors.processes import ProcessExecutor
from nases_env.proxies.untrained import batch, untrained
from nases_env.rewards import signed_log

TINY = resolve({"preset": "digits", "train_images": 64, "validation_images": 32, "batch_size": 16, "width": 0.03})
SPACE = search_spaces.make()
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 2))]


def evaluator(name="snip", executor=None, **fields):
    return ProxyEvaluator(name, "digits", "nowhere", dataclasses.replace(TINY, **fields), "cpu", executor)


def evaluate(subject, seeds=(7, 8)):
    return [evaluation for _, evaluation in sorted(subject.evaluate(ARCHITECTURES, seeds), key=lambda pair: pair[0])]


def test_it_tells_the_proxy_of_the_child_that_the_seed_draws_and_no_accuracies():
    data = datasets.load("digits", "nowhere", TINY, "cpu")
    first, second = evaluate(evaluator())
    expected = proxies.proxy("snip")(untrained(ARCHITECTURES[0], TINY, data, 7, "cpu"), *batch(TINY, data, 7))
    assert first.proxy == expected != second.proxy
    assert (first.train_accuracy, first.validation_accuracy, first.epochs, first.failure) == (0, 0, [], "")
    assert first.parameters > 0 and first.flops > 0 and first.seconds > 0 and first.device == "cpu"
    assert Evaluation(**json.loads(json.dumps(first.to_dict()))) == first


def test_workers_tell_the_same():
    subject = evaluator(executor=ProcessExecutor(2))
    try:
        found = evaluate(subject)
    finally:
        subject.close()
    assert [each.proxy for each in found] == [each.proxy for each in evaluate(evaluator())]


def test_the_fingerprint_names_the_proxy_and_what_training_depends_on():
    trained = TrainingEvaluator("digits", "nowhere", TINY, "cpu").fingerprint
    assert evaluator().fingerprint == f"proxy:snip {trained}"
    assert evaluator("nwot").fingerprint == f"proxy:nwot {trained}"


@pytest.mark.parametrize(("value", "failure"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "inf")])
def test_a_proxy_without_a_value_is_a_failure_that_says_which(monkeypatch, value, failure):
    monkeypatch.setitem(proxies.PROXIES, "snip", lambda network, images, labels: value)
    found = evaluate(evaluator())[0]
    assert found.failure == failure and found.proxy is None and found.parameters > 0


def test_a_limit_of_the_protocol_holds_for_children_of_a_proxy():
    assert {each.failure for each in evaluate(evaluator(max_parameters=10))} == {"too_many_parameters"}


def test_an_unknown_proxy_is_refused_before_data_are_read():
    with pytest.raises(ValueError, match="there is no proxy 'zen'"):
        evaluator("zen")


def test_an_environment_is_rewarded_by_a_proxy_and_its_journal_keeps_the_number(tmp_path):
    keywords = {"evaluator": "proxy:synflow", "reward": "proxy", "device": "cpu", "ledger": tmp_path / "journal.log"}
    rewards = []
    for _ in range(2):  # the second search is answered by the journal
        env = gym.make("NASES-Digits-v0", **keywords).unwrapped
        env.reset(seed=0)
        _, reward, _, _, info = env.step(np.full(20, 0.4, np.float32))
        rewards.append(reward)
        assert reward == pytest.approx(float(signed_log(env.evaluation.proxy)) / math.log(np.finfo(float).max))
        assert info["validation_accuracy"] == 0 and info["failure"] == ""
        env.close()
    assert rewards[0] == rewards[1] > 0


def test_many_searches_are_rewarded_by_a_proxy():
    envs = gym.make_vec(
        "NASES-Digits-v0", num_envs=2, evaluator="proxy:parameters", reward="proxy", device="cpu", workers=0
    )
    envs.reset(seed=0)
    actions = np.stack([np.full(20, 0.4, np.float32), np.full(20, 0.6, np.float32)])
    _, rewards, _, _, infos = envs.step(actions)
    assert (np.argsort(rewards) == np.argsort(infos["parameters"])).all() and (rewards > 0).all()
    envs.close()
