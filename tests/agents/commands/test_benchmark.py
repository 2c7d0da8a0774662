import json

import numpy as np
import pytest

DECODER_ROWS = ["load and decode one action", "decode one action", "decode 10,000 actions", "encode 10,000 vectors"]
STEP_ROWS = ["env.step without the child", "env.step without the child with a journal"]
SURROGATE_ROWS = [
    f"{surrogate}: {name}"
    for surrogate in ("surrogate", "surrogate of cells")
    for name in ("env.step", "a step of one of 64 searches", "a step of one of 1,024 searches")
]
TINY = ["train_images=64", "validation_images=32", "epochs=1"]


@pytest.fixture(scope="module")
def benchmark(run, tmp_path_factory):
    """Rows of decoders, two random children on every rung, and worker processes."""
    file = tmp_path_factory.mktemp("benchmark") / "folder" / "rows.json"
    arguments = ["--decoders", "random", "identity", "--children", 2, "--workers", 2, "--repeats", 2]
    done = run("benchmark.py", *arguments, "--overrides", *TINY, "--json", file)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_every_row_is_in_the_table_and_in_the_file(benchmark):
    output, written = benchmark
    assert written["machine"]["cores"] >= 1 and written["numpy"] == np.__version__
    names = [f"{row['name']}, {row['rung']}" if row["rung"] else row["name"] for row in written["rows"]]
    decoders = [f"{decoder}: {name}" for decoder in ("random", "identity") for name in DECODER_ROWS]
    children = [f"{name}, {rung}" for name in ("random 0", "random 1", "all 2") for rung in ("b0", "b1", "ours")]
    workers = ["6 children in 1 worker processes", "6 children in 2 worker processes"]
    assert names == [*decoders, *STEP_ROWS, *SURROGATE_ROWS, *children, *workers]
    for name, row in zip(names, written["rows"], strict=True):
        low, high = row["spread"]
        assert 0 < low <= row["seconds"] <= high
        assert name in output
    for row in (row for row in written["rows"] if row["name"] in SURROGATE_ROWS):
        rate = None if row["name"].endswith("env.step") else pytest.approx(1 / row["seconds"])
        assert row["steps_per_second"] == rate
    seconds = dict(zip(names, (row["seconds"] for row in written["rows"]), strict=True))
    assert seconds["random: decode 10,000 actions"] > seconds["random: decode one action"]


def test_children_are_compared_with_the_baselines(benchmark):
    rows = {(row["name"], row["rung"]): row for row in benchmark[1]["rows"] if row["rung"]}
    for (name, _), row in rows.items():
        for rung in ("b0", "b1"):
            assert row[f"ratio_{rung}"] == pytest.approx(rows[name, rung]["seconds"] / row["seconds"])
        assert row["protocol"] == "digits" and row["device"] == "cpu"
        assert row["images_per_second"] > 0 and row["memory"] > 10
        assert 0 < row["ceiling"] < 1 and 0 < row["tflops"] < 10
        assert sum(row["phases"].values()) == pytest.approx(row["seconds"])
        assert row["phases"].keys() == {"train", "evaluate", "build"}
        assert (row["launches"], row["busy"]) == (None, None)  # of a GPU
        if not name.startswith("all"):
            assert row["step_milliseconds"] == pytest.approx(1000 * row["phases"]["train"])  # 64 images are one
    child = rows["random 0", "ours"]
    assert child["images_per_second"] == pytest.approx(64 / child["seconds"])
    both = sum(rows[f"random {i}", "ours"]["seconds"] for i in range(2))
    assert rows["all 2", "ours"]["seconds"] == pytest.approx(both)
    steps = sum(rows[f"random {i}", "ours"]["step_milliseconds"] for i in range(2))
    assert rows["all 2", "ours"]["step_milliseconds"] == pytest.approx(steps / 2)


def test_workers_are_compared_with_one(benchmark):
    one, two = benchmark[1]["rows"][-2:]
    assert one["ratio_one_worker"] is None
    assert two["ratio_one_worker"] == pytest.approx(one["seconds"] / two["seconds"])


def test_rows_are_in_the_file_as_soon_as_they_are_known(run, tmp_path):
    file = tmp_path / "rows.json"
    arguments = ["--decoders", "--repeats", 1, "--children", 2, "--rungs", "ours", "--json", file]
    done = run("benchmark.py", *arguments, "--overrides", *TINY, "max_parameters=20000")
    assert done.returncode == 2 and "a child failed (too_many_parameters)" in done.stderr
    assert [row["name"] for row in json.loads(file.read_text())["rows"]][:2] == STEP_ROWS


def test_published_and_pure_children_can_be_timed(run, tmp_path):
    arguments = ["--decoders", "--children", 0, "--published", "--pure", "--rungs", "ours", "graphed", "--repeats", 1]
    done = run("benchmark.py", *arguments, "--overrides", *TINY, "width=0.03", "--json", tmp_path / "rows.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    pure = [f"{name} × 15" for name in ("conv3", "conv5", "conv7", "sep5", "max7", "avg7")]
    expected = [(name, rung) for name in ("published", *pure, "all 7") for rung in ("ours", "graphed")]
    assert [(row["name"], row["rung"]) for row in rows if row["rung"]] == expected
    assert all(row["phases"]["train"] > 0 for row in rows if row["rung"])
    assert {row["ratio_b0"] for row in rows} == {None}


def test_cells_are_timed_as_the_package_trains_them(run, tmp_path):
    cells = ["--space", "micro", "--protocol", "digits-micro", "--rungs", "ours", "--children", 1, "--repeats", 1]
    done = run("benchmark.py", *cells, "--overrides", *TINY, "cell_filters=2", "--json", tmp_path / "rows.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    names = [f"autoencoder: {name}" for name in DECODER_ROWS]
    assert [row["name"] for row in rows] == [*names, *STEP_ROWS, *SURROGATE_ROWS, "random 0", "all 1"]
    assert all(row["seconds"] > 0 for row in rows)


def test_single_operations_are_timed_with_their_other_ways(run, tmp_path):
    file = tmp_path / "rows.json"
    shapes = ["--kernel-sides", 8, "--kernel-channels", 4, "--overrides", "batch_size=8"]
    done = run("benchmark.py", "--kernels", *shapes, "--decoders", "--children", 0, "--repeats", 1, "--json", file)
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(file.read_text())["rows"] if "8², 4 channels" in row["name"]]
    named = [(row["name"].split(",")[0], row["rung"]) for row in rows]
    each = [("convolution", "taps"), ("max pool", "rows, columns"), ("average pool", "products")]
    sized = [(f"{size}×{size} {name}", way) for size in (3, 5, 7) for name, other in each for way in ("torch", other)]
    pointwise = [("1×1 convolution", "torch"), ("1×1 convolution", "product")]
    assert named == [*sized, *pointwise, ("batch norm and ReLU", "torch"), ("copy", "torch")]
    first, second = rows[:2]
    assert second["ratio_torch"] == pytest.approx(first["seconds"] / second["seconds"])
    assert first["tflops"] == pytest.approx(3 * 2 * 8 * 64 * 4 * 4 * 9 / first["seconds"] / 1e12)
    assert "× torch's" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--decoders", "vae"], "'autoencoder-paper'"),
        (["--protocol", "mnist"], "choose one of v1-search"),
        (["--overrides", "max_parameters=1", *TINY], "a child failed (too_many_parameters)"),
        (["--overrides", "cutout=2", *TINY], "the baselines know no cutout"),
        (["--repeats", 0], "--repeats 0"),
        (["--children", -1], "--children -1"),
        (["--kernels", "--kernel-sides", 0], "--kernel-sides (0,)"),
        (["--space", "nano"], "no search space 'nano'"),
        (["--space", "micro"], "the rungs b0 and b1 are of the macro space; time --space micro with --rungs ours"),
        (["--space", "micro", "--rungs", "ours", "--pure"], "--pure"),
    ],
)
def test_what_cannot_be_timed_is_said(run, arguments, words):
    done = run("benchmark.py", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
