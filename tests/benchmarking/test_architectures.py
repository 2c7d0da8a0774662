"""Which architectures a benchmark times."""

from nases_env.benchmarking.architectures import PURE_FILTERS, architectures
from nases_env.search_spaces import MacroArchitecture


def test_random_ones_are_always_the_same_and_of_the_space_asked_for():
    three = architectures("macro", 3, published=False, pure=False)
    assert list(three) == ["random 0", "random 1", "random 2"]
    assert architectures("macro", 2, published=False, pure=False).items() <= three.items()
    assert {each.space for each in architectures("micro", 2, published=False, pure=False).values()} == {"micro"}


def test_the_published_one_and_pure_ones_come_on_top():
    found = architectures("macro", 1, published=True, pure=True)
    assert found["published"] == MacroArchitecture.published()
    pure = {name: each for name, each in found.items() if name.endswith("× 15")}
    assert len(pure) == 6 == len(found) - 2
    for each in pure.values():
        assert len(set(each.layers)) == 1 and each.layers[0].filters == PURE_FILTERS and not each.links
