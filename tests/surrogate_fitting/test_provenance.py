"""What a surrogate's card tells of its table."""

from dataclasses import replace

import pytest

from nases_env import surrogates
from nases_env.surrogate_fitting import table
from nases_env.surrogate_fitting.provenance import provenance
from tests.surrogate_fitting.conftest import change_card


def test_a_shipped_surrogate_tells_of_the_table_that_it_was_fitted_to(shipped):
    name, collected = shipped
    file = f"collected-{name}.csv.gz"
    told, shipped = provenance(collected, file), surrogates.make(name).card
    assert told["table"] == {"name": file, "sha256": collected.sha256, "rows": len(collected)}
    kept = ("dataset", "table", "space", "rules", "fingerprint")
    assert {name: told[name] for name in kept} == {name: shipped[name] for name in kept}


def test_the_names_of_the_classes_are_carried_where_the_table_has_them(few):
    assert "class_names" not in provenance(table.read(few), few.name)
    change_card(table.card_path(few), class_names=["zero", "one"])
    assert provenance(table.read(few), few.name)["class_names"] == ["zero", "one"]


def test_a_data_set_that_is_given_stands_for_the_tables(collected):
    assert provenance(collected, "table.csv.gz", "cifar10")["dataset"] == "cifar10"
    unknown = replace(collected, card={**collected.card, "dataset": "imagefolder"})
    with pytest.raises(ValueError, match="with --dataset"):
        provenance(unknown, "table.csv.gz")
