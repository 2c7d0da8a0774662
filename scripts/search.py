"""Searches for a network with one agent.

    python scripts/search.py
    python scripts/search.py --env-id NASES-v0 --dataset imagefolder:PATH --protocol cifar10-mini

Results go to a folder of their own under runs/; `tensorboard --logdir runs` shows the curves.
"""

from __future__ import annotations

import startup

import dataclasses
import inspect
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gymnasium as gym
import torch
import tyro
from command_line import parse_overrides
from gymnasium.envs.registration import load_env_creator

import agents
from agents.recorder import Recorder
from agents.reinforce import ReinforceSettings
from agents.run_directory import RunDirectory
from nases_env.children.dataset_names import absolute
from nases_env.env import NASESEnv
from nases_env.evaluators import WorkerStartError
from nases_env.evaluators.choice import OF_SURROGATES, OF_TRAINING
from nases_env.ledger import LedgerMismatchError, repair
from nases_env.search_spaces import Architecture
from nases_env.surrogates import SHIPPED

ENVIRONMENT = (
    "dataset",
    "data_dir",
    "protocol",
    "space",
    "rules",
    "decoder",
    "calibration",
    "reward",
    "device",
    "workers",
    "surrogate",
    "noise",
)
OF_THE_COMMAND = ("run_dir", "resume", "repair", "trust")
"""Options that say how to go on, not what the search is. They are not kept in its settings."""
FAILURES = (ValueError, OSError, ImportError, WorkerStartError, gym.error.Error)
"""Errors whose message is all that a user needs."""


@dataclass(frozen=True)
class Options:
    """Runs one search to its end and records it. Options of the environment default to what its id registers."""

    env_id: str = "NASES-Digits-v0"
    """Environment: NASES-Digits-v0, NASES-Digits-Surrogate-v0, NASES-CIFAR10-v0, version 3's NASES-Digits-Micro-v0 and
    NASES-CIFAR10-Micro-v0, NASES-v0 or another registered one."""
    agent: str = "reinforce"
    """Agent that searches: reinforce, random, random-origin, evolution, lstm, q-learning, predictor, gradient-ascent,
    tpe, cmaes, gp, ppo, a2c, sac or td3."""
    agent_settings: tuple[str, ...] = ()
    """Settings of agents other than reinforce: --agent-settings population=20 sample=3."""
    children: int = 30
    """Networks to build: the budget."""
    seed: int = 0
    """Seed of the agent and of the environment."""
    run_dir: str | None = None
    """Folder for the results; None: runs/<environment>-<agent>-seed<seed>-<time>."""
    resume: bool = False
    """Go on with the search in run_dir, with the settings it was started with; start it if there is none."""
    repair: bool = False
    """With --resume: make a damaged journal usable first. A copy and every whole record are kept."""
    trust: bool = False
    """Whether the settings of a folder, that of --resume or --start-from, may name an environment of another package,
    whose code is run, and links in it may lead elsewhere."""
    reuse: tuple[str, ...] = ()
    """Folders or journals of other searches whose evaluations need not be trained again."""
    start_from: str | None = None
    """A known network: a search's folder (its best child), a best.json or its text. Its encoding is the first child;
    stable-baselines3's agents only see it as their first state."""

    dataset: str | None = None
    """digits, cifar10 or imagefolder:PATH (with PATH/train/<class>/* and PATH/test/<class>/*)."""
    data_dir: str | None = None
    """Folder of CIFAR-10."""
    protocol: str | None = None
    """How children are trained: a preset, for example v1-search, digits or cifar10-mini."""
    overrides: tuple[str, ...] = ()
    """Protocol fields to change: --overrides epochs=2 width=0.25."""
    space: str | None = None
    """Search space: macro or micro."""
    rules: str | None = None
    """paper or published."""
    decoder: str | None = None
    """autoencoder, pca, random, identity or a weights file; in the macro space also autoencoder-uniform and
    autoencoder-paper."""
    calibration: str | None = None
    """output, none or both."""
    reward: str | None = None
    """eq1 or validation."""
    device: str | None = None
    """auto, cpu or cuda."""
    workers: int | None = None
    """Processes that train children: 1 keeps the search alive whatever happens to one; None or 0: in this process."""
    surrogate: str | None = None
    """Surrogate of a surrogate's environment: digits or a folder that scripts/fit_surrogate.py wrote."""
    noise: bool = False
    """Whether the accuracies of a surrogate's environment vary with the child seed."""
    batch: int = 1
    """Children that are chosen before any of them is known, so that as many workers have something to do. Unlike the
    number of workers it changes the search."""

    recipe: Literal["ours", "paper"] = "ours"
    """Settings that the options of reinforce start from."""
    reinforce: ReinforceSettings = ReinforceSettings()

    def environment(self) -> dict[str, Any]:
        """Keywords for gym.make; folders by their absolute paths, so that the search can be retrained from anywhere."""
        given = {name: getattr(self, name) for name in ENVIRONMENT}
        keywords = {name: value for name, value in given.items() if value is not None and value is not False}
        if self.overrides:
            registered = gym.spec(self.env_id).kwargs.get("protocol", "digits")
            keywords["protocol"] = {"preset": self.protocol or registered, **parse_overrides(self.overrides)}
        if "dataset" in keywords:
            keywords["dataset"] = absolute(keywords["dataset"])
        if "data_dir" in keywords:
            keywords["data_dir"] = str(Path(keywords["data_dir"]).expanduser().resolve())
        if keywords.get("surrogate", SHIPPED[0]) not in SHIPPED:
            keywords["surrogate"] = str(Path(keywords["surrogate"]).resolve())
        return keywords


def parse(arguments: list[str] | None = None) -> Options:
    """Options of the command line; those not given come from the resumed search or the recipe.

    Raises:
        ValueError: If the resumed search's settings are damaged or not trusted.
    """
    options = tyro.cli(Options, args=arguments)
    if options.resume and options.run_dir and RunDirectory(options.run_dir).exists():
        return tyro.cli(Options, args=arguments, default=_stored(options))
    if options.recipe == "paper":
        return tyro.cli(Options, args=arguments, default=Options(reinforce=ReinforceSettings.paper()))
    return options


def _stored(options: Options) -> Options:
    """The options that the search to resume was started with."""
    run = RunDirectory(options.run_dir or "", options.trust)
    stored = run.options() | {name: getattr(options, name) for name in OF_THE_COMMAND}
    try:
        lists = ("overrides", "reuse", "agent_settings")
        stored |= {name: tuple(stored[name]) for name in lists if isinstance(stored[name], list)}
        stored["reinforce"] = ReinforceSettings(**stored["reinforce"])
        found = Options(**stored)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{run.path / 'settings.json'} has no options of this version ({error}); resume with the version that "
            "wrote them, or start another search and --reuse this one"
        ) from error
    wrong = [name for name, kind in get_type_hints(Options).items() if not _is_one(getattr(found, name), kind)]
    if wrong:
        raise ValueError(
            f"{run.path / 'settings.json'} is damaged: its {wrong[0]} is {getattr(found, wrong[0])!r:.100}; restore "
            "it, or remove it and resume the search with all the options that it was started with"
        )
    return found


def _is_one(value: Any, kind: Any) -> bool:
    """Whether a value has the type of an option."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    return type(value) in (get_args(kind) or (kind,))


def main(options: Options) -> int:
    """Search; returns the exit status: 0 at the end of the budget, 130 after Ctrl-C."""
    torch.set_num_threads(1)  # for the controller: faster at its size, and the same on every machine
    name = f"{options.env_id}-{options.agent}-seed{options.seed}-{time.strftime('%Y%m%d-%H%M%S')}"
    run = RunDirectory(options.run_dir or f"runs/{name}", options.trust)
    settings = {name: value for name, value in dataclasses.asdict(options).items() if name not in OF_THE_COMMAND}
    try:
        _check(options)
        if options.repair:
            _repair(run)
        agent_class = agents.find(options.agent)
        agent_settings = _agent_settings(options)
        if options.batch > 1 and not agent_class.batches:
            raise ValueError(f"--batch {options.batch}: {options.agent} chooses one child at a time; leave --batch out")
        keywords = {**agent_class.env_kwargs, **options.environment()}
        _check_keywords(options.env_id, keywords)
        # Made without a journal first, so that wrong options and data leave no folder behind.
        environment = gym.make(options.env_id, **keywords).unwrapped
        if not isinstance(environment, NASESEnv):
            raise ValueError(f"{options.env_id} is no NASES environment: {type(environment).__name__}")
        protocol = dataclasses.asdict(environment.protocol)
        start = None if options.start_from is None else _known(options.start_from, environment, options.trust)
        settings["start_from"] = start and start.to_json()  # resuming must not depend on the other folder
        environment.prepare()
        replayed = run.start(settings, options.env_id, keywords, protocol, options.resume)
        env = gym.make(
            options.env_id,
            max_episode_steps=options.children,
            ledger=str(run.journal),
            reuse=[str(RunDirectory(path).journal if Path(path).is_dir() else path) for path in options.reuse],
            **keywords,
        )
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{options.agent} searches {options.env_id} with {options.children} children; results: {run.path}", flush=True
    )
    if start:
        print(_describe_start(start, environment), flush=True)
    recorder = Recorder(env, run.path, options.children, _flat(settings, environment), replayed=replayed)
    errors: list[Exception] = []
    interrupted = False
    try:
        interrupted = _search(recorder, run, agent_class, agent_settings, start, options)
    except FAILURES as error:
        errors.append(error)
    finally:
        try:
            recorder.close()
        except OSError as error:
            errors.append(OSError(f"the best network or the curves could not be written ({error})"))
    if options.repair and errors and isinstance(errors[0], LedgerMismatchError) and errors[0].child is not None:
        _repair(run, errors[0].child)
        return main(options)
    for found in errors:
        print(f"error: {found}", file=sys.stderr)
    if errors:
        return 2
    _summarise(recorder, run, interrupted)
    return startup.INTERRUPTED if interrupted else 0


def _search(
    recorder: Recorder,
    run: RunDirectory,
    agent_class: type[agents.Agent],
    agent_settings: Any,
    start: Architecture | None,
    options: Options,
) -> bool:
    """Search to the end of the budget or until Ctrl-C; returns whether it was Ctrl-C."""
    try:
        agent = agent_class(recorder, options.seed, agent_settings)
    except TypeError as error:  # a library's keywords are checked by the library
        if not options.agent_settings:
            raise
        raise ValueError(f"{options.agent} cannot be made with {agent_settings}: {error}") from error
    interrupted = False
    try:
        agent.run(recorder, options.children, start, options.batch)
    except KeyboardInterrupt:
        interrupted = True
    _save_controller(agent, run)
    return interrupted


def _repair(run: RunDirectory, children: int | None = None) -> None:
    """Repair the journal of a search, of which at most so many children replay, and say what was kept."""
    done = repair(run.journal, run.reward(), children)
    if done is None:
        print(f"{run.journal} is whole: nothing to repair")
        return
    print(
        f"repaired {run.journal}: {done.replayed} children are replayed, {done.salvaged} behind lost ones are found "
        f"again when they are asked for; the file as it was: {done.copy}"
    )


def _check(options: Options) -> None:
    if options.children < 1 or options.seed < 0:
        raise ValueError(f"--children {options.children} has to be at least 1, --seed {options.seed} at least 0")
    if options.batch < 1:
        raise ValueError(f"--batch {options.batch} has to be at least 1")
    if options.resume and not options.run_dir:
        raise ValueError("--resume goes on with the search in a folder; name it with --run-dir")
    if options.repair and not options.resume:
        raise ValueError("--repair is for a search to go on with: give --resume and --run-dir as well")


def _check_keywords(env_id: str, keywords: dict[str, Any]) -> None:
    """Refuse options that this environment does not have, in words for a user.

    Raises:
        ValueError: If there are some; the message names the options that it has.
    """
    parameters = inspect.signature(load_env_creator(str(gym.spec(env_id).entry_point))).parameters
    if unknown := [name for name in keywords if name not in parameters]:
        known = [name for name in ENVIRONMENT if name in parameters]
        raise ValueError(f"{env_id} has no {', '.join(unknown)}; its options are {', '.join(known)}")


def _known(start_from: str, environment: NASESEnv, trust: bool) -> Architecture:
    """The network of `--start-from`."""
    if start_from.lstrip().startswith("{"):
        return environment.space.from_json(start_from)
    if Path(start_from).is_dir():
        best = RunDirectory(start_from, trust).best()
        return environment.space.from_json(json.dumps(best.evaluation["architecture_json"]))
    return environment.space.from_json(Path(start_from).read_text(encoding="utf-8"))


def _describe_start(start: Architecture, environment: NASESEnv) -> str:
    """Tell how much of a known network its encoding keeps."""
    space, decoder = environment.space, environment.decoder
    origin = space.origin_of(start)[None]
    before, after = (space.decisions(space.discretise(o)) for o in (origin, decoder.decode(decoder.encode(origin))))
    kept = [f"{(after[name] == values).sum()} of {values.size} {name}" for name, values in before.items()]
    return f"the encoding of the known network keeps {', '.join(kept)}"


def _agent_settings(options: Options) -> Any:
    if options.agent == "reinforce":
        if options.agent_settings:
            raise ValueError("settings of reinforce have options of their own: --reinforce.epsilon 0.2, see --help")
        return options.reinforce
    return agents.make_settings(options.agent, parse_overrides(options.agent_settings))


def _flat(settings: dict[str, Any], environment: NASESEnv) -> dict[str, Any]:
    """The settings on one level, with the values that the environment's keywords have where none was given."""
    parameters = inspect.signature(type(environment)).parameters
    without_use = OF_TRAINING if environment.surrogate else OF_SURROGATES
    told = [name for name in ENVIRONMENT if name in parameters and name not in without_use]
    defaults = {name: parameters[name].default for name in told}
    registered = environment.spec.kwargs if environment.spec else {}
    keywords = defaults | {name: value for name, value in registered.items() if name in defaults}
    nested = {f"reinforce.{name}": value for name, value in settings["reinforce"].items()}
    flat = {name: value for name, value in settings.items() if name not in ("reinforce", *ENVIRONMENT)}
    return flat | keywords | (nested if settings["agent"] == "reinforce" else {})


def _save_controller(agent: agents.Agent, run: RunDirectory) -> None:
    from safetensors.numpy import save_file

    if weights := agent.state_dict():
        save_file(weights, run.path / "controller.safetensors")


def _summarise(recorder: Recorder, run: RunDirectory, interrupted: bool) -> None:
    if interrupted:
        print(f"interrupted after {recorder.steps} children; go on with --run-dir {run.path} --resume")
    if recorder.best is None:
        return
    print(f"best child: number {recorder.best.step} of {recorder.steps}, reward {recorder.best.reward:.4f}")
    print(f"  {recorder.best.architecture}")
    print(f"results:     {run.path / 'children.csv'}")
    print(f"picture:     {run.path / 'best.png'}")
    print(f"TensorBoard: tensorboard --logdir {recorder.tensorboard_dir}")
    print(f"retrain it:  python scripts/train_final.py --run {run.path}")


def command() -> int:
    """Search as the command line says; returns the exit status."""
    try:
        options = parse()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return main(options)


if __name__ == "__main__":
    sys.exit(startup.run(command))
