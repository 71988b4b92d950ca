"""How strongly modalities depend on one another: Γ, the coupling that budgets of shifting modalities read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from labelwise.checks import check_name, check_number
from labelwise.errors import InputError, ShapeError
from labelwise.functional.ambiguity import as_coupling
from labelwise.functional.robust import ROUNDING, Floats, as_finite

KINDS = ("hgr", "soft_hgr", "gaussian_copula", "given", "one")
RIDGE = 1e-3  # in units of a column's variance
LEAST = 4  # samples: two to fit on and two held out
WAVES = 64  # random functions of each modality
WAVES_RIDGE = 0.1  # so many functions fit noise with less


def coupling(
    embeddings: Sequence[Any],
    kind: str = "hgr",
    rng: np.random.Generator | None = None,
    *,
    ridge: float | None = None,
    given: Any = None,
) -> Floats:
    """Return Γ (K, K), how strongly each pair of modalities depends on one another.

    - "hgr": `canonical_correlation`, the linear estimate of the maximal correlation; in [0, 1].
    - "soft_hgr": `soft_hgr`, the same with functions that bend; in [0, 1].
    - "gaussian_copula": `copula_correlation`; in [-1, 1]. What the reading "precision" of a budget asks for.
    - "given": what was handed in, looked at.
    - "one": all 1, the most there can be.

    Args:
        embeddings: K arrays (n, D_k) of the same samples, each of which has every modality.
        kind: which.
        rng: halves the samples and draws functions, for "hgr" and "soft_hgr".
        ridge: of "hgr" and "soft_hgr", at least 0; None: 0.001 and 0.1.
        given: (K, K), for "given" only.

    Returns:
        (K, K) symmetric, ones on the diagonal; [[1]] for one modality.

    Raises:
        UnknownName: no such kind.
        ShapeError: an array is not (n, D), or they differ in n.
        InputError: there is no modality, an entry is not finite, there are fewer than 4 samples, `rng` or `given` is
            missing, or Γ breaks its rules.
    """
    check_name(kind, KINDS, "kind of coupling")
    k = len(embeddings)
    if not k:
        raise InputError("embeddings must hold at least one modality; there is none.")
    if (kind == "given") != (given is not None):
        raise InputError("Hand in given=Γ with kind 'given', and only then.")
    if kind == "given":
        return as_coupling(given, k)
    if kind == "one":
        return np.ones((k, k))
    of: Callable[[Any, Any], float] = copula_correlation
    if kind != "gaussian_copula":
        if rng is None:
            raise InputError(f"Coupling {kind!r} is fitted on a random half of the samples; hand in rng.")
        measure, usual = (canonical_correlation, RIDGE) if kind == "hgr" else (soft_hgr, WAVES_RIDGE)
        of = partial(measure, rng=rng, ridge=usual if ridge is None else ridge)

    gamma = np.eye(k)
    for i in range(k):
        for j in range(i):
            gamma[i, j] = gamma[j, i] = of(embeddings[i], embeddings[j])
    return gamma


def canonical_correlation(x: Any, y: Any, rng: np.random.Generator, *, ridge: float = RIDGE) -> float:
    """Return the first canonical correlation: fitted on one half of the samples, measured on the other.

    The Hirschfeld-Gebelein-Rényi maximal correlation is its sup over all functions in place of linear ones, and bounds
    the correlation of any h_i(x_i) with any h_j(x_j). This estimate lies **below** it where dependence is not linear in
    the embeddings, or where samples are few for their width: then it is no safe coupling.

    Args:
        x, y: (n, D) and (n, D'), n >= 4. A constant column says nothing.
        rng: halves the samples.
        ridge: added to the variances, which are 1, at least 0.

    Returns:
        In [0, 1]; 0 where a modality is constant.

    Raises:
        ShapeError: shapes do not match.
        InputError: an entry is not finite, there are fewer than 4 samples, or `ridge` is negative.

    Source:
        Hotelling 1936, "Relations Between Two Sets of Variates"; Vinod 1976, "Canonical Ridge and Econometrics of Joint
        Production".
    """
    a, b = _pair(x, y)
    fit, held = _halves(len(a), rng)
    (za, zb), (ha, hb) = zip(*(_standard(v, fit, held) for v in (a, b)), strict=True)
    _, u, v = _directions(za, zb, ridge)
    return min(1.0, abs(_correlation(ha @ u, hb @ v)))


def soft_hgr(x: Any, y: Any, rng: np.random.Generator, *, ridge: float = WAVES_RIDGE) -> float:
    """Return √(2 J), J the Soft-HGR objective E[f g] - ½ Var f Var g of functions that bend, on held-out samples.

    Over all functions J is at most half the squared maximal correlation. Here f and g are sums of 64 random cosines of
    the standardised embeddings: for these, J is greatest in closed form (the best approximation of rank one of the
    whitened cross-covariance).

    Args, Raises: as `canonical_correlation`; `rng` also draws the cosines.

    Returns:
        In [0, 1]; 0 where J is not above 0.

    Source:
        Wang et al. 2019, "An Efficient Approach to Informative Feature Extraction from Multimodal Data"; Lopez-Paz et
        al. 2013, "The Randomized Dependence Coefficient", for the cosines.

    Deviations:
        The paper trains networks with several outputs; here each modality has one function, so that the value bounds a
        correlation, and nothing is trained by gradient.
    """
    a, b = _pair(x, y)
    fit, held = _halves(len(a), rng)
    (za, zb), (ha, hb) = zip(*(_waves(v, fit, held, rng) for v in (a, b)), strict=True)
    top, u, v = _directions(za, zb, ridge)
    f, g = np.sqrt(top) * (ha @ u), np.sqrt(top) * (hb @ v)
    f, g = f - f.mean(), g - g.mean()
    objective = np.mean(f * g) - np.mean(f**2) * np.mean(g**2) / 2
    return float(np.sqrt(np.clip(2 * objective, 0, 1)))


def copula_correlation(x: Any, y: Any) -> float:
    """Return the correlation of greatest size between normal scores of the columns of x and y, with its sign.

    Normal scores Φ⁻¹(rank / (n + 1)) do not depend on the marginals: for samples of a Gaussian copula this is its
    correlation, whatever the marginals are. Of many columns the greatest is too large by chance, which is the safe side.

    Args:
        x, y: (n, D) and (n, D'), n >= 4. Ties share their mean rank; a constant column says nothing.

    Returns:
        In [-1, 1].

    Raises:
        ShapeError: shapes do not match.
        InputError: an entry is not finite, or there are fewer than 4 samples.

    Source:
        Liu, Lafferty, Wasserman 2009, "The Nonparanormal".

    Deviations:
        Ranks are not cut at the ends: with n + 1 below the fraction bar none of them is infinite.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    a, b = _pair(x, y)
    everybody = np.arange(len(a))
    u, v = (
        _standard(ndtri(rankdata(values, axis=0) / (len(a) + 1)), everybody, everybody)[0]
        for values in (a, b)
    )
    cross = u.T @ v / len(a)
    return float(np.clip(cross.flat[np.abs(cross).argmax()], -1, 1))


def _pair(x: Any, y: Any) -> tuple[Floats, Floats]:
    a, b = (as_finite(values, "an embedding", ("n", "D")) for values in (x, y))
    if len(a) != len(b):
        raise ShapeError(f"Embeddings must be of the same samples; there are {len(a)} and {len(b)}.")
    if len(a) < LEAST:
        raise InputError(
            f"A coupling is measured on at least {LEAST} samples; there are {len(a)}. Say what it is (kind 'given'), or "
            "take the most there can be (kind 'one')."
        )
    return a, b


def _halves(n: int, rng: np.random.Generator) -> tuple[Any, Any]:
    order = rng.permutation(n)
    return order[: n // 2], order[n // 2 :]


def _standard(values: Floats, fit: Any, held: Any) -> tuple[Floats, Floats]:
    """Return both halves with columns of mean 0 and deviation 1 on the first; a constant column becomes 0."""
    scale = np.abs(values).max(axis=0)
    scaled = values / np.where(scale > 0, scale, 1)  # squares of large numbers may not fit
    centred = scaled - scaled[fit].mean(axis=0)
    deviation = centred[fit].std(axis=0)
    centred = centred / np.where(deviation > ROUNDING, deviation, np.inf)
    return centred[fit], centred[held]


def _waves(values: Floats, fit: Any, held: Any, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return random cosines of the standardised columns, standardised themselves, of both halves."""
    width = values.shape[1]
    slopes = rng.standard_normal((width, WAVES)) / np.sqrt(width)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    halves = [np.cos(z @ slopes + phases) for z in _standard(values, fit, held)]
    return _standard(np.concatenate(halves), np.arange(len(fit)), np.arange(len(fit), len(values)))


def _directions(x: Floats, y: Floats, ridge: float) -> tuple[float, Floats, Floats]:
    """Return the greatest singular value of the whitened cross-covariance and both directions to project on."""
    extra = check_number(ridge, "ridge", 0)
    wx, wy = (_whitening(z, extra) for z in (x, y))
    left, values, right = np.linalg.svd(wx @ (x.T @ y / len(x)) @ wy, full_matrices=False)
    return float(values[0]), wx @ left[:, 0], wy @ right[0]


def _whitening(z: Floats, ridge: float) -> Floats:
    """Return (ZᵀZ/n + ridge)^-½; directions without variance stay 0 where there is no ridge."""
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    raised = values.clip(min=0) + ridge
    kept = raised > ROUNDING * max(float(raised.max()), 1.0)
    return np.asarray((vectors * np.where(kept, 1 / np.sqrt(np.where(kept, raised, 1)), 0)) @ vectors.T)


def _correlation(u: Floats, v: Floats) -> float:
    u, v = u - u.mean(), v - v.mean()
    size = float(np.sqrt(np.sum(u**2) * np.sum(v**2)))
    return float(u @ v) / size if size > ROUNDING else 0.0
