"""Evaluates many architectures, for surrogates and for the noise floor: a journal, and a table of it.

    nases collect --children 4000 --table runs/digits.csv.gz
    nases collect --dataset imagefolder:PATH --protocol cifar10-mini --children 250 --run-dir runs/mini

Every command can be stopped and goes on when it is given again, also with more --children.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
from tqdm import tqdm

from agents.arena import collected_table, known_table
from agents.arena.collecting import Plan, collect
from agents.commands import startup
from agents.search.child_options import ChildOptions
from agents.search.run_directory import RunDirectory
from nases_env import embeddings
from nases_env.children.dataset_names import absolute
from nases_env.env import NASESEnv
from nases_env.evaluators import WorkerStartError
from nases_env.search_spaces import registry
from nases_env.surrogate_fitting import table
from nases_env.surrogate_fitting.table import SUFFIX, card_path

REPEATED = 60
"""Architectures that are evaluated with several child seeds, where the command line does not say how many."""


@dataclass(frozen=True)
class Options(ChildOptions):
    """Collects evaluations until there are so many architectures."""

    children: int = 4000
    """Different architectures to evaluate; repeats come on top."""
    repeated: int | None = None
    """So many of them, the first ones, are evaluated with several child seeds; None: 60, or all where there are fewer
    children."""
    repeated_best: int = 0
    """So many more, those with the highest rewards of all others, are evaluated with several child seeds in the end.
    After them no further children can be collected into the same folder."""
    seeds: int = 3
    """Child seeds for each of those."""
    seed: int = 0
    """Seed of what is drawn."""
    workers: int = 2
    """Processes that train children."""
    run_dir: Path = Path("runs/collected")
    """Folder of the journal."""
    table: Path | None = None
    """Compressed table (.csv.gz) of everything that was evaluated, written at the end, and a card (.json) beside it."""
    known: Path | None = None
    """Table of the same collection, whose folder is gone: what it holds is not evaluated again."""

    decoder: str | None = None
    """Decoder whose uniform actions, calibrated, are one source, see `nases search`; None: autoencoder-uniform, in
    the micro space autoencoder."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def counted(self) -> Self:
        """The options with a number of repeated architectures; it is told where that is less than by default.

        Raises:
            ValueError: If a number or the table's name cannot be.
        """
        repeated = min(REPEATED, self.children) if self.repeated is None else self.repeated
        if min(self.children, self.seeds, self.workers) < 1 or min(repeated, self.repeated_best, self.seed) < 0:
            raise ValueError(
                "--children, --seeds and --workers have to be at least 1, --repeated, --repeated-best and --seed at "
                "least 0"
            )
        if self.children < repeated + self.repeated_best:
            raise ValueError(
                f"--repeated {repeated} are the first of --children {self.children}, and --repeated-best "
                f"{self.repeated_best} are of the others: ask for more, or repeat less"
            )
        if self.table and (not self.table.name.endswith(SUFFIX) or self.table.is_dir()):
            raise ValueError(f"--table {self.table} has to be a file that ends in {SUFFIX}")
        if self.repeated is None and repeated < REPEATED:
            print(
                f"--children {repeated} are fewer than the {REPEATED} that are repeated by default, so all of them are "
                f"repeated; to go on with more children later, give --repeated {repeated}",
                file=sys.stderr,
            )
        return replace(self, repeated=repeated)

    def environment(self) -> dict[str, Any]:
        """Keywords for gym.make: actions are origin vectors."""
        return {
            "dataset": absolute(self.dataset),
            "data_dir": str(Path(self.data_dir).resolve()),
            "protocol": self.named_protocol(),
            "space": self.space,
            "rules": self.rules,
            "reward": self.reward,
            "decoder": "identity",
            "device": self.device,
            "workers": self.workers,
        }


def main(options: Options) -> int:
    """Collect; returns the exit status: 0 when there are enough, 130 after Ctrl-C."""
    run = RunDirectory(options.run_dir)
    try:
        options = options.counted()
        environment = gym.make("NASES-v0", ledger=str(run.journal), **options.environment()).unwrapped
        assert isinstance(environment, NASESEnv)
        environment.prepare()
        options = replace(options, decoder=options.decoder or registry.find(options.space).covering)
        plan = _start(options, environment, run)
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    rows: list[dict[str, Any]] = []
    try:
        with tqdm(total=plan.evaluations, unit="child") as bar:
            for of_round in collect(environment, plan):
                rows += of_round
                bar.update(len(of_round))
        if options.table:
            card = collected_table.describe(
                environment,
                run.journal,
                command=startup.called(),
                dataset=options.dataset.partition(":")[0],
                rules=options.rules,
                decoder=options.decoder,
                seed=options.seed,
                earlier=table.read(options.known).card if options.known else None,
            )
            collected_table.write(options.table, rows, card)
            print(f"table: {options.table}, {len(rows)} rows; card: {card_path(options.table)}")
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on from {run.journal}")
        return startup.INTERRUPTED
    except (ValueError, OSError, WorkerStartError) as error:
        print(f"error: {error}", file=sys.stderr)
        return startup.WRONG
    finally:
        environment.close()
    return 0


def _start(options: Options, environment: NASESEnv, run: RunDirectory) -> Plan:
    """Plan, and make the folder the collection's own."""
    assert options.decoder is not None and options.repeated is not None
    decoder = embeddings.make(options.decoder, environment.space, "output")
    numbers = options.children, options.repeated, options.repeated_best, options.seeds, options.seed
    plan = Plan(environment, decoder, *numbers)
    left_out = ("run_dir", "table", "known", "repeated_best")
    settings = {name: value for name, value in asdict(options).items() if name not in left_out}
    settings["children"] = plan.evaluations
    run.start(settings, "NASES-v0", options.environment(), asdict(environment.protocol), resume=True)
    if options.known:
        taken = known_table.take_over(environment, Plan(environment, decoder, *numbers), options.known)
        print(f"{taken} evaluations were taken from {options.known}")
    return plan
