"""What every agent has to do: act in the box, follow its seed, replay after a kill, find what is easy to find."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.reinforce import ReinforceSettings
from agents.trace import Trace

LEARNERS = [name for name in agents.NAMES if not name.startswith("random")]
SETTINGS = {
    "reinforce": {"warmup": 5},
    "sac": {"learning_starts": 5},
    "predictor": {"warmup": 10, "members": 2, "candidates": 60},
    "gradient-ascent": {"warmup": 10},
    "evolution": {"population": 10},
    "gp": {"n_startup_trials": 13},
}
CHILDREN = 16
ENOUGH = {"ppo": 1500, "a2c": 1500, "gp": 40}
"""Children that each needs to find what is easy to find; 120 where nothing is said."""


def _search(env, name, seed, children=CHILDREN, **given):
    trace = Trace(env, children)
    agent = agents.find(name)(trace, seed, agents.make_settings(name, SETTINGS.get(name, {})))
    agent.run(trace, children, **given)
    return trace


@pytest.fixture
def closed(closed_form):
    """The closed-form environment that an agent acts in."""

    def closed(name, space="macro"):
        return closed_form(**agents.find(name).env_kwargs, space=space)

    return closed


@pytest.mark.parametrize("name", agents.NAMES)
class TestEveryAgent:
    @pytest.mark.parametrize("space", ["macro", "micro"])
    def test_it_acts_in_the_box_and_spends_its_budget(self, name, space, closed, monkeypatch):
        env = closed(name, space)
        actions = []
        step = env.step
        monkeypatch.setattr(env, "step", lambda action: actions.append(action) or step(action))
        trace = _search(env, name, 0)
        assert trace.steps == CHILDREN == len(trace.rows)
        for action in actions:
            assert action.dtype == np.float32 and env.action_space.contains(action)
        assert all(row["source"] for row in trace.rows)

    def test_its_seed_decides(self, name, closed):
        first, again, other = (
            [row["architecture_key"] for row in _search(closed(name), name, seed).rows] for seed in (3, 3, 4)
        )
        assert first == again != other

    def test_a_stopped_search_goes_on_as_if_it_had_not_stopped(self, name, tmp_path):
        keywords = {"noise": True, **agents.find(name).env_kwargs}

        def search(journal, children):
            env = gym.make("NASES-Digits-Surrogate-v0", ledger=str(journal), **keywords)
            rows = _search(env, name, 0, children).rows
            env.close()
            return [(row["architecture_key"], row["reward"]) for row in rows]

        whole = search(tmp_path / "whole.log", CHILDREN)
        search(tmp_path / "stopped.log", CHILDREN - 5)
        assert search(tmp_path / "stopped.log", CHILDREN) == whole


@pytest.mark.parametrize("name", LEARNERS)
def test_it_finds_better_children_where_that_is_easy(name, closed):
    """The reward is the mean of the action's numbers: the last children are better than random ones."""
    children = ENOUGH.get(name, 120)
    rewards = np.array([row["reward"] for row in _search(closed(name), name, 0, children).rows])
    assert rewards[-children // 4 :].mean() > 0.5 + 0.02  # a random action's mean is 0.5


@pytest.mark.parametrize("name", [name for name in agents.NAMES if agents.find(name).batches])
def test_a_batch_is_chosen_together(name, closed):
    env = closed(name)
    asked = []
    env.prefetch = asked.append
    trace = _search(env, name, 0, batch=3)
    assert trace.steps == CHILDREN
    assert [len(actions) for actions in asked] == [3] * 5


@pytest.mark.parametrize("name", [name for name in agents.NAMES if agents.find(name).batches])
def test_a_known_network_is_the_first_child(name, closed):
    env = closed(name)
    known = env.space.architecture(env.space.discretise(env.space.sample(np.random.default_rng(5), 1))[0])
    trace = _search(env, name, 0, 4, start=known)
    assert [row["source"] for row in trace.rows][0] == "start"
    if agents.find(name).env_kwargs:  # the identity decoder keeps it whole
        assert trace.rows[0]["architecture_key"] == known.key


def test_an_unknown_agent_is_refused():
    with pytest.raises(ValueError, match="no agent 'hill'; choose one of reinforce, random"):
        agents.find("hill")


def test_a_recipe_is_what_settings_start_from():
    assert agents.make_settings("reinforce", {"recipe": "paper", "sigma": 2.0}) == dataclasses.replace(
        ReinforceSettings.paper(), sigma=2.0
    )
    with pytest.raises(ValueError, match="reinforce has no recipe 'ours'; it has 'paper'"):
        agents.make_settings("reinforce", {"recipe": "ours"})
    with pytest.raises(ValueError, match="evolution has no settings recipe"):
        agents.make_settings("evolution", {"recipe": "paper"})
