"""What a search would do is told before it does it."""

import re
import time

import pytest

from agents.commands import search
from agents.search import dry_run
from nases_env.children import build
from nases_env.env import NASESEnv

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "width": 0.03}


def test_it_tells_images_classes_sizes_and_times():
    images, classes, children, budget = dry_run.describe(NASESEnv(protocol=TINY, device="cpu"), 30)
    assert images == "images: 8 x 8 pixels, 1 channel; 64 to train on, 32 to validate"
    counts = [int(count) for count in re.findall(r"\d \((\d+)\)", classes)]
    assert classes.startswith("10 classes: 0 (") and sum(counts) == 96
    assert re.fullmatch(r"3 random children: [\d,]+ to [\d,]+ parameters, about .* s each on cpu", children)
    assert re.fullmatch(r"30 children: about .* s", budget)


def test_times_on_a_cluster_are_not_told():
    pytest.importorskip("ray")
    *_, children = dry_run.describe(NASESEnv(protocol=TINY, executor="ray:cuda*8"), 30)
    assert re.fullmatch(r"3 random children: .* parameters; how long they take on the cluster's cuda is .*", children)


def test_more_than_ten_classes_are_counted(monkeypatch):
    monkeypatch.setattr(dry_run, "CLASSES", 2)
    _, classes, *_ = dry_run.describe(NASESEnv(protocol=TINY, device="cpu"), 30)
    assert re.fullmatch(r"10 classes: 0 \(\d+\), 1 \(\d+\) and 8 more", classes)


def test_the_time_grows_with_epochs_and_images_and_shrinks_with_children_trained_at_once(monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))  # every pass takes a second
    told = []
    for fields, workers, batch in (
        ({}, 0, 1), ({"epochs": 4}, 0, 1), ({"train_images": 128}, 0, 1), ({}, 2, 1), ({}, 2, 4), ({}, 4, 2),
    ):  # fmt: skip
        environment = NASESEnv(protocol=TINY | fields, device="cpu", workers=workers)
        *_, children, budget = dry_run.describe(environment, 100, batch)
        told.append((re.search(r"about (.*) each", children)[1], budget.removeprefix("100 children: about ")))
    # Two epochs, each of 64 + 32 images, at a second for the 64 that were timed.
    assert told == [
        ("3.0 s", "5 min"), ("6.0 s", "10 min"), ("2.5 s", "4 min"), ("3.0 s", "5 min"), ("3.0 s", "2 min"),
        ("3.0 s", "2 min"),
    ]  # fmt: skip


@pytest.mark.parametrize("fields", [{"learning_rate": 1e30}, {"max_parameters": 10}, {"max_flops": 10}])
def test_children_that_would_fail_are_counted(fields):
    *_, children = dry_run.describe(NASESEnv(protocol=TINY | fields, device="cpu"), 30)
    assert children.endswith("parameters; 3 of them would fail (over a limit, out of memory, or no number)")


def test_it_is_about_what_a_child_takes():
    protocol = TINY | {"train_images": 897, "validation_images": 450, "width": 0.125}
    environment = NASESEnv(protocol=protocol, device="cpu")
    environment.prepare()
    evaluator = environment.pipeline.evaluator
    space = environment.space
    child = space.architecture(space.discretise(space.sample(environment.np_random, 1))[0])
    list(evaluator.evaluate([child], [0]))  # warm
    ((_, found),) = evaluator.evaluate([child], [0])
    assert 0.2 < dry_run._seconds(evaluator, evaluator.data, child) / found.seconds < 5


def test_a_surrogate_reads_and_trains_nothing(monkeypatch):
    monkeypatch.setattr(build, "skeleton", None)
    (told,) = dry_run.describe(NASESEnv(surrogate="digits"), 30)
    assert "no child is trained" in told


def test_the_command_writes_nothing_and_reports_wrong_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = [f"{name}={value}" for name, value in TINY.items() if name != "preset"]
    assert search.main(search.parse(["--dry-run", "--overrides", *overrides])) == 0
    assert "10 classes" in capsys.readouterr().out
    assert search.main(search.parse(["--dry-run", "--overrides", "train_images=9000"])) == 2
    assert "use for example --overrides" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "words"), [(0.44, "0.4 s"), (12.4, "12 s"), (600, "10 min")])
def test_times_are_told_with_as_many_digits_as_they_are_good_for(seconds, words):
    assert dry_run._told(seconds) == words
