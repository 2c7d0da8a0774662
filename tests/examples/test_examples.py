"""Every example runs to its end with a tiny budget where the library that it needs is installed, as a command."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SURROGATE = "NASES-Digits-Surrogate-v0"
TIMEOUT = 600
"""Seconds after which an example that hangs is a failure; Ray takes minutes to start on a busy machine."""


def needs(*modules):
    """Skip a test where a module is missing. None is imported here: some change how processes start."""
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs Python in an empty folder and returns what it printed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes its results there
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_the_readme_tells_of_every_example():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".yml"}}
    assert files == set(re.findall(r"\]\((\w+\.\w+)\)", text))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_says_how_it_is_run_and_what_it_needs(path):
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert f"    python examples/{path.name}" in docstring
    assert re.search(r"It needs (nothing but nases-env|`pip install )", docstring)


def test_ppo_in_one_file_learns_and_writes_curves(run, tmp_path):
    few = ["--total-timesteps", 3200, "--num-envs", 16, "--children", 10, "--learning-rate", 0.003]
    printed = run(EXAMPLES / "cleanrl_ppo.py", *few)
    built, first, last = map(float, re.findall(r"[\d.]+\d", printed))
    assert built >= 3200
    assert last > first + 0.05
    assert [*tmp_path.glob(f"runs/{SURROGATE}__cleanrl_ppo__0__*/events.*")]


@needs("torchrl")
def test_torchrl_checks_the_specs_and_learns(run):
    printed = run(EXAMPLES / "torchrl_ppo.py", "--total-children", 3200, "--children", 10)
    means = [float(number) for number in re.findall(r"batch \d+: mean reward ([\d.]+)", printed)]
    assert len(means) == 4
    assert means[-1] > means[0]


@needs("submitit")
def test_an_array_of_searches_is_collected(run, tmp_path):
    of_array = ["--cluster", "debug", "--searches", 2, "--env-id", SURROGATE, "--agent", "random", "--children", 3]
    printed = run(EXAMPLES / "slurm_array.py", *of_array, "--out", "array", "--", "--noise")
    assert printed.count("3 of 3 children, finished") == 2
    assert "best reward of 2 searches" in printed
    assert '"noise": true' in (tmp_path / "array" / "seed1" / "settings.json").read_text(encoding="utf-8")


@needs("ray", "pandas", "pyarrow")
def test_ray_tune_finds_the_best_of_its_trials(run):
    printed = run(EXAMPLES / "ray_tune.py", "--agent", "evolution", "--trials", 2, "--seeds", 2, "--children", 10)
    assert re.search(r"best of 2: \{'population': \d+, 'mutations': \d\}, mean best reward [\d.]+", printed)


@needs("ray", "ormsgpack", "tree")
def test_rllib_trains_for_an_iteration(run):
    few = ["--searches", 4, "--children", 5, "--batch-size", 20, "--iterations", 1]
    assert re.search(r"iteration 0: 20 children, mean reward [\d.]+", run(EXAMPLES / "rllib_ppo.py", *few))


@needs("rl_zoo3")
def test_rl_zoo_trains_with_the_hyperparameters(run, tmp_path):
    module = ["-m", "rl_zoo3.train", "--algo", "ppo", "--env", SURROGATE, "--gym-packages", "nases_env"]
    keywords = ["--env-kwargs", "max_episode_steps:50", "noise:True"]
    run(*module, "--conf-file", EXAMPLES / "rl_zoo_ppo.yml", *keywords, "--eval-freq", -1, "-n", 400)
    assert (tmp_path / "logs" / "ppo" / f"{SURROGATE}_1" / f"{SURROGATE}.zip").is_file()
