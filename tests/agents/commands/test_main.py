"""The console command `nases`: it knows every command, and says what it does not know."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from agents.commands import __main__ as nases
from agents.commands import startup
from tests.agents.commands.conftest import ROOT

MODULES = {name.replace("-", "_") for name in nases.COMMANDS}


def _nases(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "agents.commands", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        **options,
    )


def test_every_script_is_a_command_and_every_command_a_script_and_a_module():
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == MODULES
    modules = {path.stem for path in (ROOT / "agents" / "commands").glob("*.py")}
    assert modules - {"__init__", "__main__", "startup"} == MODULES


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_script_opens_with_how_it_is_called_and_runs_its_own_command(name):
    text = (ROOT / "scripts" / f"{name}.py").read_text(encoding="utf-8")
    assert f"python scripts/{name}.py" in text and f'run_command("{name}")' in text
    assert len(text.splitlines()) < 20


@pytest.mark.parametrize("name", nases.COMMANDS)
def test_every_command_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        nases.find([name, "--help"])()
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith(f"usage: nases {name} [-h]")
    assert "(default:" in told or "(required)" in told


@pytest.mark.parametrize("asked", [["--help"], ["-h"], []])
def test_help_lists_every_command_with_a_sentence(asked, capsys):
    assert nases.find(asked)() == 0
    lines = capsys.readouterr().out.splitlines()
    for name in nases.COMMANDS:
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert len(line.split()) > 5 and line.endswith(".")


def test_it_tells_its_version(capsys):
    assert nases.find(["--version"])() == 0
    assert capsys.readouterr().out == f"nases-env {metadata.version('nases-env')}\n"


@pytest.mark.parametrize(
    ("name", "guess"), [("serch", "did you mean search? "), ("train_final", "did you mean train-final? "), ("zzz", "")]
)
def test_an_unknown_command_is_told_with_what_may_have_been_meant(name, guess, capsys):
    assert nases.find([name])() == startup.WRONG
    expected = f"error: there is no command {name!r}; {guess}nases --help lists all\n"
    assert capsys.readouterr().err == expected


def test_a_search_outside_the_repository_says_how_to_go_on(tmp_path):
    surrogate = ("--env-id", "NASES-Digits-Surrogate-v0", "--children", 3)
    with _nases("search", *surrogate, "--run-dir", "my run", cwd=tmp_path) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "retrain it:  nases train-final --run 'my run'\n" in output
    assert (tmp_path / "my run" / "best.json").is_file()


def test_a_comparison_outside_the_repository_finds_its_workers_code(tmp_path):
    arguments = ("compare", "--agents", "random", "--seeds", 2, "--children", 3, "--out", "out")
    with _nases(*arguments, cwd=tmp_path) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    notes = (tmp_path / "out" / "notes.txt").read_text(encoding="utf-8")
    assert notes.startswith("nases compare --agents random --seeds 2 --children 3 --out out\n")


def test_the_command_is_found_before_any_library_is_imported():
    code = """
import sys
from agents.commands import __main__
__main__.find(["--help"]), __main__.find(["no-command"])
print([name for name in ("numpy", "gymnasium", "torch", "tyro") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("search", "--help")])
def test_where_nobody_reads_the_output_a_command_ends_quietly(arguments):
    with _nases(*arguments) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (startup.CLOSED, "")
