"""Which version wrote a file."""

import pytest

from nases_env.schemas import SCHEMA, NewerVersionError, check_schema


@pytest.mark.parametrize("kind", SCHEMA)
def test_every_schema_up_to_this_versions_is_read_and_none_is_0(kind):
    assert check_schema({}, kind, "it") == 0
    for schema in range(SCHEMA[kind] + 1):
        assert check_schema({"schema": schema}, kind, "it") == schema


@pytest.mark.parametrize("schema", [SCHEMA["table"] + 1, 10**30])
def test_a_newer_schema_is_refused_with_what_to_do(schema):
    with pytest.raises(NewerVersionError, match=f"table.json was written by a newer version.*{schema}.*update"):
        check_schema({"schema": schema}, "table", "table.json")


@pytest.mark.parametrize("schema", [-1, 1.0, True, None, "1", [1], {}])
def test_what_is_no_number_of_a_schema_is_refused(schema):
    with pytest.raises(ValueError, match="its schema is") as error:
        check_schema({"schema": schema}, "table", "table.json")
    assert not isinstance(error.value, NewerVersionError)


@pytest.mark.parametrize("content", [None, [], "schema", 3])
def test_what_is_no_object_is_for_other_checks_to_refuse(content):
    assert check_schema(content, "table", "table.json") == 0
