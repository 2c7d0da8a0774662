"""Tables of evaluations: what is read of them, and what is refused."""

import numpy as np
import pytest

from nases_env.surrogate_fitting import table
from tests.surrogate_fitting.conftest import change_card, rewrite


def test_it_has_rows_keys_and_numbers_of_every_child(few, space):
    found = table.read(few)
    assert len(found) == 230 and found.epochs.shape == (230, 3, 3)
    for row, key in zip(found.rows[:5], found.keys, strict=False):
        assert space.architecture(row).key == key
    reward = (2 * found.measured["validation_accuracy"] - found.measured["train_accuracy"]) ** 3
    np.testing.assert_allclose(found.measured["reward"], reward)
    np.testing.assert_array_equal(found.epochs[:, -1, 2], found.measured["validation_accuracy"].round(6))


def test_repeats_are_of_one_architecture(few):
    found = table.read(few)
    index = found.architecture_index
    np.testing.assert_array_equal(index[:60], index[60:120])
    assert len(set(index)) == 110


def test_failed_children_are_left_out(few):
    def fail(lines):
        lines[3] |= {"failure": "timeout", "loss_1": ""}

    rewrite(few, fail)
    found = table.read(few)
    assert (len(found), found.failed) == (229, 1)


def test_mutations_belong_to_the_family_of_what_they_change(collected):
    mutations = collected.sources == "mutation"
    assert (collected.families != collected.keys)[mutations].all()
    assert (collected.families == collected.keys)[~mutations].all()
    assert set(collected.families) <= set(collected.keys[~mutations])


def test_families_are_followed_to_their_root(few):
    def descend(lines):
        for index, parent in ((220, 3), (221, 220), (222, 221)):
            lines[index]["parent"] = parent

    rewrite(few, descend)
    found = table.read(few)
    assert set(found.families[220:223]) == {found.keys[3]}


def test_some_of_it_is_a_table_too(few):
    found = table.read(few)
    part = found[found.sources == "uniform"]
    assert len(part) == len(part.keys) == len(part.epochs) == len(part.measured["reward"]) < len(found)
    assert set(part.sources) == {"uniform"}


@pytest.mark.parametrize("missing", ["table", "card"])
def test_missing_files_are_named(missing, few):
    (few if missing == "table" else table.card_path(few)).unlink()
    with pytest.raises(FileNotFoundError, match=r"is missing; nases collect"):
        table.read(few)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_text("reward\n1\n"),
        lambda path: rewrite(path, lambda lines: lines[0].update(architecture="{}")),
        lambda path: rewrite(path, lambda lines: lines[0].update(reward="high")),
        *(
            lambda path, name=name: change_card(table.card_path(path), **{name: None})
            for name in ("space", "rules", "protocol", "images", *table.CARD_FIELDS)
        ),
        lambda path: change_card(table.card_path(path), protocol={"speed": 3}),
        lambda path: rewrite(path, lambda lines: lines[0].update(parent=5)),
        lambda path: table.card_path(path).write_text("[]"),
    ],
)
def test_damaged_tables_are_refused(damage, few):
    damage(few)
    with pytest.raises(ValueError, match="not what nases collect writes now"):
        table.read(few)


def test_the_reward_is_told_by_its_values(few):
    assert table.read(few).reward == "eq1"

    def reward_validation(lines):
        for line in lines:
            line["reward"] = line["validation_accuracy"]

    rewrite(few, reward_validation)
    assert table.read(few).reward == "validation"
    rewrite(few, lambda lines: lines[7].update(reward=5))
    with pytest.raises(ValueError, match="its rewards are those of none of eq1, validation"):
        table.read(few)
