"""How far modalities may shift together when each shifts by its own χ² radius, and what that certifies."""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Any, NamedTuple

import numpy as np

from labelwise.checks import check_name, check_number, check_shape
from labelwise.errors import InputError
from labelwise.functional.robust import (
    ROUNDING,
    Floats,
    as_finite,
    as_radius,
    as_weights,
    chi2_divergence,
    refuse_negative,
    tilted,
    variance_risk,
)


class Budgets(NamedTuple):
    """B, how far the data may shift as a whole when each modality may by its own ρ_k, read in four ways.

    Attributes:
        first_order: Σ ρ_k + 2 Σ_{i<j} |γ_ij| √(ρ_i ρ_j), the paper's. For additive density ratios whose parts correlate
            by at most γ. **Not** a safe bound for all shifts that keep the copula: see the other three.
        product_exact: Π (1 + ρ_k) - 1, exact for independent modalities that shift independently.
        precision: Σ_ij |(Γ⁻¹)_ij| √(ρ_i ρ_j) with Γ read as correlations of a Gaussian copula, to first order; infinite
            where Γ is singular in a direction that may shift, or is no correlation matrix.
        perfect: (Σ √ρ_k)², first order with all |γ| = 1.
    """

    first_order: float
    product_exact: float
    precision: float
    perfect: float


def modality_budgets(rho: Any, gamma: Any) -> Budgets:
    """Return B by all four readings, to be reported together.

    All are ρ for one modality; with Γ the identity, first order and precision are Σ ρ_k.

    Args:
        rho: (K,) radius of each modality's χ² ball, finite, at least 0.
        gamma: (K, K) Γ, symmetric, entries in [-1, 1], ones on the diagonal.

    Raises:
        ShapeError: shapes do not match, or K = 0.
        InputError: a radius is negative or not finite, or Γ breaks its rules; the message names the entry.

    Source:
        "Distributionally Robust Multimodal Machine Learning", arXiv 2511.05716, for the first order.

    Deviations:
        The other three are not the paper's: they show what the first order may miss.
    """
    radii = _radii(rho)
    coupling = as_coupling(gamma, radii.size)
    roots = np.sqrt(radii)
    values, vectors = np.linalg.eigh(coupling)
    flat = values <= radii.size * np.finfo(float).eps * values[-1]
    unbounded = values[0] < -ROUNDING or (np.abs(vectors[np.ix_(roots > 0, flat)]) > ROUNDING).any()
    inverse = (vectors[:, ~flat] / values[~flat]) @ vectors[:, ~flat].T
    with np.errstate(over="ignore"):  # what no float can hold is infinite
        return Budgets(
            first_order=float(roots @ np.abs(coupling) @ roots),
            product_exact=float(np.expm1(np.log1p(radii).sum())),
            precision=inf if unbounded else float(roots @ np.abs(inverse) @ roots),
            perfect=float(roots.sum() ** 2),
        )


def budget_risks(losses: Any, rho: Any, gamma: Any) -> Budgets:
    """Return the closed-form risk E[l] + √B √Var(l) by all four readings of B, to be reported together.

    **None but "product_exact" (independent modalities) and, for small shifts of a Gaussian copula, "precision" is a safe
    bound**: "first_order" is what was printed, and shifts that keep every radius can exceed it (1.07 times its excess for
    two independent modalities with ρ = 0.3; more than twice for a correlation of 0.9 and opposite shifts).

    Args:
        losses: (n,) finite.
        rho, gamma: as `modality_budgets`.

    Returns:
        Risks in the fields of `Budgets`; each at least the mean, infinite where B is.

    Raises, Source, Deviations: as `modality_budgets` and `labelwise.functional.robust.variance_risk`.
    """
    return Budgets(*(variance_risk(losses, b) for b in modality_budgets(rho, gamma)))


def modality_budget(rho: Any, gamma: Any, mode: str = "first_order") -> float:
    """Return B by one reading, a field of `Budgets`.

    Args, Raises, Source, Deviations: as `modality_budgets`; UnknownName where there is no such reading.
    """
    check_name(mode, Budgets._fields, "budget mode")
    return float(getattr(modality_budgets(rho, gamma), mode))


def ratio_weights(ratios: Any) -> Floats:
    """Return density ratios as weights of samples of P: clipped at their 99th percentile, then scaled to sum to 1.

    Args, Raises: as `ratio_radius`.

    Returns:
        (n,) non-negative, sums to 1 (self-normalised: E_Q[l] ≈ weights · l); n times these have mean 1.
    """
    scaled = as_weights(ratios, "ratios")
    most = np.percentile(scaled, 99)
    if most == 0:
        raise InputError(
            "ratios must not be 0 in 99 of 100 samples: of such weights nothing is left once clipped."
        )
    return as_weights(np.minimum(scaled, most), "ratios")


def ratio_radius(ratios: Any) -> float:
    """Return ρ̂ = mean (ŵ - 1)² of estimated density ratios, clipped at their 99th percentile, then scaled to mean 1.

    Args:
        ratios: (n,) dQ/dP of samples of P, non-negative, up to a factor; e.g. (p/(1-p)) of a domain classifier.

    Returns:
        At least 0; 0 where all ratios are equal.

    Raises:
        ShapeError: not (n,), or n = 0.
        InputError: a ratio is negative or not finite, or all are 0 once clipped.

    Deviations:
        Ratios are given: `labelwise.functional.shift.domain_ratios` estimates them.
    """
    return chi2_divergence(ratio_weights(ratios))


def additive_weights(directions: Any, rho: Any) -> Floats:
    """Return Q = (1 + Σ_k h_k)/n of modality-wise adversaries, clipped at 0 and scaled to sum to 1.

    h_k = √ρ_k h̃_k / rms(h̃_k) after h̃_k was centred, so E h_k = 0 and E h_k² = ρ_k. The variational risk is Q·l.

    Args:
        directions: (n, K) what each modality's adversary says of each sample, h̃; a constant column shifts nothing.
        rho: (K,) finite radii, at least 0.

    Returns:
        (n,) non-negative, sums to 1.

    Raises:
        ShapeError: shapes do not match, or n or K is 0.
        InputError: an entry is not finite, or a radius is negative.

    Deviations:
        What is clipped is scaled to be a distribution again; without that the risk would depend on the losses' zero.
    """
    shift = additive_directions(directions, rho)
    return tilted(np.full(len(shift), 1 / len(shift)), shift)


def additive_directions(directions: Any, rho: Any) -> Floats:
    """Return Σ_k h_k (n,) of `additive_weights`, before anything is clipped; its mean is 0.

    Args, Raises: as `additive_weights`.
    """
    h = as_finite(directions, "directions", ("n", "K"))
    radii = _radii(rho, h.shape[1])
    # Halved, no difference overflows; divided by its greatest, no square does.
    h = h / 2 - h.min(axis=0) / 2
    h = h / np.where(h.max(axis=0) > 0, h.max(axis=0), 1)
    h = h - h.mean(axis=0)
    rms = np.sqrt(np.mean(h**2, axis=0))
    return np.asarray((h / np.where(rms > 0, rms, 1)) @ np.sqrt(radii))


def encoder_excess(errors: Any, rho: Any, lipschitz: Any) -> float:
    """Return Σ_k L_k (E ε_k + √(ρ_k Var ε_k)): what approximate encoders may add to the robust risk.

    Args:
        errors: (n, K) ε, how far each modality's embedding is from what it should be, at least 0.
        rho: (K,) finite radii, at least 0.
        lipschitz: (K,) L, how much the loss may change for one unit of each modality's embedding, at least 0.

    Raises:
        ShapeError: shapes do not match, or n or K is 0.
        InputError: an entry is negative or not finite.
    """
    distances = as_finite(errors, "errors", ("n", "K"))
    refuse_negative(distances.min(axis=1), "errors")
    radii, slopes = (
        _radii(v, distances.shape[1], name) for v, name in ((rho, "rho"), (lipschitz, "lipschitz"))
    )
    worst = [variance_risk(e, float(r)) for e, r in zip(distances.T, radii, strict=True)]
    return float(slopes @ worst)


def certificate(losses: Any, budget: float, bound: float, delta: float) -> float:
    """Return what bounds the robust risk of a fixed predictor with probability 1 - δ over the held-out samples.

    l̄ + √B s + b √(ln(2/δ) / 2n) + √B b √(2 ln(2/δ) / (n - 1)): Hoeffding for the mean, Maurer and Pontil for s, the
    deviation with n - 1. It is only as safe as B is (see `Budgets`), and does not hold for samples trained on.

    Args:
        losses: (n,) of held-out samples, in [0, bound].
        budget: B >= 0, may be infinite.
        bound: b > 0, the greatest loss there can be.
        delta: δ in (0, 1), the probability that the certificate fails.

    Returns:
        At least the mean loss; may exceed `bound`, which says nothing. Infinite for n = 1, unless B = 0.

    Raises:
        ShapeError: not (n,), or n = 0.
        InputError: a loss is outside [0, bound] or not finite, or a number is out of range; the message names it.

    Source:
        Maurer, Pontil 2009, "Empirical Bernstein Bounds and Sample Variance Penalization", theorem 10.
    """
    most = check_number(bound, "bound", 0)
    values = as_finite(losses, "losses", ("n",))
    wrong = np.flatnonzero((values < 0) | (values > most))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"losses: row {row} is {values[row]:g}; it must be from 0 to the bound, {most:g}.")
    fails = check_number(delta, "delta", 0, 1)
    if not (most > 0 and 0 < fails < 1):
        raise InputError(f"bound must be above 0 and delta inside (0, 1); they are {most:g} and {fails:g}.")
    allowed = as_radius(budget, "budget")
    shares = values / most  # squares of large losses may not fit
    n, doubt = shares.size, log(2) - log(fails)
    mean = float(shares.mean()) + sqrt(doubt / (2 * n))
    if allowed == 0:
        return most * mean
    if n == 1:
        return inf
    deviation = float(shares.std(ddof=1)) + sqrt(2 * doubt / (n - 1))
    return most * (mean + sqrt(allowed) * deviation)


def _radii(values: Any, size: int | None = None, name: str = "rho") -> Floats:
    radii = as_finite(values, name, ("K",))
    check_shape(radii, name, ("K",), (size,))
    refuse_negative(radii, name)
    return radii


def as_coupling(gamma: Any, size: int) -> Floats:
    """Return Γ as float64; raise unless it is (K, K), symmetric, in [-1, 1] and 1 on the diagonal."""
    array = as_finite(gamma, "gamma", ("K", "K"))
    check_shape(array, "gamma", ("K", "K"), (size, size))
    for wrong, rule in (
        (np.abs(array) > 1 + ROUNDING, "must be in [-1, 1]"),
        (np.abs(array - array.T) > ROUNDING, "must be equal to its mirror image"),
        (np.abs(array - 1) * np.eye(size) > ROUNDING, "must be 1 on the diagonal"),
    ):
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise InputError(f"gamma: entry ({i}, {j}) is {array[i, j]:g}; it {rule}.")
    return array
