"""What every agent has to do: stay in the box, follow its seed, replay after a kill, find what is easy to find."""

import contextlib
import copy
import dataclasses

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.reinforce import ReinforceSettings
from agents.trace import Trace
from tests.evaluators.toys import Shuffling

LEARNERS = [name for name in agents.NAMES if not name.startswith("random")]
BATCHES = [name for name in agents.NAMES if agents.find(name).batches]
"""Agents that are asked and told; stable-baselines3's run a loop of their own."""
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

    @pytest.mark.parametrize("count", [1, 3])
    def test_it_proposes_a_child_for_each_state(self, name, count, closed):
        env = closed(name)
        agent = agents.find(name)(Trace(env, CHILDREN), 0)
        proposals = agent.ask(env.space.sample(np.random.default_rng(0), count))
        assert len(proposals) == count
        for proposal in proposals:
            assert proposal.action.dtype == np.float32 and env.action_space.contains(proposal.action)
            assert proposal.source

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
    env = closed(name)
    last = np.array([row["reward"] for row in _search(env, name, 0, children).rows])[-children // 4 :]
    # Random children's mean is 0.5, with this deviation: not one in 10^14 would pass.
    deviation = np.sqrt(1 / 12 / env.action_space.shape[0] / len(last))
    assert last.mean() > 0.5 + 8 * deviation


@pytest.mark.parametrize("name", BATCHES)
class TestEveryAgentThatIsAskedAndTold:
    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("children", [0, 12])
    def test_asked_twice_before_it_is_told_it_is_told_in_either_order(self, name, children, order, closed):
        after = [self._after(name, children, order, closed(name), memo_kept) for memo_kept in (True, False)]
        for kept, copied in zip(*after, strict=True):  # nothing hangs on which object a proposal or its memo is
            assert kept.source == copied.source
            np.testing.assert_array_equal(kept.action, copied.action)

    def _after(self, name, children, order, env, memo_kept):
        """What is proposed after a search that was asked twice, for three children and for two, before it was told."""
        env.prefetch = lambda _: None
        trace = Trace(env, children + 5)
        agent = agents.find(name)(trace, 0, agents.make_settings(name, SETTINGS.get(name, {})))
        agent.run(trace, children)
        states = env.space.sample(np.random.default_rng(0), 5)
        asked = [agent.ask(states[:3]), agent.ask(states[3:])]
        brought = [trace.build(proposals) for proposals in asked]
        for i in order:
            numbers = agent.tell(asked[i] if memo_kept else copy.deepcopy(asked[i]), *brought[i])
            assert all(np.isfinite(number) for number in numbers.values())
        assert [row["source"] for row in trace.rows[children:]] == [proposal.source for proposal in sum(asked, [])]
        return agent.ask(states[:1])

    def test_an_asynchronous_search_goes_on_wherever_it_was_killed(self, name, tmp_path):
        def search(journal, fail_at=None):
            env = gym.make(
                "NASES-v0",
                evaluator=Shuffling(fail_at=fail_at),
                reward="validation",
                ledger=str(tmp_path / journal),
                **agents.find(name).env_kwargs,
            )
            trace = Trace(env, CHILDREN)
            agent = agents.find(name)(trace, 0, agents.make_settings(name, SETTINGS.get(name, {})))
            with contextlib.suppress(KeyboardInterrupt):
                agent.run(trace, CHILDREN, batch=4, asynchronous=True)
            env.close()
            return [(row["architecture_key"], row["source"], row["reward"]) for row in trace.rows]

        whole = search("whole.log")
        assert len(whole) == CHILDREN
        for fail_at in np.random.default_rng(0).choice(CHILDREN - 1, 3, replace=False).tolist():
            journal = f"killed{fail_at}.log"
            before = search(journal, fail_at)
            assert fail_at <= len(before) < CHILDREN and before == whole[: len(before)]
            assert search(journal) == whole


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_chosen_together(name, closed):
    env = closed(name)
    asked = []
    env.prefetch = asked.append
    trace = _search(env, name, 0, batch=3)
    assert trace.steps == CHILDREN
    assert [len(actions) for actions in asked] == [3] * 5


@pytest.mark.parametrize("name", BATCHES)
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


def test_an_agent_recommends_the_best_reward_unless_it_knows_better(closed):
    trace = Trace(closed("random"), 5)
    agent = agents.find("random")(trace, 0)
    assert agent.recommend(trace) is None
    agent.run(trace, 5)
    assert agent.recommend(trace) == int(np.argmax([row["reward"] for row in trace.rows]))


def test_a_recipe_is_what_settings_start_from():
    assert agents.make_settings("reinforce", {"recipe": "embedding"}) == ReinforceSettings.embedding()
    assert agents.make_settings("reinforce", {"recipe": "paper", "sigma": 2.0}) == dataclasses.replace(
        ReinforceSettings.paper(), sigma=2.0
    )
    with pytest.raises(ValueError, match="reinforce has no recipe 'ours'; it has 'paper', 'embedding'"):
        agents.make_settings("reinforce", {"recipe": "ours"})
    with pytest.raises(ValueError, match="evolution has no settings recipe"):
        agents.make_settings("evolution", {"recipe": "paper"})
