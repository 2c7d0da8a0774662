"""Several searches side by side: K actions are K child networks, trained at once in worker processes."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from nases_env.arguments import as_array, check_count, check_options, check_seeds, given_origin, in_box
from nases_env.embeddings import Decoder
from nases_env.env import NASESEnv, tell
from nases_env.episode import Episode, step_info
from nases_env.evaluators.choice import TRAINING, surrogate_name
from nases_env.executors import check_executor
from nases_env.pipeline import Rows, Walk
from nases_env.rewards import Reward
from nases_env.search_spaces import SearchSpace
from nases_env.threads import cores
from nases_env.words import shown

if TYPE_CHECKING:
    from nases_env.surrogates import Surrogate

MOST_SEARCHES = 1_000_000


class Outcome(NamedTuple):
    """What k children brought."""

    origins: np.ndarray
    """Their origin vectors, (k, m)."""
    rewards: np.ndarray
    """Their rewards, (k,)."""
    info: dict[str, Any]
    """What `step` tells about them: sequences of k, or one value for all."""


class NASESVectorEnv(gym.vector.VectorEnv):
    """K independent searches, each what `NASESEnv` is with the same seed, one child each a step.

    `gym.make_vec("NASES-Digits-v0", num_envs=4, max_episode_steps=50)` makes one. Children are trained in
    worker processes, by default as many as the protocol's threads leave cores for; results do not depend on how many.

    * Seeds: `reset(seed=s)` gives search i the seed s + i; a list names them one by one.
    * `reset(options={"architecture": ...})` starts every search from that vector; `options={"reset_mask": mask}`, bool
      (K,), starts only those again.
    * Autoreset: `NEXT_STEP`, unless `DISABLED` is asked for; `metadata["autoreset_mode"]` says which. With `NEXT_STEP`
      the step after a truncation starts that search again; its action is not used, its reward is 0 and its observation
      the new origin vector. With `DISABLED`, `reset` and its mask start searches again, and no step does.
      `vectorization_mode="sync"` makes Gymnasium's own vector environment, which also has `SAME_STEP`.
    * Infos are arrays (K,) of what `NASESEnv` tells, with `_name` as masks of who told it.
    * Copies and pickles carry all searches, see `NASESEnv`.
    * On a surrogate, `gym.make_vec("NASES-Digits-Surrogate-v0", num_envs=1024, max_episode_steps=100)`, all K actions
      are decoded and predicted together, in this process, and no architecture is built.

    Args:
        num_envs: K.
        max_episode_steps: The budget of each search; None: searches do not end.
        workers: Processes that train children; 0: this one; None: what `executor` says, or as many as are of use.
        autoreset_mode: `NEXT_STEP` or `DISABLED`, or their texts `NextStep` and `Disabled`.
        keywords: All other arguments are those of `NASESEnv`. `ledger` keeps the children of all searches, in the order
            of steps, then of searches; on a surrogate there is none, and nothing is kept.

    Raises:
        ValueError: If an argument has a value that does not exist.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        workers: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **keywords: Any,
    ):
        self.closed = True  # until it is made: Gymnasium 1.2 closes whatever is collected, half made or not
        _check_no_journal_of_a_surrogate(keywords)
        env = NASESEnv(workers=0 if workers is None else workers, **keywords)
        expected = f"a number of searches from 1 to {MOST_SEARCHES:,}"
        num_envs = check_count("num_envs", num_envs, expected, 1, MOST_SEARCHES)
        if max_episode_steps is not None:
            expected = "a number of steps, at least 1, or None for searches that do not end"
            max_episode_steps = check_count("max_episode_steps", max_episode_steps, expected, 1)
        self.autoreset_mode = _check_autoreset(autoreset_mode)
        """Who starts a search again that has ended."""
        self.metadata = self.metadata | {"autoreset_mode": self.autoreset_mode}
        self.num_envs = num_envs
        self.render_mode = env.render_mode
        self._env = env
        self.single_action_space = env.action_space
        self.single_observation_space = env.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.episodes = [Episode(self.space) for _ in range(num_envs)]
        self._max_episode_steps = max_episode_steps
        self._rngs: list[np.random.Generator] = []
        self._observations = np.zeros(self.observation_space.shape or (), dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._ended = np.zeros(num_envs, dtype=bool)
        if workers is None and keywords.get("executor") is None and env.trains:
            env.executor = check_executor(None, _useful_workers(num_envs, env.protocol.threads))
        self.closed = False

    @property
    def surrogate(self) -> Surrogate | None:
        """Who tells the accuracies; None where that is no surrogate."""
        return self._env.surrogate

    @property
    def space(self) -> SearchSpace:
        """What can be built."""
        return self._env.space

    @property
    def decoder(self) -> Decoder:
        """The decoder, which turns actions into origin vectors."""
        return self._env.decoder

    @property
    def reward_function(self) -> Reward:
        """The reward function, which turns evaluations into rewards."""
        return self._env.reward_function

    def prepare(self) -> None:
        """See `NASESEnv.prepare`."""
        self._env.prepare()

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers, free cached device memory and the journal."""
        self._env.close()

    def _build(self, actions: np.ndarray, searches: Sequence[int]) -> Outcome:
        """Build the children of actions (k, n) for these searches, and go on to them."""
        episodes = [self.episodes[index] for index in searches]
        child_seeds = [episode.child_seed for episode in episodes]
        pipeline = self._env.pipeline
        if pipeline.by_rows:
            return _of_rows(pipeline.rows(actions, child_seeds), episodes)
        return _of_children(pipeline(actions, child_seeds), episodes)

    def reset(  # type: ignore[override]
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all searches, or those of the option `reset_mask`; nothing is trained.

        Raises:
            ValueError: If there are not K seeds, or the mask or another option is not what it should be.
        """
        options = check_options(options)
        mask = self._mask(options.pop("reset_mask", None))
        given = given_origin(self.space, options)
        seeds = check_seeds(seed, self.num_envs)
        if not self._rngs:
            self._rngs = [seeding.np_random()[0] for _ in range(self.num_envs)]
        infos: dict[str, Any] = {}
        for index in np.flatnonzero(mask).tolist():
            if seeds[index] is not None:
                self._rngs[index] = seeding.np_random(seeds[index])[0]
            infos = self._start(index, given, infos)
        return self._observations.copy(), infos

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Build, train and reward K children; a search that ended starts again instead.

        Args:
            actions: (K, 20) in [0, 1].

        Raises:
            ResetNeeded: Before the first reset; where autoreset is `DISABLED`, also while a search has ended.
            ValueError: If the actions have another shape, are not numbers or outside the box.
            FileNotFoundError: If the data are missing: what, where, how to get them.
            WorkerStartError: If worker processes cannot be started: why, and what to do.
        """
        if not all(episode.started for episode in self.episodes):
            raise ResetNeeded("call reset() before step(): it draws the seeds that all children share")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise ResetNeeded(
                f"{self._ended.sum()} of {self.num_envs} searches have ended, and autoreset is disabled: start them "
                'again with reset(options={"reset_mask": mask})'
            )
        shape = (self.num_envs, self.decoder.action_size)
        checked = in_box("actions", actions, shape, 0.0, 1.0).astype(np.float32)
        rewards = np.zeros(self.num_envs)
        infos: dict[str, Any] = {}
        searching = np.flatnonzero(~self._ended).tolist()
        outcome = self._build(checked[searching], searching) if searching else None
        for index in np.flatnonzero(self._ended).tolist():
            infos = self._start(index, None, infos)
        if outcome:
            self._observations[searching] = outcome.origins
            rewards[searching] = outcome.rewards
            self._elapsed[searching] += 1
            self._add_infos(infos, outcome.info, searching)
        self._ended = self._elapsed >= (self._max_episode_steps or np.inf)
        terminations = np.zeros(self.num_envs, dtype=bool)
        return self._observations.copy(), rewards, terminations, self._ended.copy(), infos

    def render(self) -> tuple[str | np.ndarray | None, ...]:  # type: ignore[override]
        """Each search's last child, as `NASESEnv.render` shows it."""
        if self.render_mode is None:
            return (None,) * self.num_envs
        from nases_env import rendering

        draw = rendering.table if self.render_mode == "ansi" else rendering.picture
        architectures = [episode.architecture for episode in self.episodes]
        if None in architectures:
            raise ResetNeeded("call reset() before render(): there is no architecture yet")
        return tuple(draw(architecture) for architecture in architectures if architecture)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if any(episode.started for episode in self.episodes):
            _ = self._env.pipeline.ledger  # opened here, a journal is not the copy's to open
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def _start(self, index: int, given: np.ndarray | None, infos: dict[str, Any]) -> dict[str, Any]:
        origin, info = self.episodes[index].start(self._rngs[index], given)
        self._observations[index] = origin
        self._elapsed[index], self._ended[index] = 0, False
        return self._add_info(infos, info, index)

    def _add_infos(self, infos: dict[str, Any], info: dict[str, Any], searches: Sequence[int]) -> None:
        """Add what some searches tell, as arrays like Gymnasium's: 0 or None where nobody told, and a mask."""
        for name, values in info.items():
            first = values if isinstance(values, str) else values[0]
            kind = object if isinstance(first, str) else np.asarray(first).dtype
            if name not in infos:
                infos[name] = np.full(self.num_envs, None if kind is object else 0, dtype=kind)
                infos[f"_{name}"] = np.zeros(self.num_envs, dtype=bool)
            infos[name][searches] = values
            infos[f"_{name}"][searches] = True

    def _mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.ones(self.num_envs, dtype=bool)
        array = as_array("booleans of reset_mask", mask)
        if array.shape != (self.num_envs,) or array.dtype != bool or not array.any():
            raise ValueError(
                f"reset_mask is {shown(mask)}; expected {self.num_envs} booleans, at least one of them true"
            )
        if not array.all() and not all(episode.started for episode in self.episodes):
            raise ResetNeeded("the first reset starts all searches: leave reset_mask out")
        return array


def _of_rows(found: Rows, episodes: Sequence[Episode]) -> Outcome:
    """What children brought whose architectures were not built; their searches go on to them."""
    cached = [episode.take(row, key) for episode, row, key in zip(episodes, found.rows, found.keys, strict=True)]
    return Outcome(found.origins, found.rewards, step_info(found.evaluations, found.texts, found.keys, cached))


def _of_children(children: Sequence[Walk], episodes: Sequence[Episode]) -> Outcome:
    """What children brought; their searches go on to them."""
    infos = [tell(child, episode) for child, episode in zip(children, episodes, strict=True)]
    origins, rewards = zip(*((child.origin, child.reward) for child in children), strict=True)
    return Outcome(np.stack(origins), np.array(rewards), {name: [info[name] for info in infos] for name in infos[0]})


def _useful_workers(num_envs: int, threads: int | None) -> int:
    """A worker a core that a child leaves free; one where a child takes all of them; none where Python allows none."""
    if multiprocessing.current_process().daemon:
        return 0
    return 1 if threads is None else min(num_envs, max(1, cores() // threads))


def _check_no_journal_of_a_surrogate(keywords: Mapping[str, Any]) -> None:
    """Refuse a journal where a surrogate tells the accuracies.

    Raises:
        ValueError: If there is one.
    """
    reuse = keywords.get("reuse")
    if keywords.get("ledger") is None and not (isinstance(reuse, Sequence) and len(reuse)):
        return
    if surrogate_name(keywords.get("evaluator", TRAINING), keywords.get("surrogate")) is not None:
        raise ValueError(
            "many searches on a surrogate keep no journal: leave ledger and reuse out, or make one environment"
        )


def _check_autoreset(mode: Any) -> AutoresetMode:
    """The mode of that name.

    Raises:
        ValueError: If it is neither `NEXT_STEP` nor `DISABLED`.
    """
    known = (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)
    if not isinstance(mode, str | AutoresetMode) or mode not in (*known, *(each.value for each in known)):
        raise ValueError(
            f"autoreset_mode is {shown(mode)}; choose {' or '.join(map(str, known))}. For another mode, make "
            'Gymnasium\'s own vector environment with vectorization_mode="sync" and vector_kwargs'
        )
    return AutoresetMode(mode)
