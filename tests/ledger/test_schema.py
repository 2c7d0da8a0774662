"""What a journal's line may say."""

import dataclasses
import json
import math

import pytest

from nases_env.evaluators import Evaluation
from nases_env.ledger import schema
from tests.ledger.conftest import action, edited, evaluation, identity


def test_every_field_of_an_evaluation_is_checked():
    assert schema._EVALUATION.keys() == {field.name for field in dataclasses.fields(Evaluation)}


def test_a_line_is_the_child_that_was_recorded(lines):
    trial = schema.trial(schema.parse(lines[3]))
    assert trial.identity == identity(2) and trial.evaluation == evaluation(2)
    assert list(trial.params.values()) == action(2).tolist()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("validation_accuracy", value) for value in (5, -0.1, math.nan, math.inf, 1e308, "abc", None, True, [0.5])),
        *(("train_accuracy", value) for value in (1.0000001, "0.5", {})),
        *(("parameters", value) for value in (-1, 0.5, "7", 2**63, True)),
        *(("flops", value) for value in (-1, math.nan)),
        *(("failure", value) for value in (None, 3, "x" * 1000, "red \x1b[31m")),
        *(("epochs", value) for value in ("none", [1], [{"loss": math.nan}], [{"loss": "low"}], {})),
        *(("seconds", value) for value in (-1, math.inf, 10**400, "long")),
        *(("device", value) for value in (None, 3)),
        *(("versions", value) for value in ([], {"torch": 2})),
        *(("proxy", value) for value in (None, math.nan, math.inf, "high", True)),
        *(("evaluator", value) for value in (None, 3)),
        *(("child_seed", value) for value in (-1, 1.5, "0")),
        *(("value", value) for value in (math.nan, math.inf, "high", None, True)),
        *(("state", value) for value in (0, 2, None)),
        *(("params", value) for value in ({}, {"x": 0.5}, {"action_00": 2, "action_01": 0}, {"action_00": math.nan})),
        ("architecture_json", "none"),
        *(("asked", value) for value in (-1, 0.0, "0", True, None)),
        ("datetime_complete", "yesterday"),
        ("datetime_start", None),
        ("distributions", {}),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_named(lines, field, value):
    with pytest.raises(ValueError, match="params|action_00" if field == "params" else field):
        schema.trial(schema.parse(edited(lines[1], **{field: value})))


@pytest.mark.parametrize("field", ["evaluator", "architecture", "child_seed", "validation_accuracy", "failure"])
def test_a_missing_field_is_named(lines, field):
    trial = json.loads(lines[1])
    del trial["user_attrs"]["evaluation"][field]
    with pytest.raises(ValueError, match=f"lacks {field}"):
        schema.trial(trial)


def test_fields_of_other_versions_are_no_obstacle(lines):
    trial = json.loads(lines[1])
    found = trial["user_attrs"]["evaluation"]
    del found["versions"], found["epochs"]
    found["latency"] = 3
    assert schema.trial(trial).evaluation == dataclasses.replace(evaluation(0), versions={}, epochs=[])


def test_notes_that_a_dashboard_adds_tell_of_no_child():
    note = b'{"op_code":9,"worker_id":"w","trial_id":0,"system_attr":{"dashboard:note":"nice"}}\n'
    assert schema.trial(schema.parse(note)) is None
    with pytest.raises(schema.NotASearch):
        schema.trial(schema.parse(b'{"op_code":8,"worker_id":"w","trial_id":0,"user_attr":{"evaluation":{}}}\n'))


@pytest.mark.parametrize("line", [b"\n", b"{", b'{"op_code":4', b"\xff\n", b"\0\0\n", b'{"op_code":4}'])
def test_a_torn_line_is_told_from_a_wrong_one(line):
    with pytest.raises(schema.NotWhole):
        schema.parse(line)


@pytest.mark.parametrize(
    "line", [b"5\n", b"[]\n", b"{}\n", b'{"op_code":"4"}\n', b"[" * 100_000 + b"]" * 100_000 + b"\n"]
)
def test_a_whole_line_that_is_no_operation_is_no_search(line):
    with pytest.raises(schema.NotASearch):
        schema.parse(line)
