"""What earlier versions wrote is opened, resumed and used for ever; `write.py` tells how the files were made.

Where a shipped surrogate or decoder is fitted anew, the old one's files belong beside the cards and journals here.
"""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.arena.runs import Entry, Run
from agents.commands import train_final
from agents.search.run_directory import RunDirectory
from agents.trace import Trace
from nases_env import embeddings, search_spaces, surrogates
from nases_env.children import build, datasets
from nases_env.evaluators import Evaluation
from nases_env.ledger import JournalLedger, read_trials, repair, schema
from nases_env.schemas import NewerVersionError
from nases_env.surrogate_fitting import table

HERE = Path(__file__).parent
SEARCHES = {"surrogate-search": 3, "digits-search": 2}
"""Children of each."""


@pytest.fixture(params=sorted(folder.name for folder in HERE.glob("v*")))
def written(request, tmp_path):
    """A copy of what one version wrote."""
    return Path(shutil.copytree(HERE / request.param, tmp_path / "written"))


def replayed(run):
    """The search of a run's settings again, on its journal; returns its children's rewards."""
    options, settings = run.options(), json.loads((run.path / "settings.json").read_text(encoding="utf-8"))
    environment = settings["environment"]
    env = gym.make(environment["id"], ledger=str(run.journal), **environment["keywords"])
    trace = Trace(env, options["children"])
    agents.find(options["agent"])(trace, options["seed"]).run(trace, options["children"])
    trace.close()
    return [row["reward"] for row in trace.rows]


def opened_decoder(folder):
    weights = shutil.copy(embeddings.PRETRAINED / "micro-autoencoder.safetensors", folder / "decoder.safetensors")
    return embeddings.make(str(weights), search_spaces.make("micro"))


def opened_surrogate(folder):
    shutil.copy(surrogates.FITTED / "digits" / "trees.txt", folder / "surrogate")
    return surrogates.make(str(folder / "surrogate"))


def opened_record(folder):
    entry = Entry.parse("random-origin")
    (run,) = Run.of(entry, "NASES-Digits-Surrogate-v0", (), [1000], 3, folder / "compared")
    return run.recorded()


def train_again(folder):
    """The final training of the digits search once more; returns the exit status."""
    tiny = ("width=0.01", "width_multiple=2")
    run, out = str(folder / "digits-search"), str(folder / "final")
    return train_final.main(train_final.Options(run, out, epochs=1, device="cpu", overrides=tiny))


@pytest.mark.parametrize(("name", "children"), SEARCHES.items())
def test_a_search_is_replayed_to_its_end_and_nothing_is_written(written, name, children):
    run = RunDirectory(written / name)
    before = run.journal.read_bytes()
    rewards = [trial.value for trial in read_trials(run.journal, run.reward())]
    assert replayed(run) == rewards and len(rewards) == children
    assert run.journal.read_bytes() == before
    assert run.best().reward == max(rewards)


def test_a_journal_goes_on_where_it_ends(written):
    first = RunDirectory(written / "surrogate-search")
    rewards = replayed(first)
    with first.journal.open(encoding="utf-8") as file:
        lines = file.readlines()
    first.journal.write_text("".join(lines[:-1]), encoding="utf-8")  # the last child is lost, and found once more
    assert replayed(first) == rewards
    assert len(read_trials(first.journal)) == SEARCHES["surrogate-search"]


def test_a_table_is_read(written):
    found = table.read(written / "collected" / "table.csv.gz")
    assert len(found) == 4 and found.failed == 0 and found.epochs.shape == (4, 1, 3)
    expected = (2 * found.measured["validation_accuracy"] - found.measured["train_accuracy"]) ** 3
    np.testing.assert_allclose(found.measured["reward"], expected)
    assert len(set(found.keys)) == 3


def test_a_decoder_decodes_as_it_did(written):
    space = search_spaces.make("micro")
    actions = np.random.default_rng(0).uniform(size=(5, 20)).astype(np.float32)
    expected = embeddings.make("autoencoder", space).decode(actions)
    np.testing.assert_array_equal(opened_decoder(written).decode(actions), expected)


def test_a_surrogate_predicts_what_it_did(written):
    space = search_spaces.make()
    rows = space.discretise(space.sample(np.random.default_rng(0), 5))
    _, keys = space.describe(rows)
    expected = surrogates.make("digits").predict(rows, keys, range(5))
    for found, known in zip(opened_surrogate(written).predict(rows, keys, range(5)), expected, strict=True):
        np.testing.assert_array_equal(found, known)


def test_a_trained_network_is_as_accurate_as_its_metrics_say(written):
    model, images = build.load(written / "final"), datasets.read("digits", "", "test")
    metrics = json.loads((written / "final" / "metrics.json").read_text(encoding="utf-8"))
    truth = [model.class_names[label] for label in images.labels]
    assert np.mean(np.array(model.predict(images.pixels)) == truth) == pytest.approx(metrics["test_accuracy"])


def test_a_finished_training_stays_finished(written, capsys):
    before = (written / "final" / "metrics.json").read_bytes()
    assert train_again(written) == 0
    assert "is finished and was tested" in capsys.readouterr().out
    assert (written / "final" / "metrics.json").read_bytes() == before


def test_a_checkpoint_is_gone_on_from(written):
    def weights():
        return hashlib.sha256((written / "final" / "model.safetensors").read_bytes()).hexdigest()

    before, curve = weights(), (written / "final" / "curve.csv").read_text(encoding="utf-8")
    for name in ("metrics.json", "network.json", "model.safetensors"):
        (written / "final" / name).unlink()
    assert train_again(written) == 0
    assert (weights(), (written / "final" / "curve.csv").read_text(encoding="utf-8")) == (before, curve)


def test_a_comparisons_record_is_its_runs(written):
    assert len(opened_record(written)["children"]) == 3


def test_an_evaluation_with_a_field_more_reads_what_was_written_without_it(written, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Later(Evaluation):
        latency: float = -1.0

    monkeypatch.setattr(schema, "Evaluation", Later)
    path = written / "digits-search" / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    assert [schema.trial(schema.parse(line)).evaluation.latency for line in lines[1:]] == [-1.0, -1.0]
    trial = json.loads(lines[1])
    trial["user_attrs"]["evaluation"]["latency"] = 0.5
    assert schema.trial(trial).evaluation.latency == 0.5


def change_lines(file):
    """A newer version wrote the last child of a journal."""
    *lines, last = file.read_text(encoding="utf-8").splitlines(keepends=True)
    trial = json.loads(last)
    trial["user_attrs"]["evaluation"]["schema"] = 99
    file.write_text("".join([*lines, json.dumps(trial) + "\n"]), encoding="utf-8")


def change_file(file):
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"schema": 99}), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "attempt"),
    [
        ("digits-search/journal.log", change_lines, lambda folder: read_trials(folder / "digits-search/journal.log")),
        ("digits-search/journal.log", change_lines, lambda folder: JournalLedger(folder / "digits-search/journal.log")),
        ("digits-search/journal.log", change_lines, lambda folder: repair(folder / "digits-search/journal.log")),
        ("digits-search/settings.json", change_file, lambda folder: RunDirectory(folder / "digits-search").options()),
        ("collected/table.json", change_file, lambda folder: table.read(folder / "collected/table.csv.gz")),
        ("decoder.json", change_file, opened_decoder),
        ("surrogate/card.json", change_file, opened_surrogate),
        ("final/network.json", change_file, lambda folder: build.load(folder / "final")),
        ("compared/runs/random-origin/seed1000.json", change_file, opened_record),
    ],
)
def test_what_a_newer_version_wrote_is_refused_in_those_words_and_left_as_it_is(written, name, change, attempt):
    file = written / name
    change(file)
    before = file.read_bytes()
    with pytest.raises(NewerVersionError, match=f"{file}.* was written by a newer version.*update nases-env") as error:
        attempt(written)
    assert "again" not in str(error.value) and file.read_bytes() == before


@pytest.mark.parametrize("name", ["training.json", "metrics.json"])
def test_a_final_training_by_a_newer_version_is_left_as_it_is(written, capsys, name):
    change_file(written / "final" / name)
    before = {file: file.read_bytes() for file in (written / "final").iterdir()}
    assert train_again(written) == 2
    assert f"{name} was written by a newer version" in capsys.readouterr().err
    after = {file: file.read_bytes() for file in (written / "final").iterdir()}
    assert after.keys() == before.keys() and after[written / "final" / name] == before[written / "final" / name]
