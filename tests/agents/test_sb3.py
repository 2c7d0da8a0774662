import json

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

import agents  # noqa: E402
from agents.search.recorder import Recorder  # noqa: E402


def _run(closed_form, folder, name, children, seed=0):
    recorder = Recorder(closed_form(), folder, children, progress=False)
    agent = agents.find(name)(recorder, seed)
    before = {key: value.copy() for key, value in agent.state_dict().items()}
    agent.run(recorder, children)
    recorder.close()
    moved = any(not np.array_equal(value, before[key]) for key, value in agent.state_dict().items())
    return agent, moved, (folder / "children.csv").read_text().splitlines()[1:]


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac", "td3"])
def test_it_learns_within_25_children_and_keeps_to_the_budget(closed_form, tmp_path, name):
    agent, moved, rows = _run(closed_form, tmp_path, name, 25)
    assert moved
    assert len(rows) == 25
    assert {row.split(",")[1] for row in rows} == {name}
    assert agent.model.gamma == 0.0


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_same_seed_same_search(closed_form, tmp_path, name):
    runs = [_run(closed_form, tmp_path / str(i), name, 25, seed)[2] for i, seed in enumerate((0, 0, 1))]
    assert runs[0] == runs[1] != runs[2]


def test_its_actions_reach_the_borders_of_the_box(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    agent = agents.find("ppo")(recorder, 0)
    proposals = agent.ask(recorder.observation_space.sample()[None].repeat(200, axis=0))
    actions = np.stack([proposal.action for proposal in proposals])
    assert actions.min() >= 0 and actions.max() <= 1
    assert actions.min() < 0.05 and actions.max() > 0.95


def test_it_sees_observations_between_minus_one_and_one(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    model = agents.find("ppo")(recorder, 0).model
    assert model.observation_space.low.min() == -1 and model.observation_space.high.max() == 1
    assert model.action_space.low.min() == -1 and model.action_space.high.max() == 1


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac", "td3"])
def test_its_losses_stand_beside_the_curves_of_the_search(closed_form, tmp_path, name):
    _run(closed_form, tmp_path, name, 25)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [tag for tag in events.Tags()["scalars"] if tag.startswith("train/") and "loss" in tag]
    assert losses
    steps = [event.step for event in events.Scalars(losses[0])]
    assert steps == sorted(steps) and steps[-1] == 24


def test_ppo_learns_from_its_last_roll_out(closed_form, tmp_path):
    agent, _, _ = _run(closed_form, tmp_path, "ppo", 20)
    assert agent.model._n_updates == 20 // agent.model.n_steps * agent.model.n_epochs


@pytest.mark.parametrize("name", ["ppo", "a2c", "sac", "td3"])
def test_a_model_does_not_write_into_the_default_settings(closed_form, tmp_path, name):
    agents.find(name)(Recorder(closed_form(), tmp_path, 1, progress=False), 0)
    settings = agents.find(name).settings
    assert json.loads(json.dumps(settings)) == settings  # as a comparison records them


def test_td3_takes_the_deviation_of_its_noise(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    noise = agents.find("td3")(recorder, 0, {"action_noise": 0.4}).model.action_noise
    assert noise._sigma.tolist() == [0.4] * 20
