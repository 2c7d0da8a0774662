"""A space is one record: whoever needs something of a space finds it there, also for a space that is new."""

import dataclasses
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.trace import Trace
from nases_env import embeddings, rendering, search_spaces, surrogates
from nases_env.children import build
from nases_env.children.padding import count_parameters
from nases_env.children.presets import PRESETS
from nases_env.search_spaces import MacroArchitecture, MacroSpace, MicroSpace, registry
from nases_env.surrogates import features
from nases_env.surrogates.features import ImageShape
from tests.search_spaces import toy

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1}


@pytest.fixture
def third(monkeypatch):
    """The toy space, known while a test runs."""
    monkeypatch.setattr(registry, "REGISTERED", dict(registry.REGISTERED))
    registry.register(toy.REGISTRATION)
    return search_spaces.make("toy")


@pytest.fixture
def env(third, tmp_path):
    """The environment with the toy space and a journal."""
    keywords = {"space": "toy", "decoder": "identity", "protocol": TINY, "device": "cpu", "render_mode": "ansi"}
    made = gym.make("NASES-v0", ledger=str(tmp_path / "journal.log"), **keywords)
    yield made
    made.close()


@pytest.mark.parametrize("name", registry.REGISTERED)
def test_everything_that_a_record_names_is_there(name):
    found = registry.find(name)
    for rules in found.rules:
        space = search_spaces.make(name, rules)
        row = space.discretise(space.sample(np.random.default_rng(0), 1))[0]
        architecture = space.architecture(row)
        assert (space.name, space.rules_name) == (name, rules) and registry.of(architecture) is found
        assert count_parameters(build.skeleton(architecture, PRESETS["digits"], 1, 10)) > 0
        assert rendering.table(architecture)
        assert (rules in found.features) == (rules == "paper")
    for decoder in (*found.decoders, found.covering):
        assert embeddings.make(decoder, space).origin_size == space.origin_size


def test_a_new_space_is_stepped_and_rendered(env, third):
    env.reset(seed=0)
    for action in np.random.default_rng(0).random((3, third.origin_size), np.float32):
        observation, reward, _, _, info = env.step(action)
        assert info["failure"] == "" and np.isfinite(reward) and observation in env.observation_space
        architecture = env.unwrapped.architecture
        assert isinstance(architecture, toy.ToyArchitecture)
        assert env.render() == f"toy\n{info['architecture']}"
        assert rendering.picture(architecture).shape == (700, 1500, 3)
        assert search_spaces.from_json(architecture.to_json()) == architecture
    origin, info = env.reset(options={"architecture": architecture})
    assert info["architecture_key"] == architecture.key and third.row(architecture).tolist() == [
        *third.discretise(origin[None])[0]
    ]


@pytest.mark.parametrize(("name", "settings"), [("random", {}), ("evolution", {"population": 2})])
def test_a_new_space_is_searched_and_its_search_replayed(env, name, settings, tmp_path):
    def search():
        trace = Trace(env, 5)
        agents.find(name)(trace, 0, agents.make_settings(name, settings)).run(trace, 5)
        env.unwrapped.close()
        return [(row["architecture_key"], row["reward"], row["failure"]) for row in trace.rows]

    first, size = search(), (tmp_path / "journal.log").stat().st_size
    assert len(first) == 5 and {failure for *_, failure in first} == {""}
    assert search() == first and (tmp_path / "journal.log").stat().st_size == size


def test_a_new_space_without_decoders_and_features_says_so(third):
    with pytest.raises(ValueError, match="no decoder 'autoencoder'; choose one of .'pca', 'random', 'identity'"):
        embeddings.make("autoencoder", third)
    with pytest.raises(ValueError, match="the micro space under paper rules only, not toy under paper"):
        features.make(third, PRESETS["digits"], ImageShape(8, 1, 10))


def test_whoever_names_no_decoder_has_the_first_that_is_shipped(third):
    action = np.full((1, 20), 0.3, np.float32)
    for name, default in (("macro", "autoencoder-profiles"), ("micro", "autoencoder")):
        space = search_spaces.make(name)
        decoded = embeddings.make(None, space).decode(action)
        np.testing.assert_array_equal(decoded, embeddings.make(default, space).decode(action))
    assert embeddings.make(None, third).action_size == third.origin_size


def test_a_space_is_registered_once(third):
    with pytest.raises(ValueError, match="there is a search space 'toy' already"):
        registry.register(toy.REGISTRATION)
    with pytest.raises(ValueError, match=f"no search space 'other'; choose one of {', '.join(registry.REGISTERED)}"):
        search_spaces.make("other")


def test_an_architecture_of_a_subclass_is_one_of_its_space():
    @dataclasses.dataclass(frozen=True)
    class Special(MacroArchitecture):
        pass

    published = MacroArchitecture.published()
    special = Special(published.rules, published.layers, published.links)
    assert registry.of(special) is registry.find("macro")
    assert rendering.table(special) == rendering.table(published)
    assert registry.of("convolution") is None


def test_the_nearest_class_decides_where_one_space_builds_on_another(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Derived(MacroArchitecture):
        space = "derived"

    monkeypatch.setattr(registry, "REGISTERED", dict(registry.REGISTERED))
    registry.register(dataclasses.replace(toy.REGISTRATION, architecture=Derived))
    published = MacroArchitecture.published()
    assert registry.of(Derived(published.rules, published.layers, published.links)) is registry.find("derived")
    assert registry.of(published) is registry.find("macro")


@pytest.mark.parametrize("space", [MacroSpace(), MacroSpace("published"), MicroSpace(), toy.ToySpace()])
def test_every_choice_of_every_dimension_is_found_again(space):
    bins = space.bins()
    assert bins.tolist() == [len(dimension.centres) for dimension in space.dimensions]
    assert (bins.shape, bins.dtype.kind) == ((space.origin_size,), "i")
    choices = np.random.default_rng(0).integers(bins, size=(50, space.origin_size))
    np.testing.assert_array_equal(space.choices(space.origin(choices)), choices)
    edges = np.array(
        [
            [dimension.edges[choice + 1] for dimension, choice in zip(space.dimensions, row, strict=True)]
            for row in choices
        ]
    )
    np.testing.assert_array_equal(space.choices(edges), choices)  # an upper edge belongs to its bin


def test_spaces_need_neither_torch_nor_pictures():
    program = (
        "import sys; from nases_env import search_spaces; from nases_env.search_spaces import registry;"
        "[search_spaces.make(name) for name in registry.REGISTERED];"
        "assert not {'torch', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", surrogates.SHIPPED)
def test_a_shipped_surrogate_is_of_a_space_that_surrogates_know(name):
    space = surrogates.make(name).space
    assert space.rules_name in registry.find(space.name).features
