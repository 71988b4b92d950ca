"""How a network is trained: one table of settings, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from labelwise.checks import check_count, check_name
from labelwise.errors import InputError
from labelwise.models.device import PRECISIONS
from labelwise.models.objective import ERM, named, settled

OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")


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
