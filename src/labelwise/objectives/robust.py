"""Robust objectives: each weighs the samples of a batch as the worst distribution in its reach would, and lowers Σ q_i l_i.

An objective is a frozen configuration; `begin` makes what one fit remembers of it, its *adversary*. With weights held
constant the gradient of Σ q_i l_i is that of the worst-case risk (Danskin). Nothing here waits for the device, and losses
are not looked at: they must be finite. The same numbers as `labelwise.functional.robust`, tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from labelwise.checks import check_name, check_number
from labelwise.errors import InputError, ShapeError

EPSILON = 1e-8  # added to the variance
MOMENTUM = 0.9
LARGE_BATCH = 256  # from so many samples on a batch's own moments are taken
RADII = ("product", "perfect")


class Known(NamedTuple):
    """What else is known of a batch.

    Attributes:
        groups: (b,) int64, the group of each sample; group DRO needs it.
        embeddings: K tensors (b, D_k); the variational adversary needs them.
        there: (b, K) bool, which modalities each sample has; None: all.
    """

    groups: Tensor | None = None
    embeddings: Sequence[Tensor] | None = None
    there: Tensor | None = None


NOTHING = Known()


class Adversary(Protocol):
    """What one fit's objective remembers, and how it weighs a batch."""

    def weigh(self, losses: Tensor, known: Known = NOTHING) -> Tensor:
        """Return q (b,), non-negative, summing to 1, without gradient, float64 (float32 on MPS); call it once a step.

        Args:
            losses: (b,) floats, b >= 1; gradients are not followed.
            known: what else is known of the batch.

        Raises:
            ShapeError: the objective needs what is not known.
        """
        ...


class Objective(Protocol):
    """How to weigh; the same configuration begins every fit alike."""

    def begin(self, widths: Sequence[int] = (), device: torch.device | str = "cpu") -> Adversary:
        """Return what a fit begins with.

        Args:
            widths: K widths of the modalities' embeddings; only the variational objective reads them.
            device: where its tensors are.
        """
        ...


def robust_mean(adversary: Adversary, losses: Tensor, known: Known = NOTHING) -> Tensor:
    """Return Σ q_i l_i (), what a step lowers: its gradient is Σ q_i ∇l_i.

    Args, Raises: as `Adversary.weigh`; ShapeError unless `losses` is (b,) with b >= 1.

    Returns:
        () of the type of `losses`, between their least and their greatest.
    """
    if losses.ndim != 1 or not len(losses):
        raise ShapeError(f"losses must be (b,) with b >= 1; they have shape {tuple(losses.shape)}.")
    if not losses.is_floating_point():
        raise InputError(f"losses must hold floats; they hold {losses.dtype}.")
    q = adversary.weigh(losses.detach(), known)
    return (q.to(losses.dtype) * losses).sum()


@dataclass(frozen=True)
class Plain:
    """An objective that remembers nothing: it is its own adversary."""

    def begin(self, widths: Sequence[int] = (), device: torch.device | str = "cpu") -> Adversary:
        return self

    def weigh(self, losses: Tensor, known: Known = NOTHING) -> Tensor:
        return self._weigh(wide(losses))

    def _weigh(self, losses: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Mean(Plain):
    """Empirical risk: every sample weighs the same."""

    def _weigh(self, losses: Tensor) -> Tensor:
        return torch.full_like(losses, 1 / len(losses))


@dataclass(frozen=True)
class MMDro:
    """The closed form E[l] + √B √(Var l + ε) by its weights ω_i = 1 + √B (l_i - E[l]) / √(Var l + ε).

    They are clipped at 0 and scaled to sum to 1, so that they are a distribution. Where a batch has fewer than 256
    samples, mean and variance are those of an exponential moving average over batches, the first of which counts whole.

    Attributes:
        budget: B, finite, at least 0, as `labelwise.functional.ambiguity.modality_budget` makes it of ρ and Γ.
        momentum: share of the past in the average, in [0, 1); 0: each batch by itself.

    Raises:
        InputError: a number is out of range.

    Source:
        "Distributionally Robust Multimodal Machine Learning", arXiv 2511.05716, for the closed form.

    Deviations:
        How the paper trains is not public. What is lowered is the risk under the clipped weights, which no loss exceeds,
        in place of the closed form, which may.
    """

    budget: float
    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        check_number(self.budget, "budget", 0)
        below_one(self.momentum, "momentum")

    def begin(self, widths: Sequence[int] = (), device: torch.device | str = "cpu") -> Adversary:
        return _Moments(self)


class _Moments:
    """Adversary of `MMDro`: the moving mean of losses and of their squares about it."""

    def __init__(self, objective: MMDro) -> None:
        self.slope, self.momentum = sqrt(objective.budget), objective.momentum
        self.mean: Tensor | None = None
        self.variance: Tensor | None = None

    def weigh(self, losses: Tensor, known: Known = NOTHING) -> Tensor:
        values = wide(losses)
        mean, variance = values.mean(), values.var(correction=0)
        if len(values) < LARGE_BATCH and self.mean is not None and self.variance is not None:
            old, new = self.momentum, 1 - self.momentum
            # of a mixture of past and batch: their variances, and how far apart their means are
            variance = old * self.variance + new * variance + old * new * (mean - self.mean) ** 2
            mean = old * self.mean + new * mean
        self.mean, self.variance = mean, variance
        return distribution(1 + self.slope * (values - mean) / (variance + EPSILON).sqrt())


@dataclass(frozen=True)
class Dual(Plain):
    """The exact worst risk over one χ² ball of a batch: q_i ∝ (l_i - η)₊ at the η of its dual.

    Equal to the closed form where none of its weights is negative.

    Attributes:
        budget: B, the ball's radius, finite, at least 0.

    Raises:
        InputError: it is out of range.

    Source:
        Duchi, Namkoong 2019, "Variance-based Regularization with Convex Objectives"; Levy et al. 2020, "Large-Scale
        Methods for Distributionally Robust Optimization".

    Deviations:
        η is not approached by halving intervals: the samples that have weight are found among all at once by sorting,
        and η solves a quadratic. Public code (fast-dro) returns the mean where all losses are negative.
    """

    budget: float

    def __post_init__(self) -> None:
        check_number(self.budget, "budget", 0)

    def _weigh(self, losses: Tensor) -> Tensor:
        return ball_weights(losses, self.budget)


@dataclass(frozen=True)
class EarlyFusionDro(Plain):
    """DRO that does not know of modalities: one exact χ² ball around the concatenated features.

    Attributes:
        rho: (K,) radius of each modality.
        radius: "product", Π (1 + ρ_k) - 1, as if modalities shifted independently; "perfect", (Σ √ρ_k)², as if as one.

    Raises:
        UnknownName: no such radius.
        InputError: a ρ is negative or not finite, or there is none.
    """

    rho: tuple[float, ...]
    radius: str = "product"

    def __post_init__(self) -> None:
        check_name(self.radius, RADII, "joint radius")
        object.__setattr__(self, "rho", checked_rho(self.rho))

    @property
    def joint(self) -> float:
        """The ball's radius."""
        if self.radius == "perfect":
            return sum(sqrt(rho) for rho in self.rho) ** 2
        product = 1.0
        for rho in self.rho:
            product *= 1 + rho
        return product - 1

    def _weigh(self, losses: Tensor) -> Tensor:
        return ball_weights(losses, self.joint)


def ball_weights(losses: Tensor, budget: float) -> Tensor:
    """Return the Q (b,) of the greatest mean loss within a χ² ball of radius B around equal weights.

    Args:
        losses: (b,) float64 or float32, finite.
        budget: B >= 0.
    """
    n = len(losses)
    ordered, order = losses.sort(descending=True, stable=True)
    span = ordered[0] - ordered[-1]
    gap = (ordered[0] - ordered) / torch.where(
        span > 0, span, 1
    )  # in [0, 1]: sums neither overflow nor cancel
    count = torch.arange(1, n + 1, device=losses.device, dtype=losses.dtype)
    mean = gap.cumsum(0) / count
    variance = ((gap**2).cumsum(0) / count - mean**2).clamp(min=0)
    # η at the next sample's gap: the first `count` weigh (next - gap), whose divergence falls as more join
    ahead = torch.cat([gap[1:], gap.new_full((1,), inf)]) - mean
    divergence = (variance / ahead**2 + 1) * (n / count) - 1
    enough = (divergence <= budget) & (ahead > 0)  # equal losses are in or out together
    members = enough.to(torch.int8).argmax()
    m, middle, spread = count[members], mean[members], variance[members]
    room = ((1 + budget) * m / n - 1).clamp(min=0)
    slope = torch.where(spread > 0, (room / torch.where(spread > 0, spread, 1)).sqrt(), 0)
    raised = torch.where(count <= m, (1 + slope * (middle - gap)).clamp(min=0), 0)
    return distribution(torch.empty_like(losses).scatter(0, order, raised))


def distribution(raised: Tensor) -> Tensor:
    """Return weights clipped at 0 and scaled to sum to 1; equal ones where nothing is left."""
    kept = raised.clamp(min=0)
    total = kept.sum()
    return torch.where(total > 0, kept / torch.where(total > 0, total, 1), 1 / len(raised))


def wide(losses: Tensor) -> Tensor:
    """Return losses without gradient in float64, or float32 where the device has no float64."""
    held = losses.detach()
    return held.float() if held.device.type == "mps" else held.double()


def checked_rho(rho: Sequence[float]) -> tuple[float, ...]:
    """Return radii as a tuple; raise unless there is one, and all are finite and at least 0."""
    if isinstance(rho, str) or not isinstance(rho, Sequence) or not len(rho):
        raise InputError(f"rho must be a list with the radius of each modality; it is {rho!r}.")
    return tuple(check_number(value, f"rho[{k}]", 0) for k, value in enumerate(rho))


def below_one(value: float, name: str) -> float:
    """Return a share in [0, 1)."""
    if not check_number(value, name, 0, 1) < 1:
        raise InputError(f"{name} must lie in [0, 1); it is {value!r}.")
    return value
