"""One search from its settings to its end: the agent, the environment with its journal, and the record of both."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
from safetensors.numpy import save

from agents.search.recorder import Recorder
from agents.search.run_directory import RunDirectory
from agents.search.settings import SearchSettings, flat
from agents.trace import BestChild
from nases_env import files
from nases_env.evaluators import WorkerStartError
from nases_env.search_spaces import Architecture

FAILURES = (ValueError, OSError, ImportError, WorkerStartError, gym.error.Error)
"""Errors whose message is all that a user needs."""


@dataclass(frozen=True)
class Outcome:
    """How a search ended."""

    children: int
    """How many it built, replayed ones included."""
    best: BestChild | None
    """The one with the highest reward; None if none succeeded."""
    believed: BestChild | None
    """The one that the agent recommends; None if it could not be asked."""
    interrupted: bool
    """Whether Ctrl-C ended it."""
    errors: tuple[Exception, ...]
    """What went wrong, each of FAILURES, in the order of time. What was found before is recorded."""


class Session:
    """A search in a folder of its own, which can be stopped and gone on with.

    Args:
        settings: What the search is.
        folder: Where it is kept. Wrong settings and wrong data leave no folder behind.
        resume: Whether a search that was started there may go on.

    Raises:
        ValueError: If settings are wrong, or differ from those that the folder's search was started with.
        FileExistsError: If the folder holds a search and `resume` is False; other OSError if data cannot be read.
        ImportError: If the agent needs a library that is not installed.
        gym.error.Error: If there is no such environment.
    """

    def __init__(self, settings: SearchSettings, folder: RunDirectory, resume: bool = False):
        settings.check()
        self.settings, self.folder = settings, folder
        self._agent_class = settings.agent_class()
        self._agent_settings = settings.make_agent_settings()
        keywords = settings.keywords()
        self.environment = settings.make_environment()
        self.start = None if settings.start_from is None else self._known(settings.start_from)
        """The known network that the search starts from."""
        self._stored = {field.name: getattr(settings, field.name) for field in dataclasses.fields(SearchSettings)}
        self._stored["reinforce"] = dataclasses.asdict(settings.reinforce)
        # Resuming must not depend on another search's folder.
        self._stored["start_from"] = None if self.start is None else self.start.to_json()
        reuse = [_journal(path) for path in settings.reuse]
        self.environment.prepare()
        protocol = dataclasses.asdict(self.environment.protocol)
        # Whoever opens the folder later need not have the cluster that children were trained on.
        kept = {name: value for name, value in keywords.items() if name != "executor"}
        self._replayed = folder.start(self._stored, settings.env_id, kept, protocol, resume)
        self._env = gym.make(
            settings.env_id,
            max_episode_steps=settings.children,
            ledger=str(folder.journal),
            reuse=reuse,
            **keywords,
        )

    def describe_start(self) -> str:
        """Tell how much of the known network its encoding keeps; empty where the search starts from none."""
        if self.start is None:
            return ""
        space, decoder = self.environment.space, self.environment.decoder
        origin = space.origin_of(self.start)[None]
        before, after = (space.decisions(space.discretise(o)) for o in (origin, decoder.decode(decoder.encode(origin))))
        kept = [f"{(after[name] == values).sum()} of {values.size} {name}" for name, values in before.items()]
        return f"the encoding of the known network keeps {', '.join(kept)}"

    def run(self) -> Outcome:
        """Search to the end of the budget, or until Ctrl-C or one of FAILURES; everything is written and closed."""
        shown = flat(self._stored, self.environment)
        recorder = Recorder(self._env, self.folder.path, self.settings.children, shown, replayed=self._replayed)
        errors: list[Exception] = []
        interrupted = False
        try:
            interrupted = self._search(recorder)
        except FAILURES as error:
            errors.append(error)
        finally:
            try:
                recorder.close()
            except OSError as error:
                errors.append(OSError(f"the best network or the curves could not be written ({error})"))
        return Outcome(recorder.steps, recorder.best, recorder.believed, interrupted, tuple(errors))

    def _search(self, recorder: Recorder) -> bool:
        """Let the agent search, and keep what it learned; returns whether Ctrl-C ended it."""
        settings = self.settings
        try:
            agent = self._agent_class(recorder, settings.seed, self._agent_settings)
        except TypeError as error:  # a library's keywords are checked by the library
            if not settings.agent_settings:
                raise
            raise ValueError(f"{settings.agent} cannot be made with {self._agent_settings}: {error}") from error
        interrupted = False
        try:
            agent.run(recorder, settings.children, self.start, settings.batch, settings.asynchronous)
        except KeyboardInterrupt:
            interrupted = True
        recommended = agent.recommend(recorder)
        recorder.believed = None if recommended is None else recorder.child(recommended)
        if weights := agent.state_dict():
            files.write(self.folder.path / "controller.safetensors", save(weights))
        return interrupted

    def _known(self, start_from: str) -> Architecture:
        """The network of a search's folder, a file or a text."""
        space = self.environment.space
        if start_from.lstrip().startswith("{"):
            return space.from_json(start_from)
        if Path(start_from).is_dir():
            return RunDirectory(start_from, self.folder.trust).best().architecture(space)
        if not Path(start_from).is_file():
            raise FileNotFoundError(
                f"--start-from {start_from}: there is no such folder or file; name a search's folder or its best.json, "
                "or give the JSON of an architecture"
            )
        return space.from_json(Path(start_from).read_text(encoding="utf-8"))


def _journal(path: str) -> str:
    """The journal of a search whose evaluations are reused, by its folder or by its own path.

    Raises:
        FileNotFoundError: If there is none.
    """
    journal = RunDirectory(path).journal if Path(path).is_dir() else Path(path)
    if not journal.is_file():
        raise FileNotFoundError(f"--reuse {path}: there is no journal {journal}; name the folder of a search")
    return str(journal)
