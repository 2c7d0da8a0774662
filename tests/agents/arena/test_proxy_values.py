"""Values of proxies: nothing is measured twice, and every child is drawn from its own seed."""

import numpy as np

from agents.arena import proxy_values
from nases_env import search_spaces
from nases_env.evaluation import Evaluation

SPACE = search_spaces.make()
LINES = [
    {"architecture": SPACE.architecture(row).to_json(), "child_seed": str(10 + number)}
    for number, row in enumerate(SPACE.discretise(SPACE.sample(np.random.default_rng(0), 6)))
]


class Toy:
    """Its proxy is the child seed; it does the last child first, and fails on the seed 12."""

    name = "toy"

    def __init__(self):
        self.asked, self.closed = [], False

    def evaluate(self, architectures, seeds):
        self.asked += seeds
        for index in reversed(range(len(seeds))):
            failed = seeds[index] == 12
            yield index, Evaluation(proxy=None if failed else float(seeds[index]), failure="nan" if failed else "")

    def close(self):
        self.closed = True


def measured(file, evaluations, toy):
    return list(proxy_values.measure(file, evaluations, LINES, SPACE, {"toy": lambda: toy}))


def test_larger_samples_hold_smaller_ones():
    few, more, everything = (proxy_values.sample(100, size) for size in (10, 30, None))
    assert set(few) < set(more) and len(more) == 30 and more == sorted(more)
    assert everything == [*range(100)]


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy_values, "PIECE", 2)
    file, first, second = tmp_path / "values.csv.gz", Toy(), Toy()
    assert measured(file, [1, 3], first) == [0, 2] and first.asked == [11, 13] and first.closed
    assert measured(file, [0, 1, 2, 3, 4], second) == [2, 2, 1] and second.asked == [10, 12, 14]
    values = {(each["evaluation"], each["value"]) for each in proxy_values.read(file)}
    assert values == {("0", "10"), ("1", "11"), ("2", "nan"), ("3", "13"), ("4", "14")}
    assert measured(file, [0, 4], Toy()) == [2]


def test_an_interrupted_measurement_keeps_its_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy_values, "PIECE", 2)
    file, toy = tmp_path / "values.csv.gz", Toy()
    pieces = proxy_values.measure(file, range(6), LINES, SPACE, {"toy": lambda: toy})
    assert [next(pieces), next(pieces)] == [0, 2]
    pieces.close()
    assert len(proxy_values.read(file)) == 2 and toy.closed
