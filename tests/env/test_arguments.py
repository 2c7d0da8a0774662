"""Whatever is handed in: what makes sense is taken, everything else is refused in a sentence, and nothing changes."""

import inspect
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nases_env.env import NASESEnv
from nases_env.vector_env import NASESVectorEnv

SurrogateEnv, SurrogateVectorEnv = (partial(cls, surrogate="digits") for cls in (NASESEnv, NASESVectorEnv))

ODD = [None, True, 1, -1, 1.5, math.nan, "", "x", b"x", [], {}, (), object(), [1], [None], {1: 2}, 10**30]
"""Values for every argument."""
TAKEN = {
    "data_dir": ["x"],
    "device": ["x"],  # looked at when the first child is built
    "decoder": [None],
    "ledger": [None, "x"],
    "reuse": [[], ()],
    "workers": [1],
    "executor": [None],
    "render_mode": [None],
    "surrogate": [None],
    "num_envs": [1],
    "max_episode_steps": [None, 1, 10**30],
    "seed": [None, 1, 10**30],
    "options": [None, {}],
    "reset_mask": [None],
}
"""Which of them make sense for an argument; for the others none does."""
OF_ONE_CLASS = {
    (NASESVectorEnv, "workers"): [None, 1],
    (SurrogateVectorEnv, "ledger"): [None],
    (SurrogateVectorEnv, "workers"): [None],
    **{
        (cls, name): taken
        for cls in (SurrogateEnv, SurrogateVectorEnv)
        for name, taken in {"data_dir": [], "device": [], "noise": [True]}.items()
    },
    (SurrogateEnv, "workers"): [],
}
CLASSES = {
    NASESEnv: NASESEnv, SurrogateEnv: SurrogateEnv, NASESVectorEnv: NASESEnv, SurrogateVectorEnv: SurrogateEnv,
}  # fmt: skip
"""Each environment, and the one whose arguments it has too."""
ARGUMENTS = [
    (cls, name)
    for cls, single in CLASSES.items()
    for name in sorted({*inspect.signature(cls).parameters, *inspect.signature(single).parameters} - {"keywords"})
]


def check(call, value, taken):
    """The value is taken where it should be, and refused in a sentence where it should not."""
    if any(value is each or (type(value) is type(each) and value == each) for each in taken):
        call(value)
        return
    with pytest.raises(ValueError) as error:
        call(value)
    message = str(error.value)
    assert any(word in message for word in ("expected", "choose", "there is", "it has", "leave")), message
    assert 20 < len(message) < 1000


@pytest.mark.parametrize(("cls", "name"), ARGUMENTS, ids=str)
def test_odd_arguments_are_refused_by_the_constructor(cls, name):
    taken = OF_ONE_CLASS.get((cls, name), TAKEN.get(name, []))
    for value in ODD:
        check(lambda value: cls(**{name: value}), value, taken)


@pytest.fixture(params=CLASSES)
def env(request, tiny):
    cls = request.param
    keywords = {} if isinstance(cls, partial) else {"protocol": tiny, "device": "cpu"}
    many = {} if CLASSES[cls] is cls else {"num_envs": 2}
    made = cls(**keywords, **many)
    made.reset(seed=0)
    yield made
    made.close()


def test_odd_seeds_and_options_are_refused_by_reset(env):
    for value in ODD:
        check(lambda value: env.reset(seed=value), value, TAKEN["seed"])
        check(lambda value: env.reset(options=value), value, TAKEN["options"])
        check(lambda value: env.reset(options={"architecture": value}), value, [])
        if not isinstance(env, NASESEnv):
            check(lambda value: env.reset(options={"reset_mask": value}), value, TAKEN["reset_mask"])


def test_odd_actions_are_refused(env):
    for value in ODD:
        check(env.step, value, [])
        check(env.decoder.decode, value, [])
        check(env.decoder.encode, value, [])


def test_refused_reset_goes_on_with_the_same_generator(env):
    env.reset(seed=5)
    expected = env.reset()[0]
    env.reset(seed=5)
    for keywords in ({"seed": -1}, {"seed": 9, "options": 3}, {"seed": 9, "options": {"architecture": 3}}):
        with pytest.raises(ValueError, match="expected"):
            env.reset(**keywords)
    np.testing.assert_array_equal(env.reset()[0], expected)


@pytest.mark.parametrize("cls", CLASSES)
def test_unknown_keyword_is_a_type_error_that_names_it(cls):
    with pytest.raises(TypeError, match="datset"):
        cls(datset="digits")


def test_paths_may_be_path_objects(tmp_path):
    env = NASESEnv(data_dir=tmp_path, ledger=tmp_path / "journal.log", reuse=[tmp_path / "other.log"])
    assert env.data_dir == str(tmp_path)
    assert env._ledger_arguments == (str(tmp_path / "journal.log"), (str(tmp_path / "other.log"),))
    weights = Path(__file__).parents[2] / "nases_env/embeddings/pretrained/macro-autoencoder.safetensors"
    assert NASESEnv(decoder=weights).decoder.path == weights


def test_whole_numbers_of_numpy_are_seeds(env):
    first, _ = env.reset(seed=np.int64(3))
    np.testing.assert_array_equal(first, env.reset(seed=3)[0])


def test_what_an_error_shows_is_of_bounded_length():
    for keywords in (
        {"dataset": ["x" * 10**6]},
        {"reward": "x" * 10**6},
        {"space": "x" * 10**6},
        {"workers": 10**5000},
    ):
        with pytest.raises(ValueError) as error:
            NASESEnv(**keywords)
        assert len(str(error.value)) < 500
