"""The wrapper every agent runs behind: budget, children.csv, TensorBoard, progress, the best child."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from tqdm import tqdm

from nases_env import rendering
from nases_env.search_spaces import Architecture

COLUMNS = (
    "step", "source", "reward", "best_reward", "train_accuracy", "validation_accuracy", "parameters", "flops",
    "architecture_key", "cached", "failure", "seconds",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class BestChild:
    """The child with the highest reward so far."""

    step: int
    """Its index, from 0."""
    reward: float
    architecture: Architecture


class Recorder(gym.Wrapper, RecordConstructorArgs):
    """Records a search into a folder: `children.csv`, `tensorboard/`, and at the end `best.png` and `best.json`.

    Files are written anew: a resumed search replays its journal through this recorder.

    Args:
        env: The environment, an unwrapped or wrapped NASESEnv.
        run_dir: The folder; made if missing.
        children: The budget; a step beyond it is refused.
        settings: What to show as TensorBoard's hyper-parameters.
        progress: Whether to show a progress bar.
    """

    def __init__(
        self,
        env: gym.Env,
        run_dir: str | Path,
        children: int,
        settings: dict[str, Any] | None = None,
        progress: bool = True,
    ):
        RecordConstructorArgs.__init__(
            self, run_dir=str(run_dir), children=children, settings=settings, progress=progress
        )
        gym.Wrapper.__init__(self, env)
        from torch.utils.tensorboard import SummaryWriter

        self.run_dir = Path(run_dir)
        self.tensorboard_dir = self.run_dir / "tensorboard"
        self.children = children
        self.steps = 0
        """Children so far."""
        self.source = ""
        """What the next action comes from; agents set it."""
        self.best: BestChild | None = None
        self._architectures: set[str] = set()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.tensorboard_dir, ignore_errors=True)
        self._writer = SummaryWriter(str(self.tensorboard_dir), flush_secs=10)
        self._write_hyperparameters(settings or {})
        self._file = (self.run_dir / "children.csv").open("w", newline="")
        self._table = csv.DictWriter(self._file, COLUMNS)
        self._table.writeheader()
        self._bar = tqdm(total=children, unit="child", disable=not progress, dynamic_ncols=True)

    def step(self, action: np.ndarray) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step and record.

        Raises:
            RuntimeError: If the budget is spent.
        """
        if self.steps >= self.children:
            raise RuntimeError(f"the budget of {self.children} children is spent; ask for more with children")
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._record(float(reward), info)
        self.steps += 1
        return observation, reward, terminated, truncated, info

    def log(self, numbers: dict[str, float]) -> None:
        """Write an agent's numbers to TensorBoard, at the last child."""
        for tag, number in numbers.items():
            self._writer.add_scalar(tag, number, self.steps - 1)

    def close(self) -> None:
        """Write the best child, close the files and the environment; may be called twice."""
        if not self._file.closed:
            self._bar.close()
            self._file.close()
            self._write_best()
            self._writer.close()
        super().close()

    def _record(self, reward: float, info: dict[str, Any]) -> None:
        if self.best is None or reward > self.best.reward:
            self.best = BestChild(self.steps, reward, self.get_wrapper_attr("architecture"))
        seconds = self.get_wrapper_attr("evaluation").seconds
        self._architectures.add(info["architecture_key"])
        row = {name: info[name] for name in COLUMNS if name in info}
        row |= {"step": self.steps, "source": self.source, "reward": reward, "best_reward": self.best.reward}
        self._table.writerow(row | {"seconds": round(seconds, 3)})
        self._file.flush()
        scalars = {
            name: row[name] for name in ("reward", "best_reward", "validation_accuracy", "train_accuracy", "parameters")
        }
        scalars |= {"child_seconds": seconds, "unique_architectures": len(self._architectures)}
        for name, number in scalars.items():
            self._writer.add_scalar(f"search/{name}", number, self.steps)
        self._bar.set_postfix(best=f"{self.best.reward:.3f}", reward=f"{reward:.3f}", refresh=False)
        self._bar.update()

    def _write_best(self) -> None:
        if self.best is None:
            return
        from PIL import Image

        picture = rendering.picture(self.best.architecture)
        Image.fromarray(picture).save(self.run_dir / "best.png")
        (self.run_dir / "best.json").write_text(self.best.architecture.to_json() + "\n")
        self._writer.add_image("search/best_network", picture, self.best.step, dataformats="HWC")
        self._writer.add_text("search/best_network", rendering.table(self.best.architecture), self.best.step)

    def _write_hyperparameters(self, settings: dict[str, Any]) -> None:
        """TensorBoard's HPARAMS, in this folder (SummaryWriter.add_hparams would start another one)."""
        from torch.utils.tensorboard.summary import hparams

        plain = {name: value if isinstance(value, int | float) else str(value) for name, value in settings.items()}
        for summary in hparams(plain, {"search/best_reward": 0.0, "search/reward": 0.0}):
            self._writer._get_file_writer().add_summary(summary)
