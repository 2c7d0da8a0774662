"""What the card of a surrogate tells of the evaluations that it was fitted to."""

from __future__ import annotations

from typing import Any

import lightgbm

from nases_env.children.dataset_names import absolute, check_dataset
from nases_env.surrogate_fitting.table import CARD_FIELDS, Table

KEPT = ("space", "rules", "protocol", "images", *CARD_FIELDS[2:], "class_names")
"""Fields that are taken over from the table's card, where it has them."""


def provenance(table: Table, name: str, dataset: str | None = None) -> dict[str, Any]:
    """Fields of the card.

    Args:
        table: The evaluations.
        name: Name of the table's file.
        dataset: Data set of the final training of a network that was found with the surrogate; None: the table's.

    Raises:
        ValueError: If there is no such data set.
    """
    dataset = dataset or table.card["dataset"]
    try:
        check_dataset(absolute(dataset))
    except ValueError as error:
        raise ValueError(f"{error}; name what a final training reads with --dataset") from error
    return {
        "dataset": absolute(dataset),
        "table": {"name": name, "sha256": table.sha256, "rows": len(table)},
        **{field: table.card[field] for field in KEPT if field in table.card},
        "lightgbm": lightgbm.__version__,
    }
