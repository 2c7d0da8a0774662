"""An array of searches on Slurm, one search a task, with the seeds 0, 1, 2, …

    python examples/slurm_array.py --searches 10 --partition gpu --gpus 1 --env-id NASES-CIFAR10-v0
    python examples/slurm_array.py --cluster local --searches 2 --children 10 --out runs/two
    python examples/slurm_array.py --searches 10 -- --protocol cifar10-mini --overrides max_seconds=600

It needs `pip install submitit`, and a folder that all nodes see. What stands behind `--` are options of
`nases search`. A task that Slurm preempts or that reaches its time limit is put into the queue again and goes on from
its journal; the whole command may be given again as well, and trains nothing twice. `nases status runs/array` tells
from anywhere how far the searches are.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import submitit
import tyro

from agents.search import progress

MOST_TIMEOUTS = 1000
"""How often a task may reach its time limit and go on; submitit's own choice would be three times."""


@dataclass
class Args:
    """Submits the array, waits for it and prints what each search found."""

    options: tyro.conf.Positional[tuple[str, ...]] = ()
    """Further options of nases search."""
    agent: str = "reinforce"
    """Agent that searches."""
    env_id: str = "NASES-Digits-v0"
    """The environment."""
    searches: int = 10
    """Tasks, one search each."""
    children: int = 100
    """The budget of a search."""
    out: Path = Path("runs/array")
    """Folder of the searches, seen by all nodes."""
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    """Where tasks run; local: in processes of this machine; debug: in this process."""
    partition: str | None = None
    """Slurm's partition; None: its default."""
    hours: float = 4.0
    """Time limit of a task, after which it is put into the queue again."""
    cpus: int = 1
    """Cores of a task."""
    gpus: int = 0
    """GPUs of a task."""
    at_once: int = 100
    """Tasks that run at the same time, at most."""


class Search(submitit.helpers.Checkpointable):
    """The search of one seed, which a requeued task starts again where its journal ends."""

    def __init__(self, args: Args):
        self.args = args

    def __call__(self, seed: int) -> None:
        """Search to the end of the budget."""
        args = self.args
        options = {"env-id": args.env_id, "agent": args.agent, "children": args.children, "seed": seed}
        command = [sys.executable, "-m", "agents.commands", "search", "--run-dir", str(args.out / f"seed{seed}")]
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        subprocess.run([*command, "--resume", *args.options], check=True)


def make_executor(args: Args) -> submitit.AutoExecutor:
    """Whoever runs tasks."""
    executor = submitit.AutoExecutor(args.out / "tasks", cluster=args.cluster, slurm_max_num_timeout=MOST_TIMEOUTS)
    executor.update_parameters(
        name="nases",
        timeout_min=round(args.hours * 60),
        cpus_per_task=args.cpus,
        gpus_per_node=args.gpus,
        slurm_array_parallelism=args.at_once,
        slurm_partition=args.partition,
    )
    return executor


def main(args: Args) -> int:
    """Submit, wait and collect; returns the exit status."""
    jobs = make_executor(args).map_array(Search(args), range(args.searches))
    failed = [seed for seed, job in enumerate(jobs) if job.exception() is not None]
    found = [progress.read(args.out / f"seed{seed}") for seed in range(args.searches) if seed not in failed]
    print(*found, sep="\n")
    rewards = [search.best.reward for search in found if search.best is not None]
    if rewards:
        print(f"best reward of {len(rewards)} searches: median {np.median(rewards):.4f}, highest {max(rewards):.4f}")
    for seed in failed:
        print(f"seed {seed} failed:\n{jobs[seed].exception()}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args)))
