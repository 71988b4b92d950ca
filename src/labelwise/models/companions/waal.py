"""WAAL: a critic beside the classifier learns to tell unlabelled features from labelled ones, as a Wasserstein distance does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from labelwise.checks import check_count
from labelwise.errors import InputError, ShapeError
from labelwise.models.companions.beside import Companion, Seen, watch
from labelwise.models.companions.common import CompanionRecipe, Descent, Lesson, Stream, adam, update
from labelwise.models.device import autocast, pick_precision
from labelwise.models.losses import adversary_of, check_loss, task_loss

Critic = Callable[[Tensor], Tensor]  # (b, D) -> (b,)


def wasserstein_estimate(of_unlabelled: Tensor, of_labelled: Tensor, gamma: float = 1.0) -> Tensor:
    """Return mean D(unlabelled) - γ mean D(labelled), (): what the critic raises and the features lower.

    Args:
        of_unlabelled: (u,) the critic's values.
        of_labelled: (l,) likewise.
        gamma: weight of the labelled part.

    Source:
        Shui, Zhou, Gagné, Wang 2020, "Deep Active Learning: Unified and Principled Method for Query and
        Training"; code of its authors.
    """
    return of_unlabelled.mean() - gamma * of_labelled.mean()


def gradient_norms(critic: Critic, points: Tensor) -> Tensor:
    """Return ‖∇D‖₂ at each point, (b,); differentiable with respect to the critic.

    Args:
        critic: (b, D) -> (b,), each value from its own row alone.
        points: (b, D).
    """
    points = points.detach().requires_grad_(True)
    (slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    norms: Tensor = slopes.norm(dim=1)
    return norms


def gradient_penalty(critic: Critic, first: Tensor, second: Tensor, between: Tensor) -> Tensor:
    """Return the mean of (‖∇D‖₂ - 1)² over both samples and points between them, ().

    Args:
        critic: (b, D) -> (b,).
        first: (b, D).
        second: (b, D); row i is paired with row i.
        between: (b, 1) in [0, 1]; 0 is the first, 1 the second.

    Raises:
        ShapeError: the two samples differ in shape.

    Source:
        Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", equation 3; WAAL adds the samples
        themselves to the points between them.
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"first and second must have the same shape; they have {tuple(first.shape)} and {tuple(second.shape)}."
        )
    points = torch.cat([first + between * (second - first), first, second])
    return ((gradient_norms(critic, points) - 1) ** 2).mean()


def critic_loss(
    wasserstein: Tensor, penalty: Tensor, mu: float, weight: float = 2.0, *, code_sign: bool = False
) -> Tensor:
    """Return what the critic lowers: μ (-W + weight · penalty), ().

    Args:
        wasserstein: W, the estimate.
        penalty: the gradient penalty.
        mu: μ.
        weight: of the penalty.
        code_sign: subtract the penalty, as both published codes do: it is then rewarded instead of punished.
    """
    return mu * (-wasserstein - weight * penalty if code_sign else -wasserstein + weight * penalty)


class CriticModule(Companion):
    """D: two layers of ReLU units and a sigmoid, on embeddings.

    Args:
        width: D, of the embedding.
        units: of each layer.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 1)
        )

    def forward(self, seen: Seen) -> Tensor:
        return self.judge(seen.embedding)

    def judge(self, embedding: Tensor) -> Tensor:
        """Return (b,) in (0, 1): high where a sample looks like no labelled one."""
        found: Tensor = self.layers(embedding.float())
        return found[:, 0].sigmoid()


@dataclass(frozen=True, kw_only=True)
class WaalRecipe(CompanionRecipe):
    """Trains a classifier whose features a critic cannot tell apart, labelled or not; answers `scalars.critic`.

    Each batch of labelled samples meets as many unlabelled ones. Classifier: cross-entropy + μ W, with W = mean
    D(unlabelled) - γ mean D(labelled) on its embeddings; critic: μ (-W + penalty_weight · GP).

    Attributes:
        mu: μ; 0.001 as in DeepAL+, the paper's code has 0.002 for CIFAR-10.
        labelled_weight: γ; None: labelled samples / unlabelled samples of the pool, as the paper; DeepAL+ has 1.
        penalty_weight: of the gradient penalty in the critic's loss.
        units: of each of the critic's two layers.
        code_sign: give the gradient penalty the sign that both published codes give it.
        most_unlabelled: unlabelled samples read for a fit, drawn from the pool; γ counts all of them.
        companion_lr: of the critic.

    Source:
        Shui, Zhou, Gagné, Wang 2020, "Deep Active Learning: Unified and Principled Method for Query and
        Training"; code of its authors.

    Deviations:
        An epoch is a pass over the labelled samples, as for every recipe, where the code passes over the larger
        set. The 5 μ GP of the code's classifier loss is left out: it is computed from detached features and
        moves nothing. The critic learns from the features that the classifier's step has just used; the code
        computes them once more after it.
    """

    mu: float = 1e-3
    labelled_weight: float | None = None
    penalty_weight: float = 2.0
    units: int = 512
    code_sign: bool = False
    most_unlabelled: int = 5000

    scalar: ClassVar[str] = "critic"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.units, "units", 1)
        check_count(self.most_unlabelled, "most_unlabelled", 1)
        if not self.mu > 0:
            raise InputError(f"mu must be above 0; it is {self.mu!r}.")
        for name in ("labelled_weight", "penalty_weight"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{name} must be at least 0; it is {value!r}.")

    @property
    def reads(self) -> int:
        return self.most_unlabelled

    def teach(self, lesson: Lesson) -> tuple[Companion | None, Mapping[str, float]]:
        network, device = lesson.network, lesson.device
        network.eval()
        with torch.inference_mode():
            width = watch(network, lesson.prepare(lesson.x[:1])).embedding.shape[1]
        critic = CriticModule(width, self.units).to(device)
        descent, companion = (
            Descent(network, self, len(lesson.x), device),
            adam(critic, self.companion_lr, device),
        )
        precision, adversary = pick_precision(self.precision, device), adversary_of(self, lesson.y)
        others = Stream(lesson.pool, lesson, self) if len(lesson.pool) else None
        gamma = self.labelled_weight
        if gamma is None:
            gamma = len(lesson.x) / max(1, lesson.n_unlabelled)
        notes: dict[str, float] = {}
        for epoch in range(self.epochs):
            network.train()
            sums = torch.zeros(4, device=device)  # cross-entropy, hits, W, penalty
            for x, y in lesson.batches(self, epoch):
                with autocast(device, precision):
                    seen = watch(network, x)
                    unseen = watch(network, others.take(len(x))).embedding if others else None
                logits = seen.logits.float()
                lowered, loss = task_loss(logits, y, self, adversary)
                distance = penalty = torch.zeros((), device=device)
                if unseen is None:
                    descent(lowered)
                else:
                    labelled, unlabelled = seen.embedding.float(), unseen.float()
                    pulled = wasserstein_estimate(critic.judge(unlabelled), critic.judge(labelled), gamma)
                    descent(lowered + self.mu * pulled)
                    labelled, unlabelled = labelled.detach(), unlabelled.detach()
                    between = torch.rand(len(x), 1, generator=lesson.generator).to(device)
                    penalty = gradient_penalty(critic.judge, unlabelled, labelled, between)
                    distance = wasserstein_estimate(critic.judge(unlabelled), critic.judge(labelled), gamma)
                    raised = critic_loss(
                        distance, penalty, self.mu, self.penalty_weight, code_sign=self.code_sign
                    )
                    update(raised, companion)
                hits = (logits.argmax(1) == y).sum()
                sums += torch.stack([loss, hits / len(y), distance.detach(), penalty.detach()]) * len(y)
            loss_, accuracy, distance_, penalty_ = (sums / len(lesson.x)).tolist()
            check_loss(loss_ + distance_ + penalty_, "loss", epoch, self)
            notes = {"loss": loss_, "accuracy": accuracy, "epochs": epoch + 1}
            if others:
                notes |= {"wasserstein": distance_, "gradient_penalty": penalty_}
        return (critic if others else None), notes
