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
