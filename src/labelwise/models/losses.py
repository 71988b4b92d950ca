"""The loss of a batch: what a step lowers and what is reported, of a classifier's logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labelwise.errors import TrainingError
from labelwise.models.objective import ERM, begun, named
from labelwise.models.setting import Setting
from labelwise.models.training import Training
from labelwise.objectives.losses import super_loss
from labelwise.objectives.robust import Adversary, Known, robust_mean


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
