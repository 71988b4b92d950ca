"""Risk under the worst shift of the data: over a χ² ball, or over the worst share of samples."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_number, check_shape
from labelwise.errors import InputError, ShapeError

Floats = NDArray[np.float64]

# Where all weights of the closed form are just non-negative, both forms are equal, and rounding may not decide.
ROUNDING = 1e-12


def chi2_divergence(q: Any, p: Any = None) -> float:
    """Return D(Q‖P) = E_P[(dQ/dP - 1)²], Pearson's χ² without the factor ½.

    0 where Q = P, 1/P(i) - 1 where Q is all on sample i, infinite where Q has weight that P lacks.

    Args:
        q: (n,) weights of Q, non-negative; they are scaled to sum to 1.
        p: (n,) weights of P, likewise; None: uniform.

    Returns:
        At least 0. A ball of radius ρ in the convention with ½ is the ball of radius 2ρ here.

    Raises:
        ShapeError: not (n,) both, or n = 0.
        InputError: a weight is negative or not finite, or all are 0.
    """
    to = as_weights(q, "q")
    base = as_weights(p, "p", to.size)
    held = base > 0
    if (to[~held] > 0).any():
        return inf
    with np.errstate(over="ignore"):  # what no float can hold is infinite
        return float(np.sum((to[held] - base[held]) ** 2 / base[held]))


def chi2_worst_risk(losses: Any, rho: float, weights: Any = None) -> float:
    """Return sup E_Q[l] over all Q with D(Q‖P) <= ρ, exactly, also where the closed form is not.

    The mean for ρ = 0; the greatest loss that has weight from ρ = 1/P(greatest) - 1 on. By duality it is the least
    value of `chi2_dual` over η.

    Args:
        losses: (n,) finite, of any sign.
        rho: ρ >= 0, may be infinite.
        weights: (n,) of P, non-negative; they are scaled to sum to 1. None: uniform.

    Returns:
        Between mean and maximum; O(n log n) time, O(n) memory.

    Raises:
        ShapeError: `losses` is not (n,) with n >= 1, or `weights` does not match.
        InputError: a loss is not finite, losses span more than float64 can hold, a weight is negative or not finite,
            all weights are 0, or `rho` is negative or NaN; the message names the row.

    Source:
        Ben-Tal et al. 2013, "Robust Solutions of Optimization Problems Affected by Uncertain Probabilities";
        Duchi, Namkoong 2019, "Variance-based Regularization with Convex Objectives", whose balls have the factor ½.

    Deviations:
        Public code (fast-dro) returns the mean where all losses are negative; here the sign does not matter.
    """
    sample = _sample(losses, weights)
    return sample.risk(_worst(sample, as_radius(rho, "rho")))


def chi2_worst_weights(losses: Any, rho: float, weights: Any = None) -> Floats:
    """Return the Q that attains `chi2_worst_risk`: q_i ∝ p_i (l_i - η)₊.

    It is the gradient of the worst risk with respect to the losses, too. Q = P for ρ = 0 and for constant losses;
    where all weight may go to the greatest losses, these share it as they do in P.

    Args, Raises, Source: as `chi2_worst_risk`.

    Returns:
        (n,) non-negative, sums to 1; equal losses of equal weight get equal weight. Divide by P for density ratios.
    """
    sample = _sample(losses, weights)
    return sample.spread(_worst(sample, as_radius(rho, "rho")))


def chi2_dual(losses: Any, rho: float, eta: float, weights: Any = None) -> float:
    """Return η + √(1+ρ) √E_P[(l - η)₊²], an upper bound of `chi2_worst_risk` for every η, convex in η.

    Args, Raises, Source: as `chi2_worst_risk`; `rho` and `eta` finite.
    """
    sample = _sample(losses, weights)
    level = check_number(eta, "eta")
    with np.errstate(over="ignore"):
        above = np.maximum(sample.losses - level, 0)
    most = above.max() or 1.0  # squares of what is scaled do not overflow
    if most == inf:
        raise InputError(f"eta is {level:g}, farther below the losses than float64 can hold.")
    scale = most * sqrt(1 + check_number(rho, "rho", 0))
    return float(level + scale * np.sqrt(sample.p @ (above / most) ** 2))


def variance_risk(losses: Any, budget: float, weights: Any = None) -> float:
    """Return E[l] + √B √Var(l), the closed form of the worst risk.

    Never below `chi2_worst_risk` at ρ = B, and equal to it where `variance_form_holds`. It may exceed the greatest loss.

    Args, Raises: as `chi2_worst_risk`; `budget` is B: the ρ of one ball, or what
        `labelwise.functional.ambiguity.modality_budget` makes of several.

    Returns:
        At least the mean; infinite where B is, unless the losses are constant.

    Source:
        "Distributionally Robust Multimodal Machine Learning", arXiv 2511.05716.
    """
    sample = _sample(losses, weights)
    allowed = as_radius(budget, "budget")
    _, deviation = sample.moments()
    excess = sqrt(allowed) * deviation if deviation else 0.0  # √∞ · 0 = 0: constant losses stay
    return sample.risk(sample.p) + sample.span * excess


def variance_form_holds(losses: Any, budget: float, weights: Any = None) -> bool:
    """Return whether the closed form is the exact worst risk: 1 + √(B / Var(l)) (l_min - E[l]) >= 0.

    Then no sample's density ratio 1 + √B (l_i - E[l]) / √Var(l) is negative. Where it fails `variance_risk` is too high.

    Args, Raises: as `variance_risk`.
    """
    sample = _sample(losses, weights)
    allowed = as_radius(budget, "budget")
    mean, deviation = sample.moments()
    return deviation == 0 or sqrt(allowed) * (1 - mean) <= deviation * (1 + ROUNDING)


def variance_weights(losses: Any, budget: float, weights: Any = None) -> Floats:
    """Return Q of the closed form, p_i (1 + √B (l_i - E[l]) / √Var(l)), clipped at 0 and scaled to sum to 1.

    Where `variance_form_holds` nothing is clipped, and Q is that of `chi2_worst_weights`. P for constant losses.

    Args, Raises: as `variance_risk`; `budget` finite.

    Returns:
        (n,) non-negative, sums to 1.
    """
    sample = _sample(losses, weights)
    slope = sqrt(check_number(budget, "budget", 0))
    mean, deviation = sample.moments()
    return sample.spread(tilted(sample.p, (mean - sample.gap) / deviation * slope if deviation else 0.0))


def cvar(losses: Any, alpha: float, weights: Any = None) -> float:
    """Return the mean of the worst share α of the losses: sup E_Q[l] over Q <= P/α.

    The mean for α = 1, the greatest loss for small α.

    Args:
        losses, weights: as `chi2_worst_risk`.
        alpha: in (0, 1].

    Raises: as `chi2_worst_risk`; InputError where `alpha` is out of range.

    Source:
        Rockafellar, Uryasev 2000, "Optimization of Conditional Value-at-Risk".
    """
    sample = _sample(losses, weights)
    return sample.risk(_tail(sample, alpha))


def cvar_weights(losses: Any, alpha: float, weights: Any = None) -> Floats:
    """Return the Q that attains `cvar`: P/α on the worst samples, the rest on the one at the border.

    Args, Raises, Source: as `cvar`.

    Returns:
        (n,) non-negative, sums to 1; among equal losses lower rows come first.
    """
    sample = _sample(losses, weights)
    return sample.spread(_tail(sample, alpha))


class _Sample(NamedTuple):
    """The losses that have weight: the rest can gain none, and does not count as minimum or maximum."""

    losses: Floats
    p: Floats  # sums to 1, all above 0
    gap: Floats  # (max - losses) / span, in [0, 1]: sums of its squares neither overflow nor cancel near the maximum
    span: float
    rows: NDArray[np.int64]
    size: int

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of `gap`."""
        mean = float(self.p @ self.gap)
        return mean, sqrt(float(self.p @ (self.gap - mean) ** 2))

    def risk(self, q: Floats) -> float:
        """E_Q[l]; rounding may not carry it past the losses that Q has weight on."""
        held = self.losses[q > 0]
        return float(np.clip(q @ self.losses, held.min(), held.max()))

    def spread(self, q: Floats) -> Floats:
        """Weights of all samples given."""
        all_rows = np.zeros(self.size)
        all_rows[self.rows] = q
        return all_rows


def _sample(losses: Any, weights: Any) -> _Sample:
    values = as_finite(losses, "losses", ("n",))
    p = as_weights(weights, "weights", values.size)
    rows = np.flatnonzero(p > 0)
    values, p, size = values[rows], p[rows], values.size
    with np.errstate(over="ignore"):
        span = float(values.max() - values.min())
    if span == inf:
        raise InputError(f"losses from {values.min():g} to {values.max():g} span more than float64 can hold.")
    return _Sample(values, p, (values.max() - values) / (span or 1.0), span, rows, size)


def _worst(sample: _Sample, rho: float) -> Floats:
    """Return the worst Q in the ball.

    q is p (η - gap)₊ scaled, and its divergence falls as η grows: bisect for the samples with weight, the `count` of
    least gap; for them Σ q²/p = 1 + ρ is quadratic in η.
    """
    order = np.argsort(sample.gap, kind="stable")
    gap, p = sample.gap[order], sample.p[order]
    counts = np.append(np.flatnonzero(np.diff(gap)) + 1, gap.size)  # equal losses are in or out together
    low, high = 0, counts.size - 1
    while low < high:
        middle = (low + high) // 2
        count = counts[middle]
        mass, rest, inside = _parted(p, count)
        height = gap[count] - gap[:count]  # of each sample when η has come to the next one's gap
        mean = inside @ height
        deviation = np.sqrt(inside @ (height - mean) ** 2)
        with np.errstate(over="ignore"):
            divergence = (deviation / mean) ** 2 / mass + rest / mass
        if divergence <= rho:
            high = middle
        else:
            low = middle + 1
    count = counts[low]
    mass, rest, inside = _parted(p, count)
    mean = inside @ gap[:count]
    variance = inside @ (gap[:count] - mean) ** 2
    slope = np.sqrt(max(rho * mass - rest, 0) / variance) if variance > 0 else 0.0
    q = np.zeros(gap.size)
    q[order[:count]] = tilted(inside, slope * (mean - gap[:count]))
    return q


def _parted(p: Floats, count: int) -> tuple[float, float, Floats]:
    """Return the weight of the first `count`, that of the others, and the first ones' weights scaled to sum to 1.

    The others' is summed: as 1 minus the first ones' it would be rounded where it is 0, and a tiny ρ lost.
    """
    mass = float(p[:count].sum())
    return mass, float(p[count:].sum()), p[:count] / mass


def _tail(sample: _Sample, alpha: float) -> Floats:
    share = check_number(alpha, "alpha", 0, 1)
    if share == 0:
        raise InputError("alpha must be above 0: the worst of no samples has no mean.")
    order = np.argsort(sample.gap, kind="stable")
    p = sample.p[order]
    before = np.cumsum(p) - p
    q = np.empty(p.size)
    q[order] = np.minimum(p, np.maximum(share - before, 0))
    return np.asarray(q / q.sum())


def tilted(p: Floats, shift: Floats | float) -> Floats:
    """Return p (1 + shift), clipped at 0, scaled to sum to 1."""
    q = p * np.maximum(1 + shift, 0)
    return np.asarray(q / q.sum())


def as_finite(values: Any, name: str, letters: tuple[str, ...]) -> Floats:
    """Return values as float64, one axis a letter; raise unless there are some and all are finite."""
    array = as_array(values, name)
    check_shape(array, name, letters, (None,) * len(letters))
    if 0 in array.shape:
        raise ShapeError(f"{name} must not be empty; it has shape {array.shape}.")
    array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        raise InputError(f"{name}: row {wrong[0][0]} holds {array[tuple(wrong[0])]}; it must be finite.")
    return array


def as_weights(values: Any, name: str, size: int | None = None) -> Floats:
    """Return (n,) non-negative weights, scaled to sum to 1; None: `size` equal ones."""
    if values is None and size is not None:
        return np.full(size, 1 / size)
    array = as_finite(values, name, ("n",))
    check_shape(array, name, ("n",), (size,))
    refuse_negative(array, name)
    if not array.any():
        raise InputError(f"{name} must not be all 0.")
    array = array / array.max()  # sums of large weights may not fit
    return np.asarray(array / array.sum())


def refuse_negative(array: Floats, name: str) -> None:
    """Raise InputError for the first row below 0."""
    wrong = np.flatnonzero(array < 0)
    if wrong.size:
        raise InputError(f"{name}: row {wrong[0]} is {array[wrong[0]]:g}; it must be at least 0.")


def as_radius(value: float, name: str) -> float:
    """Return a number of at least 0; unlike other numbers it may be infinite."""
    return inf if isinstance(value, float) and value == inf else check_number(value, name, 0)
