import json

import numpy as np


def test_it_times_decoders_and_writes_the_rows(run, tmp_path):
    file = tmp_path / "folder" / "rows.json"
    done = run("benchmark.py", "--decoders", "random", "identity", "--repeats", 2, "--json", file)
    assert done.returncode == 0, done.stderr
    written = json.loads(file.read_text())
    rows = written["rows"]
    assert written["machine"]["cores"] >= 1 and written["numpy"] == np.__version__
    names = ["load and decode one action", "decode one action", "decode 10,000 actions", "encode 10,000 vectors"]
    assert [row["name"] for row in rows] == [
        f"{decoder}: {name}" for decoder in ("random", "identity") for name in names
    ]
    for row in rows:
        low, high = row["spread"]
        assert 0 < low <= row["seconds"] <= high
        assert row["name"] in done.stdout
    seconds = {row["name"]: row["seconds"] for row in rows}
    assert seconds["random: decode 10,000 actions"] > seconds["random: decode one action"]


def test_an_unknown_decoder_says_which_there_are(run):
    done = run("benchmark.py", "--decoders", "vae")
    assert done.returncode == 2 and "'autoencoder-paper'" in done.stderr
