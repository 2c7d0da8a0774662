"""A surrogate instead of training."""

import shutil

import numpy as np
import pytest

from nases_env import search_spaces, surrogates
from nases_env.evaluators.surrogate import SurrogateEvaluator

SPACE = search_spaces.make()
ROWS = SPACE.discretise(SPACE.sample(np.random.default_rng(0), 3))


@pytest.fixture
def evaluator(tmp_path):
    """Asks a copy of the shipped surrogate."""
    folder = shutil.copytree(surrogates.FITTED / "digits", tmp_path / "digits")
    return SurrogateEvaluator(surrogates.make(str(folder)), SPACE)


def test_after_preparing_the_files_are_not_needed(evaluator, tmp_path):
    evaluator.prepare()
    shutil.rmtree(tmp_path / "digits")
    ((index, evaluation),) = evaluator.evaluate([SPACE.architecture(ROWS[0])], [0])
    assert (index, evaluation.failure) == (0, "")
    assert len(evaluator.fingerprint) == 16


def test_preparing_finds_that_models_are_missing(evaluator, tmp_path):
    (tmp_path / "digits/trees.txt").unlink()
    with pytest.raises(FileNotFoundError, match="trees.txt is missing; fit the surrogate again"):
        evaluator.prepare()


def test_rows_are_told_what_their_architectures_are(evaluator):
    architectures = [SPACE.architecture(row) for row in ROWS]
    expected = [evaluation for _, evaluation in evaluator.evaluate(architectures, [0, 1, 2])]
    found = evaluator.evaluate_rows(ROWS, [architecture.key for architecture in architectures], [0, 1, 2])
    for name in found._fields:
        assert getattr(found, name).tolist() == [getattr(evaluation, name) for evaluation in expected]
