"""The ids: what they make, how they are found, and what making them must not load."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import nases_env  # noqa: F401
from nases_env.children.presets import PRESETS
from nases_env.env import NASESEnv

IDS = {
    "NASES-v0": 60,
    "NASES-CIFAR10-v0": 60,
    "NASES-Digits-v0": 60,
    "NASES-Digits-Surrogate-v0": 60,
    "NASES-CIFAR10-Micro-v0": 40,
    "NASES-Digits-Micro-v0": 40,
    "NASES-Digits-Micro-Surrogate-v0": 40,
}
"""And how many numbers an origin vector has."""
TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 1, "width": 0.03}


def run_python(code, folder):
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("id", IDS)
def test_actions_are_embeddings_and_observations_origin_vectors(id):
    env = gym.make(id)
    assert env.action_space == gym.spaces.Box(0, 1, (20,), np.float32)
    assert env.observation_space == gym.spaces.Box(0, 30, (IDS[id],), np.float32)


@pytest.mark.parametrize("id", IDS)
def test_identity_decoder_makes_actions_as_long_as_origin_vectors(id):
    assert gym.make(id, decoder="identity").action_space == gym.spaces.Box(0, 1, (IDS[id],), np.float32)


@pytest.mark.parametrize(
    ("id", "dataset", "protocol", "nondeterministic"),
    [
        ("NASES-v0", "digits", "digits", True),
        ("NASES-CIFAR10-v0", "cifar10", "v1-search", True),
        ("NASES-Digits-v0", "digits", "digits", False),
        ("NASES-CIFAR10-Micro-v0", "cifar10", "v3-search", True),
        ("NASES-Digits-Micro-v0", "digits", "digits-micro", False),
        ("NASES-Digits-Micro-Surrogate-v0", "digits", "digits-micro", False),
    ],
)
def test_id_stands_for_its_data_and_protocol(id, dataset, protocol, nondeterministic):
    env = gym.make(id)
    assert env.unwrapped.dataset == dataset
    assert env.unwrapped.protocol == PRESETS[protocol]
    assert env.spec.nondeterministic is nondeterministic
    assert env.spec.max_episode_steps is None


def test_three_spellings_of_make_give_the_same_environment():
    made = [
        gym.make("NASES-Digits-v0", render_mode="ansi"),
        gym.make("nases_env:NASES-Digits-v0", render_mode="ansi"),
        gym.make(gym.spec("NASES-Digits-v0"), render_mode="ansi"),
    ]
    for env in made:
        assert type(env.unwrapped) is NASESEnv
        assert env.spec.id == "NASES-Digits-v0"
        assert env.unwrapped.render_mode == "ansi"
    first, *others = [env.reset(seed=3) for env in made]
    for observation, info in others:
        np.testing.assert_array_equal(observation, first[0])
        assert info == first[1]


def test_id_is_unknown_until_the_package_is_imported_or_named(tmp_path):
    code = """
import sys
import gymnasium as gym
try:
    gym.make("NASES-Digits-v0")
except gym.error.NameNotFound:
    print("not found")
assert "nases_env" not in sys.modules
print(gym.make("nases_env:NASES-Digits-v0").action_space.shape)
"""
    assert run_python(code, tmp_path).splitlines() == ["not found", "(20,)"]


@pytest.mark.parametrize("mistyped", ["datset", "protocols", "seed"])
def test_mistyped_keyword_is_a_type_error_that_names_it(mistyped):
    with pytest.raises(TypeError, match=mistyped):
        gym.make("NASES-v0", **{mistyped: "digits"})


def test_spec_survives_json_and_makes_the_same_environment():
    env = gym.make("NASES-v0", protocol=TINY, decoder="identity", rules="published", device="cpu", max_episode_steps=7)
    spec = EnvSpec.from_json(env.spec.to_json())
    assert spec == env.spec
    made = gym.make(spec)
    assert made.spec.max_episode_steps == 7
    for attribute in ("protocol", "dataset", "device", "action_space"):
        assert getattr(made.unwrapped, attribute) == getattr(env.unwrapped, attribute)
    np.testing.assert_array_equal(made.reset(seed=1)[0], env.reset(seed=1)[0])
    assert made.reset(seed=1)[1] == env.reset(seed=1)[1]


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_spec_of_a_surrogate_that_an_earlier_version_wrote_makes_the_same_environment(make):
    names = {"entry_point": "SurrogateEnv", "vector_entry_point": "SurrogateVectorEnv"}
    former = {key: f"nases_env.surrogate_env:{name}" for key, name in names.items()}
    text = json.dumps(json.loads(gym.make("NASES-Digits-Surrogate-v0", noise=True).spec.to_json()) | former)
    found, expected = make(EnvSpec.from_json(text)), make("NASES-Digits-Surrogate-v0", noise=True)
    found.action_space.seed(0)
    action = found.action_space.sample()
    for env in (found, expected):
        env.reset(seed=0)
    assert found.step(action)[1] == expected.step(action)[1]


def test_spec_from_json_needs_no_import(tmp_path):
    text = gym.make("NASES-Digits-v0", decoder="identity").spec.to_json()
    code = f"""
import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
print(gym.make(EnvSpec.from_json({text!r})).action_space.shape)
"""
    assert run_python(code, tmp_path) == "(60,)"


def test_cifar10_is_made_reset_and_rendered_without_torch_optuna_or_data(tmp_path):
    code = """
import sys
from pathlib import Path
import gymnasium as gym
import nases_env
assert not {"torch", "optuna", "sklearn", "matplotlib", "nases_env.env"} & sys.modules.keys(), "import is not light"
folder = Path("data")
folder.mkdir()
for mode in ("ansi", "rgb_array"):
    env = gym.make("NASES-CIFAR10-v0", data_dir="data", render_mode=mode)
    observation, info = env.reset(seed=0)
    assert observation in env.observation_space
    assert env.render() is not None
    env.close()
print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "torchvision", "sklearn", "optuna"}))
print(sorted(path.name for path in Path().rglob("*")))
"""
    assert run_python(code, tmp_path).splitlines() == ["[]", "['data']"]
