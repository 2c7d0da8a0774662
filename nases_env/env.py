"""The environment: one action is one child network."""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle

from nases_env import embeddings, executors, rewards, search_spaces
from nases_env.arguments import (
    check_count,
    check_journals,
    check_options,
    check_path,
    check_seed,
    check_words,
    given_origin,
    in_box,
)
from nases_env.copies import CarriesEpisode
from nases_env.episode import Episode, step_info
from nases_env.evaluators import choice
from nases_env.evaluators.base import Evaluator, RowsEvaluator
from nases_env.ledger import JournalLedger, Ledger
from nases_env.pipeline import Pipeline, Walk
from nases_env.search_spaces.base import HIGH, LOW, Architecture
from nases_env.words import shown

if TYPE_CHECKING:
    from nases_env.children.protocol import Protocol
    from nases_env.evaluation import Evaluation
    from nases_env.executors import Executor
    from nases_env.surrogates import Surrogate


class NASESEnv(gym.Env[np.ndarray, np.ndarray], CarriesEpisode):
    """Neural architecture search in embedding space.

    ## Description

    Each step builds one convolutional network, trains it on images and rewards how well it generalises (Liu 2019,
    arXiv 1909.03615). The action is a point of a 20-dimensional embedding; a pretrained decoder turns it into an
    *origin vector*; the rules of the search space turn that into an architecture. In the *macro* space (version 1 of
    the paper) it has 60 numbers, 15 layers × (filters, filter size, kernel type, connection coefficient); in the
    *micro* space (version 3) 40 numbers, 2 cells × 5 nodes × (input, operation, input, operation). One episode is one
    search. The reward depends on the action alone: the state only tells what was built last.

    Training is expensive: a second (`digits`), half a minute (`cifar10-mini`) or GPU-minutes (`v1-search`) a step. A
    child that fails (not a number, out of memory, over a limit) never raises: its reward is −1 and `info["failure"]`
    names the reason.

    ## Action Space

    `Box(0, 1, (20,), float32)`: the embedding. With `decoder="identity"` as many numbers as the origin vector has.

    ## Observation Space

    The origin vector of the last child. Macro: `Box(0, 30, (60,), float32)`; for layer l = 0 … 14:

    | Num    | Meaning                                                                | Min | Max |
    |--------|------------------------------------------------------------------------|-----|-----|
    | 4l     | filters, in tens, rounded up                                           | 0   | 30  |
    | 4l + 1 | filter size: ≤10 is 3, ≤20 is 5, else 7                                | 0   | 30  |
    | 4l + 2 | kernel type: ≤7 separable, ≤15 convolution, ≤22 max, else average pool | 0   | 30  |
    | 4l + 3 | connection coefficient: layers are linked when theirs differ by ≤ 3    | 0   | 30  |

    (Thresholds of `rules="paper"`; layer 1 is always a convolution.)

    Micro: `Box(0, 30, (40,), float32)`; for node n = 0 … 4 of the normal cell, then of the reduction cell (20 further):

    | Num            | Meaning, in equal bins                                                      | Min | Max |
    |----------------|-----------------------------------------------------------------------------|-----|-----|
    | 4n, 4n + 2     | what it reads: the cell before the last, the last one, node 1 … node n      | 0   | 30  |
    | 4n + 1, 4n + 3 | identity, separable 3×3, separable 5×5, average pool 3×3, max pool 3×3      | 0   | 30  |

    ## Rewards

    `eq1`, of version 1: `(2 · ACC_val − ACC_tr)³`, accuracies of the last epoch in [0, 1]; ACC_tr is measured without
    augmentation on as many training images as there are validation images. `validation`, of version 3: ACC_val. A
    failed child gets −1. `proxy`: see Proxies.

    ## Starting State

    `reset` draws an origin vector uniformly and trains nothing. It also draws the *child seed*: all children of one
    episode start from it, so a repeated architecture is answered from memory. `options={"architecture": ...}` sets
    the vector: its 60 or 40 numbers, an Architecture, or the JSON of one.

    ## Episode End

    Termination: never. Truncation: by `max_episode_steps` of `gym.make`, the budget of the search.

    ## Information

    `step` returns `train_accuracy`, `validation_accuracy`, `parameters`, `flops` (2 × multiply-adds, one image),
    `architecture` (text), `architecture_key`, `cached` (whether this architecture was evaluated before since the last
    reset) and `failure` (empty when none); `reset` returns `architecture` and `architecture_key`.

    ## Several children at once

    `gym.make_vec` searches several times side by side. Within one search, `env.get_wrapper_attr("prefetch")(actions)`
    with (K, 20) actions trains the children of the next K steps, as many at once as there are `workers`.
    `prefetch_as_completed(actions, ahead)` takes actions one by one, so that `ahead` children are always in training,
    and tells which of them is known and to be stepped next.

    `env.get_wrapper_attr("prepare")()` reads the data, so that errors in them come before a search starts.

    ## Copies

    `copy.deepcopy(env)` and `pickle` carry the episode, so that an agent can plan ahead: a copy goes on exactly as the
    original would, and does not disturb it. What was evaluated before is answered from memory. A copy starts its own
    workers. A journal has one writer: a copy of a search in progress knows what is in it, and writes nothing.

    ## Surrogates

    With `evaluator="surrogate:digits"` nothing is trained: a model of real evaluations tells the accuracies. Spaces,
    rewards, episodes and `info` stay the same. The model is linear, with boosted trees (LightGBM), of the logit of each
    accuracy, fitted on a table of children that were really trained by the surrogate's protocol. It decides data,
    protocol, space and rules. Parameters and FLOPs are exact. No child fails. Where there is no journal, nothing is
    kept.

    `noise=False`: the accuracies of the median child seed, one number for each architecture. `noise=True`: what
    the child seed changes is added, always the same for an architecture and a child seed; all children of one episode
    share its child seed, as with real training.

    `NASES-Digits-Surrogate-v0`: 4,120 evaluations of 4,000 architectures by protocol `digits` (uniform origin vectors,
    uniform actions of the decoder, mutations of good ones). On held-out families of architectures: reward R² 0.66
    (the seeds' noise allows 0.82), Kendall's τ 0.62; validation accuracy R² 0.72 of 0.88, τ 0.67.

    `NASES-Digits-Micro-Surrogate-v0`: 1,620 evaluations of 1,500 architectures of cells by protocol `digits-micro`,
    with `reward="validation"`. On held-out families: validation accuracy R² 0.75 of 0.92, Kendall's τ 0.63.

    **Trust them** for comparing agents, for development, for statistics over many searches. **Do not** take their
    best network for the really best one: among relatives of good networks they rank weakly (τ 0.32; of cells
    0.23), and an agent that optimises one long finds where it errs. Train what was found: `nases train-final`. An agent
    that models rewards with trees searches a function of its own kind. More: docs/surrogates.md.

    ```python
    >>> import gymnasium as gym, nases_env, numpy as np
    >>> env = gym.make("NASES-Digits-Surrogate-v0", noise=True)
    >>> observation, info = env.reset(seed=0)
    >>> _, reward, _, _, info = env.step(env.action_space.low)
    >>> bool(np.isclose(reward, (2 * info["validation_accuracy"] - info["train_accuracy"]) ** 3))
    True

    ```

    ## Proxies

    With `evaluator="proxy:synflow"` and `reward="proxy"` nothing is trained either: each child is built and drawn from
    the child seed, and a zero-cost proxy tells a number of it and one batch (`parameters`, `flops`, `nwot`, `synflow`,
    `snip`, `grad_norm`, `jacov`). A proxy is no accuracy: both accuracies are 0, and the reward is in the proxy's order
    and means nothing else. How little it says of accuracies: docs/proxies.md.

    ## Evaluators of your own

    `evaluator` may be an object: see `nases_env.evaluators.Evaluator`. Its `fingerprint` names what results depend on,
    so that equal children are evaluated once; with None nothing is answered from memory. Copies of the environment have
    copies of it.

    ## Executors

    `executor` says where children are trained; no result depends on it. `inline` is this process. `processes:4` trains
    four children at once in processes of this host; one that dies is replaced and its child tried again. `ray:cuda*8`
    trains eight on the nodes of a Ray cluster, each with a GPU of its own, whatever this host has; `ray:cpu*8` does
    without GPUs, and `ray://HOST:PORT/cuda*8` names the cluster (`pip install 'nases-env[ray]'`). It may be an object:
    see `nases_env.executors.Executor`. It is given the task, which names the data by a digest, and the data; a
    process that holds other data refuses the task. Copies of the environment have copies of it.

    ## Arguments

    ```python
    >>> import gymnasium as gym, nases_env
    >>> env = gym.make("NASES-v0", dataset="digits", protocol={"preset": "digits", "epochs": 1}, device="cpu")
    >>> env.action_space.shape, env.observation_space.shape
    ((20,), (60,))

    ```

    | Parameter     | Type         | Default       | Description                                                       |
    |---------------|--------------|---------------|-------------------------------------------------------------------|
    | `dataset`     | str          | `digits`      | `digits`, `cifar10`, `imagefolder:PATH` (train/, test/)           |
    | `data_dir`    | str          | `data`        | folder of CIFAR-10; downloaded if missing                         |
    | `protocol`    | str or dict  | `digits`      | preset, or `{"preset": name, field: value}`; see `Protocol`       |
    | `space`       | str          | `macro`       | `macro` (version 1) or `micro` (version 3)                        |
    | `rules`       | str          | `paper`       | macro: `paper` (Appendix A) or `published` (authors' thresholds)  |
    | `decoder`     | str or None  | `None`        | see below, or a weights file of `nases pretrain`; None: the       |
    |               |              |               | space's own, `autoencoder-profiles` (macro), `autoencoder` (micro)|
    | `calibration` | str          | `none`        | `none` (the paper's letter), `output` or `both`                   |
    | `reward`      | str or dict  | `eq1`         | `eq1`, `validation` or `proxy`, also as `{"name": "eq1"}`         |
    | `device`      | str          | `auto`        | torch device; `auto`: CUDA if there is one                        |
    | `ledger`      | path or None | `None`        | journal file to resume from and append to; None: in memory        |
    | `reuse`       | paths        | `()`          | journals of other runs whose evaluations are not trained again    |
    | `workers`     | int          | `0`           | processes that train children: 4 is short for                     |
    |               |              |               | `executor="processes:4"`; 0: this process                         |
    | `render_mode` | str or None  | `None`        | `ansi` (a table) or `rgb_array` (a picture)                       |
    | `evaluator`   | str, object  | `training`    | `training`, `surrogate:digits`, `surrogate:FOLDER`, `proxy:nwot`, |
    |               |              |               | an Evaluator                                                      |
    | `surrogate`   | str or None  | `None`        | `digits`, `digits-micro` or a folder that `nases fit-surrogate`   |
    |               |              |               | wrote: short for `evaluator="surrogate:…"`                        |
    | `noise`       | bool         | `False`       | whether a surrogate's accuracies vary with the child seed         |
    | `executor`    | str, object  | `None`        | where children are trained: `inline` (this process),              |
    |               |              |               | `processes:N` (replaced if they die), `ray:cuda*N`, `ray:cpu*N`   |
    |               |              |               | (on a Ray cluster), an Executor; None: `workers`                  |

    Decoders: `autoencoder-profiles` (macro; the MLP of version 1, trained on layers that vary together along the depth,
    so that each number of an action changes many of them), `autoencoder` (trained on independent numbers, as in the
    paper: version 1's MLP for the macro space, version 3's LSTM for the micro space), `autoencoder-uniform` (macro;
    fine-tuned, so that uniform actions reach the whole space evenly), `autoencoder-paper` (macro; at the paper's test
    loss), `pca`, `random` (a random projection) and `identity` (no embedding). The macro space's default reaches it
    unevenly: of the operations that uniform actions decode to, 38 % are separable convolutions and 13 % plain ones, and
    networks have 35 links, not 20. `calibration="output"` makes every decoded number uniform for uniform actions.
    `env.get_wrapper_attr("decoder").encode(vectors)` gives actions that decode near origin vectors (K, m).

    Ids: `NASES-CIFAR10-v0` (CIFAR-10, `v1-search`), `NASES-Digits-v0` (digits, `digits`; bit for bit reproducible on
    a CPU), `NASES-v0` (the defaults above). Version 3: `NASES-CIFAR10-Micro-v0` (CIFAR-10, `v3-search`) and
    `NASES-Digits-Micro-v0` (digits, `digits-micro`), both with the micro space and `reward="validation"`.
    `NASES-Digits-Surrogate-v0` has `surrogate="digits"`, `NASES-Digits-Micro-Surrogate-v0` has
    `surrogate="digits-micro"` and `reward="validation"`.

    ## Version History

    * v0: first version.

    Raises:
        ValueError: From the constructor, if an argument has a value that does not exist (`device`, which is first
            looked at when the first child is built: from `step`).
        FileNotFoundError: If a surrogate's folder lacks a file.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 1}

    def __init__(
        self,
        dataset: str = "digits",
        data_dir: str = "data",
        protocol: str | Mapping[str, Any] | Protocol = "digits",
        space: str = "macro",
        rules: str = "paper",
        decoder: str | None = None,
        calibration: str = "none",
        reward: str | Mapping[str, Any] = "eq1",
        device: str = "auto",
        ledger: str | os.PathLike[str] | None = None,
        reuse: Sequence[str | os.PathLike[str]] = (),
        workers: int = 0,
        render_mode: str | None = None,
        evaluator: str | Evaluator = choice.TRAINING,
        surrogate: str | None = None,
        noise: bool = False,
        executor: str | Executor | None = None,
    ):
        EzPickle.__init__(
            self, dataset, data_dir, protocol, space, rules, decoder, calibration, reward, device, ledger, reuse,
            workers, render_mode, evaluator, surrogate, noise, executor,
        )  # fmt: skip
        self.surrogate: Surrogate | None = choice.find_surrogate(evaluator, surrogate, noise)
        """Who tells the accuracies; None where that is no surrogate."""
        if self.surrogate is not None:
            given = (dataset, data_dir, protocol, space, rules, device, workers, executor)
            decided = self.surrogate.decides
            choice.check_left_out(dict(zip(choice.OF_TRAINING, given, strict=True)), _defaults(), decided)
            dataset, protocol, space, rules = (decided[name] for name in ("dataset", "protocol", "space", "rules"))
        self._given = None if isinstance(evaluator, str) else evaluator
        self._proxy = choice.proxy_name(evaluator, reward)
        check_words(dataset, device, render_mode, self.metadata["render_modes"])
        from nases_env.children.dataset_names import check_dataset
        from nases_env.children.presets import resolve

        self.render_mode = render_mode
        self.space = search_spaces.make(space, rules)
        self.decoder = embeddings.make(decoder, self.space, calibration)
        self.dataset, self.device = check_dataset(dataset), device
        self.data_dir = check_path("data_dir", data_dir, "the path of a folder")
        self.protocol = resolve(protocol)
        expected = f"0 for this process, or a number of others up to {executors.MOST_WORKERS:,}"
        workers = check_count("workers", workers, expected, 0, executors.MOST_WORKERS)
        self.executor = executors.check_executor(executor, workers)
        """Where children are trained: a name, or the object that was given."""
        if self.executor != executors.INLINE and not self.trains:
            raise ValueError(
                f"executor is {shown(self.executor)}, but only evaluators that build children have one; leave executor "
                "and workers out"
            )
        self.evaluation: Evaluation | None = None
        """What was found out about the last child, with its seconds."""
        self.action_space = gym.spaces.Box(0.0, 1.0, (self.decoder.action_size,), np.float32)
        self.observation_space = gym.spaces.Box(LOW, HIGH, (self.space.origin_size,), np.float32)
        self._ledger_arguments = check_journals(ledger, reuse)
        self.reward_function = rewards.make(reward)
        """The reward function, which turns an evaluation into a reward."""
        self._episode = Episode(self.space)
        self._prefetched: deque[tuple[np.ndarray, Walk]] = deque()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a search: draw a child seed and an origin vector; nothing is trained.

        Args:
            seed: Seed of both; None goes on with the generator.
            options: `{"architecture": ...}` sets the vector: its numbers, an Architecture, or the JSON of one.

        Raises:
            ValueError: If the seed is no seed, there is another option, or the architecture is not one.
        """
        seed, given = check_seed(seed), given_origin(self.space, check_options(options))  # before anything changes
        super().reset(seed=seed)
        self.evaluation = None
        self._prefetched.clear()
        return self._episode.start(self.np_random, given)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Build, train and reward the child of an action.

        Args:
            action: (20,) in [0, 1]; what rounding has put outside is put on the border.

        Raises:
            ResetNeeded: Before the first reset.
            ValueError: If the action has another shape, is not a number or outside the box, or is not the one that was
                prefetched.
            FileNotFoundError: If the data are missing: what, where, how to get them.
            WorkerStartError: If worker processes cannot be started: why, and what to do.
        """
        if not self._episode.started:
            raise ResetNeeded("call reset() before step(): it draws the seed that all children share")
        checked = in_box("numbers of an action", action, (self.decoder.action_size,), 0.0, 1.0).astype(np.float32)
        if self._prefetched:
            self._check_prefetched(checked[None])
        else:
            self.prefetch(checked[None])
        _, child = self._prefetched.popleft()
        self.evaluation = child.evaluation
        return child.origin, float(child.reward), False, False, tell(child, self._episode)

    def prefetch(self, actions: np.ndarray) -> None:
        """Train the children of the next steps, at once where there are workers; those steps then only tell.

        Results are recorded in the order of the steps, each as soon as it and those before it are known.

        Args:
            actions: (K, 20) in [0, 1]: what the next K steps will be given.

        Raises:
            ResetNeeded, ValueError, FileNotFoundError, WorkerStartError: See `step`.
        """
        if not self._episode.started:
            raise ResetNeeded("call reset() before prefetch(): it draws the seed that all children share")
        checked = in_box("actions", actions, (None, self.decoder.action_size), 0.0, 1.0).astype(np.float32)
        self._check_prefetched(checked)
        rest = checked[len(self._prefetched) :]  # after an error, those before it are known already
        for action, child in zip(rest, self.pipeline.walk(rest, [self._episode.child_seed] * len(rest)), strict=True):
            self._prefetched.append((action, child))

    def prefetch_as_completed(self, actions: Iterable[np.ndarray], ahead: int) -> Iterator[int]:
        """Train the children of actions side by side; whichever is known first is stepped first.

        Results are recorded in the order in which they are told. An environment with a journal of an earlier start
        tells its children in the order that they were told in then.

        Args:
            actions: Actions (20,) in [0, 1]. One is taken whenever fewer than `ahead` children are waited for, and may
                depend on what was told of others.
            ahead: How many children are trained side by side, at least 1.

        Yields:
            The index of the action that is to be stepped next, before anything else.

        Raises:
            ResetNeeded, ValueError, FileNotFoundError, WorkerStartError: See `step`.
        """
        if not self._episode.started:
            raise ResetNeeded("call reset() before prefetch_as_completed(): it draws the seed that all children share")
        if ahead < 1:
            raise ValueError(f"ahead is {ahead}; expected a number of children, at least 1")
        size, seed = self.decoder.action_size, self._episode.child_seed
        checked = (in_box("numbers of an action", each, (size,), 0.0, 1.0).astype(np.float32) for each in actions)
        for index, action, child in self.pipeline.walk_as_completed(checked, seed, ahead):
            self._prefetched.append((action, child))
            yield index
            if self._prefetched or self._episode.child_seed != seed:
                raise ValueError(
                    f"action {index} was told and not stepped; step each action before you ask for the next one, and "
                    "begin anew after a reset"
                )

    def _check_prefetched(self, actions: np.ndarray) -> None:
        for (expected, _), action in zip(self._prefetched, actions, strict=False):
            if not np.array_equal(expected, action):
                raise ValueError(
                    f"the next prefetched action is {expected}; got {action}. Step the prefetched actions in their "
                    "order, or reset"
                )

    def render(self) -> str | np.ndarray | None:  # type: ignore[override]
        """The last child (after reset: the drawn one) as a table (`ansi`) or as a picture, uint8 (H, W, 3)."""
        architecture = self.architecture
        if architecture is None:
            raise ResetNeeded("call reset() before render(): there is no architecture yet")
        from nases_env import rendering

        if self.render_mode == "ansi":
            return rendering.table(architecture)
        if self.render_mode == "rgb_array":
            return rendering.picture(architecture)
        gym.logger.warn("render() without a render_mode shows nothing; pass render_mode='ansi' or 'rgb_array'")
        return None

    def close(self) -> None:
        """Free cached device memory and the journal; may be called twice. `reset` starts another search."""
        self.pipeline.close()
        self._prefetched.clear()
        self._episode = Episode(self.space)

    @property
    def architecture(self) -> Architecture | None:
        """The last child's architecture; after reset the drawn one."""
        return self._episode.architecture

    @property
    def in_search(self) -> bool:
        """Whether a search was started."""
        return self._episode.started

    @property
    def trains(self) -> bool:
        """Whether children are built, by this package, to be trained or to be measured by a proxy."""
        return self.surrogate is None and self._given is None

    @cached_property
    def pipeline(self) -> Pipeline:
        """The walk from actions to rewards; opens the ledger when the first action comes."""
        return Pipeline(self.space, self.decoder, self._make_evaluator, self.reward_function, self._open_ledger)

    def prepare(self) -> None:
        """Read what the evaluator needs, so that errors in it come before a search starts; the journal stays closed.

        Raises:
            ValueError: If the protocol, the device and the data do not fit each other.
            FileNotFoundError: If the data are missing: what, where, how to get them.
        """
        self.pipeline.prepare()

    def _open_ledger(self) -> Ledger:
        if self._known is not None:
            return self._known
        path, reuse = self._ledger_arguments
        if path is not None:
            return JournalLedger(path, reuse, self.reward_function)
        return Ledger(remember=self.surrogate is None and not isinstance(self._given, RowsEvaluator))

    def _make_evaluator(self) -> Evaluator:
        if self._given is not None:
            return self._given
        if self.surrogate is not None:
            from nases_env.evaluators.surrogate import SurrogateEvaluator

            return SurrogateEvaluator(self.surrogate, self.space)
        executor = executors.make(self.executor)
        if self._proxy is not None:
            from nases_env.evaluators.proxy import ProxyEvaluator

            return ProxyEvaluator(self._proxy, self.dataset, self.data_dir, self.protocol, self.device, executor)
        from nases_env.evaluators.training import TrainingEvaluator

        return TrainingEvaluator(self.dataset, self.data_dir, self.protocol, self.device, executor)


def _defaults() -> dict[str, Any]:
    """What the environment's arguments are where they are left out."""
    return {name: parameter.default for name, parameter in inspect.signature(NASESEnv).parameters.items()}


def tell(child: Walk, episode: Episode) -> dict[str, Any]:
    """Go on to a child; returns what `step` tells about it."""
    key = child.architecture.key
    return step_info(child.evaluation, str(child.architecture), key, episode.take(child.row, key))
