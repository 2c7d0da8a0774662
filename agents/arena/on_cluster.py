"""The searches of a comparison on a Ray cluster: each is made on a node, and recorded by this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import agents
from agents.arena.runs import Run
from nases_env.children.protocol import Execution
from nases_env.executors import RAY, Job, check_executor, make
from nases_env.executors.ray_executor import RayExecutor
from nases_env.executors.ray_worker import code_digest
from nases_env.words import shown

RETRIES = 3
"""How often a search is made again whose worker was lost."""


@dataclass(frozen=True)
class Searches:
    """The task of workers that make searches: they need no data, but the same agents as here."""

    agents: str
    """Digest of the sources of the agents."""
    device: str
    """`cpu` or `cuda`."""
    limits: Execution = Execution(crash_retries=RETRIES)
    digest: str = ""
    """There are no data."""

    def check(self, data: None) -> None:
        """There is nothing to check."""

    def read(self) -> None:
        """There is nothing to read."""

    def open(self, data: None) -> Callable[[Run, int], bytes]:
        """Get ready to search in this process.

        Raises:
            ValueError: If the agents are others here.
        """
        if (found := agents_here()) != self.agents:
            raise ValueError(f"the agents have the code {found} here; expected {self.agents}")
        return _search


def agents_here() -> str:
    """Digest of the sources of the agents that are installed here."""
    return code_digest(agents.__path__[0])


def check_cluster(executor: str) -> RayExecutor:
    """The cluster that a name stands for.

    Raises:
        ValueError: If it is no cluster's name.
        ImportError: If Ray is not installed.
    """
    if not executor.startswith(RAY):
        raise ValueError(
            f"--executor is {shown(executor)}; expected a Ray cluster: ray:cpu*16, ray:cuda*8 or "
            "ray://HOST:PORT/cuda*8. For processes of this host there is --workers"
        )
    return cast(RayExecutor, make(check_executor(executor, 0)))


def on_cluster(runs: Sequence[Run], executor: RayExecutor) -> Iterator[None]:
    """Make the runs, each on a node of the cluster; yields when one is recorded.

    Journals of children that are trained are kept in the comparison's folder where the nodes have it too, at the same
    path: a search whose worker is lost goes on there. Elsewhere it is made again from its start.

    Raises:
        WorkerStartError: If the cluster cannot be reached or has no room.
        ConnectionError: If searches were lost with their workers again and again; all others are recorded then.
    """
    for run in runs:
        run.file.parent.mkdir(parents=True, exist_ok=True)
    jobs = [Job(cast(Any, dataclasses.replace(run, out=run.out.resolve())), run.seed) for run in runs]
    lost = []
    try:
        executor.start(cast(Any, Searches(agents_here(), executor.device)), cast(Any, None))
        for index, record in executor.run(jobs):
            if isinstance(record, str):
                lost.append(f"{runs[index].entry.name} with seed {runs[index].seed}")
                continue
            runs[index].keep(cast(Any, record))
            yield
    finally:
        executor.close()
    if lost:
        raise ConnectionError(
            f"searches were lost with their workers {RETRIES + 1} times: {', '.join(lost)}. The same command makes "
            "them again"
        )


def _search(run: Run, seed: int) -> bytes:
    """Make a run on a node, with a journal where the comparison's folder is there too; the seed is the run's own."""
    return run.search(journal=run.file.parent.is_dir())
