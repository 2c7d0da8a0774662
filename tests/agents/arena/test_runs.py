import dataclasses

import numpy as np
import pytest

from agents.arena import runs
from agents.evolution import EvolutionSettings
from nases_env.children import datasets
from nases_env.evaluators.child_training import ChildTraining

SURROGATE = "NASES-Digits-Surrogate-v0"


def _run(out, name, given=()):
    (run,) = runs.Run.of(runs.Entry.parse(name), SURROGATE, given, [3], 2, out)
    return run


def test_an_entry_means_all_settings_of_its_agent():
    defaults = dataclasses.asdict(EvolutionSettings())
    entry = runs.Entry.parse("evolution:sample=7,reward=validation")
    assert entry.meaning["settings"] == defaults | {"sample": 7}
    assert entry.meaning["keywords"] == {"decoder": "identity", "reward": "validation"}
    assert runs.Entry.parse("cmaes:sigma0=0.3").meaning["settings"]["popsize"] == 12  # ours, under Optuna's


def test_a_record_is_found_again_until_its_entry_means_something_else(tmp_path):
    record = _run(tmp_path, "random").make()
    assert _run(tmp_path, "random").recorded() == record
    with pytest.raises(ValueError, match="holds another run"):
        _run(tmp_path, "random", ["decoder=pca"]).recorded()
    other = dataclasses.replace(_run(tmp_path, "random"), decoder="another decoder of that name")
    with pytest.raises(ValueError, match="holds another run"):
        other.recorded()


def test_a_surrogate_has_noise_unless_told_not_to(tmp_path):
    assert _run(tmp_path, "random").keywords == {"noise": True}
    assert _run(tmp_path, "random", ["noise=false"]).keywords == {"noise": False}


def test_entries_with_other_names_never_share_a_folder():
    names = ["random", "random:decoder=A B", "random:decoder=A/B", "random:decoder=A_B", "random:decoder=a_b"]
    folders = [runs.Entry.parse(name).folder for name in names]
    assert folders[0] == "random" and len({folder.lower() for folder in folders}) == len(names)
    assert len(runs.Entry.parse(f"random:decoder={'x' * 1000}").folder) < 200


def test_a_record_in_a_folder_that_an_earlier_version_named_is_found_again(tmp_path):
    run = _run(tmp_path, "random:decoder=pca")
    record = run.make()
    run.file.parent.rename(tmp_path / "runs" / "random_decoder=pca")
    assert _run(tmp_path, "random:decoder=pca").recorded() == record
    assert _run(tmp_path, "random:decoder=pca", ["noise=false"]).recorded() is None


def test_children_of_a_search_that_an_earlier_version_began_are_not_trained_again(tmp_path, monkeypatch):
    tiny = 'protocol={"preset":"digits","train_images":64,"validation_images":32,"epochs":1,"width":0.03}'
    (run,) = runs.Run.of(
        runs.Entry.parse("random:decoder=pca"), "NASES-Digits-v0", [tiny, "device=cpu"], [3], 2, tmp_path
    )
    record = run.make()
    run.file.unlink()
    run.file.parent.rename(tmp_path / "runs" / "random_decoder=pca")
    monkeypatch.setattr(ChildTraining, "_evaluate", None)
    env = run._environment()
    env.reset(seed=3)
    decoder = env.get_wrapper_attr("decoder")
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(1,)))
    action = rng.uniform(size=(1, decoder.action_size)).astype(np.float32)[0]
    assert env.step(action)[1] == record["children"][0]["reward"]
    env.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_record_is_named(tmp_path, content):
    run = _run(tmp_path, "random")
    run.file.parent.mkdir(parents=True)
    run.file.write_bytes(content)
    with pytest.raises(ValueError, match="seed3.json is damaged .* remove it"):
        run.recorded()


def test_images_are_read_once_for_all_entries_and_not_for_other_decoders(monkeypatch, tmp_path):
    loads, read = [], datasets._load
    monkeypatch.setattr(datasets, "_load", lambda *key: loads.append(key) or read(*key))
    datasets._loaded.clear()
    given = ['protocol={"preset":"digits","train_images":64,"validation_images":32}', "device=cpu"]
    made = [
        run
        for name in ("random", "random:decoder=pca", "evolution", "random:reward=validation")
        for run in runs.Run.of(runs.Entry.parse(name), "NASES-Digits-v0", given, [3, 4], 2, tmp_path)
    ]
    assert loads == []
    runs.prepare(made[:6])
    assert len(loads) == 1
    missing = runs.Run.of(runs.Entry.parse("random"), "NASES-v0", ["dataset=imagefolder:/nowhere"], [3], 2, tmp_path)
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        runs.prepare(missing)
