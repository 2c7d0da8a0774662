"""What every agent gets from the base class: the loop, and a search that starts from a known network."""

import csv

import numpy as np
import pytest

import agents
from agents.base import Agent
from agents.recorder import Recorder


class Watching(Agent):
    """Acts at the centre and remembers what it saw."""

    def __init__(self, env, seed):
        super().__init__(env, seed)
        self.seen = []

    def act(self, observations):
        self.sources = ["centre"] * len(observations)
        return np.full((len(observations), 20), 0.5, dtype=np.float32)

    def learn(self, transition):
        self.seen.append(transition)
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


def test_states_follow_each_other(closed_form, tmp_path):
    seen, _, sources = _search(closed_form, tmp_path)
    assert sources == ["centre"] * 3
    for before, after in zip(seen, seen[1:], strict=False):
        np.testing.assert_array_equal(before.next_observations, after.observations)


def test_a_batch_is_chosen_before_any_of_it_is_known(closed_form, known, tmp_path):
    env = closed_form()
    asked = []
    env.prefetch = asked.append
    recorder = Recorder(env, tmp_path, 8, progress=False)
    agent = Watching(recorder, 0)
    agent.run(recorder, 8, known, batch=3)
    recorder.close()
    assert [len(transition.actions) for transition in agent.seen] == [1, 3, 3, 1]
    assert [len(actions) for actions in asked] == [3, 3]
    for before, after in zip(agent.seen, agent.seen[1:], strict=False):
        # All children of a batch are chosen in the state that the last one before them left.
        last = np.repeat(before.next_observations[-1:], len(after.observations), axis=0)
        np.testing.assert_array_equal(after.observations, last)
    with (tmp_path / "children.csv").open() as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["start"] + ["centre"] * 7


def test_the_encoding_of_a_known_network_is_the_first_child(closed_form, known, tmp_path):
    seen, env, sources = _search(closed_form, tmp_path, known)
    assert sources == ["start", "centre", "centre"]
    origin = env.space.origin_of(known)[None]
    np.testing.assert_array_equal(seen[0].observations, origin)
    np.testing.assert_array_equal(seen[0].actions, env.decoder.encode(origin))
    np.testing.assert_array_equal(seen[0].next_observations, env.decoder.decode(env.decoder.encode(origin)))


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
    np.testing.assert_array_equal(agent.pool._states[0], origin)
    np.testing.assert_array_equal(agent.pool._embeddings[0], decoder.encode(origin[None])[0])


def test_agents_of_stable_baselines3_refuse_a_batch(closed_form, tmp_path):
    pytest.importorskip("stable_baselines3")
    recorder = Recorder(closed_form(), tmp_path, 4, progress=False)
    with pytest.raises(ValueError, match="one child at a time; batch is 2"):
        agents.find("ppo")(recorder, 0).run(recorder, 4, batch=2)
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
