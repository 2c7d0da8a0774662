import dataclasses

import numpy as np
import pytest
import torch

from agents.critic import Critic
from agents.recorder import Recorder
from agents.reinforce import Reinforce, ReinforceSettings
from nases_env import search_spaces

PAPER = {"update": "adam", "warmup": 10, "epsilon": 0.1, "learning_rate": 1e-3, "sigma": 1.0}
"""The paper's numbers, with a learning rate and a deviation that can be seen."""


def _run(closed_form, tmp_path, children, seed=0, decoder="autoencoder", **settings):
    recorder = Recorder(closed_form(decoder), tmp_path, children, progress=False)
    agent = Reinforce(recorder, seed, ReinforceSettings(**(PAPER | settings)))
    weights = {name: value.copy() for name, value in agent.state_dict().items()}
    agent.run(recorder, children)
    recorder.close()
    rows = (tmp_path / "children.csv").read_text().splitlines()[1:]
    return agent, weights, [row.split(",") for row in rows]


def _moved(agent, weights):
    return any(not np.array_equal(value, weights[name]) for name, value in agent.state_dict().items())


def test_the_first_ten_children_are_random_and_update_nothing(closed_form, tmp_path):
    agent, weights, rows = _run(closed_form, tmp_path, 10)
    assert [row[1] for row in rows] == ["warmup"] * 10
    assert not _moved(agent, weights)


def test_the_eleventh_child_updates_the_controller(closed_form, tmp_path):
    agent, weights, rows = _run(closed_form, tmp_path, 11, epsilon=0.0)
    assert rows[10][1] == "controller"
    assert _moved(agent, weights)


def test_about_one_child_in_ten_is_random_after_the_warm_up(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 10)
    state = agent.pool._states[0][None]
    sources = []
    for _ in range(1000):
        agent.act(state)
        sources += agent.sources
    assert set(sources) == {"controller", "epsilon"}
    assert 0.07 < np.mean([source == "epsilon" for source in sources]) < 0.13


def test_children_of_a_batch_are_explored_one_by_one(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 8)
    states = np.repeat(agent.pool._states[0][None], 1000, axis=0)
    actions = agent.act(states)
    assert actions.shape == (1000, 20) and len(np.unique(actions, axis=0)) == 1000
    assert agent.sources[:2] == ["warmup"] * 2  # children 9 and 10
    assert 0.07 < np.mean([source == "epsilon" for source in agent.sources[2:]]) < 0.13


def test_a_batch_is_learned_from_as_often_as_its_children_one_by_one(closed_form, tmp_path):
    steps = []
    for batch in (1, 4):  # the third batch of four is half in the warm-up
        env = closed_form()
        env.prefetch = lambda _: None
        recorder = Recorder(env, tmp_path / str(batch), 20, progress=False)
        agent = Reinforce(recorder, 0, ReinforceSettings(**PAPER))
        counted = agent._optimiser.step
        steps.append(0)

        def count(counted=counted):
            steps[-1] += 1
            counted()

        agent._optimiser.step = count
        agent.run(recorder, 20, batch=batch)
        recorder.close()
    assert steps == [10, 10]


def _built(agent):
    return agent._decoder.decode(agent._decoder.code_to_action(np.stack(agent.pool._embeddings)))


def test_it_sees_the_last_child(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 30)
    np.testing.assert_array_equal(np.stack(agent.pool._states)[1:], _built(agent)[:-1])


@pytest.mark.parametrize(("update", "batch"), [("adam", 1), ("critic", 1), ("critic", 4)])
def test_it_needs_no_warm_up(closed_form, tmp_path, update, batch):
    env = closed_form()
    env.prefetch = lambda _: None
    recorder = Recorder(env, tmp_path, 12, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(**(PAPER | {"warmup": 0, "update": update})))
    agent.run(recorder, 12, batch=batch)
    recorder.close()
    assert recorder.steps == 12 and {row["source"] for row in recorder.rows} <= {"controller", "epsilon"}


def test_the_first_child_after_the_warm_up_is_drawn_with_a_critic_of_all_before_it(closed_form, tmp_path, monkeypatch):
    known, ascend = [], Critic.ascend

    def counted(critic, *given):
        known.append(len(critic.state_dict()["critic.embeddings"]))
        return ascend(critic, *given)

    monkeypatch.setattr(Critic, "ascend", counted)
    agent, weights, rows = _run(closed_form, tmp_path, 12, update="critic", epsilon=0.0)
    assert [row[1] for row in rows] == ["warmup"] * 10 + ["controller"] * 2
    assert known == [10, 11]
    state = agent.state_dict()
    assert set(state) - set(weights) == {"critic.embeddings", "critic.weights", "critic.scale"}
    assert all(np.array_equal(value, state[name]) for name, value in weights.items())


def test_the_critic_moves_what_is_drawn_to_what_it_values(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 40, update="critic", epsilon=0.0)
    states = agent.pool._states[-5:]
    moved = np.concatenate([agent._draw(state, 40)[1] for state in states])
    agent.settings = dataclasses.replace(agent.settings, steps=0)
    plain = np.concatenate([agent._draw(state, 40)[1] for state in states])
    assert agent._critic.value(moved).mean() > agent._critic.value(plain).mean() + 0.5


def test_the_critic_learns_from_what_was_built(closed_form, tmp_path):
    recorder = Recorder(closed_form(calibration="both"), tmp_path, 30, progress=False)
    agent = Reinforce(recorder, 0)
    agent.run(recorder, 30)
    recorder.close()
    built = agent._decoder.action_to_code(agent._decoder.code_to_action(agent.pool.embeddings()).clip(0, 1))
    assert np.abs(built - agent.pool.embeddings()).max() > 0.05
    np.testing.assert_allclose(agent.state_dict()["critic.embeddings"], built, atol=1e-6)


def test_a_critic_follows_a_network_to_start_from(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 6, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(warmup=3))
    space = search_spaces.make()
    agent.run(recorder, 6, space.architecture(space.discretise(space.sample(np.random.default_rng(1), 1))[0]))
    recorder.close()
    assert len(agent.state_dict()["critic.embeddings"]) == 6


def test_without_the_pool_it_learns_from_the_last_child_alone(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 15, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(**PAPER, pool=False))
    scored, score = [], agent.controller.score
    agent.controller.score = lambda states, embeddings: scored.append(embeddings) or score(states, embeddings)
    agent.run(recorder, 15)
    recorder.close()
    np.testing.assert_array_equal(np.concatenate(scored), np.stack(agent.pool._embeddings)[10:])


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 0}, {"warmup": -1}, {"updates": "three"}, {"sigma": 0},
        {"ridge": 1e-9}, {"width": 0}, {"steps": -1}, {"draws": 0}, {"step": -1}, {"epsilon": 2},
        {"learning_rate": -1.0}, {"policy": "gaussian"}, {"baseline": "median"}, {"pool": 1}, {"update": "sgd"},
        {"update": "critic", "policy": "bernoulli"},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ReinforceSettings(**settings)


def test_the_pool_keeps_the_state_before_the_child(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 3)
    np.testing.assert_array_equal(np.stack(agent.pool._states)[1:], _built(agent)[:2])


@pytest.mark.parametrize("calibration", ["output", "none", "both"])
@pytest.mark.parametrize("policy", ["logit_normal", "bernoulli", "deterministic"])
def test_the_pool_keeps_embeddings_as_they_were_drawn(closed_form, tmp_path, policy, calibration):
    recorder = Recorder(closed_form(calibration=calibration), tmp_path, 15, progress=False)
    update = "adam" if policy == "bernoulli" else "critic"
    agent = Reinforce(recorder, 0, ReinforceSettings(policy=policy, epsilon=0.0, warmup=5, update=update))
    drawn = []
    for name in ("draw", "random"):
        draw = getattr(agent.controller, name)
        setattr(agent.controller, name, lambda *given, draw=draw: drawn.append(draw(*given)) or drawn[-1])
    agent.run(recorder, 15)
    recorder.close()
    assert agent.sources == ["controller"]
    np.testing.assert_array_equal(np.stack(agent.pool._embeddings), np.concatenate(drawn))
    if policy == "bernoulli":
        assert set(np.unique(agent.pool._embeddings)) == {0.0, 1.0}


@pytest.mark.parametrize("policy", ["logit_normal", "bernoulli", "deterministic"])
def test_every_policy_raises_the_score_of_what_was_better(closed_form, tmp_path, policy):
    agent, _, _ = _run(closed_form, tmp_path, 10, policy=policy)
    pool = agent.pool
    best, worst = int(np.argmax(pool._rewards)), int(np.argmin(pool._rewards))

    def margin():
        with torch.no_grad():
            scores = agent.controller.score(np.stack(pool._states), np.stack(pool._embeddings))
        return float(scores[best] - scores[worst])

    before = margin()
    for _ in range(20):
        batch = pool.sample(10, np.random.default_rng(0))
        loss = -(torch.from_numpy(batch.advantages).float() * agent.controller.score(*batch[:2])).mean()
        agent._optimiser.zero_grad()
        loss.backward()
        agent._optimiser.step()
    assert margin() > before


@pytest.mark.parametrize(("settings", "least"), [({}, 0.55), ({"update": "critic"}, 0.65)])
def test_it_beats_random_search_where_better_actions_can_be_learned(closed_form, tmp_path, settings, least):
    learned = [
        np.mean([float(row[2]) for row in _run(closed_form, tmp_path / str(seed), 100, seed, **settings)[2][-30:]])
        for seed in range(3)
    ]
    assert min(learned) > least  # uniform actions have the mean 0.5 with a deviation of 0.012 over 30


def test_same_seed_same_search(closed_form, tmp_path):
    first, second = (_run(closed_form, tmp_path / name, 15)[2] for name in ("a", "b"))
    assert first == second
    assert _run(closed_form, tmp_path / "c", 15, seed=1)[2] != first


def test_same_seed_same_search_with_a_critic(closed_form, tmp_path):
    first, second = (_run(closed_form, tmp_path / name, 15, update="critic")[2] for name in ("a", "b"))
    assert first == second


def test_it_searches_the_origin_space_as_well(closed_form, tmp_path):
    _, _, rows = _run(closed_form, tmp_path, 12, decoder="identity")
    assert len(rows) == 12


def test_the_paper_recipe_is_the_papers_letter():
    paper = ReinforceSettings.paper()
    assert (paper.policy, paper.learning_rate) == ("bernoulli", 1e-5)
    assert (paper.warmup, paper.epsilon, paper.samples) == (10, 0.1, 3)
    assert (paper.update, paper.updates, paper.pool, paper.baseline) == ("adam", 1, True, "pool")
