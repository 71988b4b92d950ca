"""What recipes with a companion share: one fit for all, batches, updates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.checks import as_labels, check_count
from labelwise.data.base import Dataset, Labelled
from labelwise.errors import InputError
from labelwise.models.answering import TorchPredictor, as_tensor, preparation
from labelwise.models.base import Ids, Progress
from labelwise.models.companions.beside import Beside, Companion, CompanionPredictor
from labelwise.models.device import can_fuse, pick_device, seeded, threads
from labelwise.models.loop import Prepare, augmented, batch_sizes, optimiser_for
from labelwise.models.torch import TorchRecipe
from labelwise.models.training import Training
from labelwise.seeds import derived_seed
from labelwise.signals import Needs

_TELL_EVERY = 20  # steps


class Descent:
    """Updates a classifier as its `Training` says (rate, schedule, clipping), and companions along with it."""

    def __init__(self, network: nn.Module, training: Training, n: int, device: torch.device) -> None:
        self.network, self.training = network, training
        self.steps = len(batch_sizes(n, training.batch_size))
        self.optimiser = optimiser_for(network, training, device)
        self.done = 0

    def __call__(self, loss: Tensor, *others: torch.optim.Optimizer) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.training.rate(self.done, self.steps)
        update(loss, self.optimiser, *others, network=self.network, clip=self.training.clip)
        self.done += 1


def update(
    loss: Tensor,
    *optimisers: torch.optim.Optimizer,
    network: nn.Module | None = None,
    clip: float | None = None,
) -> None:
    """Let each optimiser take one step down the loss; the gradient of `network` is clipped."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if network is not None and clip is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip)
    for optimiser in optimisers:
        optimiser.step()


def adam(module: nn.Module, lr: float, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser of a companion."""
    return torch.optim.Adam(module.parameters(), lr, fused=can_fuse(device))


@dataclass(frozen=True, eq=False)
class Lesson:
    """One fit of a companion recipe as `teach` sees it.

    Attributes:
        network: the fresh classifier, on the device.
        shape: of a sample as the network reads it.
        x: (n, ...) the labelled samples as held, on the device; at least two.
        y: (n,) their classes.
        n_unlabelled: how many pool samples are unlabelled.
        pool: (u, ...) those of them that the recipe reads, as held, on the device; u may be 0.
        prepare: makes a batch what the network reads.
        generator: orders, augments and interpolates; on the CPU.
        progress: told (step, steps).
    """

    network: nn.Module
    shape: tuple[int, ...]
    x: Tensor
    y: Tensor
    n_unlabelled: int
    pool: Tensor
    prepare: Prepare
    generator: torch.Generator
    progress: Progress | None

    @property
    def device(self) -> torch.device:
        return self.x.device

    def batches(self, training: Training, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the (batch, labels) of one epoch, and tell the progress."""
        sizes = batch_sizes(len(self.x), training.batch_size)
        order = torch.randperm(len(self.x), generator=self.generator).to(self.device)
        for step, rows in enumerate(torch.split(order, sizes)):
            batch = augmented(self.x.index_select(0, rows), training, self.generator)
            yield self.prepare(batch), self.y[rows]
            self.tell(epoch * len(sizes) + step + 1, training.epochs * len(sizes))

    def tell(self, done: int, total: int) -> None:
        """Tell the progress now and then."""
        if self.progress is not None and (done % _TELL_EVERY == 0 or done == total):
            self.progress(done, total)


class Stream:
    """Samples in random order, over and over, as many at a time as are wanted."""

    def __init__(self, x: Tensor, lesson: Lesson, training: Training) -> None:
        self.x, self.lesson, self.training = x, lesson, training
        self.order = torch.empty(0, dtype=torch.int64)

    def take(self, n: int) -> Tensor:
        """Return the next n samples as the network reads them; some twice where there are fewer."""
        while len(self.order) < n:
            again = torch.randperm(len(self.x), generator=self.lesson.generator)
            self.order = torch.cat([self.order, again])
        rows, self.order = self.order[:n].to(self.x.device), self.order[n:]
        return self.lesson.prepare(
            augmented(self.x.index_select(0, rows), self.training, self.lesson.generator)
        )


@dataclass(frozen=True, kw_only=True)
class CompanionRecipe(TorchRecipe):
    """A `TorchRecipe` that trains a companion too; every field of the former holds for the classifier.

    Attributes:
        companion_lr: learning rate of the companion's Adam, constant.
    """

    companion_lr: float = 1e-3

    scalar: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        who = type(self).__name__
        if self.warm:
            raise InputError(f"{who} trains afresh each time: the companion cannot continue; leave warm out.")
        if self.patience is not None:
            raise InputError(f"{who} trains for all its epochs; leave patience out and choose epochs.")
        if self.precision == "float16":
            raise InputError(
                f"{who} does not scale gradients as float16 requires; take precision='bfloat16'."
            )
        if not self.companion_lr > 0:
            raise InputError(f"companion_lr must be above 0; it is {self.companion_lr!r}.")

    @property
    def gives(self) -> Needs:
        plain, scalar = super().gives, {f"scalars.{self.scalar}"}
        return Needs(plain.pool | scalar, plain.labelled | scalar, plain.validation | scalar)

    @property
    def reads(self) -> int:
        """How many unlabelled samples a fit reads at most."""
        return 0

    @abstractmethod
    def teach(self, lesson: Lesson) -> tuple[Companion | None, Mapping[str, float]]:
        """Train the classifier in place and return (companion, notes); None where it could not be trained."""

    def fit(  # type: ignore[override]  # a predictor of another class, of the same protocol
        self,
        data: Dataset,
        train: Labelled,
        unlabelled: Ids,
        validation: Labelled | None,
        n_classes: int,
        rng: np.random.Generator,
        *,
        previous: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> CompanionPredictor:
        if previous:
            raise InputError(f"{type(self).__name__} trains afresh each time; there is no fit to go on from.")
        check_count(len(train), "the number of training samples", 1)
        labels = as_labels(train.y, n_classes, "train.y")
        device = pick_device(self.device)
        seed, order = (int(rng.integers(2**63 - 1)) for _ in range(2))
        others = np.setdiff1d(unlabelled, train.ids)  # sorted: the pool's order must not matter
        read = rng.choice(others, min(self.reads, others.size), replace=False)
        with threads(self.threads), seeded(seed, device):
            reader = self._measured(data, train.ids)
            network = self.build(reader.shape, n_classes).to(device)
            if self.channels_last:
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = as_tensor(reader.read(data, train.ids), device)
            y = torch.tensor(labels, device=device)
            if len(x) == 1:  # batch norm compares samples, a ranking pairs them: one is shown twice
                x, y = x.expand(2, *x.shape[1:]), y.expand(2)
            lesson = Lesson(
                network,
                reader.shape,
                x,
                y,
                others.size,
                as_tensor(reader.read(data, read), device) if read.size else x[:0],
                preparation(reader, device, channels_last=self.channels_last),
                torch.Generator().manual_seed(order),
                progress,
            )
            companion, notes = self.teach(lesson)
            network.eval()
        plain = TorchPredictor(self, network, reader, n_classes, notes, {}, derived_seed(seed, "draws"))
        both = None if companion is None else replace(plain, network=Beside(network, companion))
        return CompanionPredictor(plain, both, self.scalar)
