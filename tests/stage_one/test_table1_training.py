"""Rows of Table 1: which there are, and which are still to be trained."""

import json

import pytest

from nases_env.stage_one import table1_training
from nases_env.stage_one.pretraining_job import PretrainingJob
from nases_env.stage_one.settings import PretrainingSettings

SETTINGS = PretrainingSettings(steps=3, batch_size=4)


def jobs(folder, settings=SETTINGS):
    def make(out, settings):
        return PretrainingJob(out, settings, "ours", "cpu", 30.0)

    return table1_training.jobs(folder, settings, (1, 20), make)


@pytest.fixture
def trained(tmp_path):
    """A folder where the row of size 1 is trained, and the numbers of trained rows that were told."""
    told = []
    first = table1_training.claim_missing(jobs(tmp_path), overwrite=False)[:1]
    table1_training.train(first, 1, lambda: told.append(len(list(tmp_path.glob("*.json")))))
    return tmp_path, told


def test_a_size_has_a_row_for_each_of_its_seeds_and_no_fine_tune(tmp_path):
    rows = jobs(tmp_path)
    assert [job.out.stem for job in rows] == ["k1-seed0", "k20-seed0", "k20-seed1", "k20-seed2"]
    assert [(job.settings.embedding_size, job.settings.seed) for job in rows] == [(1, 0), (20, 0), (20, 1), (20, 2)]
    assert {job.settings.finetune_steps for job in rows} == {0}


def test_a_trained_row_is_told_and_not_missing(trained):
    folder, told = trained
    assert told == [1]
    assert json.loads((folder / "k1-seed0.json").read_text())["steps"] == 3
    missing = table1_training.claim_missing(jobs(folder), overwrite=False)
    assert [job.out.stem for job in missing] == ["k20-seed0", "k20-seed1", "k20-seed2"]


def test_a_row_of_other_settings_is_refused_unless_it_may_be_overwritten(trained):
    folder, _ = trained
    others = jobs(folder, PretrainingSettings(steps=3, batch_size=8))
    with pytest.raises(FileExistsError, match="batch_size: 4, now 8"):
        table1_training.claim_missing(others, overwrite=False)
    assert len(table1_training.claim_missing(others, overwrite=True)) == 4
