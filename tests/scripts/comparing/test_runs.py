import dataclasses

import pytest

from agents.evolution import EvolutionSettings
from tests.scripts.conftest import ROOT

SURROGATE = "NASES-Digits-Surrogate-v0"


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from comparing import runs

    return runs


def _run(runs, out, name, given=()):
    (run,) = runs.Run.of(runs.Entry.parse(name), SURROGATE, given, [3], 2, out)
    return run


def test_an_entry_means_all_settings_of_its_agent(runs):
    defaults = dataclasses.asdict(EvolutionSettings())
    entry = runs.Entry.parse("evolution:sample=7,reward=validation")
    assert entry.meaning["settings"] == defaults | {"sample": 7}
    assert entry.meaning["keywords"] == {"decoder": "identity", "reward": "validation"}
    assert runs.Entry.parse("cmaes:sigma0=0.3").meaning["settings"]["popsize"] == 12  # ours, under Optuna's


def test_a_record_is_found_again_until_its_entry_means_something_else(runs, tmp_path):
    record = _run(runs, tmp_path, "random").make()
    assert _run(runs, tmp_path, "random").recorded() == record
    with pytest.raises(ValueError, match="holds another run"):
        _run(runs, tmp_path, "random", ["decoder=pca"]).recorded()
    other = dataclasses.replace(_run(runs, tmp_path, "random"), decoder="another decoder of that name")
    with pytest.raises(ValueError, match="holds another run"):
        other.recorded()


def test_a_surrogate_has_noise_unless_told_not_to(runs, tmp_path):
    assert _run(runs, tmp_path, "random").keywords == {"noise": True}
    assert _run(runs, tmp_path, "random", ["noise=false"]).keywords == {"noise": False}
