"""Takes the evaluations of a table into a new journal, so that a collection whose journal is gone can go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.arena.collecting import Plan
from nases_env.env import NASESEnv
from nases_env.evaluation import Evaluation
from nases_env.ledger import EvaluationId
from nases_env.surrogate_fitting import table


def take_over(environment: NASESEnv, plan: Plan, path: Path) -> int:
    """Record what a table holds as the first evaluations of a plan.

    Args:
        environment: In which the collection goes on. Its journal holds nothing, or what an earlier call that was
            interrupted recorded.
        plan: What the collection asks for. It is used up; the collection needs another one.
        path: A table that `nases collect` wrote, with its card beside it.

    Returns:
        How many evaluations the table held.

    Raises:
        FileNotFoundError: If the table or its card is missing.
        ValueError: If the table is none, or of another collection: its data, protocol or plan are others;
            LedgerMismatchError if the journal is another one's.
    """
    card = table.read(path).card
    evaluator, ledger = environment.pipeline.evaluator, environment.pipeline.ledger
    if card["fingerprint"] != evaluator.fingerprint:
        raise ValueError(
            f"{path} was evaluated as {card['fingerprint']}, this collection is {evaluator.fingerprint}: give the "
            f"data set and the protocol of the command that its card names ({card['command']})"
        )
    left = iter(table.lines(path))
    for requests in plan.rounds():
        of_round = list(zip(requests, left, strict=False))
        for request, line in of_round:
            architecture = environment.space.from_json(line["architecture"])
            row = environment.space.discretise(environment.decoder.decode(request.action[None]))[0]
            asked = environment.space.architecture(row).key, request.child_seed
            if asked != (architecture.key, int(line["child_seed"])):
                raise ValueError(
                    f"{path} holds other children than this collection asks for, from number {ledger.children} on: "
                    f"give --seed, --repeated and --decoder of the command that its card names ({card['command']})"
                )
            identity = EvaluationId(card["fingerprint"], architecture.key, request.child_seed)
            if ledger.replay(request.action, identity) is None:
                ledger.record(request.action, identity, architecture, _evaluation(line, card), float(line["reward"]))
        if len(of_round) < len(requests):
            break
        plan.learn(requests, [float(line["reward"]) for _, line in of_round])
    taken = ledger.children
    environment.pipeline.close()  # opened again, the journal is replayed from its first child
    return taken


def _evaluation(line: Mapping[str, str], card: dict[str, Any]) -> Evaluation:
    """What a line of a table and its card tell about a child."""
    epochs: list[dict[str, float]] = []
    while line.get(f"{table.EPOCH_COLUMNS[0]}_{len(epochs) + 1}"):
        epochs.append({name: float(line[f"{name}_{len(epochs) + 1}"]) for name in table.EPOCH_COLUMNS})
    return Evaluation(
        train_accuracy=float(line["train_accuracy"]),
        validation_accuracy=float(line["validation_accuracy"]),
        parameters=int(line["parameters"]),
        flops=int(line["flops"]),
        failure=line["failure"],
        epochs=epochs,
        seconds=float(line["seconds"]),
        device=card["hardware"].rpartition("device ")[2],
        versions=card["versions"],
    )
