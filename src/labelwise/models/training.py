"""The one training loop: data as one tensor on the device, batches cut from it, floats made on the fly."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from labelwise.checks import check_count, check_name
from labelwise.errors import InputError, TrainingError
from labelwise.models.base import Progress
from labelwise.models.device import PRECISIONS, autocast, can_fuse, pick_precision
from labelwise.models.diary import Diary
from labelwise.models.objective import ERM, begun, named, settled
from labelwise.models.setting import Setting
from labelwise.objectives.losses import super_loss
from labelwise.objectives.robust import Adversary, Known, robust_mean

Prepare = Callable[[Tensor], Tensor]  # (b, ...) as held -> what the network reads
# (the network's answer, (b,) labels, the epoch from 0) -> what a step lowers and the mean loss to report, both ()
Objective = Callable[[Any, Tensor, int], tuple[Tensor, Tensor]]
OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")
_TELL_EVERY = 20  # batches


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained.

    Attributes:
        epochs: passes over the training samples; with early stopping, at most.
        batch_size: samples a step, at least 2 (batch norm compares samples).
        lr: learning rate at its highest.
        optimiser: adam, adamw or sgd.
        momentum: of sgd.
        weight_decay: of any optimiser.
        schedule: constant, cosine (to 0), or step (times `gamma` at each of `milestones`).
        warm_up: epochs during which the rate rises linearly to lr.
        milestones: shares of the epochs, in (0, 1).
        gamma: factor at each milestone.
        label_smoothing: in [0, 1).
        super_loss: λ of the SuperLoss, with τ = ln C: samples whose loss is far above that of guessing, perhaps
            mislabelled ones, teach less, and easy ones more; 1 and 0.25 are usual. None: plain cross-entropy.
        objective: how the losses of a batch become one number: "erm", their mean, or a row of
            `labelwise.models.objective.TABLE` that heeds the worst shift of the data, by its name or with parameters,
            {"name": "mmdro", "rho": 0.1}. What is reported, and what `patience` watches, stays the mean.
        several: whether the recipe knows its modalities apart, so that each may have its own ρ.
        patience: stop after so many epochs without a lower validation loss and take the best weights; None:
            never.
        shift: images are moved by up to so many pixels each way while training; the border is padded with
            zeros.
        flip: images are mirrored left-right with probability 1/2 while training.
        clip: largest norm of the whole gradient; None: any.
        precision: of the forward pass while training: auto, float32, bfloat16 or float16. Inference is
            float32
            always: strategies rank by differences that half precision rounds away.
        channels_last: memory layout of images; much faster for narrow networks on CPUs and mixed precision
            on GPUs.
        device: auto (CUDA, else MPS, else CPU), cpu, cuda, cuda:N or mps.
        threads: torch's threads while fitting and answering; equal results need equal threads.
    """

    epochs: int = 20
    batch_size: int = 64
    lr: float = 1e-3
    optimiser: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warm_up: float = 0.0
    milestones: tuple[float, ...] = (0.5, 0.75)
    gamma: float = 0.1
    label_smoothing: float = 0.0
    super_loss: float | None = None
    objective: str | Mapping[str, Any] = ERM
    patience: int | None = None
    shift: int = 0
    flip: bool = False
    clip: float | None = None
    precision: str = "auto"
    channels_last: bool = True
    device: str = "auto"
    threads: int = 1

    several: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        object.__setattr__(self, "objective", settled(self.objective, several=self.several))
        check_count(self.epochs, "epochs", 1)
        check_count(self.batch_size, "batch_size", 2)
        check_count(self.threads, "threads", 1)
        check_count(self.shift, "shift")
        if self.patience is not None:
            check_count(self.patience, "patience", 1)
        check_name(self.optimiser, OPTIMISERS, "optimiser")
        check_name(self.schedule, SCHEDULES, "schedule")
        check_name(self.precision, ("auto", *PRECISIONS), "precision")
        for name, low, high in (
            ("lr", 0, math.inf),
            ("momentum", 0, 1),
            ("weight_decay", 0, math.inf),
            ("warm_up", 0, math.inf),
            ("gamma", 0, math.inf),
            ("label_smoothing", 0, 1),
            ("super_loss", 0, math.inf),
            ("clip", 0, math.inf),
        ):
            value = getattr(self, name)
            open_below = name in ("lr", "super_loss", "clip")
            if value is None and name in ("super_loss", "clip"):
                continue
            if not (low <= value < high) or (open_below and value == 0):
                raise InputError(
                    f"{name} must lie in {'(' if open_below else '['}{low}, {high}); it is {value!r}."
                )
        if self.super_loss is not None and named(self.objective) != ERM:
            raise InputError(
                f"super_loss and objective={named(self.objective)!r} both weigh samples, one the easy ones more and the "
                "other the hard ones; choose one of them."
            )
        if not all(0 < share < 1 for share in self.milestones):
            raise InputError(
                f"milestones must be shares of the epochs in (0, 1); they are {self.milestones}."
            )

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: from 0, over all epochs.
            steps: an epoch's number of steps.
        """
        warm, total = self.warm_up * steps, self.epochs * steps
        rising = min(1.0, (step + 1) / warm) if warm else 1.0
        if self.schedule == "cosine":
            share = min(1.0, max(0.0, step - warm) / max(1.0, total - warm))
            return self.lr * rising * (1 + math.cos(math.pi * share)) / 2
        if self.schedule == "step":
            return float(
                self.lr * rising * self.gamma ** sum(step >= share * total for share in self.milestones)
            )
        return self.lr * rising


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves beside the weights: the optimiser, to continue with, and diagnostics."""

    optimiser: torch.optim.Optimizer
    notes: Mapping[str, float]


def train(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    training: Training,
    generator: torch.Generator,
    prepare: Callable[[Tensor], Any],
    *,
    validation: tuple[Tensor, Tensor] | None = None,
    optimiser_state: Mapping[int, Any] | None = None,
    progress: Progress | None = None,
    objective: Objective | None = None,
    diary: Diary | None = None,
) -> Trained:
    """Train `network` in place and return optimiser and diagnostics; it is left in eval mode.

    Dropout draws from torch's global generator: see `labelwise.models.device.seeded`.

    Args:
        network: on the device; returns logits, or a tuple that begins with them.
        x: (n, ...) on the device, in whatever form `prepare` reads.
        y: (n,) class indices, on the device.
        training: how.
        generator: on the CPU; orders the samples and augments them.
        prepare: makes a batch of x what the network reads.
        validation: (x, y) for early stopping.
        optimiser_state: from a former training of the same network.
        progress: told (batches done, batches in all).
        objective: what to lower; None: `task_loss` of the logits.
        diary: hears every step, and its notes join those of the training.

    Raises:
        TrainingError: the loss is no number.
    """
    if len(x) == 1:  # batch norm compares samples: one sample is shown twice
        x, y = x.expand(2, *x.shape[1:]), y.expand(2)
    n, device = len(x), x.device
    optimiser = optimiser_for(network, training, device)
    if optimiser_state is not None:
        groups = optimiser.state_dict()["param_groups"]  # the settings are those of `training`
        optimiser.load_state_dict({"state": dict(optimiser_state), "param_groups": groups})
    adversary = adversary_of(training, y) if objective is None else None
    precision = pick_precision(training.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    sizes = batch_sizes(n, training.batch_size)
    best: tuple[float, int, dict[str, Any], dict[str, Any]] | None = None
    notes: dict[str, float] = {}
    step = 0
    for epoch in range(training.epochs):
        network.train()
        total = torch.zeros((), device=device)
        right = torch.zeros((), device=device, dtype=torch.int64)
        order = torch.randperm(n, generator=generator).to(device)
        if diary is not None:
            diary.epoch()
        for rows in torch.split(order, sizes):
            for group in optimiser.param_groups:
                group["lr"] = training.rate(step, len(sizes))
            batch, labels = prepare(augmented(x.index_select(0, rows), training, generator)), y[rows]
            with autocast(device, precision):
                answer = network(batch)
                logits = logits_of(answer).float()
                lowered, loss = (
                    task_loss(logits, labels, training, adversary)
                    if objective is None
                    else objective(answer, labels, epoch)
                )
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(scaler.scale(lowered))
            if training.clip is not None or diary is not None:
                scaler.unscale_(optimiser)
            if diary is not None:
                diary.step(loss, network)
            if training.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), training.clip)
            scaler.step(optimiser)
            scaler.update()
            total += loss * len(rows)
            right += (logits.detach().argmax(1) == labels).sum()
            step += 1
            if progress is not None and (step % _TELL_EVERY == 0 or step == training.epochs * len(sizes)):
                progress(step, training.epochs * len(sizes))
        mean = float(total) / n
        check_loss(mean, "loss", epoch, training)
        notes = {"loss": mean, "accuracy": int(right) / n, "epochs": epoch + 1}
        if validation is None or training.patience is None:
            continue
        seen = mean_loss(network, *validation, prepare, training.batch_size)
        check_loss(seen, "validation loss", epoch, training)
        if best is None or seen < best[0]:
            best = (seen, epoch, copy.deepcopy(network.state_dict()), copy.deepcopy(optimiser.state_dict()))
        elif epoch - best[1] >= training.patience:
            break
    if best is not None:
        network.load_state_dict(best[2])
        optimiser.load_state_dict(best[3])
        notes = {**notes, "validation_loss": best[0], "best_epoch": best[1] + 1}
    network.eval()
    return Trained(optimiser, notes if diary is None else {**notes, **diary.notes()})


def batch_sizes(n: int, size: int) -> list[int]:
    """Return the sizes of the batches of an epoch; a last one of a single sample joins the one before it."""
    sizes = [min(size, n - start) for start in range(0, n, size)]
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def adversary_of(training: Training, y: Tensor) -> Adversary | None:
    """Return what a fit's objective remembers, of a recipe that reads its input as one modality; None for the mean.

    Args:
        training: its objective.
        y: (n,) class indices of all training samples.
    """
    if named(training.objective) == ERM:
        return None
    return begun(training.objective, Setting(n_classes=int(y.max()) + 1, device=y.device))


def task_loss(
    logits: Tensor, y: Tensor, training: Training, adversary: Adversary | None = None
) -> tuple[Tensor, Tensor]:
    """Return what a step of the classifier lowers and the mean cross-entropy to report, both ().

    They are the same but for the SuperLoss and an adversary. No gradient flows through the second.

    Args:
        logits: (b, C).
        y: (b,) class indices.
        training: its label smoothing and SuperLoss.
        adversary: what `adversary_of` returned at the beginning of the fit.
    """
    if training.super_loss is None and adversary is None:
        loss = cross_entropy(logits, y, label_smoothing=training.label_smoothing)
        return loss, loss.detach()
    losses = cross_entropy(logits, y, reduction="none", label_smoothing=training.label_smoothing)
    return mean_of(losses, logits.shape[1], training, adversary, Known(groups=y)), losses.detach().mean()


def mean_of(
    losses: Tensor,
    n_classes: int,
    training: Training,
    adversary: Adversary | None = None,
    known: Known | None = None,
) -> Tensor:
    """Return the mean of (b,) losses, of their SuperLosses where the training says so, or as an adversary weighs them.

    Args:
        losses: (b,).
        n_classes: C.
        training: its SuperLoss.
        adversary: call once a step.
        known: what else is known of the batch, for the adversary.
    """
    if adversary is not None:
        return robust_mean(adversary, losses, known or Known())
    if training.super_loss is not None:
        losses = super_loss(losses, math.log(n_classes), training.super_loss)
    return losses.mean()


def logits_of(answer: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits of a network that answers them alone, or first with an embedding and more."""
    return answer[0] if isinstance(answer, tuple) else answer


def mean_loss(
    network: nn.Module, x: Tensor, y: Tensor, prepare: Callable[[Tensor], Any], block: int
) -> float:
    """Return the mean cross-entropy of labelled samples in eval mode."""
    network.eval()
    with torch.inference_mode():
        blocks = zip(torch.split(x, block), torch.split(y, block), strict=True)
        losses = [
            cross_entropy(logits_of(network(prepare(a))).float(), b, reduction="sum") for a, b in blocks
        ]
    return float(sum(float(loss) for loss in losses)) / len(y)


def check_loss(value: float, name: str, epoch: int, training: Training) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"The {name} must stay a number; it is {value} in epoch {epoch + 1} with lr {training.lr:g}. Try "
            "a smaller lr, or clip=1.0."
        )


def optimiser_for(network: nn.Module, training: Training, device: torch.device) -> torch.optim.Optimizer:
    parameters: Iterator[nn.Parameter] = (p for p in network.parameters() if p.requires_grad)
    lr, decay, fused = training.lr, training.weight_decay, can_fuse(device)
    if training.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=training.momentum, weight_decay=decay, fused=fused)
    kind = torch.optim.Adam if training.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, lr, weight_decay=decay, fused=fused)


def augmented(x: Tensor, training: Training, generator: torch.Generator) -> Tensor:
    """Return (b, H, W, channels) images moved and mirrored at random; anything else as it is."""
    if x.ndim != 4 or not (training.shift or training.flip):
        return x
    b, height, width, _ = x.shape
    rows, columns = torch.arange(height).expand(b, -1), torch.arange(width).expand(b, -1)
    if training.flip:
        mirrored = torch.rand(b, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if training.shift:
        s = training.shift
        x = pad(x, (0, 0, s, s, s, s))
        rows = rows + torch.randint(0, 2 * s + 1, (b, 1), generator=generator)
        columns = columns + torch.randint(0, 2 * s + 1, (b, 1), generator=generator)
    # rows of one long table: three times as fast as indexing images by three arrays
    tall, wide = x.shape[1:3]
    pixels = ((torch.arange(b)[:, None] * tall + rows)[:, :, None] * wide + columns[:, None, :]).flatten()
    return x.flatten(0, 2).index_select(0, pixels.to(x.device)).reshape(b, height, width, -1)
