import numpy as np
import pytest

import agents
from agents.random_search import RandomSearch
from agents.search.recorder import Recorder


def test_actions_are_uniform_in_the_box(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    proposals = RandomSearch(recorder, 0).ask(np.zeros((2000, 60), dtype=np.float32))
    actions = np.stack([proposal.action for proposal in proposals])
    assert actions.shape == (2000, 20) and actions.dtype == np.float32
    deciles = np.histogram(actions, bins=10, range=(0, 1))[0] / actions.size
    np.testing.assert_allclose(deciles, 0.1, atol=0.01)


def test_the_seed_decides(closed_form, tmp_path):
    recorder = Recorder(closed_form(), tmp_path, 1, progress=False)
    draws = [RandomSearch(recorder, seed).ask(np.zeros((1, 60)))[0].action for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_an_unknown_agent_is_refused():
    with pytest.raises(ValueError, match="'dqn'.*reinforce, random"):
        agents.find("dqn")
