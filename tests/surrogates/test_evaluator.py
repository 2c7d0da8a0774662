"""A surrogate instead of training."""

import shutil

import pytest

from nases_env import surrogates
from nases_env.surrogates.evaluator import SurrogateEvaluator


@pytest.fixture
def evaluator(tmp_path, space):
    """Asks a copy of the shipped surrogate."""
    folder = shutil.copytree(surrogates.FITTED / "digits", tmp_path / "digits")
    return SurrogateEvaluator(surrogates.make(str(folder)), space)


def test_after_preparing_the_files_are_not_needed(evaluator, space, rows, tmp_path):
    evaluator.prepare()
    shutil.rmtree(tmp_path / "digits")
    ((index, evaluation),) = evaluator.evaluate([space.architecture(rows[0])], [0])
    assert (index, evaluation.failure) == (0, "")
    assert len(evaluator.fingerprint) == 16


def test_preparing_finds_that_models_are_missing(evaluator, tmp_path):
    (tmp_path / "digits/trees.txt").unlink()
    with pytest.raises(FileNotFoundError, match="trees.txt is missing; fit the surrogate again"):
        evaluator.prepare()
