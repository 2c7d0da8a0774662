"""Searches on a cluster: what is recorded here, and what becomes of those whose workers are lost."""

from pathlib import Path

import pytest

from agents.arena import on_cluster
from agents.arena.runs import Entry, Run
from nases_env.executors.inline import InlineExecutor

TINY = 'protocol={"preset":"digits","train_images":64,"validation_images":32,"epochs":1,"width":0.03}'
REAL = ("NASES-Digits-v0", (TINY, "device=cpu"))
SURROGATE = ("NASES-Digits-Surrogate-v0", ())


class Nodes(InlineExecutor):
    """Does jobs in this process; what is listed is lost."""

    device = "cpu"

    def __init__(self, *lost):
        super().__init__()
        self.lost, self.jobs = lost, []

    def run(self, jobs):
        self.jobs = jobs
        for index, found in super().run(jobs):
            yield index, "crash" if index in self.lost else found


def runs(out, env=SURROGATE, seeds=3):
    return Run.of(Entry.parse("random"), *env, range(seeds), 2, out)


def test_each_search_is_recorded_when_it_is_known(tmp_path):
    made = runs(tmp_path)
    recorded = [sum(run.recorded() is not None for run in made) for _ in on_cluster.on_cluster(made, Nodes())]
    assert recorded == [1, 2, 3]


def test_lost_searches_are_told_when_all_others_are_recorded(tmp_path):
    made = runs(tmp_path)
    with pytest.raises(ConnectionError, match="lost with their workers 4 times: random with seed 1. The same command"):
        list(on_cluster.on_cluster(made, Nodes(1)))
    assert [run.recorded() is not None for run in made] == [True, False, True]


def test_journals_are_kept_where_the_folder_is_there_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = runs(Path("shared"), REAL, seeds=1)
    nodes = Nodes()
    list(on_cluster.on_cluster([run], nodes))
    assert nodes.jobs[0].architecture.out == tmp_path / "shared"
    assert run.file.with_suffix(".log").is_file()


def test_a_node_without_the_folder_writes_nothing(tmp_path):
    (run,) = runs(tmp_path / "elsewhere", REAL, seeds=1)
    assert on_cluster._search(run, run.seed)
    assert not (tmp_path / "elsewhere").exists()


def test_nodes_with_other_agents_are_refused():
    with pytest.raises(ValueError, match=r"agents have the code \w{12} here; expected 0123456789ab"):
        on_cluster.Searches("0123456789ab", "cpu").open(None)
