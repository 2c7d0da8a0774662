"""What every agent gets from the base class: the loop, and a search that starts from a known network."""

import contextlib
import csv
import dataclasses
import doctest

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents import Agent, Proposal
from agents.search.recorder import Recorder
from agents.trace import Trace
from tests.evaluators.toys import Shuffling


class Watching(Agent):
    """Proposes the centre and remembers what it was told; a memo is the state that it was asked in."""

    def __init__(self, env, seed):
        super().__init__(env, seed)
        self.seen = []

    def start_from(self, states):
        proposals = super().start_from(states)
        return [dataclasses.replace(proposal, memo=state) for proposal, state in zip(proposals, states, strict=True)]

    def ask(self, states):
        return [Proposal(np.full(20, 0.5, dtype=np.float32), "centre", state) for state in states]

    def tell(self, proposals, rewards, next_states):
        self.seen.append((proposals, rewards, next_states))
        return {}


@pytest.fixture
def known(closed_form):
    space = closed_form().space
    return space.architecture(space.discretise(space.sample(np.random.default_rng(5), 1))[0])


def _search(closed_form, folder, known=None):
    recorder = Recorder(closed_form(), folder, 3, progress=False)
    agent = Watching(recorder, 0)
    agent.run(recorder, 3, known)
    recorder.close()
    with (folder / "children.csv").open() as file:
        return agent.seen, recorder.env, [row["source"] for row in csv.DictReader(file)]


def test_the_example_of_how_to_write_an_agent_runs():
    failed, attempted = doctest.testmod(agents.base)
    assert attempted and not failed


def test_states_follow_each_other(closed_form, tmp_path):
    seen, _, sources = _search(closed_form, tmp_path)
    assert sources == ["centre"] * 3
    for (_, _, next_states), ((proposal,), _, _) in zip(seen, seen[1:], strict=False):
        np.testing.assert_array_equal(next_states[0], proposal.memo)


def test_a_batch_is_chosen_before_any_of_it_is_known(closed_form, known, tmp_path):
    env = closed_form()
    asked = []
    env.prefetch = asked.append
    recorder = Recorder(env, tmp_path, 8, progress=False)
    agent = Watching(recorder, 0)
    agent.run(recorder, 8, known, batch=3)
    recorder.close()
    assert [len(proposals) for proposals, _, _ in agent.seen] == [1, 3, 3, 1]
    assert [len(actions) for actions in asked] == [3, 3]
    for (_, _, next_states), (proposals, _, _) in zip(agent.seen, agent.seen[1:], strict=False):
        # All children of a batch are chosen in the state that the last one before them left.
        for proposal in proposals:
            np.testing.assert_array_equal(proposal.memo, next_states[-1])
    with (tmp_path / "children.csv").open() as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["start"] + ["centre"] * 7


def _asynchronous(agent_class, folder, children=9, known=None):
    """A search with a journal; returns its trace and its agent."""
    env = gym.make("NASES-v0", evaluator=Shuffling(), reward="validation", ledger=str(folder / "journal.log"))
    trace = Trace(env, children)
    agent = agent_class(trace, 0)
    with contextlib.suppress(KeyboardInterrupt):
        agent.run(trace, children, known, batch=3, asynchronous=True)
    env.close()
    return trace, agent


def test_asynchronously_it_is_told_of_one_child_and_asked_for_another(known, tmp_path):
    class Noting(Watching):
        events = ""

        def ask(self, states):
            self.events += "a" * len(states)
            return super().ask(states + self.rng.random(states.shape))

        def tell(self, proposals, rewards, next_states):
            self.events += "t" * len(proposals)
            return super().tell(proposals, rewards, next_states)

    trace, agent = _asynchronous(Noting, tmp_path, 9, known)
    assert agent.events == "t" + "aaa" + "ta" * 5 + "ttt"
    assert [row["source"] for row in trace.rows] == ["start"] + ["centre"] * 8
    for (proposal,), (reward,), (state,) in agent.seen:
        np.testing.assert_array_equal(state, trace.get_wrapper_attr("decoder").decode(proposal.action[None])[0])
        assert reward in [row["reward"] for row in trace.rows]


def test_asynchronously_it_is_asked_in_the_state_of_the_child_that_it_was_told_of_last(tmp_path):
    class Drawing(Watching):
        def ask(self, states):
            return [Proposal(self.rng.random(20, np.float32), "drawn", state) for state in states]

    _, agent = _asynchronous(Drawing, tmp_path)
    states = {agent.seen[i][2][0].tobytes() for i in range(9)}
    first = [proposal.memo for (proposal,), *_ in agent.seen if proposal.memo.tobytes() not in states]
    assert len(first) == 3 and all((state == first[0]).all() for state in first)
    asked_after = {proposal.memo.tobytes() for (proposal,), *_ in agent.seen} - {first[0].tobytes()}
    assert asked_after == {agent.seen[i][2][0].tobytes() for i in range(6)}


@pytest.mark.parametrize("method", ["ask", "tell"])
@pytest.mark.parametrize("name", ["reinforce", "evolution"])
def test_killed_while_an_agent_thinks_an_asynchronous_search_goes_on(name, method, tmp_path):
    class Killed(agents.find(name)):
        calls = 0

        def __getattribute__(self, attribute):
            if attribute == method:
                self.calls += 1
                if self.calls == 6:
                    raise KeyboardInterrupt
            return super().__getattribute__(attribute)

    def rows(trace):
        return [(row["architecture_key"], row["source"], row["reward"]) for row in trace.rows]

    (tmp_path / "killed").mkdir()
    whole = rows(_asynchronous(agents.find(name), tmp_path)[0])
    before = rows(_asynchronous(Killed, tmp_path / "killed")[0])
    assert before == whole[: {"ask": 3, "tell": 6}[method]]
    assert rows(_asynchronous(agents.find(name), tmp_path / "killed")[0]) == whole


def test_the_encoding_of_a_known_network_is_the_first_child(closed_form, known, tmp_path):
    seen, env, sources = _search(closed_form, tmp_path, known)
    assert sources == ["start", "centre", "centre"]
    origin = env.space.origin_of(known)[None]
    (proposal,), _, next_states = seen[0]
    np.testing.assert_array_equal(proposal.memo, origin[0])
    np.testing.assert_array_equal(proposal.action, env.decoder.encode(origin)[0])
    np.testing.assert_array_equal(next_states, env.decoder.decode(env.decoder.encode(origin)))


def test_the_identity_builds_the_known_network_itself(closed_form, known):
    env = closed_form("identity")
    rebuilt = env.decoder.decode(env.decoder.encode(env.space.origin_of(known)[None]))
    assert env.space.architecture(env.space.discretise(rebuilt)[0]) == known


@pytest.mark.parametrize("name", ["reinforce", "random"])
def test_agents_of_ours_build_the_known_network_first(closed_form, known, tmp_path, name):
    recorder = Recorder(closed_form(), tmp_path, 2, progress=False)
    agents.find(name)(recorder, 0).run(recorder, 2, known)
    recorder.close()
    with (tmp_path / "children.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["source"] == "start" and rows[1]["source"] != "start"


def test_the_pool_knows_the_encoding_of_the_known_network(closed_form, known, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    agent = agents.find("reinforce")(recorder, 0)
    agent.run(recorder, 1, known)
    recorder.close()
    space, decoder = recorder.env.space, recorder.env.decoder
    origin = space.origin_of(known)
    np.testing.assert_array_equal(agent.pool.last().states[0], origin)
    np.testing.assert_array_equal(agent.pool.last().embeddings[0], decoder.encode(origin[None])[0])


def test_agents_of_stable_baselines3_refuse_a_batch(closed_form, tmp_path):
    pytest.importorskip("stable_baselines3")
    recorder = Recorder(closed_form(), tmp_path, 4, progress=False)
    with pytest.raises(ValueError, match="one child at a time; batch is 2"):
        agents.find("ppo")(recorder, 0).run(recorder, 4, batch=2)
    with pytest.raises(ValueError, match="asynchronous True"):
        agents.find("ppo")(recorder, 0).run(recorder, 4, asynchronous=True)
    recorder.close()


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_agents_of_stable_baselines3_see_the_known_network_first(closed_form, known, tmp_path, name):
    pytest.importorskip("stable_baselines3")
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    agent = agents.find(name)(recorder, 0)
    states = []
    reset = recorder.env.reset
    recorder.env.reset = lambda **keywords: states.append(reset(**keywords)[0]) or (states[-1], {})
    agent.run(recorder, 1, known)
    recorder.close()
    np.testing.assert_array_equal(states[0], recorder.env.space.origin_of(known))
