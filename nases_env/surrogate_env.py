"""The environment on a surrogate of real evaluations: one search alone, and many at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode

from nases_env import surrogates
from nases_env.env import NASESEnv
from nases_env.episode import step_info
from nases_env.ledger import Ledger
from nases_env.surrogates import Surrogate
from nases_env.surrogates.evaluator import SurrogateEvaluator
from nases_env.vector_env import Outcome, SearchVectorEnv


class SurrogateEnv(NASESEnv):
    """NASES without training: a model of real evaluations tells the accuracies.

    ## Description

    Spaces, rewards, episodes and `info` are those of `NASESEnv`, see there. What a child would reach comes from a
    surrogate: a linear model and boosted trees (LightGBM) of the logit of each accuracy, fitted on a table of children
    that were really trained by the surrogate's protocol. Parameters and FLOPs are exact. No child fails.

    `noise=False`: the accuracies of the median child seed, one number for each architecture. `noise=True`: what
    the child seed changes is added, always the same for an architecture and a child seed; all children of one episode
    share its child seed, as with real training.

    ## Surrogates

    `NASES-Digits-Surrogate-v0`: 4,120 evaluations of 4,000 architectures by protocol `digits` (uniform origin vectors,
    uniform actions of the decoder, mutations of good ones). On held-out families of architectures: reward R² 0.66
    (the seeds' noise allows 0.82), Kendall's τ 0.62; validation accuracy R² 0.72 of 0.88, τ 0.67.

    **Trust it** for comparing agents, for development, for statistics over many searches. **Do not** take its
    best network for the really best one: among relatives of good networks it ranks weakly (τ 0.32), and an agent that
    optimises it long finds where it errs. Train what was found: `scripts/train_final.py`. An agent that models rewards
    with trees searches a function of its own kind. More: docs/surrogates.md.

    ## Arguments

    ```python
    >>> import gymnasium as gym, nases_env, numpy as np
    >>> env = gym.make("NASES-Digits-Surrogate-v0", noise=True)
    >>> observation, info = env.reset(seed=0)
    >>> _, reward, _, _, info = env.step(env.action_space.low)
    >>> bool(np.isclose(reward, (2 * info["validation_accuracy"] - info["train_accuracy"]) ** 3))
    True

    ```

    | Parameter     | Type         | Default       | Description                                                       |
    |---------------|--------------|---------------|-------------------------------------------------------------------|
    | `surrogate`   | str          | `digits`      | `digits`, or a folder that `scripts/fit_surrogate.py` wrote       |
    | `noise`       | bool         | `False`       | whether accuracies vary with the child seed                       |
    | `decoder`     | str          | `autoencoder` | as in `NASESEnv`                                                  |
    | `calibration` | str          | `none`        | as in `NASESEnv`                                                  |
    | `reward`      | str          | `eq1`         | `eq1` or `validation`                                             |
    | `ledger`      | path or None | `None`        | journal file to resume from and append to; None: nothing is kept  |
    | `reuse`       | paths        | `()`          | journals of other runs                                            |
    | `render_mode` | str or None  | `None`        | `ansi` (a table) or `rgb_array` (a picture)                       |

    `gym.make_vec` searches K times side by side, in one process: see `SurrogateVectorEnv`.

    ## Version History

    * v0: first version.

    Raises:
        ValueError: From the constructor, if an argument has a value that does not exist.
        FileNotFoundError: If a surrogate's folder lacks a file.
    """

    def __init__(
        self,
        surrogate: str = "digits",
        noise: bool = False,
        decoder: str = "autoencoder",
        calibration: str = "none",
        reward: str = "eq1",
        ledger: str | os.PathLike[str] | None = None,
        reuse: Sequence[str | os.PathLike[str]] = (),
        render_mode: str | None = None,
    ):
        self.surrogate = surrogates.make(surrogate, noise)
        super().__init__(
            dataset=self.surrogate.dataset,
            protocol=self.surrogate.protocol,
            space=self.surrogate.space.name,
            rules=self.surrogate.card["rules"],
            decoder=decoder,
            calibration=calibration,
            reward=reward,
            ledger=ledger,
            reuse=reuse,
            render_mode=render_mode,
        )
        EzPickle.__init__(self, surrogate, noise, decoder, calibration, reward, ledger, reuse, render_mode)

    def _make_evaluator(self) -> SurrogateEvaluator:
        return SurrogateEvaluator(self.surrogate, self.space)

    def _memory(self) -> Ledger:
        return Ledger(remember=False)


class SurrogateVectorEnv(SearchVectorEnv):
    """K independent searches on one surrogate, each what `SurrogateEnv` is with the same seed, K children each step.

    `gym.make_vec("NASES-Digits-Surrogate-v0", num_envs=1024, max_episode_steps=100)` makes one. All K actions are
    decoded and predicted together; no architecture is built. Seeds, options, `reset_mask`, autoreset and infos are
    those of `NASESVectorEnv`.

    Args:
        num_envs: K.
        max_episode_steps: The budget of each search; None: searches do not end.
        autoreset_mode: `NEXT_STEP` or its text `NextStep`.
        keywords: Of `SurrogateEnv`, but no `ledger`: nothing is kept.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **keywords: Any,
    ):
        reuse = keywords.get("reuse")
        if keywords.get("ledger") is not None or (isinstance(reuse, Sequence) and len(reuse)):
            raise ValueError(
                "many searches on a surrogate keep no journal: leave ledger and reuse out, or make one environment"
            )
        super().__init__(SurrogateEnv(**keywords), num_envs, max_episode_steps, autoreset_mode)

    @property
    def surrogate(self) -> Surrogate:
        """Who tells the accuracies."""
        return cast(SurrogateEnv, self._env).surrogate

    def _build(self, actions: np.ndarray, searches: Sequence[int]) -> Outcome:
        origins = self.decoder.decode(actions)
        rows = self.space.discretise(origins)
        texts, keys = self.space.describe(rows)
        episodes = [self.episodes[index] for index in searches]
        found = self.surrogate.predict(rows, keys, [episode.child_seed for episode in episodes])
        cached = [episode.take(row, key) for episode, row, key in zip(episodes, rows, keys, strict=True)]
        return Outcome(origins, self.reward_function(found), step_info(found, texts, keys, cached))
