"""Files are written whole or not at all."""

import pytest

from nases_env import files


def test_a_file_is_what_was_written_last(tmp_path):
    for data in (b"long before", b"after"):
        files.write(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == b"after"
    files.write_json(tmp_path / "file.json", {"name": "é"})
    assert (tmp_path / "file.json").read_bytes().startswith(b"{")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "file.json"]


def test_a_failure_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path, monkeypatch):
    files.write(tmp_path / "file", b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
