import dataclasses

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from agents.built import Built
from agents.critic import Critic
from agents.reinforce import Reinforce, ReinforceSettings
from agents.search.recorder import Recorder
from agents.trace import Trace
from nases_env import search_spaces

EMBEDDING = dataclasses.asdict(ReinforceSettings.embedding())
"""A critic of embeddings alone, whose gradient the logits climb."""
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


def _known(agent):
    """All of the pool: states, embeddings and advantages."""
    return agent.pool.last(len(agent.pool))


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
    state = _known(agent).states[:1]
    sources = [agent.ask(state)[0].source for _ in range(1000)]
    assert set(sources) == {"controller", "epsilon"}
    assert 0.07 < np.mean([source == "epsilon" for source in sources]) < 0.13


def test_children_of_a_batch_are_explored_one_by_one(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 8)
    proposals = agent.ask(np.repeat(_known(agent).states[:1], 1000, axis=0))
    actions = np.stack([proposal.action for proposal in proposals])
    assert actions.shape == (1000, 20) and len(np.unique(actions, axis=0)) == 1000
    sources = [proposal.source for proposal in proposals]
    assert sources[:2] == ["warmup"] * 2  # children 9 and 10
    assert 0.07 < np.mean([source == "epsilon" for source in sources[2:]]) < 0.13


def test_a_batch_is_learned_from_as_often_as_its_children_one_by_one(closed_form, tmp_path):
    steps = []
    for batch in (1, 4):  # the third batch of four is half in the warm-up
        env = closed_form()
        env.prefetch = lambda _: None
        recorder = Recorder(env, tmp_path / str(batch), 20, progress=False)
        taken = []
        hook = register_optimizer_step_post_hook(lambda optimiser, *_, taken=taken: taken.append(optimiser))
        Reinforce(recorder, 0, ReinforceSettings(**PAPER)).run(recorder, 20, batch=batch)
        hook.remove()
        recorder.close()
        steps.append(len(taken))
    assert steps == [10, 10]


def _built(embeddings, decoder):
    return decoder.decode(decoder.code_to_action(embeddings))


def test_it_sees_the_last_child(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 30)
    states, embeddings, _ = _known(agent)
    np.testing.assert_array_equal(states[1:], _built(embeddings, closed_form().decoder)[:-1])


@pytest.mark.parametrize("critic", ["built", "embedding"])
@pytest.mark.parametrize(("update", "batch"), [("adam", 1), ("critic", 1), ("critic", 4)])
def test_it_needs_no_warm_up(closed_form, tmp_path, update, batch, critic):
    env = closed_form()
    env.prefetch = lambda _: None
    recorder = Recorder(env, tmp_path, 12, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(**(PAPER | {"warmup": 0, "update": update, "critic": critic})))
    agent.run(recorder, 12, batch=batch)
    recorder.close()
    assert recorder.steps == 12 and {row["source"] for row in recorder.rows} <= {"controller", "epsilon"}


@pytest.mark.parametrize("critic", ["built", "embedding"])
def test_the_first_child_after_the_warm_up_is_drawn_with_a_critic_of_all_before_it(
    closed_form, tmp_path, monkeypatch, critic
):
    known, fit = [], Critic.__init__

    def counted(self, inputs, *given):
        known.append(len(inputs))
        fit(self, inputs, *given)

    monkeypatch.setattr(Critic, "__init__", counted)
    agent, weights, rows = _run(closed_form, tmp_path, 12, update="critic", epsilon=0.0, critic=critic)
    assert [row[1] for row in rows] == ["warmup"] * 10 + ["controller"] * 2
    assert known == [10, 11, 12]
    state = agent.state_dict()
    assert set(state) - set(weights) == {"critic.inputs", "critic.weights", "critic.scale"}
    assert all(np.array_equal(value, state[name]) for name, value in weights.items())


@pytest.mark.parametrize("critic", ["built", "embedding"])
def test_the_critic_moves_what_is_drawn_to_what_it_values(closed_form, tmp_path, critic):
    agent, _, _ = _run(closed_form, tmp_path, 40, update="critic", epsilon=0.0, critic=critic)
    states = agent.pool.last(5).states
    moved = agent.ask(states)
    agent.settings = dataclasses.replace(agent.settings, steps=0)
    plain = agent.ask(states)
    known, env = agent.state_dict(), closed_form()

    def value(proposals):
        embeddings = np.stack([proposal.memo.embedding for proposal in proposals])
        inputs = Built(env.space)(_built(embeddings, env.decoder)) if critic == "built" else embeddings
        squares = ((inputs[:, None] - known["critic.inputs"]) ** 2).sum(axis=2)
        return (np.exp(-squares / known["critic.scale"]) @ known["critic.weights"]).mean()

    assert value(moved) > value(plain) + 0.5


def test_the_critic_learns_from_what_was_built(closed_form, tmp_path):
    recorder = Recorder(closed_form(calibration="both"), tmp_path, 30, progress=False)
    agent = Reinforce(recorder, 0)
    agent.run(recorder, 30)
    recorder.close()
    expected = Built(recorder.env.space)(np.stack(recorder.origins))
    np.testing.assert_allclose(agent.state_dict()["critic.inputs"], expected, atol=1e-12)


def test_a_critic_of_embeddings_learns_from_what_was_built(closed_form, tmp_path):
    recorder = Recorder(closed_form(calibration="both"), tmp_path, 30, progress=False)
    agent, decoder = Reinforce(recorder, 0, ReinforceSettings.embedding()), recorder.env.decoder
    agent.run(recorder, 30)
    recorder.close()
    built = decoder.action_to_code(decoder.code_to_action(agent.pool.embeddings()).clip(0, 1))
    assert np.abs(built - agent.pool.embeddings()).max() > 0.05
    np.testing.assert_allclose(agent.state_dict()["critic.inputs"], built, atol=1e-6)


def test_a_critic_follows_a_network_to_start_from(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 6, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(warmup=3))
    space = search_spaces.make()
    agent.run(recorder, 6, space.architecture(space.discretise(space.sample(np.random.default_rng(1), 1))[0]))
    recorder.close()
    assert len(agent.state_dict()["critic.inputs"]) == 6


def test_without_the_pool_it_learns_from_the_last_child_alone(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 15, progress=False)
    agent = Reinforce(recorder, 0, ReinforceSettings(**PAPER, pool=False))
    scored, score = [], agent.controller.score
    agent.controller.score = lambda states, embeddings: scored.append(embeddings) or score(states, embeddings)
    agent.run(recorder, 15)
    recorder.close()
    np.testing.assert_array_equal(np.concatenate(scored), agent.pool.embeddings()[10:])


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 0}, {"warmup": -1}, {"updates": "three"}, {"sigma": 0},
        {"ridge": 1e-9}, {"width": 0}, {"steps": -1}, {"draws": 0}, {"step": -1}, {"epsilon": 2},
        {"learning_rate": -1.0}, {"policy": "gaussian"}, {"baseline": "median"}, {"pool": 1}, {"update": "sgd"},
        {"update": "critic", "policy": "bernoulli"}, {"critic": "both"},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ReinforceSettings(**settings)


def test_the_pool_keeps_the_state_before_the_child(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 3)
    states, embeddings, _ = _known(agent)
    np.testing.assert_array_equal(states[1:], _built(embeddings, closed_form().decoder)[:2])


def test_the_pool_keeps_what_belongs_together_whoever_is_told_of_first(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 2, progress=False)
    agent = Reinforce(recorder, 0)
    states = recorder.env.space.sample(np.random.default_rng(0), 2)
    first, second = (agent.ask(state[None]) for state in states)
    brought = [recorder.build(proposals) for proposals in (first, second)]
    agent.tell(second, *brought[1])
    agent.tell(first, *brought[0])
    recorder.close()
    known = _known(agent)
    np.testing.assert_array_equal(known.states, states[::-1])
    built = _built(known.embeddings, recorder.env.decoder)
    np.testing.assert_array_equal(built, np.concatenate([next_states for _, next_states in brought[::-1]]))
    better_first = brought[0][0][0] > brought[1][0][0]
    assert known.advantages.argmax() == (1 if better_first else 0)


@pytest.mark.parametrize("calibration", ["output", "none", "both"])
@pytest.mark.parametrize("policy", ["logit_normal", "bernoulli", "deterministic"])
def test_the_pool_keeps_embeddings_as_they_were_drawn(closed_form, tmp_path, policy, calibration):
    recorder = Recorder(closed_form(calibration=calibration), tmp_path, 15, progress=False)
    update = "adam" if policy == "bernoulli" else "critic"
    given = {"policy": policy, "epsilon": 0.0, "warmup": 5, "update": update}
    agent = Reinforce(recorder, 0, ReinforceSettings(**EMBEDDING | given))
    drawn = []
    for name in ("draw", "random"):
        draw = getattr(agent.controller, name)
        setattr(agent.controller, name, lambda *given, draw=draw: drawn.append(draw(*given)) or drawn[-1])
    agent.run(recorder, 15)
    recorder.close()
    assert recorder.rows[-1]["source"] == "controller"
    np.testing.assert_array_equal(agent.pool.embeddings(), np.concatenate(drawn))
    if policy == "bernoulli":
        assert set(np.unique(agent.pool.embeddings())) == {0.0, 1.0}


@pytest.mark.parametrize("policy", ["logit_normal", "bernoulli", "deterministic"])
def test_every_policy_raises_the_score_of_what_was_better(closed_form, tmp_path, policy):
    agent, _, _ = _run(closed_form, tmp_path, 10, policy=policy)
    known = _known(agent)
    best, worst = int(np.argmax(known.advantages)), int(np.argmin(known.advantages))
    optimiser = torch.optim.Adam(agent.controller.parameters(), lr=PAPER["learning_rate"])

    def margin():
        with torch.no_grad():
            scores = agent.controller.score(known.states, known.embeddings)
        return float(scores[best] - scores[worst])

    before = margin()
    for _ in range(20):
        batch = agent.pool.sample(10, np.random.default_rng(0))
        loss = -(torch.from_numpy(batch.advantages).float() * agent.controller.score(*batch[:2])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert margin() > before


@pytest.mark.parametrize(
    ("settings", "least"),
    [({}, 0.55), (EMBEDDING | PAPER | {"update": "critic"}, 0.65), ({"update": "critic"}, 0.65)],
    ids=["adam", "embedding", "built"],
)
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


@pytest.mark.parametrize("critic", ["built", "embedding"])
def test_same_seed_same_search_with_a_critic(closed_form, tmp_path, critic):
    first, second = (_run(closed_form, tmp_path / name, 15, update="critic", critic=critic)[2] for name in ("a", "b"))
    assert first == second


def test_it_searches_the_origin_space_as_well(closed_form, tmp_path):
    _, _, rows = _run(closed_form, tmp_path, 12, decoder="identity")
    assert len(rows) == 12


def test_without_steps_a_child_is_drawn_around_the_simulators_logits(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, 30, update="critic", epsilon=0.0, steps=0)
    states, embeddings, _ = agent.pool.last(20)
    drawn = np.log(embeddings / (1 - embeddings)) - agent.controller.logits(states)
    assert 0.9 < drawn.std() < 1.1 and abs(drawn.mean()) < 0.2


class TestWhatIsRecommended:
    def _searched(self, closed_form, children, noise=0.0, **settings):
        """An agent and its trace after a search whose rewards, the share of the first number, have noise."""
        env, rng = closed_form(), np.random.default_rng(1)
        step = env.step

        def noisy(action):
            origin, _, *rest = step(action)
            return origin, float(origin.mean() / 30 + noise * rng.standard_normal()), *rest

        env.step = noisy
        trace = Trace(env, children)
        agent = Reinforce(trace, 0, ReinforceSettings(**settings))
        agent.run(trace, children)
        return agent, trace

    def test_before_there_is_a_critic_it_is_the_best_reward(self, closed_form):
        agent, trace = self._searched(closed_form, 10)
        assert agent.recommend(trace) == trace.best.step

    def test_a_critic_of_embeddings_recommends_the_best_reward(self, closed_form):
        agent, trace = self._searched(closed_form, 20, noise=0.3, critic="embedding")
        assert agent.recommend(trace) == trace.best.step

    def test_it_is_the_child_with_the_highest_value_not_the_luckiest(self, closed_form):
        agent, trace = self._searched(closed_form, 30, noise=1.0, ridge=1.0)
        known, built = agent.state_dict(), Built(closed_form().space)(np.stack(trace.origins))
        squares = ((built[:, None] - known["critic.inputs"]) ** 2).sum(axis=2)
        values = np.exp(-squares / known["critic.scale"]) @ known["critic.weights"]
        assert agent.recommend(trace) == values.argmax() != trace.best.step

    def test_a_failed_child_is_not_recommended(self, closed_form):
        agent, trace = self._searched(closed_form, 20)
        for row in trace.rows[1:]:
            row["failure"] = "nan"
        assert agent.recommend(trace) == 0


def test_the_paper_recipe_is_the_papers_letter():
    paper = ReinforceSettings.paper()
    assert (paper.policy, paper.learning_rate) == ("bernoulli", 1e-5)
    assert (paper.warmup, paper.epsilon, paper.samples) == (10, 0.1, 3)
    assert (paper.update, paper.updates, paper.pool, paper.baseline) == ("adam", 1, True, "pool")
