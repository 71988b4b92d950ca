"""Samples of several modalities whose dependence is a copula, and shifts of single marginals with a given χ² radius."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp, expm1, inf, log1p, sqrt
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from labelwise.checks import as_array, check_count, check_name, check_number, frozen
from labelwise.errors import InputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Copula = Literal["gaussian", "t"]
Marginal = Literal["gaussian", "gamma", "t"]
Kind = Literal["mean", "scale", "mixture"]
Break = Literal["independent", "reversed"]
COPULAS, MARGINALS, KINDS, BREAKS = (get_args(names) for names in (Copula, Marginal, Kind, Break))
COPULA_DF = 4.0  # degrees of freedom of the t copula, whose modalities go to extremes together
GAMMA_SHAPE = 2.0
T_DF = 5.0  # of the t marginal
LARGEST = 1e6  # ρ: beyond it a shift leaves nothing in common
_NODES = 400
_NOTHING = 1e-12  # what rounding leaves of a part that is gone


class Shift(NamedTuple):
    """How one marginal moves.

    Attributes:
        kind: "mean", x + a; "scale", a x (a Gamma variable counts from its own 0); "mixture", the marginal is a mixture
            of its lower and its upper part, and their shares change.
        rho: the χ² radius of the shifted marginal, from 0 to 1e6.
        up: whether mean, spread or upper share grow, or fall.
    """

    kind: Kind = "mean"
    rho: float = 0.0
    up: bool = True


def copula_uniforms(
    n: int,
    modalities: int,
    width: int,
    correlation: float,
    rng: np.random.Generator,
    copula: Copula = "gaussian",
) -> Floats:
    """Return uniforms u (n, K, d): d independent draws of a K-dimensional copula for each sample.

    Column j of all modalities is one such draw, with the same correlation between any two of them, so the columns of one
    modality are independent of one another, and a shift of each makes Π (1 + ρ_j) - 1 of the modality.

    Args:
        n: samples, at least 1.
        modalities: K, at least 1.
        width: d, columns of a modality, at least 1.
        correlation: r in [-1/(K - 1), 1] of the normal scores; with copula "t" r = 0 is not independence.
        rng: draws.
        copula: "gaussian", or "t" with 4 degrees of freedom.

    Returns:
        (n, K, d) inside (0, 1).

    Raises:
        UnknownName: no such copula.
        InputError: a number is out of range.

    Source:
        Demarta, McNeil 2005, "The t Copula and Related Copulas".
    """
    from scipy.special import ndtr, stdtr

    check_name(copula, COPULAS, "copula")
    for count, name in ((n, "n"), (modalities, "modalities"), (width, "width")):
        check_count(count, name, 1)
    least = -1 / (modalities - 1) if modalities > 1 else -1.0
    r = check_number(correlation, "correlation", least, 1)
    own = rng.standard_normal((n, modalities, width))
    mean = own.mean(axis=1, keepdims=True)
    # the root of (1 - r) I + r J: its eigenvalues are 1 + (K - 1) r along the mean and 1 - r across
    z = sqrt(max(0.0, 1 + (modalities - 1) * r)) * mean + sqrt(1 - r) * (own - mean)
    if copula == "t":
        z = z * np.sqrt(COPULA_DF / rng.chisquare(COPULA_DF, (n, 1, width)))
    u = ndtr(z) if copula == "gaussian" else stdtr(COPULA_DF, z)
    tiny = np.finfo(float).eps / 2
    return np.asarray(np.clip(u, tiny, 1 - tiny))


def broken(u: Any, how: Break, rng: np.random.Generator) -> Floats:
    """Return the uniforms of a control that keeps every modality's own distribution and breaks the copula.

    Args:
        u: (n, K, d) as `copula_uniforms` draws them.
        how: "independent", every modality but the first is dealt to other samples; "reversed", every second modality
            becomes 1 - u, which turns the sign of its dependence on its neighbours.
        rng: deals.

    Raises:
        UnknownName: no such control.
    """
    check_name(how, BREAKS, "way to break a copula")
    other = np.array(u, np.float64)
    for m in range(1, other.shape[1]):
        if how == "independent":
            other[:, m] = other[rng.permutation(len(other)), m]
        elif m % 2:
            other[:, m] = 1 - other[:, m]
    return other


def quantiles(u: Any, marginal: Marginal = "gaussian", shift: Shift | None = None) -> Floats:
    """Return x with this marginal at these uniforms; shifted, the same sample moves and its rank stays: copula kept.

    The marginals have mean 0 and deviation 1 where nothing is shifted: Gaussian, Gamma of shape 2, t of 5 degrees.

    Args:
        u: (...) inside (0, 1).
        marginal: which.
        shift: how it moves; None: not.

    Raises:
        UnknownName: no such marginal or kind.
        InputError: a uniform is outside (0, 1), or as `shift_size`.
    """
    held = as_array(u, "u").astype(np.float64)
    if held.size and not (held.min() > 0 and held.max() < 1):
        raise InputError(f"u must lie inside (0, 1); it runs from {held.min():g} to {held.max():g}.")
    base = _base(marginal)
    if shift is None or shift.rho == 0:
        check_name("mean" if shift is None else shift.kind, KINDS, "kind of shift")
        return base.standard(base.quantile(held))
    size = shift_size(marginal, shift)
    if shift.kind == "mixture":
        return base.standard(base.quantile(_remixed(held, size, shift)))
    x = base.quantile(held)
    return base.standard(x + size * base.deviation if shift.kind == "mean" else x * size)


def shift_size(marginal: Marginal, shift: Shift) -> float:
    """Return the size a of the shift that has the radius asked for: by closed form, or by bisection.

    Mean: a in standard deviations, below 0 where it falls; Gaussian a = √ln(1 + ρ). Scale: the factor; Gaussian
    a² = 1 ± √(1 - (1 + ρ)⁻²), Gamma a = 1 ± √(1 - (1 + ρ)^(-1/shape)). Mixture: π, the share of the upper part before
    the shift, ½ or, for ρ > 1, as unequal as ρ needs.

    Args:
        marginal: what moves.
        shift: how.

    Raises:
        UnknownName: no such marginal or kind.
        InputError: ρ is out of range, or a Gamma mean is to fall (its radius is infinite, however little it falls).
    """
    check_name(shift.kind, KINDS, "kind of shift")
    check_name(marginal, MARGINALS, "marginal")
    rho = check_number(shift.rho, "rho", 0, LARGEST)
    if shift.kind == "mixture":
        return _parted(rho, shift.up)
    if shift.kind == "mean" and marginal == "gamma" and not shift.up and rho > 0:
        raise InputError(
            "A Gamma variable whose mean falls has values that it never had: its radius is infinite. Let it rise, or "
            "change its scale."
        )
    sign = 1 if shift.up else -1
    if rho == 0:
        return 0.0 if shift.kind == "mean" else 1.0
    if shift.kind == "mean" and marginal == "gaussian":
        return sign * sqrt(log1p(rho))
    if shift.kind == "scale" and marginal == "gaussian":
        return sqrt(_around(expm1(-2 * log1p(rho)), sign))
    if shift.kind == "scale" and marginal == "gamma":
        return _around(expm1(-log1p(rho) / GAMMA_SHAPE), sign)
    if shift.kind == "mean":
        return sign * _solved(lambda a: shift_radius(marginal, "mean", a), rho)
    return exp(sign * _solved(lambda a: shift_radius(marginal, "scale", exp(sign * a)), rho))


def shift_radius(marginal: Marginal, kind: Kind, size: float) -> float:
    """Return the χ² radius of a shift of mean (in standard deviations) or scale (a factor) of this size.

    Raises:
        UnknownName: no such marginal or kind.
        InputError: the size is not finite, a factor is not above 0, or the kind is "mixture", whose radius its shares do
            not tell alone.
    """
    check_name(kind, KINDS, "kind of shift")
    base = _base(marginal)
    if kind == "mixture":
        raise InputError("The radius of a mixture is what was asked for; ask shift_size for its shares.")
    a = check_number(size, "size")
    if kind == "scale" and a <= 0:
        raise InputError(f"A scale must be above 0; it is {a:g}.")
    if kind == "mean" and marginal == "gaussian":
        return expm1(a * a)
    if kind == "scale" and marginal == "gaussian":
        return 1 / (a * sqrt(2 - a * a)) - 1 if a * a < 2 else inf
    if kind == "scale" and marginal == "gamma":
        return (a * (2 - a)) ** -GAMMA_SHAPE - 1 if a < 2 else inf
    if kind == "mean" and marginal == "gamma" and a < 0:
        return inf
    # E_Q[dQ/dP] - 1, and a point of Q is a shifted point of P: x = F⁻¹(u) at Gauss-Legendre nodes u
    u, weights = _nodes()
    x = base.quantile(u)
    moved, stretch = (x + a * base.deviation, 1.0) if kind == "mean" else (x * a, a)
    with np.errstate(over="ignore"):
        ratio = np.exp(base.log_density(x) - base.log_density(moved)) / stretch
        return float(weights @ ratio) - 1


@cache
def _nodes() -> tuple[Floats, Floats]:
    """Return points of (0, 1) and their weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return frozen((nodes + 1) / 2), frozen(weights / 2)


class _Base(NamedTuple):
    """A marginal before it is standardised."""

    quantile: Callable[[Floats], Floats]
    log_density: Callable[[Floats], Floats]  # up to a constant
    mean: float
    deviation: float

    def standard(self, x: Floats) -> Floats:
        """Return what counts from the unshifted mean, in unshifted standard deviations."""
        return (x - self.mean) / self.deviation


def _base(marginal: str) -> _Base:
    from scipy.special import gammaincinv, ndtri, stdtrit

    check_name(marginal, MARGINALS, "marginal")
    if marginal == "gaussian":
        return _Base(ndtri, lambda x: -(x**2) / 2, 0.0, 1.0)
    if marginal == "gamma":
        return _Base(
            lambda u: gammaincinv(GAMMA_SHAPE, u),
            lambda x: (GAMMA_SHAPE - 1) * np.log(x) - x,
            GAMMA_SHAPE,
            sqrt(GAMMA_SHAPE),
        )
    return _Base(
        lambda u: stdtrit(T_DF, u),
        lambda x: -(T_DF + 1) / 2 * np.log1p(x**2 / T_DF),
        0.0,
        sqrt(T_DF / (T_DF - 2)),
    )


def _around(minus: float, sign: int) -> float:
    """Return 1 ± √(-minus); the lesser one without cancellation."""
    root = sqrt(-minus)
    return 1 + root if sign > 0 else (1 + minus) / (1 + root)


def _solved(radius: Callable[[float], float], rho: float) -> float:
    """Return a > 0 where a radius that grows from 0 is ρ."""
    from scipy.optimize import brentq

    high = 1.0
    while radius(high) < rho:
        high *= 2
    return float(brentq(lambda a: radius(a) - rho, 0.0, high, xtol=1e-14, rtol=1e-13))


def _parted(rho: float, up: bool) -> float:
    """Return the upper part's share: its ratio is 1 + √(ρ (1 - π) / π), the lower one's 1 - √(ρ π / (1 - π)) >= 0.

    Where the upper share falls the parts change places.
    """
    grows = min(0.5, 1 / (1 + rho))
    return grows if up else 1 - grows


def _remixed(u: Floats, upper: float, shift: Shift) -> Floats:
    """Return where in the unshifted marginal the samples of rank u come to lie."""
    lower = 1 - upper
    moved = sqrt(shift.rho * upper * lower)
    new = lower - moved if shift.up else lower + moved  # the lower part's share after the shift
    if new <= _NOTHING:
        was = 1 - (1 - u) * upper
    elif new >= 1 - _NOTHING:
        was = u * lower
    else:
        was = np.where(u < new, u * (lower / new), 1 - (1 - u) * (upper / (1 - new)))
    return np.asarray(np.clip(was, np.finfo(float).tiny, 1 - np.finfo(float).eps / 2))
