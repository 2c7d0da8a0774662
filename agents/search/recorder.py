"""A trace that also writes a folder: children.csv, TensorBoard, the best child; and shows a progress bar."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs
from tqdm import tqdm

from agents.trace import COLUMNS, Trace
from nases_env import files, rendering

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Recorder(Trace):
    """Records a search into a folder: `children.csv`, `tensorboard/`, and at the end `best.png` and `best.json`.

    `believed.json` is the network that the agent recommends, where it was asked.

    Files are written anew: a resumed search replays its journal through this recorder. Until the replay is over, those
    of an earlier start stay as they are.

    Args:
        env: The environment, an unwrapped or wrapped NASESEnv.
        run_dir: The folder; made if missing.
        children: The budget; a step beyond it is refused.
        settings: What to show as TensorBoard's hyper-parameters.
        progress: Whether to show a progress bar.
        replayed: How many children the journal holds already.
    """

    def __init__(
        self,
        env: gym.Env,
        run_dir: str | Path,
        children: int,
        settings: dict[str, Any] | None = None,
        progress: bool = True,
        replayed: int = 0,
    ):
        super().__init__(env, children)
        RecordConstructorArgs.__init__(
            self, run_dir=str(run_dir), children=children, settings=settings, progress=progress, replayed=replayed
        )
        self.run_dir = Path(run_dir)
        self.tensorboard_dir = self.run_dir / "tensorboard"
        self._settings = settings or {}
        self._replayed = replayed
        self._architectures: set[str] = set()
        self._files: _Files | None = None
        self._waiting: list[Callable[[_Files], None]] = []
        """Things to be written when the replay is over."""
        self._bar = tqdm(total=children, unit="child", disable=not progress, dynamic_ncols=True)

    def log(self, numbers: dict[str, float]) -> None:
        """Write an agent's numbers to TensorBoard, at the last child."""
        self._write(partial(_Files.write_scalars, numbers=numbers, step=max(self.steps - 1, 0)))

    def close(self) -> None:
        """Write the best child, close the files and the environment; may be called twice.

        Raises:
            OSError: If something could not be written; everything is closed all the same.
        """
        self._bar.close()
        opened, self._files = self._files, None
        with ExitStack() as stack:
            stack.callback(super().close)
            if opened is not None:
                stack.callback(opened.close)
                self._write_best(opened.tensorboard)

    def _write(self, what: Callable[[_Files], None]) -> None:
        """Write something once the replay is over. Until then the journal may turn out to be another search's."""
        self._waiting.append(what)
        if len(self.rows) < self._replayed:
            return
        if self._files is None:
            self._files = _Files(self.run_dir, self.tensorboard_dir, self._settings)
        for each in self._waiting:
            each(self._files)
        self._waiting.clear()

    def _record(self, row: dict[str, Any]) -> None:
        super()._record(row)
        self._architectures.add(row["architecture_key"])
        names = ("reward", "best_reward", "validation_accuracy", "train_accuracy", "parameters")
        scalars = {f"search/{name}": row[name] for name in names}
        scalars |= {
            "search/child_seconds": row["seconds"],
            "search/unique_architectures": len(self._architectures),
        }
        self._write(partial(_Files.write_row, row=row | {"seconds": round(row["seconds"], 3)}))
        self._write(partial(_Files.write_scalars, numbers=scalars, step=self.steps))
        self._bar.set_postfix(best=f"{row['best_reward']:.3f}", reward=f"{row['reward']:.3f}", refresh=False)
        self._bar.update()

    def _write_best(self, tensorboard: SummaryWriter) -> None:
        if self.best is None:
            return
        from PIL import Image

        picture = rendering.picture(self.best.architecture)
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "PNG")
        for name, child in (("best", self.best), ("believed", self.believed)):
            if child is not None:
                files.write(self.run_dir / f"{name}.json", (child.architecture.to_json() + "\n").encode())
        files.write(self.run_dir / "best.png", png.getvalue())
        tensorboard.add_image("search/best_network", picture, self.best.step, dataformats="HWC")
        tensorboard.add_text("search/best_network", rendering.table(self.best.architecture), self.best.step)


class _Files:
    """children.csv and TensorBoard's folder of one search."""

    def __init__(self, run_dir: Path, tensorboard_dir: Path, settings: dict[str, Any]):
        from torch.utils.tensorboard import SummaryWriter

        run_dir.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(tensorboard_dir, ignore_errors=True)
        self.tensorboard = SummaryWriter(str(tensorboard_dir), flush_secs=10)
        self._write_hyperparameters(settings)
        self._file = (run_dir / "children.csv").open("w", newline="", encoding="utf-8")
        self._table = csv.DictWriter(self._file, COLUMNS)
        self._table.writeheader()

    def write_row(self, row: dict[str, Any]) -> None:
        self._table.writerow(row)
        self._file.flush()

    def write_scalars(self, numbers: dict[str, float], step: int) -> None:
        for tag, number in numbers.items():
            self.tensorboard.add_scalar(tag, number, step)

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.tensorboard.close)
            stack.callback(self._file.close)

    def _write_hyperparameters(self, settings: dict[str, Any]) -> None:
        """Write TensorBoard's HPARAMS into this folder (SummaryWriter.add_hparams would start another one)."""
        from torch.utils.tensorboard.summary import hparams

        plain = {name: value if isinstance(value, int | float) else str(value) for name, value in settings.items()}
        for summary in hparams(plain, {"search/best_reward": 0.0}):
            self.tensorboard._get_file_writer().add_summary(summary)
