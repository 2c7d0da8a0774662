"""Checks the text of a LightGBM model, which LightGBM itself believes: indices that lead nowhere end the process.

Only what the fit of a surrogate writes passes: numerical splits, constant leaves, features without names.
"""

from __future__ import annotations

import re
import sys

from nases_env.untrusted import LARGEST_NUMBER

END = "end of trees\n"
_INTEGER = r"-?+\d{1,10}+"
_NUMBER = r"-?+\d{1,20}+(?:\.\d{1,20}+)?+(?:e[-+]\d{1,3}+)?+"
_SIZES = r"\d{1,9}+(?: \d{1,9}+)*+"
_RANGE = rf"(?:none|\[{_NUMBER}:{_NUMBER}\])"
_RANGES = rf"{_RANGE}(?: {_RANGE})*+"


def _lines(**entries: str) -> str:
    """A pattern of lines `name=entry entry …`, or with nothing behind the sign; each is a group of that name."""
    return "".join(rf"{name}=(?P<{name}>(?:{entry}(?: {entry})*+)?+)\n" for name, entry in entries.items())


_TREE = re.compile(
    r"Tree=(?P<index>\d{1,9}+)\nnum_leaves=(?P<num_leaves>\d{1,9}+)\nnum_cat=0\n"
    + _lines(
        split_feature=_INTEGER,
        split_gain=_NUMBER,
        threshold=_NUMBER,
        decision_type=_INTEGER,
        left_child=_INTEGER,
        right_child=_INTEGER,
        leaf_value=_NUMBER,
        leaf_weight=_NUMBER,
        leaf_count=_INTEGER,
        internal_value=_NUMBER,
        internal_weight=_NUMBER,
        internal_count=_INTEGER,
    )
    + rf"is_linear=0\nshrinkage={_NUMBER}\n\n\n",
    re.ASCII,
)
_OF_SPLITS = (
    "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "internal_value",
    "internal_weight", "internal_count",
)  # fmt: skip
_NUMERICAL = {"0", "2", "4", "6", "8", "10"}
"""Decision types without the bit of a categorical split; the other bits say where missing numbers go."""


def checked(data: bytes, features: int, targets: int) -> str:
    """The part of a model's text that predictions need, if it is sound; what follows the trees is left out.

    Args:
        data: What LightGBM wrote.
        features: Numbers that the model takes.
        targets: Numbers that it predicts, each with as many trees.

    Raises:
        ValueError: If it is another text than the fit of a surrogate writes.
    """
    text = data.decode("ascii")
    header = _header(features, targets).match(text)
    if header is None:
        raise ValueError(f"its first lines are not those of {targets} targets and {features} features without names")
    sizes, end = [int(size) for size in header["tree_sizes"].split(" ")], header.end()
    if len(sizes) % targets:
        raise ValueError(f"it has {len(sizes)} trees for {targets} targets")
    for index, size in enumerate(sizes):
        tree = _TREE.fullmatch(text, end, end + size)
        if tree is None or int(tree["index"]) != index:
            raise ValueError(f"tree {index} is not written as LightGBM writes one in {size} characters")
        try:
            _check(tree, features)
        except ValueError as error:
            raise ValueError(f"tree {index}: {error}") from error
        end += size
    if not text.startswith(END, end):
        raise ValueError(f"its trees do not end behind the {len(sizes)} that tree_sizes counts")
    return text[:end] + END


def _header(features: int, targets: int) -> re.Pattern[str]:
    """The lines before the trees."""
    names = " ".join(f"Column_{index}" for index in range(features))
    ranges = rf"{_RANGE}(?: {_RANGE}){{{features - 1}}}"
    return re.compile(
        rf"tree\nversion=v4\nnum_class={targets}\nnum_tree_per_iteration={targets}\nlabel_index=0\n"
        rf"max_feature_idx={features - 1}\nfeature_names={names}\nfeature_infos={ranges}\n"
        rf"tree_sizes=(?P<tree_sizes>{_SIZES})\n\n",
        re.ASCII,
    )


def _check(tree: re.Match[str], features: int) -> None:
    """Whether the numbers of a tree fit each other."""
    leaves = int(tree["num_leaves"])
    splits = leaves - 1
    counts = dict.fromkeys(_OF_SPLITS, splits)
    counts |= {"leaf_value": leaves, "leaf_weight": leaves if splits else 0, "leaf_count": leaves}
    for name, count in counts.items():
        if (found := tree[name].count(" ") + bool(tree[name])) != count:
            raise ValueError(f"{name} has {found} entries; {leaves} leaves ask for {count}")
    _check_range("leaf_value", tree, LARGEST_NUMBER)
    if splits:
        _check_range("threshold", tree, sys.float_info.max)
        if unknown := {*tree["decision_type"].split()} - _NUMERICAL:
            raise ValueError(f"decision_type holds {min(unknown)}, which is no split of numbers")
        used = [*map(int, tree["split_feature"].split())]
        if min(used) < 0 or max(used) >= features:
            raise ValueError(f"split_feature holds a feature that is none of 0 to {features - 1}")
        _check_children([*map(int, tree["left_child"].split())], [*map(int, tree["right_child"].split())])


def _check_range(name: str, tree: re.Match[str], largest: float) -> None:
    if max(map(abs, map(float, tree[name].split()))) > largest:
        raise ValueError(f"{name} holds a number beyond ±{largest:g}")


def _check_children(left: list[int], right: list[int]) -> None:
    """Whether the splits form one tree; a child −1 − k is leaf k, and every split comes behind its parent."""
    if sorted(left + right) != [*range(-len(left) - 1, 0), *range(1, len(left))]:
        raise ValueError("left_child and right_child do not reach every split and every leaf once")
    if any(0 <= child <= parent for children in (left, right) for parent, child in enumerate(children)):
        raise ValueError("left_child and right_child lead back to an earlier split")
