"""Trees of a LightGBM model as text: what a fit writes passes, everything else is told before LightGBM sees it."""

import json
import random
import re
import subprocess
import sys

import lightgbm
import numpy as np
import pytest

from nases_env import surrogates
from nases_env.surrogate_fitting.fitting import fit_regressor
from nases_env.surrogates import trees

FEATURES, TARGETS = 117, 2
SHIPPED = (surrogates.FITTED / "digits" / "trees.txt").read_bytes()


def resized(text):
    """The text with tree_sizes as its trees have them."""
    header, rest = text.split("\n\n", 1)
    sizes = [len("Tree=" + tree) for tree in rest.split("end of trees")[0].split("Tree=")[1:]]
    return re.sub("tree_sizes=.*", f"tree_sizes={' '.join(map(str, sizes))}", header) + "\n\n" + rest


@pytest.fixture(scope="module")
def few():
    """The first four of the shipped trees."""
    text = SHIPPED.decode()
    return resized(text[: text.index("Tree=4\n")] + "end of trees\n")


def check(text):
    return trees.checked(text.encode(), FEATURES, TARGETS)


def test_the_shipped_trees_predict_the_same_without_what_follows_them():
    found = np.random.default_rng(0).normal(size=(300, FEATURES)) * 5
    whole, part = (
        lightgbm.Booster(model_str=text) for text in (SHIPPED.decode(), trees.checked(SHIPPED, FEATURES, TARGETS))
    )
    assert part.num_trees() == whole.num_trees() == 200
    np.testing.assert_array_equal(part.predict(found), whole.predict(found))


@pytest.mark.parametrize("values", ["learnable", "constant"])
def test_what_a_fit_writes_passes(values):
    features = np.random.default_rng(0).normal(size=(600, 4))
    features[:, 3] = 1  # of which LightGBM writes no range
    targets = np.sin(3 * features[:, :2]) if values == "learnable" else np.zeros((600, 2))
    found = fit_regressor(features, targets).trees
    text = trees.checked(found.model_to_string().encode(), 4, 2)
    assert ("num_leaves=1\n" in text) == (values == "constant")
    np.testing.assert_array_equal(lightgbm.Booster(model_str=text).predict(features), found.predict(features))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("num_class=2", "num_class=3"), "first lines"),
        (("max_feature_idx=116", "max_feature_idx=900000000"), "first lines"),
        (("label_index=0\n", "label_index=0\naverage_output\n"), "first lines"),
        (("Column_0 ", "Column_0=Column_1 "), "first lines"),
        ((r"\[48:256\]", "1:2:3"), "first lines"),
        (("tree_sizes=868", "tree_sizes=867"), "tree 0 is not written"),
        (("tree_sizes=868", "tree_sizes=999999999"), "tree 0 is not written"),
        (("tree_sizes=868 ", "tree_sizes=868 0 "), "5 trees for 2 targets"),
        (("Tree=1\n", "Tree=2\n"), "tree 1 is not written"),
        (("num_cat=0", "num_cat=1"), "tree 0 is not written"),
        (("is_linear=0", "is_linear=1"), "tree 0 is not written"),
        (("num_leaves=8", "num_leaves=9"), "entries; 9 leaves ask for 8"),
        (("num_leaves=8", "num_leaves=0"), "entries; 0 leaves"),
        (("num_leaves=8", "num_leaves=999999999"), "999999999 leaves ask for"),
        (("split_feature=112", "split_feature=117"), "none of 0 to 116"),
        (("split_feature=112", "split_feature=-1"), "none of 0 to 116"),
        (("threshold=0.9", "threshold=nan 0.9"), "tree 0 is not written"),
        (("threshold=0.92329861111111111", "threshold=1e+999"), "threshold holds a number beyond"),
        (("leaf_value=-0.0084024005005836414", "leaf_value=-1e+07"), "leaf_value holds a number beyond"),
        (("decision_type=2", "decision_type=3"), "holds 3, which is no split of numbers"),
        (("left_child=1 3", "left_child=3 1"), "lead back to an earlier split"),
        (("left_child=1 3", "left_child=0 3"), "do not reach every split and every leaf once"),
        (("left_child=1 3", "left_child=1000000 3"), "do not reach"),
        (("left_child=1 3 -2", "left_child=1 3 -200"), "do not reach"),
        (("left_child=1 3 -2", "left_child=1 3 -4"), "do not reach"),
        (("end of trees", "end of tree"), "do not end behind"),
        (("leaf_count=", "leaf_count=٣"), "ascii"),
        (("tree\n", "tree\x00\n"), "first lines"),
    ],
)
def test_other_trees_are_told(few, change, words):
    changed = re.sub(change[0], change[1], few, count=1)
    assert changed != few
    if "sizes" not in change[0] and change[0] != "end of trees":
        changed = resized(changed)
    with pytest.raises(ValueError, match=words):
        check(changed)


def mutate(text, rng):
    """The text with something dropped, doubled, exchanged or replaced, once or a few times."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(6)
        if kind == 0:  # another number
            numbers = list(re.finditer(r"-?\d+(\.\d+)?(e-?\d+)?", text)) or [re.match("", text)]
            found = rng.choice(numbers)
            other = rng.choice(
                (rng.choice(numbers)[0], "-1", "0", "1", "7", "99999", "-2147483648", "1e308", "nan", "")
            )
            text = text[: found.start()] + other + text[found.end() :]
        elif kind == 1:  # another character
            place = rng.randrange(len(text))
            text = text[:place] + chr(rng.choice((0, 10, 13, 32, 45, 61, rng.randrange(32, 127)))) + text[place + 1 :]
        elif kind == 2:  # the end is missing
            text = text[: rng.randrange(len(text))] if rng.random() < 0.2 else text
        else:
            lines = text.split("\n")
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            if kind == 3:
                del lines[one]
            elif kind == 4:
                lines.insert(other, lines[one])
            else:
                lines[one], lines[other] = lines[other], lines[one]
            text = "\n".join(lines)
    return text


def accepted(text, count, seed):
    """The mutations of a text that pass, as LightGBM would get them."""
    rng, passed = random.Random(seed), []
    for _ in range(count):
        changed = mutate(text, rng)
        if rng.random() < 0.7 and "\n\n" in changed:
            changed = resized(changed)
        try:
            passed.append(check(changed))
        except ValueError as error:
            assert str(error)
    return passed


PREDICT = f"""
import json, sys
import lightgbm, numpy as np
rows = np.random.default_rng(0).normal(size=(200, {FEATURES})) * 5
for text in json.load(sys.stdin):
    predicted = lightgbm.Booster(model_str=text).predict(rows, num_threads=1)
    assert predicted.shape == (200, {TARGETS}) and np.isfinite(predicted).all()
print("all predicted")
"""


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_whatever_passes_is_loaded_and_predicts_numbers(few, count):
    passed = accepted(few, count, seed=count)
    assert 0 < len(passed) < count / 2
    done = subprocess.run(
        [sys.executable, "-c", PREDICT], input=json.dumps(passed), capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "all predicted\n", done.stderr
