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


def test_a_table_has_its_columns_in_order_also_without_rows(tmp_path):
    file = tmp_path / "folder" / "table.csv"
    files.write_csv(file, [{"b": 1, "a": "x, y"}])
    assert file.read_bytes() == b'b,a\r\n1,"x, y"\r\n'
    files.write_csv(file, [], ["a"])
    assert file.read_bytes() == b"a\r\n"


def test_a_failure_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path, monkeypatch):
    files.write(tmp_path / "file", b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_equal_rows_are_the_same_compressed_file_and_read_back(tmp_path):
    rows = [{"name": "a, b", "value": 1.5}, {"name": "c"}]
    for name in ("one.csv.gz", "new/two.csv.gz"):
        files.write_compressed_csv(tmp_path / name, rows, ["name", "value"])
    data = (tmp_path / "one.csv.gz").read_bytes()
    assert (tmp_path / "new/two.csv.gz").read_bytes() == data
    assert files.read_compressed_csv(data) == [{"name": "a, b", "value": "1.5"}, {"name": "c", "value": ""}]
