import csv
import gzip
import json
from functools import cache
from pathlib import Path

import pytest

from nases_env import surrogates
from nases_env.surrogate_fitting import table

RESULTS = Path(__file__).parents[2] / "docs/results"
COLLECTED = RESULTS / "collected-digits.csv.gz"


@cache
def table_of(name):
    """The table that a shipped surrogate was fitted on."""
    return table.read(RESULTS / f"collected-{name}.csv.gz")


@pytest.fixture(scope="session")
def collected():
    """The table of the surrogate of digits."""
    return table_of("digits")


@pytest.fixture(scope="session", params=surrogates.SHIPPED)
def shipped(request):
    """The name of each shipped surrogate, and its table."""
    return request.param, table_of(request.param)


@pytest.fixture
def few(tmp_path):
    """A copy of the first 230 lines of that table, with its card."""
    path = tmp_path / "few.csv.gz"
    with gzip.open(COLLECTED, "rt", newline="") as file:
        lines = [next(file) for _ in range(231)]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    table.card_path(path).write_text(table.card_path(COLLECTED).read_text())
    return path


def rewrite(path, change):
    """Change the lines of a table, dictionaries all."""
    with gzip.open(path, "rt", newline="") as file:
        lines = list(csv.DictReader(file))
    change(lines)
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def change_card(path, **changes):
    """Change fields of a card; None takes one away."""
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in card.items() if value is not None}))
