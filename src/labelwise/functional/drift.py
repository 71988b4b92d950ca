"""Whether new samples differ from old ones by more than chance, what that makes of a risk, and how many labels would tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, log1p, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_number, check_shape
from labelwise.errors import InputError
from labelwise.functional.ambiguity import ratio_weights
from labelwise.functional.robust import ROUNDING, Floats, as_finite, refuse_negative
from labelwise.functional.shift import shift_radii

DRAWS = 199
WIDTH = 32  # columns a radius is measured on, at most
SHARE = 10  # samples of the smaller side for each of them: with fewer a radius is mostly chance


@dataclass(frozen=True, eq=False)
class Radius:
    """How far a modality has moved, beside what chance alone would show.

    Attributes:
        measured: ρ̂ of new from old samples, at least 0.
        null: (draws,) ascending, ρ̂ between two parts of old and new samples together, drawn at random, of the same sizes.
        p: share of radii as great as the measured one, itself among them, if nothing had moved; in [1/(draws + 1), 1].
    """

    measured: float
    null: Floats
    p: float

    @property
    def rho(self) -> float:
        """The measured radius less the median of what chance shows, at least 0."""
        return max(0.0, self.measured - float(np.median(self.null)))

    def chance(self, share: float) -> float:
        """Return the radius that chance stays below in such a share of the draws."""
        return float(np.quantile(self.null, share))


def moved_radius(
    old: Any,
    new: Any,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    squares: bool = False,
    progress: Callable[[], None] | None = None,
) -> Radius:
    """Return the χ² radius from old to new samples, and those of random parts of all of them: a permutation test.

    Classifiers tell any two finite sets of samples apart to some degree, the better the wider they are; a radius says
    nothing before it is compared with those of parts that differ by chance alone. The test is exact: if old and new
    samples are drawn alike, p <= α has a probability of at most α.

    Args:
        old: (n, D) samples, as `labelwise.functional.shift.shift_radii`.
        new: (m, D).
        rng: deals folds and parts.
        draws: at least 1.
        squares: whether squares of the columns are read, too, by which changes of spread are seen.
        progress: called after each radius, draws + 1 times.

    Raises:
        ShapeError, InputError: as `shift_radii`.

    Source:
        Good 2005, "Permutation, Parametric, and Bootstrap Tests of Hypotheses"; Lopez-Paz, Oquab 2017, "Revisiting
        Classifier Two-Sample Tests".

    Deviations:
        The statistic is the radius, not the classifier's accuracy.
    """
    check_count(draws, "draws", 1)
    p, q = as_finite(old, "old", ("n", "D")), as_finite(new, "new", ("m", "D"))
    check_shape(q, "new", ("m", "D"), (None, p.shape[1]))
    measured = float(shift_radii([p], [q], rng, squares=squares)[0])
    everybody, null = np.concatenate([p, q]), np.empty(draws)
    if progress is not None:
        progress()
    for draw in range(draws):
        order = rng.permutation(len(everybody))
        one, other = everybody[order[: len(p)]], everybody[order[len(p) :]]
        null[draw] = shift_radii([one], [other], rng, squares=squares)[0]
        if progress is not None:
            progress()
    return Radius(measured, np.sort(null), float(1 + (null >= measured).sum()) / (draws + 1))


def holm(p: Any) -> Floats:
    """Return p-values after Holm's correction: those of at most α are false with probability at most α, all together.

    Args:
        p: (k,) in [0, 1].

    Returns:
        (k,) in the same order, in [0, 1], none below the one given.

    Raises:
        ShapeError: not (k,), or k = 0.
        InputError: one is not in [0, 1].

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    values = as_finite(p, "p", ("k",))
    wrong = np.flatnonzero((values < 0) | (values > 1))
    if wrong.size:
        raise InputError(f"p: row {wrong[0]} is {values[wrong[0]]:g}; it must be from 0 to 1.")
    order = np.argsort(values, kind="stable")
    corrected = np.empty(values.size)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1)).clip(max=1)
    return corrected


@dataclass(frozen=True, eq=False)
class Basis:
    """The directions in which samples vary most, to be measured along.

    Attributes:
        mean: (D,) of the columns.
        spread: (D,) their deviations; infinite where a column is constant.
        directions: (D, W).
    """

    mean: Floats
    spread: Floats
    directions: Floats

    def of(self, values: Any) -> Floats:
        """Return samples (n, D) as (n, W), in float64."""
        array = as_finite(values, "values", ("n", "D"))
        check_shape(array, "values", ("n", "D"), (None, self.mean.size))
        told: Floats = (array - self.mean) / self.spread @ self.directions
        return told


def basis(values: Any, width: int = WIDTH) -> Basis:
    """Return the first principal directions of standardised columns; all columns as they are where they are few.

    Fitted on old and new samples together it knows nothing of who is who, so that a permutation test stays exact.
    What moves along none of these directions is not seen.

    Args:
        values: (n, D).
        width: W, at least 1.

    Raises:
        ShapeError: not (n, D), or empty.
        InputError: an entry is not finite.
    """
    array, most = as_finite(values, "values", ("n", "D")), check_count(width, "width", 1)
    mean, spread = array.mean(axis=0), array.std(axis=0)
    spread = np.where(spread > ROUNDING * np.abs(array).max(axis=0), spread, np.inf)
    if array.shape[1] <= most:
        return Basis(mean, spread, np.eye(array.shape[1]))
    z = (array - mean) / spread
    if len(z) < z.shape[1]:  # the smaller of both products has the same directions
        _, vectors = np.linalg.eigh(z @ z.T)
        directions = z.T @ vectors[:, ::-1][:, :most]
        length = np.linalg.norm(directions, axis=0)
        directions = directions / np.where(length > ROUNDING, length, np.inf)
    else:
        directions = np.linalg.eigh(z.T @ z)[1][:, ::-1][:, :most]
    return Basis(mean, spread, directions)


def usual_width(n: int, m: int) -> int:
    """Return how many columns a radius between n and m samples is measured on: one for ten of the fewer, at most 32."""
    return max(1, min(WIDTH, min(n, m) // SHARE))


class WeightedRisk(NamedTuple):
    """A risk on new data, estimated by weights of old samples.

    Attributes:
        risk: Σ w l with weights that sum to 1.
        low, high: 95 % interval by the delta method, cut at the least and greatest loss.
        effective: 1 / Σ w²: how many samples of equal weight would be as sure; of a few the interval is too short.
    """

    risk: float
    low: float
    high: float
    effective: float


def weighted_risk(losses: Any, ratios: Any) -> WeightedRisk:
    """Return the risk on new data by density ratios of the samples whose losses are known.

    Right where the ratios are, and where the labels given the inputs are what they were.

    Args:
        losses: (n,) finite.
        ratios: (n,) dQ/dP, non-negative, up to a factor; clipped at their 99th percentile.

    Raises:
        ShapeError: shapes do not match, or n = 0.
        InputError: as `labelwise.functional.ambiguity.ratio_weights`.

    Source:
        Shimodaira 2000, "Improving Predictive Inference under Covariate Shift"; Owen 2013, "Monte Carlo Theory, Methods
        and Examples", section 9.2, for the interval; Kong 1992, "A Note on Importance Sampling", for the number.
    """
    values = as_finite(losses, "losses", ("n",))
    weights = ratio_weights(ratios)
    check_shape(weights, "ratios", ("n",), (values.size,))
    risk = float(weights @ values)
    error = 1.96 * sqrt(float(weights**2 @ (values - risk) ** 2))
    low, high = max(risk - error, float(values.min())), min(risk + error, float(values.max()))
    return WeightedRisk(risk, low, high, float(1 / np.sum(weights**2)))


def labels_for(width: float, delta: float = 0.05, bound: float = 1.0) -> int:
    """Return n = ⌈b² ln(2/δ) / (2 ε²)⌉: so many random labels tell a mean loss to ± ε with probability 1 - δ.

    Args:
        width: ε, above 0.
        delta: δ in (0, 1).
        bound: b, the greatest loss, above 0; losses are at least 0.

    Raises:
        InputError: a number is out of range.

    Source:
        Hoeffding 1963, "Probability Inequalities for Sums of Bounded Random Variables", theorem 2.
    """
    epsilon = check_number(width, "width", 0)
    if epsilon == 0:
        raise InputError("width must be above 0: no number of labels tells a risk exactly.")
    return max(1, ceil((check_number(bound, "bound", 0) / epsilon) ** 2 * _doubt(delta) / 2))


def width_of(n: int, delta: float = 0.05, bound: float = 1.0) -> float:
    """Return ε = b √(ln(2/δ) / 2n), how closely n random labels tell a mean loss; the inverse of `labels_for`.

    Args, Raises, Source: as `labels_for`; `n` at least 1.
    """
    return check_number(bound, "bound", 0) * sqrt(_doubt(delta) / (2 * check_count(n, "n", 1)))


def _doubt(delta: float) -> float:
    fails = check_number(delta, "delta", 0, 1)
    if not 0 < fails < 1:
        raise InputError(f"delta must be inside (0, 1); it is {fails:g}.")
    return log(2) - log(fails)


def allocated(sizes: Sequence[int], deviations: Sequence[float], n: int) -> NDArray[np.int64]:
    """Return how many of n labels to buy in each stratum: in proportion to N_s σ_s, as many as it has at most.

    The risk over all strata, Σ N_s r_s / N, is then known best. What a full stratum cannot take goes to the others.

    Args:
        sizes: N_s, samples of each stratum, at least 0.
        deviations: σ_s of the loss within each, at least 0; where all are 0, sizes alone count.
        n: labels to buy, at least 0; all samples where there are no more.

    Returns:
        (S,) sums to the smaller of n and Σ N_s.

    Raises:
        ShapeError: shapes do not match, or there is no stratum.
        InputError: a number is out of range.

    Source:
        Neyman 1934, "On the Two Different Aspects of the Representative Method".
    """
    held, spread = (as_finite(v, name, ("S",)) for v, name in ((sizes, "sizes"), (deviations, "deviations")))
    check_shape(spread, "deviations", ("S",), (held.size,))
    refuse_negative(held, "sizes")
    refuse_negative(spread, "deviations")
    left = int(min(check_count(n, "n"), held.sum()))
    wanted = held * spread
    quota = np.zeros(held.size)
    while (open_ := left - quota.sum()) > ROUNDING * max(
        left, 1
    ):  # what full strata cannot take goes round again
        share = np.where(quota < held, wanted, 0)
        if not share.any():
            share = held - quota  # only strata of no spread have room
        quota = np.minimum(quota + open_ * share / share.sum(), held)
    given = np.floor(quota + ROUNDING)
    behind = np.where(given < held, quota - given, -1)
    given[np.argsort(-behind, kind="stable")[: left - int(given.sum())]] += 1
    return given.astype(np.int64)


def as_steps(rho: float) -> float:
    """Return √ln(1 + ρ), the shift of a Gaussian's mean, in its deviations, whose χ² radius is ρ: e^(m²) - 1.

    Args:
        rho: finite, at least 0.

    Raises:
        InputError: it is not.
    """
    return sqrt(log1p(check_number(rho, "rho", 0)))
