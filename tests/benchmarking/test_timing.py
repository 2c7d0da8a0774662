"""Rows of a benchmark: calls are counted right, and the table has what a row has."""

import dataclasses

import pytest

from nases_env.benchmarking.timing import Row, table, timed


def test_a_first_call_is_not_counted(monkeypatch):
    clock = iter([0.0, 6.0, 10.0, 12.0, 20.0, 24.0])
    monkeypatch.setattr("nases_env.benchmarking.timing.time.perf_counter", lambda: next(clock))
    calls = []
    row = timed("walk", lambda: calls.append(1), repeats=3, calls=2)
    assert len(calls) == 1 + 3 * 2
    assert (row.name, row.seconds, row.spread) == ("walk", 2.0, (1.0, 3.0))


def test_the_table_has_a_line_a_row_and_only_what_is_known_of_it():
    rows = [Row("decode", 0.5, (0.4, 0.6)), Row("random 0", 1.0, (1.0, 1.0), rung="b1", ratio_b0=2.0, memory=99.6)]
    _, decode, child = table(rows).splitlines()
    assert decode.split() == ["decode", "500.00", "400.00", "600.00"]
    assert child.startswith("random 0, b1") and child.split()[-2:] == ["2.00", "100"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "a step 25.40 ms, train 12.30 s"),
        ({"launches": 508.6, "busy": 0.975}, "a step 25.40 ms, 509 launches, GPU busy 98%, train 12.30 s"),
    ],
)
def test_a_childs_steps_stand_in_a_line_of_their_own_and_no_line_is_wider_than_a_page(fields, expected):
    phases = {"train": 12.3}
    row = Row(
        "random 0", 105.4, (1.0, 110.0), "graphed", step_milliseconds=25.4, phases=phases, memory=81_000, **fields
    )
    full = dataclasses.replace(row, images_per_second=4269, tflops=101.2, ceiling=0.13, ratio_b0=9.41, ratio_b1=4.2)
    lines = table([full]).splitlines()
    assert len(lines) == 3 and lines[2].strip() == expected
    assert max(map(len, lines)) <= 120
