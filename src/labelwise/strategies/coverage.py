"""Asks for what leaves few samples uncovered: by balls of one radius, or by a kernel around each labelled sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.checks import Array, as_labels, check_count, check_name
from labelwise.errors import InputError
from labelwise.functional import scores
from labelwise.functional.backend import placed, rows_per_block
from labelwise.functional.batches.coverage import prob_cover, purity_radius
from labelwise.functional.batches.herding import least_distance, max_herding
from labelwise.functional.calibration import ece
from labelwise.signals import Needs, View
from labelwise.strategies.base import InSpace, Proposal

TEMPERATURES = tuple(t / 10 for t in range(10, 200))  # 1.0, 1.1, … 19.9
UNCERTAINTIES: dict[str, Callable[[Array], Array]] = {
    "margin": lambda p: 1 + scores.smallest_margin(p),
    "entropy": scores.entropy,
    "least-confidence": scores.least_confidence,
}


@dataclass(frozen=True)
class ProbCover(InSpace):
    """Ask for the sample whose ball holds the most samples that no labelled sample's ball covers yet.

    Formula:
        argmax_u |{v : ‖z_u - z_v‖ < δ, v not covered}|, greedily; δ the largest radius at which 95 % of the balls lie
        within one k-means cluster each.
    Cost:
        O(n² D / 2) time, once; lists of neighbours up to the size of the samples (at least 48 MiB),
        or up to O(n² D + n b D) more time where they need more.
    When:
        Very few labels, with features learned without labels (space="features").
    Source:
        Yehuda, Dekel, Hacohen, Weinshall 2022, "Active Learning Through a Covering Lens".
    Deviations:
        δ is found anew every round from the samples left in the pool, exactly, where the paper and public code try a
        grid once; purity is judged on 2,000 drawn samples. Ties, and what is asked once all is covered, are drawn at
        random: the public code would repeat a labelled sample. It also gives the last samples of a pool no ball.

    Attributes:
        delta: the radius, or "auto" for the rule above.
        clusters: k-means clusters that the rule takes for classes; None: the number of classes. At least 2.
        purity: the share of balls that must lie within one cluster.
        unit: scale samples to length 1 first, as the paper does.
    """

    delta: float | str = "auto"
    clusters: int | None = None
    purity: float = 0.95
    unit: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number = isinstance(self.delta, int | float) and not isinstance(self.delta, bool)
        if self.delta != "auto" and not (number and float(self.delta) > 0):
            raise InputError(f'delta must be above 0, or "auto"; it is {self.delta!r}.')
        if not 0 < self.purity <= 1:
            raise InputError(f"purity must be above 0 and at most 1; it is {self.purity!r}.")
        if self.clusters is not None:
            check_count(self.clusters, "clusters", 1)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        z, known = (placed(part.need(self.space), self.device) for part in (view.pool, view.labelled))
        if self.delta == "auto":
            clusters = view.n_classes if self.clusters is None else self.clusters
            delta = purity_radius(z, clusters, rng, purity=self.purity, unit=self.unit)
        else:
            delta = float(self.delta)
        rows = prob_cover(z, n, delta, labelled=known, unit=self.unit, rng=rng)
        return Proposal(rows, notes={"delta": delta if np.isfinite(delta) else None})


@dataclass(frozen=True)
class MaxHerding(InSpace):
    """Ask for the sample that raises most how near, by a kernel, all samples are to a labelled one.

    Formula:
        argmax_u Σ_v max(0, k(z_v, z_u) - max_c k(z_v, z_c)), c labelled or chosen; k(a, b) = exp(-‖a - b‖² / σ²).
    Cost:
        O(n m D) time for the first sample, m = min(n, 10,000), mostly a few times that for a batch; O(n + m D) memory.
    When:
        Few labels; like prob-cover, without a radius that must be right.
    Source:
        Bae, Noh, Sutherland 2024, "Generalized Coverage for More Robust Low-Budget Active Learning".
    Deviations:
        In pools of more than 10,000 coverage is summed over 10,000 drawn samples; the public code draws 35,000 that are
        also the only candidates.

    Attributes:
        sigma: width of the kernel.
        unit: scale samples to length 1 first, as the paper does.
    """

    sigma: float = 1.0
    unit: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_above(self.sigma, "sigma")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        z, known = (placed(part.need(self.space), self.device) for part in (view.pool, view.labelled))
        return Proposal(max_herding(z, n, labelled=known, sigma=self.sigma, unit=self.unit, rng=rng))


@dataclass(frozen=True)
class UHerding(InSpace):
    """Ask for the sample that raises most how near unsure samples are to a labelled one.

    Formula:
        argmax_u Σ_v U(p_v) max(0, k(z_v, z_u) - max_c k(z_v, z_c)), c labelled or chosen; k(a, b) = exp(-‖a - b‖² / σ²),
        U = 1 - (p₍₁₎ - p₍₂₎), σ the smallest distance between two labelled samples that differ.
    Cost:
        O(n C + n m D) time for the first sample, m = min(n, 10,000), mostly a few times that for a batch, and O(L² D) for
        L labelled; O(n + m D) memory.
    When:
        Any budget: with few labels it is max-herding; σ falls as labels come, and it turns into uncertainty sampling.
    Source:
        Bae, Sutherland, Oliveira 2025, "Uncertainty Herding: One Active Learning Method for All Label Budgets".
    Deviations:
        The paper sets the temperature of the softmax by the calibration of a second model, trained on a part of the
        labels; here it is 1 unless calibrate=True, which takes validation samples and finds the temperature of least ECE
        among 1.0, 1.1, … 19.9. In pools of more than 10,000 coverage is summed over 10,000 drawn samples. Without labels
        all uncertainties are 1 and σ = 1, as in the public code.

    Attributes:
        uncertainty: "margin", "entropy" or "least-confidence".
        sigma: width of the kernel; None: the rule above.
        temperature: by which the softmax is softened, p^(1/T); ignored with calibrate.
        calibrate: find the temperature on validation samples.
        unit: scale samples to length 1 first, as the paper does.
    """

    uncertainty: str = "margin"
    sigma: float | None = None
    temperature: float = 1.0
    calibrate: bool = False
    unit: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.uncertainty, tuple(UNCERTAINTIES), "uncertainty")
        _check_above(self.temperature, "temperature")
        if self.sigma is not None:
            _check_above(self.sigma, "sigma")

    @property
    def needs(self) -> Needs:
        judged = frozenset({"probs", "y"}) if self.calibrate else frozenset()
        return Needs(frozenset({"probs", self.space}), frozenset({self.space}), judged)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        z, known = (placed(part.need(self.space), self.device) for part in (view.pool, view.labelled))
        softness = self._calibrated(view) if self.calibrate else self.temperature
        sigma = least_distance(known, unit=self.unit) if self.sigma is None else self.sigma
        sigma = sigma if np.isfinite(sigma) else 1.0
        weights = self._weights(view.pool.need("probs"), softness) if len(view.labelled) else None
        rows = max_herding(z, n, labelled=known, sigma=sigma, weights=weights, unit=self.unit, rng=rng)
        return Proposal(rows, notes={"sigma": sigma, "temperature": softness})

    def _weights(self, probs: Array, temperature: float) -> Array:
        measure = UNCERTAINTIES[self.uncertainty]
        if temperature == 1:
            return measure(probs)
        step = rows_per_block(2 * probs.shape[1])
        parts = (probs[start : start + step] for start in range(0, len(probs), step))
        return np.concatenate([measure(_softened(part, temperature)) for part in parts])

    def _calibrated(self, view: View) -> float:
        probs = scores.check_probs(view.validation.need("probs"), "probs of the validation samples")
        y = as_labels(view.validation.need("y"), probs.shape[1], "y of the validation samples")
        if not y.size:
            return self.temperature
        return float(min(TEMPERATURES, key=lambda t: ece(_softened(probs, t), y)))


def _softened(probs: Array, temperature: float) -> Array:
    """Return the softmax of logits / T, told from probabilities: p^(1/T), scaled to sum to one."""
    found: Array = probs.astype(np.float64) ** (1 / temperature)
    found /= found.sum(axis=1, keepdims=True)
    return found


def _check_above(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise InputError(f"{name} must be above 0 and finite; it is {value!r}.")
