import csv
import shutil

from nases_env.embeddings import PRETRAINED
from tests.agents.commands.conftest import pixels_of


def test_it_prints_and_writes_what_decoders_reach(run, tmp_path):
    out = tmp_path / "report"
    done = run("inspect_decoder.py", "--decoders", "random", "identity", "--samples", 200, "--out", out)
    assert done.returncode == 0, done.stderr
    for word in ("uniform", "corners", "encoder", "gaussian", "kernel_type separable", "links on", "round trip, error"):
        assert word in done.stdout
    with (out / "coverage.csv").open() as file:
        rows = {(row["decoder"], row["draw"], row["measure"]): float(row["value"]) for row in csv.DictReader(file)}
    assert abs(rows["random", "uniform", "filter_size 3x3"] - 1 / 3) < 0.05
    assert rows["identity", "round trip", "error"] < 1e-6 < rows["random", "round trip", "error"]
    for name in ("random", "identity"):
        assert min(pixels_of(out / f"{name}.png", f"C{i}") for i in range(6)) > 1000  # bars of shares, sizes, errors


def test_decoders_of_one_name_in_two_places_get_two_pictures(run, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for suffix in (".safetensors", ".json"):
            shutil.copy(PRETRAINED / f"macro-autoencoder{suffix}", tmp_path / folder / f"mine{suffix}")
    names = [tmp_path / folder / "mine.safetensors" for folder in ("a", "b")]
    done = run("inspect_decoder.py", "--decoders", *names, "--samples", 50, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "report").glob("*.png"))) == 2


def test_an_unknown_decoder_says_which_there_are(run, tmp_path):
    done = run("inspect_decoder.py", "--decoders", "vae", "--out", tmp_path / "report")
    assert done.returncode == 2 and "'autoencoder'" in done.stderr


def test_cells_are_counted_and_drawn(run, tmp_path):
    out = tmp_path / "report"
    done = run("inspect_decoder.py", "--space", "micro", "--decoders", "autoencoder", "--samples", 200, "--out", out)
    assert done.returncode == 0, done.stderr
    for word in ("first_input cell-1", "second_operation max_pool_3x3", "operation flips 0.05", "input kept"):
        assert word in done.stdout
    assert "links on" not in done.stdout
    assert min(pixels_of(out / "autoencoder.png", f"C{i}") for i in range(6)) > 1000
