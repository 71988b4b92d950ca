"""Learning loss: a small module beside the classifier predicts how wrong the classifier is on a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from labelwise.checks import check_count
from labelwise.errors import InputError, ShapeError
from labelwise.models.companions.beside import Companion, Seen, watch
from labelwise.models.companions.common import CompanionRecipe, Descent, Lesson, adam
from labelwise.models.device import autocast, pick_precision
from labelwise.models.losses import adversary_of, check_loss, mean_of
from labelwise.objectives.robust import Known


def ranking_loss(predicted: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
    """Return how badly predicted losses order pairs of samples: mean of max(0, ξ - s (l̂_i - l̂_j)).

    Sample i is paired with sample B - 1 - i; s is 1 where l_i > l_j and -1 otherwise, equal losses included,
    as in the paper and in its code.

    Args:
        predicted: (B,) predicted losses, B even.
        target: (B,) true losses; no gradient flows into them.
        margin: ξ, the distance at which a pair ordered rightly costs nothing.

    Returns:
        () the mean over B / 2 pairs.

    Raises:
        ShapeError: the two are not (B,) with the same even B.

    Source:
        Yoo, Kweon 2019, "Learning Loss for Active Learning"; public code of Mephisto405.
    """
    if predicted.shape != target.shape or predicted.ndim != 1 or len(predicted) % 2 or not len(predicted):
        raise ShapeError(
            "predicted and target must have shape (B,) with the same even B of at least 2; they have shapes "
            f"{tuple(predicted.shape)} and {tuple(target.shape)}."
        )
    half = len(predicted) // 2
    ahead = (predicted - predicted.flip(0))[:half]
    true = (target - target.flip(0))[:half].detach()
    sign = torch.where(true > 0, 1.0, -1.0).to(predicted.dtype)
    return (margin - sign * ahead).clamp(min=0).mean()


class LossModule(Companion):
    """Averages each feature map over its places, sends it through a layer with ReLU, and joins them in one number.

    Args:
        channels: of each map.
        units: of each map's layer.

    Source:
        Yoo, Kweon 2019, "Learning Loss for Active Learning".
    """

    reads_maps = True

    def __init__(self, channels: Sequence[int], units: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(c, units), nn.ReLU(inplace=True)) for c in channels
        )
        self.last = nn.Linear(units * len(channels), 1)

    def forward(self, seen: Seen) -> Tensor:
        return self.predict(seen.maps)

    def predict(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (b,) predicted losses from (b, channels, ...) maps."""
        flat = [m.float().flatten(2).mean(2) if m.ndim > 2 else m.float() for m in maps]
        parts = [layer(m) for layer, m in zip(self.layers, flat, strict=True)]
        found: Tensor = self.last(torch.cat(parts, dim=1))
        return found[:, 0]


@dataclass(frozen=True, kw_only=True)
class LearningLossRecipe(CompanionRecipe):
    """Trains a classifier and, beside it, a module that predicts its loss; answers `scalars.predicted_loss`.

    The module reads up to four feature maps (see `labelwise.models.companions.beside.watch`) and learns from
    the labelled batches alone to order samples by their loss. A batch of odd size leaves its last sample out
    of the pairs.

    Attributes:
        ranking: λ, the weight of the ranking loss beside the cross-entropy.
        margin: ξ of the ranking loss.
        joint_epochs: epochs during which the ranking loss moves the classifier too; from then on only the
            module. 20 as in BRAL-T and DeepAL+; the paper has 120 of its 200. With few labels the ranking loss
            slows the classifier (digits, up to 200 labels drawn at random, 30 epochs: mean accuracy 0.70
            instead of 0.76); 0 trains the very classifier of a `TorchRecipe`.
        units: of the module's layer for each map.
        companion_lr: as in DeepAL+; the paper trains both with SGD at 0.1.

    Source:
        Yoo, Kweon 2019, "Learning Loss for Active Learning".
    """

    ranking: float = 1.0
    margin: float = 1.0
    joint_epochs: int = 20
    units: int = 128
    companion_lr: float = 0.01

    scalar: ClassVar[str] = "predicted_loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.joint_epochs, "joint_epochs")
        check_count(self.units, "units", 1)
        for name in ("ranking", "margin"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0; it is {getattr(self, name)!r}.")

    def teach(self, lesson: Lesson) -> tuple[Companion, Mapping[str, float]]:
        network, device = lesson.network, lesson.device
        module = LossModule(_channels(network, lesson), self.units).to(device)
        descent, companion = (
            Descent(network, self, len(lesson.x), device),
            adam(module, self.companion_lr, device),
        )
        precision, adversary = pick_precision(self.precision, device), adversary_of(self, lesson.y)
        notes: dict[str, float] = {}
        for epoch in range(self.epochs):
            network.train()
            sums = torch.zeros(3, device=device)  # cross-entropy, hits, ranking loss
            for x, y in lesson.batches(self, epoch):
                with autocast(device, precision):
                    seen = watch(network, x, maps=True)
                logits = seen.logits.float()
                losses = cross_entropy(logits, y, reduction="none", label_smoothing=self.label_smoothing)
                joint = epoch < self.joint_epochs
                predicted = module.predict(seen.maps if joint else [m.detach() for m in seen.maps])
                even = len(y) // 2 * 2
                order = ranking_loss(predicted[:even], losses[:even], self.margin)
                lowered = mean_of(losses, logits.shape[1], self, adversary, Known(groups=y))
                descent(lowered + self.ranking * order, companion)
                hits = (logits.argmax(1) == y).sum()
                sums += torch.stack([losses.detach().sum(), hits, order.detach() * len(y)])
            loss, accuracy, ranking = (sums / len(lesson.x)).tolist()
            check_loss(loss + ranking, "loss", epoch, self)
            notes = {"loss": loss, "accuracy": accuracy, "epochs": epoch + 1, "ranking_loss": ranking}
        return module, notes


def _channels(network: nn.Module, lesson: Lesson) -> list[int]:
    """Return the channels of each map that the network shows."""
    network.eval()
    with torch.inference_mode():
        maps = watch(network, lesson.prepare(lesson.x[:1]), maps=True).maps
    if not maps:
        raise InputError(
            "learning-loss reads feature maps; the network has no activation layer (nn.ReLU, nn.GELU, ...) to "
            "take them from. Write its activations as layers."
        )
    return [m.shape[1] for m in maps]
