"""Rows of a benchmark: calls are counted right, and the table has what a row has."""

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
    assert decode.split() == ["decode", "500.00", "ms", "400.00", "ms", "600.00", "ms"]
    assert child.startswith("random 0, b1") and child.split()[-2:] == ["2.00", "100"]
