"""What the benchmark compares with: the same children as a user would write and train them.

B0 is a tutorial's loop: a DataLoader, torchvision's transforms, float32. B1 is a careful user's: channels last,
persistent workers, the protocol's precision and cuDNN's search on CUDA. Nothing here is used by the package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nases_env.children.datasets import Images
from nases_env.children.protocol import Protocol
from nases_env.children.tensors import ChildData
from nases_env.search_spaces import MacroArchitecture


class PlainChild(nn.Module):
    """A macro architecture, Appendix A written down with torch's modules and nothing else.

    Args:
        architecture: What to build.
        protocol: Its width, added filters and reductions.
        channels: Channels of an image.
        classes: Number of classes.
    """

    def __init__(self, architecture: MacroArchitecture, protocol: Protocol, channels: int, classes: int):
        super().__init__()
        self.published = architecture.rules == "published"
        self.sources = architecture.sources
        self.reductions = () if self.published else protocol.reductions
        self.layers = nn.ModuleList()
        self.links = nn.ModuleDict()
        outputs: list[int] = []
        strides: list[int] = []
        stride = 1
        read = channels
        for k, layer in enumerate(architecture.layers):
            pool = k > 0 and layer.operation in ("max_pool", "average_pool")
            width = read if self.published and pool else protocol.filters(layer.filters)
            self.layers.append(self._layer(k, layer.operation, layer.size, read, width))
            stride *= 2 if self.published and pool else 1
            outputs.append(width)
            strides.append(stride)
            read = width
            for j in self.sources[k]:
                linked = outputs[j]
                if self.published:
                    linked = max(1, linked // 10 + int(protocol.added_filters * protocol.width / 10))
                    convolution = nn.Conv2d(outputs[j], linked, 1, stride=stride // strides[j])
                    self.links[f"{j}_{k}"] = nn.Sequential(convolution, nn.BatchNorm2d(linked), nn.ReLU())
                read += linked
        self.classifier = nn.Linear(read, classes)

    def _layer(self, k: int, operation: str, size: int, read: int, width: int) -> nn.Module:
        bias = self.published
        if k == 0:
            return nn.Sequential(nn.Conv2d(read, width, size, padding=size // 2, bias=bias), nn.BatchNorm2d(width))
        if self.published and operation == "max_pool":
            return nn.MaxPool2d(2, ceil_mode=True)
        if self.published and operation == "average_pool":
            return nn.AvgPool2d(2, ceil_mode=True)
        modules: list[nn.Module] = [nn.ReLU(), nn.Conv2d(read, width, 1, bias=bias), nn.BatchNorm2d(width)]
        if operation == "max_pool":
            modules.append(nn.MaxPool2d(size, 1, size // 2))
        elif operation == "average_pool":
            modules.append(nn.AvgPool2d(size, 1, size // 2, count_include_pad=False))
        elif operation == "convolution":
            modules += [nn.ReLU(), nn.Conv2d(width, width, size, padding=size // 2, bias=bias), nn.BatchNorm2d(width)]
        else:
            for _ in range(2):
                depthwise = nn.Conv2d(width, width, size, padding=size // 2, groups=width, bias=bias)
                modules += [nn.ReLU(), depthwise, nn.Conv2d(width, width, 1, bias=bias), nn.BatchNorm2d(width)]
        return nn.Sequential(*modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, channels, H, W)."""
        own: list[torch.Tensor] = []
        for k, layer in enumerate(self.layers):
            own.append(layer(x))
            if k + 1 in self.reductions:
                own = [nn.functional.max_pool2d(output, 2, ceil_mode=True) for output in own]
            linked = [self.links[f"{j}_{k}"](own[j]) if self.published else own[j] for j in self.sources[k]]
            x = torch.cat([own[k], *linked], dim=1)
        return self.classifier(torch.relu(x).mean(dim=(2, 3)))


class ImageDataset(Dataset):
    """Decoded images as PIL's, transformed one by one."""

    def __init__(self, images: Images, transform: Callable[[Image.Image], torch.Tensor]):
        self.images = [Image.fromarray(pixels.squeeze()) for pixels in images.pixels]
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


class Baseline:
    """Trains children as users do; validation images in batches of 1,000, as the package.

    Args:
        careful: Whether as a careful user does: b1, not b0.
        train: Training images.
        validation: Validation images.
        data: The same images as the package holds them, for their mean, deviation and classes.
        protocol: How children are trained.
        device: A torch device.
        workers: Processes of each DataLoader.
    """

    def __init__(
        self,
        careful: bool,
        train: Images,
        validation: Images,
        data: ChildData,
        protocol: Protocol,
        device: str,
        workers: int,
    ):
        self.protocol, self.device, self.workers = protocol, device, workers
        self.careful = careful
        self.classes = data.classes
        standardise = [transforms.ToTensor(), transforms.Normalize(data.mean.tolist(), data.deviation.tolist())]
        crop = [transforms.RandomCrop(train.pixels.shape[1], padding=protocol.crop_padding)]
        flip = [transforms.RandomHorizontalFlip()] if protocol.flip else []
        count = len(validation.labels)
        clean = train.subset(np.arange(count))
        self.train = self._loader(train, transforms.Compose(crop + flip + standardise), shuffle=True)
        self.validation = self._loader(validation, transforms.Compose(standardise), shuffle=False)
        self.clean = self._loader(clean, transforms.Compose(standardise), shuffle=False)

    def __call__(self, architecture: MacroArchitecture) -> tuple[float, float]:
        """Train a child; its training accuracy and its validation accuracy."""
        protocol = self.protocol
        torch.backends.cudnn.benchmark = self.careful
        channels = self.train.dataset[0][0].shape[0]
        model = PlainChild(architecture, protocol, channels, self.classes).to(self.device)
        model = model.to(memory_format=torch.channels_last) if self.careful else model
        optimiser = torch.optim.SGD(
            model.parameters(),
            protocol.learning_rate,
            protocol.momentum,
            weight_decay=protocol.weight_decay,
            nesterov=protocol.momentum > 0,
        )
        steps = protocol.epochs * len(self.train)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, protocol.final_learning_rate)
        for _ in range(protocol.epochs):
            running = self.train_epoch(model, optimiser, cosine)
            accuracy = self.accuracy(model, self.validation)
        return self.accuracy(model, self.clean) if protocol.train_accuracy == "clean" else running, accuracy

    def train_epoch(self, model: nn.Module, optimiser: torch.optim.Optimizer, cosine: LRScheduler) -> float:
        """One pass over the training images; their running accuracy."""
        model.train()
        running = 0
        for images, labels in self.train:
            with self._precision():
                logits = model(self._on_device(images))
                loss = nn.functional.cross_entropy(logits, labels.to(self.device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cosine.step()
            running += (logits.argmax(dim=1) == labels.to(self.device)).sum().item()
        return running / len(self.train.dataset)  # type: ignore[arg-type]

    @torch.no_grad()
    def accuracy(self, model: nn.Module, loader: DataLoader) -> float:
        """Share of images that a child classifies right."""
        model.eval()
        correct = 0
        for images, labels in loader:
            with self._precision():
                logits = model(self._on_device(images))
            correct += (logits.argmax(dim=1) == labels.to(self.device)).sum().item()
        return correct / len(loader.dataset)  # type: ignore[arg-type]

    def _on_device(self, images: torch.Tensor) -> torch.Tensor:
        if not self.careful:
            return images.to(self.device)
        return images.to(self.device, memory_format=torch.channels_last, non_blocking=True)

    def _precision(self) -> torch.autocast:
        return torch.autocast("cuda", torch.bfloat16, enabled=self.careful and self.protocol.precision == "bfloat16")

    def _loader(self, images: Images, transform: Callable[[Image.Image], torch.Tensor], shuffle: bool) -> DataLoader:
        return DataLoader(
            ImageDataset(images, transform),
            self.protocol.batch_size if shuffle else 1000,
            shuffle=shuffle,
            num_workers=self.workers,
            persistent_workers=self.careful and self.workers > 0,
            pin_memory=self.device.startswith("cuda"),
        )
