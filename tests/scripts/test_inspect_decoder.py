import csv

from PIL import Image


def test_it_prints_and_writes_what_a_decoder_reaches(run, tmp_path):
    done = run("inspect_decoder.py", "--decoder", "random", "--samples", 200, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    for word in ("uniform", "corners", "encoder", "gaussian", "kernel_type 7", "links on", "round trip, error"):
        assert word in done.stdout
    with (tmp_path / "report" / "coverage.csv").open() as file:
        rows = {(row["draw"], row["measure"]): float(row["value"]) for row in csv.DictReader(file)}
    assert abs(rows["uniform", "filter_size 10"] - 1 / 3) < 0.05
    assert Image.open(tmp_path / "report" / "coverage.png").size[0] > 1000


def test_an_unknown_decoder_says_which_there_are(run, tmp_path):
    done = run("inspect_decoder.py", "--decoder", "vae", "--out", tmp_path / "report")
    assert done.returncode == 2 and "'autoencoder'" in done.stderr
