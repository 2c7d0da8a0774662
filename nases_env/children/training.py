"""The hot loop: epochs of steps on augmented batches (section 4.2), and accuracies."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import torch

from nases_env.children import augmentation
from nases_env.children.base import Child
from nases_env.children.cpu import prepare_memory
from nases_env.children.graph import Graphed, Number, Runner, plainly
from nases_env.children.layers import count_batches
from nases_env.children.memory import free_memory, is_out_of_memory
from nases_env.children.protocol import Protocol
from nases_env.children.schedules import Cosine, Schedule
from nases_env.children.steps import EagerStep, Step, autocast
from nases_env.children.tensors import Tensors

EVALUATION_BATCH = 1000


class Diverged(Exception):
    """The loss is no longer a number."""


class TimeLimitExceeded(Exception):
    """The protocol's max_seconds are over."""


class OtherDevice(Exception):
    """A state was saved on another kind of device."""


class Trainer:
    """Trains one child, an epoch at a time; its state can be saved between epochs.

    Args:
        model: The child, on the data's device.
        data: What to train on.
        protocol: How.
        seed: Seed of the order of the images and of their augmentation.
        schedule: Makes, of the protocol and an epoch's steps, what says the learning rate of every step.
        step: Makes, of the model and the protocol, what trains on a batch.

    Raises:
        ValueError: If the protocol's cutout is as large as the images.
    """

    def __init__(
        self,
        model: Child,
        data: Tensors,
        protocol: Protocol,
        seed: int,
        schedule: Callable[[Protocol, int], Schedule] = Cosine,
        step: Callable[[Child, Protocol], Step] = EagerStep,
    ):
        check_cutout(protocol, data)
        self.model = model
        self.data = data
        self.protocol = protocol
        self.epoch = 0
        """Epochs done."""
        self.device = data.images.device
        if self.device.type == "cpu":
            prepare_memory()
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._images = augmentation.pad_once(data.images, protocol.crop_padding)
        self._pixels = torch.arange(data.images.shape[-1], device=self.device)
        self._batch_sizes = batch_sizes(len(data), protocol.batch_size)
        self.schedule = schedule(protocol, len(self._batch_sizes))
        self.step = step(model, protocol)
        self._run = self._runner("training steps", protocol.batch_size)
        self._evaluation_batch = EVALUATION_BATCH
        self._run_evaluation = self._runner("evaluations", EVALUATION_BATCH)
        # Sums over the batches of an epoch or of an evaluation; recordings add to them where they are.
        self._loss = torch.zeros((), device=self.device)
        self._correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        self._deadline = time.monotonic() + (protocol.max_seconds or math.inf)

    def train_epoch(self) -> tuple[float, float]:
        """One pass over the training images.

        Returns:
            Mean loss and running accuracy, both over augmented images while the weights moved.

        Raises:
            Diverged: If the loss is not finite.
            TimeLimitExceeded: If the trainer was made more than the protocol's max_seconds ago.
        """
        count = len(self.data)
        order = torch.randperm(count, generator=self._generator, device=self.device)
        self._loss.zero_()
        self._correct.zero_()
        self.model.train()
        steps_done = self.epoch * len(self._batch_sizes)
        for step, batch in enumerate(order.split(self._batch_sizes), steps_done):
            self._check_time()
            self._run(self._train_on, batch, self.schedule.learning_rate(step), self.schedule.progress(step))
        count_batches(self.model, len(self._batch_sizes))
        self.epoch += 1
        mean_loss = float(self._loss) / count
        if not math.isfinite(mean_loss):
            raise Diverged(f"the loss is {mean_loss} after epoch {self.epoch}")
        return mean_loss, int(self._correct) / count

    def accuracy(self, data: Tensors) -> float:
        """Share of images, not augmented, that the child classifies right.

        Where memory runs out, it is measured again in batches of half the size, now and from then on.

        Raises:
            Diverged: If an output is not finite.
        """
        while True:
            try:
                correct, finite = self._classified(data)
            except (MemoryError, RuntimeError) as error:
                if self._evaluation_batch == 1 or not is_out_of_memory(error):
                    raise
            else:
                break
            self._evaluation_batch //= 2
            self._run_evaluation = self._runner("evaluations", self._evaluation_batch)  # a recording would hold memory
            free_memory(str(self.device))  # outside the handler, whose traceback would keep the batch's tensors alive
        if not finite:
            raise Diverged(f"outputs are not finite after epoch {self.epoch}")
        return correct / len(data)

    def clean_train_accuracy(self, count: int) -> float:
        """`accuracy` on the first count training images."""
        return self.accuracy(Tensors(self.data.images[:count], self.data.labels[:count]))

    def state(self) -> dict[str, torch.Tensor]:
        """Everything that the next epoch depends on, as tensors on the CPU."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= self.step.state()
        tensors["generator"] = self._generator.get_state()
        tensors["epoch"] = torch.tensor(self.epoch)
        return {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from what `state` returned.

        Raises:
            OtherDevice: If that was on another kind of device, whose random numbers are others.
        """
        saved, own = len(state["generator"]), len(self._generator.get_state())
        if saved != own:
            raise OtherDevice(
                f"it was saved on another kind of device than {self.device.type}: its generator of random numbers has "
                f"{saved} bytes, here it has {own}"
            )
        prefix = "model."
        self.model.load_state_dict(
            {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        )
        self.step.load_state(state)
        self._generator.set_state(state["generator"])
        self.epoch = int(state["epoch"])

    def _runner(self, what: str, images: int) -> Runner:
        """What runs a function on batches of so many images: as a recording, where the protocol asks for it."""
        graphed = self.protocol.cuda_graph and self.device.type == "cuda"
        graphed = graphed and not self.model.checkpointing  # a recording needs more memory
        return Graphed(what, images, self._generator) if graphed else plainly

    @torch.no_grad()
    def _classified(self, data: Tensors) -> tuple[int, bool]:
        """How many images are classified right, and whether all outputs are finite."""
        self.model.eval()
        self._correct.zero_()
        self._finite.fill_(True)
        size = self._evaluation_batch
        for images, labels in zip(data.images.split(size), data.labels.split(size), strict=True):
            self._run_evaluation(self._evaluate_on, images, labels)
        return int(self._correct), bool(self._finite)

    def _evaluate_on(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Classify images, and add to the evaluation's sums."""
        with autocast(self.protocol.precision, self.device):
            logits = self.model(images)
        self._correct += (logits.argmax(dim=1) == labels).sum()
        self._finite &= logits.isfinite().all()

    def _train_on(self, batch: torch.Tensor, learning_rate: Number, progress: Number) -> None:
        """Train on the images of these indices, and add to the epoch's sums."""
        images, labels = self._augmented(batch), self.data.labels[batch]
        loss, logits = self.step(images, labels, learning_rate, progress, self._generator)
        self._loss += loss * len(batch)
        self._correct += (logits.argmax(dim=1) == labels).sum()

    def _augmented(self, batch: torch.Tensor) -> torch.Tensor:
        """The images of these indices, cropped, mirrored and cut out as the protocol says."""
        protocol = self.protocol
        images = augmentation.crop_and_flip(self._images, batch, self._pixels, protocol.flip, self._generator)
        return augmentation.cutout(images, protocol.cutout, self._generator) if protocol.cutout else images

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimeLimitExceeded(f"{self.protocol.max_seconds} seconds are over in epoch {self.epoch + 1}")


def failure_of(error: Exception) -> str:
    """The failure, see `Evaluation.failure`, that an error in a child's training is; empty where it is none."""
    if isinstance(error, Diverged):
        return "nan"
    if isinstance(error, TimeLimitExceeded):
        return "timeout"
    return "out_of_memory" if isinstance(error, MemoryError | RuntimeError) and is_out_of_memory(error) else ""


def check_cutout(protocol: Protocol, data: Tensors) -> None:
    """Whether the protocol's cutout leaves something of an image.

    Raises:
        ValueError: If it does not.
    """
    size = data.images.shape[-1]
    if protocol.cutout >= size:
        raise ValueError(f"cutout={protocol.cutout} would blank whole images of {size} pixels; choose less than {size}")


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """Sizes of an epoch's batches: full ones, then what is left. One image left alone joins the batch before it: batch
    normalisation cannot normalise a single value.
    """
    sizes = [batch_size] * (images // batch_size)
    left = images % batch_size
    if left == 1 and sizes:
        sizes[-1] += 1
    elif left:
        sizes.append(left)
    return sizes


def resolve_device(device: str) -> str:
    """The device itself; for `auto`, CUDA if there is one, else the CPU.

    Raises:
        ValueError: If there is no such device here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
        if kind.type == "cuda":  # a tensor on it would open it, in a process that perhaps only starts others
            if (kind.index or 0) >= (count := torch.cuda.device_count()):
                raise RuntimeError(f"torch finds {count} CUDA devices")
        elif torch.empty(0, device=kind).is_meta:
            raise RuntimeError("it computes nothing")
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"device {device!r} cannot be used here ({error}); choose 'auto' or 'cpu'") from error
    return device
