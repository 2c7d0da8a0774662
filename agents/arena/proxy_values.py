"""The zero-cost proxies of the children of a table, measured in pieces so that it can be stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from nases_env import files
from nases_env.evaluators.proxy import ProxyEvaluator
from nases_env.search_spaces import SearchSpace

PIECE = 100
"""So many children are measured between two writes of the file."""
COLUMNS = ("evaluation", "proxy", "value", "milliseconds")

Value = dict[str, str]
"""The number of one evaluation in the table, the proxy's name, its value or the failure, and how long it took."""


def sample(count: int, size: int | None) -> list[int]:
    """Numbers of the evaluations to measure, in order: all, or so many at random. Larger samples hold smaller ones."""
    return sorted(np.random.default_rng(0).permutation(count)[:size].tolist())


def measure(
    file: Path,
    evaluations: Sequence[int],
    lines: Sequence[Mapping[str, str]],
    space: SearchSpace,
    evaluators: Mapping[str, Callable[[], ProxyEvaluator]],
) -> Iterator[int]:
    """Measure what the file does not have yet, and write it there; yields how many values were measured or there.

    A child is drawn from the seed that it was trained from.

    Args:
        file: Compressed CSV with a line for each evaluation and proxy.
        evaluations: Numbers of the evaluations to measure.
        lines: The table's lines.
        space: The space of its architectures.
        evaluators: By the proxies' names, what makes an evaluator of each.
    """
    values = read(file)
    known = {(int(value["evaluation"]), value["proxy"]) for value in values}
    for name, make in evaluators.items():
        missing = [number for number in evaluations if (number, name) not in known]
        yield len(evaluations) - len(missing)
        if not missing:
            continue
        evaluator = make()
        try:
            for piece in (missing[start : start + PIECE] for start in range(0, len(missing), PIECE)):
                values += _measured(evaluator, piece, lines, space)
                files.write_compressed_csv(file, values, COLUMNS)
                yield len(piece)
        finally:
            evaluator.close()


def read(file: Path) -> list[Value]:
    """The values that a file has; none where there is no file."""
    return files.read_compressed_csv(file.read_bytes()) if file.is_file() else []


def _measured(
    evaluator: ProxyEvaluator, piece: Sequence[int], lines: Sequence[Mapping[str, str]], space: SearchSpace
) -> list[Value]:
    architectures = [space.from_json(lines[number]["architecture"]) for number in piece]
    found = evaluator.evaluate(architectures, [int(lines[number]["child_seed"]) for number in piece])
    return [
        {
            "evaluation": str(piece[index]),
            "proxy": evaluator.name,
            "value": evaluation.failure or f"{evaluation.proxy:.9g}",
            "milliseconds": f"{1000 * evaluation.seconds:.1f}",
        }
        for index, evaluation in sorted(found, key=lambda pair: pair[0])
    ]
