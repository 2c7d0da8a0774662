"""The command that tells how far searches are."""

from agents.commands import search, status
from tests.agents.search.test_progress import OPTIONS


def test_every_folder_has_its_lines_and_a_wrong_one_an_error(tmp_path, capsys):
    for name in ("a", "b"):
        search.main(search.parse([*OPTIONS, "--children", "2", "--run-dir", str(tmp_path / name)]))
    capsys.readouterr()
    assert status.main(status.Options((tmp_path / "a", tmp_path / "nothing", tmp_path / "b"))) == 2
    told = capsys.readouterr()
    assert [line.split(":")[0] for line in told.out.splitlines() if not line.startswith(" ")] == [
        str(tmp_path / "a"),
        str(tmp_path / "b"),
    ]
    assert "nothing holds no search" in told.err
    assert status.main(status.Options((tmp_path / "a",))) == 0


def test_a_folder_of_searches_stands_for_them_and_runs_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert status.main(status.Options()) == 2
    assert "runs holds no search" in capsys.readouterr().err
    for name in ("b", "a"):
        search.main(search.parse([*OPTIONS, "--children", "1", "--run-dir", f"runs/{name}"]))
    (tmp_path / "runs" / "other").mkdir()
    capsys.readouterr()
    assert status.main(status.Options()) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told if not line.startswith(" ")] == ["runs/a", "runs/b"]
