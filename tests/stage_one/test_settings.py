"""Recipes of stage 1: the paper's letter, the schedule, and what cannot work."""

import dataclasses

import pytest

from nases_env.stage_one.settings import PretrainingSettings


def test_the_papers_recipe_is_its_letter():
    paper = PretrainingSettings.paper()
    assert (paper.learning_rate, paper.training_vectors, paper.keep_lowest) == (1e-5, 300_000, True)
    assert not (paper.standardise or paper.decay or paper.finetune_steps)
    assert paper.learning_rate_at(0) == paper.learning_rate_at(paper.steps - 1) == 1e-5
    sizes = [paper.batch_size_at(step) for step in (0, 359_999, 360_000, 480_000, 540_000, 599_999)]
    assert sizes == [32, 32, 64, 128, 256, 256]


def test_learning_rate_warms_up_and_falls_once_more_for_the_fine_tune():
    settings = PretrainingSettings(steps=100, finetune_steps=50, warmup=0.1)
    rates = [settings.learning_rate_at(step) for step in range(150)]
    assert rates[0] == rates[100] == 0
    assert rates[10] == pytest.approx(2e-3)
    assert rates[105] == max(rates[100:]) == pytest.approx(1e-3)
    assert rates[5] == pytest.approx(1e-3)
    assert rates[55] == pytest.approx(1e-3)  # half of the cosine
    assert rates[99] < 2e-6
    assert rates[10:100] == sorted(rates[10:100], reverse=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "at least 1.*'steps': 0"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"training_vectors": 0}, "training_vectors"),
        ({"finetune_steps": -1}, "finetune_steps -1"),
        ({"finetune": "both"}, "no fine-tune 'both'"),
        ({"seed": -1}, "seed -1"),
        ({"vectors": "smooth"}, "no vectors 'smooth'"),
        ({"vectors": "profiles", "finetune": "uniform"}, "choose `inverse` for profiles"),
        ({"vectors": "profiles", "finetune_steps": 0, "keep_lowest": True}, "do not keep the lowest for profiles"),
        ({"batch_growth": (1.5,)}, "batch_growth.*between 0 and 1"),
        ({"warmup": 1.0}, "warmup 1.0"),
        ({"standardise": False}, "set finetune_steps to 0"),
        ({"keep_lowest": True}, "set finetune_steps to 0"),
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
    ],
)
def test_settings_that_cannot_work_say_what_to_change(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(PretrainingSettings(), **change)
