"""The picture of what a decoder reaches, in either space."""

import pytest

from nases_env import embeddings, search_spaces
from nases_env.stage_one import coverage_picture
from nases_env.stage_one.coverage import DRAWS, coverage, measures
from tests.agents.commands.conftest import pixels_of


@pytest.mark.parametrize("name", ["macro", "micro"])
def test_shares_sizes_and_errors_have_bars(name, tmp_path):
    space = search_spaces.make(name)
    table = measures(embeddings.make("random", space), space, samples=100)
    assert list(table) == [*DRAWS, "round trip"]
    reference = coverage(embeddings.make("identity", space), space, "uniform", samples=100)
    coverage_picture.draw(table, space, reference, "title", tmp_path / "picture.png")
    assert min(pixels_of(tmp_path / "picture.png", f"C{i}") for i in range(6)) > 1000
