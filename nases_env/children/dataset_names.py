"""How data sets are named; knows neither torch nor images."""

from __future__ import annotations

import os

DATASETS = ("cifar10", "digits")
FOLDER = "imagefolder:"


def check_dataset(dataset: str) -> str:
    """The data set's name, if it can be one.

    Raises:
        ValueError: If it cannot.
    """
    named = isinstance(dataset, str) and (dataset in DATASETS or dataset.removeprefix(FOLDER) not in ("", dataset))
    if not named:
        raise ValueError(f"there is no dataset {dataset!r}; choose {', '.join(DATASETS)} or {FOLDER}PATH")
    return dataset


def absolute(dataset: str) -> str:
    """The data set's name; an image folder by its absolute path, `~` expanded, so that it is found from anywhere."""
    if not dataset.startswith(FOLDER):
        return dataset
    return FOLDER + os.path.realpath(os.path.expanduser(dataset.removeprefix(FOLDER)))
