"""Figure 3 from a table: rows of one size belong together, and curves have to cross."""

import pytest

from nases_env.stage_one import figure3

TABLE = """embedding_size,test_loss
60,0.04
20,24.5
20,25.5
"""


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "table1.csv").write_text(TABLE)
    return figure3.read(tmp_path / "table1.csv")


def test_sizes_ascend_and_have_a_row_for_each_seed(rows):
    assert [(size, len(runs)) for size, runs in rows.items()] == [(20, 2), (60, 1)]


def test_seeds_are_averaged(rows):
    assert figure3.test_losses(rows) == {20: 25.0, 60: 0.04}


def test_both_axes_have_the_papers_ends(rows):
    left, right = figure3.draw(rows).axes
    assert (left.get_xlim(), left.get_ylim(), right.get_ylim()) == ((0, 1), (0, 60), (0, 75))
    assert [text.get_text() for text in right.get_legend().get_texts()][1] == "test loss, ours; crosses at k = 20"


def test_curves_that_do_not_cross_are_refused(rows):
    with pytest.raises(ValueError, match="do not cross"):
        figure3.draw({60: rows[60]})
