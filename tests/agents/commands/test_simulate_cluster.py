import csv

import pytest

from agents.commands import simulate_cluster
from agents.commands.simulate_cluster import Options
from tests.agents.commands.conftest import pixels_of


def _rows(file):
    return list(csv.DictReader(file.open(encoding="utf-8")))


def test_workers_wait_less_where_nobody_waits_for_the_slowest(tmp_path, capsys):
    options = Options(workers=(4, 32), driver_ms=(0.0, 5.0), out=tmp_path)
    assert simulate_cluster.main(options) == 0
    rows = _rows(tmp_path / "waiting.csv")
    assert len(rows) == 2 * 2 * 2 and "digits, 32 workers" in capsys.readouterr().out
    for row in rows:
        assert 0 <= float(row["asynchronous idle"]) < float(row["batch idle"]) < 1
        assert float(row["asynchronous children a second"]) > float(row["batch children a second"])
    assert not (tmp_path / "searches.csv").exists()
    assert all(pixels_of(tmp_path / "scaling.png", colour) > 100 for colour in ("C0", "C1"))


def test_searches_are_made_in_all_ways_and_those_that_are_done_are_not_repeated(tmp_path):
    given = {"workers": (2,), "agents": ("random",), "flight": 4, "children": 12, "out": tmp_path}
    assert simulate_cluster.main(Options(seeds=1, **given)) == 0
    first = _rows(tmp_path / "searches.csv")
    assert simulate_cluster.main(Options(seeds=2, **given)) == 0
    rows = _rows(tmp_path / "searches.csv")
    assert rows[:3] == first and len(rows) == 6
    alone, batch, asynchronous = first
    assert float(alone["idle"]) == 0.0
    assert float(asynchronous["seconds"]) < float(batch["seconds"]) < float(alone["seconds"])
    for row in rows:
        assert float(row["chosen"]) <= float(row["best"]) and float(row["rest_ms"]) > 0
    assert float(alone["best"]) == float(batch["best"]), "random search proposes the same in any way"


@pytest.mark.parametrize(("given", "words"), [({"seeds": 0}, "at least 1"), ({"driver_ms": (-1.0,)}, "at least 0")])
def test_wrong_numbers_are_named(given, words):
    with pytest.raises(ValueError, match=words):
        Options(**given)


def test_another_file_than_a_table_is_named(tmp_path, capsys):
    assert simulate_cluster.main(Options(times=tmp_path / "none.csv.gz", out=tmp_path)) == 2
    assert "none.csv.gz" in capsys.readouterr().err
