"""Distances between clouds of points by optimal transport; all on the CPU, on top of POT.

Every function takes points as (n, D), or (n,) for points on a line, and returns the distance itself, W_p with its root,
not W_p^p. Sinkhorn values are no distances; `sinkhorn` says what they are.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_name, check_shape
from labelwise.errors import InputError

Floats = NDArray[np.float64]

_STEPS = 10_000_000  # of the network simplex; POT's own limit is too low for a few thousand points


def wasserstein(x: Any, y: Any, p: int = 2, *, x_weights: Any = None, y_weights: Any = None) -> float:
    """Return W_p = (min_P Σ_ij P_ij ‖x_i - y_j‖^p)^(1/p), exactly: p = 1 is the earth mover's distance.

    Args:
        x: (n, D) or (n,).
        y: (m, D) or (m,).
        p: 1 or 2.
        x_weights: (n,) not negative, scaled to sum to 1; None: all alike.
        y_weights: (m,) likewise.

    Returns:
        W_p >= 0. O((n + m) log(n + m)) time on a line; else O(n m) memory and about cubic time: for more than a few
        thousand points draw some, or see `sliced_wasserstein`.

    Raises:
        ShapeError: shapes do not match.
        InputError: a value is not finite, a cloud is empty, weights are negative or all zero, or p is another.

    Source:
        Peyré, Cuturi 2019, "Computational Optimal Transport"; solver: POT's network simplex.
    """
    points, weights = _clouds(x, y, x_weights, y_weights)
    _check_p(p)
    if points[0].shape[1] == 1:
        return float(_on_lines(*points, *weights, p)[0] ** (1 / p))
    from ot import emd2
    from scipy.spatial.distance import cdist

    cost = cdist(*points, metric="sqeuclidean" if p == 2 else "euclidean")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in the log, and an error here
        value, told = emd2(*weights, cost, numItermax=_STEPS, log=True)
    if told["warning"] is not None:
        raise InputError(f"The transport between x and y was not found: {told['warning']}")
    return float(max(value, 0.0) ** (1 / p))


def sinkhorn_plan(
    x: Any,
    y: Any,
    reg: float,
    *,
    x_weights: Any = None,
    y_weights: Any = None,
    tolerance: float = 1e-9,
    steps: int = 10_000,
) -> Floats:
    """Return the entropic plan argmin_P Σ P_ij ‖x_i - y_j‖² + reg Σ P_ij ln P_ij, (n, m) with the weights as margins.

    Args:
        x, y, x_weights, y_weights: as `wasserstein`.
        reg: > 0, in units of squared distance; small values need more steps.
        tolerance: how far the margins may be from the weights (Euclidean norm).
        steps: the most iterations, in the log domain.

    Raises: as `wasserstein`; InputError where `steps` iterations do not reach the tolerance.

    Source:
        Cuturi 2013, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport".
    """
    plan, _ = _entropic(x, y, reg, x_weights, y_weights, tolerance, steps)
    return plan


def sinkhorn(
    x: Any,
    y: Any,
    reg: float,
    *,
    value: str = "cost",
    x_weights: Any = None,
    y_weights: Any = None,
    tolerance: float = 1e-9,
    steps: int = 10_000,
) -> float:
    """Return one of the three numbers that are called the Sinkhorn value, with squared Euclidean cost and P as the plan.

    Args:
        x, y, reg, x_weights, y_weights, tolerance, steps: as `sinkhorn_plan`.
        value: "cost": Σ P_ij ‖x_i - y_j‖², above W_2²; "objective": that plus reg Σ P_ij ln P_ij, what P minimises;
            "divergence": cost(x, y) - cost(x, x)/2 - cost(y, y)/2, which is 0 between equal clouds.

    Raises: as `sinkhorn_plan`; UnknownName for another `value`.

    Source:
        Cuturi 2013; the divergence: Genevay, Peyré, Cuturi 2018, "Learning Generative Models with Sinkhorn
        Divergences".
    """
    check_name(value, ("cost", "objective", "divergence"), "value of sinkhorn")
    plan, cost = _entropic(x, y, reg, x_weights, y_weights, tolerance, steps)
    paid = float((plan * cost).sum())
    if value == "objective":
        return paid + reg * float((plan * np.log(np.where(plan > 0, plan, 1))).sum())
    if value == "divergence":
        clouds, weights = _clouds(x, y, x_weights, y_weights)
        for cloud, mass in zip(clouds, weights, strict=True):
            paid -= _cost_within(cloud[mass > 0], mass[mass > 0], reg, tolerance, steps) / 2
    return paid


def sliced_wasserstein(
    x: Any,
    y: Any,
    p: int = 2,
    *,
    n_projections: int = 50,
    rng: np.random.Generator | None = None,
    projections: Any = None,
    worst: bool = False,
    x_weights: Any = None,
    y_weights: Any = None,
) -> float:
    """Return (mean over directions θ of W_p^p(θ·x, θ·y))^(1/p): W_p on lines, O((n + m) log(n + m)) for each.

    Args:
        x, y, p, x_weights, y_weights: as `wasserstein`.
        n_projections: L, how many directions are drawn, evenly over the sphere.
        rng: draws them; needed unless `projections` are given.
        projections: (D, L) directions as columns of length 1, instead of drawn ones.
        worst: take the largest over directions instead of the mean (max-sliced).

    Raises: as `wasserstein`; InputError where neither an rng nor projections are given.

    Source:
        Bonneel, Rabin, Peyré, Pfister 2015, "Sliced and Radon Wasserstein Barycenters of Measures".
    """
    points, weights = _clouds(x, y, x_weights, y_weights)
    _check_p(p)
    width = points[0].shape[1]
    if projections is not None:
        lines = _finite(projections, "projections")
        check_shape(lines, "projections", ("D", "L"), (width, None))
        if not lines.size or not np.allclose(np.linalg.norm(lines, axis=0), 1, atol=1e-3):
            raise InputError("projections must hold at least one direction, each a column of length 1.")
    elif rng is not None:
        lines = rng.normal(size=(width, check_count(n_projections, "n_projections", 1)))
        lines /= np.linalg.norm(lines, axis=0)
    else:
        raise InputError("sliced_wasserstein needs an rng to draw directions, or projections.")
    powers = _on_lines(points[0] @ lines, points[1] @ lines, *weights, p)
    return float((powers.max() if worst else powers.mean()) ** (1 / p))


def gaussian_wasserstein(x_mean: Any, x_cov: Any, y_mean: Any, y_cov: Any) -> float:
    """Return W_2 between two Gaussians, √(‖m - m'‖² + tr(C + C' - 2 (C^½ C' C^½)^½)): the Bures distance of both.

    Args:
        x_mean: (D,).
        x_cov: (D, D) covariance, or (D,) variances of a diagonal one.
        y_mean: (D,).
        y_cov: as `x_cov`, of the same number of axes.

    Raises:
        ShapeError: shapes do not match.
        InputError: a value is not finite, or a covariance is not symmetric and positive semi-definite.

    Source:
        Dowson, Landau 1982, "The Fréchet Distance between Multivariate Normal Distributions".
    """
    means = [_finite(m, name) for m, name in ((x_mean, "x_mean"), (y_mean, "y_mean"))]
    check_shape(means[0], "x_mean", ("D",), (None,))
    check_shape(means[1], "y_mean", ("D",), means[0].shape)
    covs = [_finite(c, name) for c, name in ((x_cov, "x_cov"), (y_cov, "y_cov"))]
    width, axes = means[0].size, covs[0].ndim
    for cov, name in zip(covs, ("x_cov", "y_cov"), strict=True):
        check_shape(cov, name, ("D",) if axes < 2 else ("D", "D"), (width,) if axes < 2 else (width, width))
    apart = float(np.square(means[0] - means[1]).sum())
    if axes == 1:
        for cov, name in zip(covs, ("x_cov", "y_cov"), strict=True):
            if cov.min(initial=0) < 0:
                raise InputError(f"{name} must hold variances; it holds {cov.min():.6g}.")
        return float(np.sqrt(apart + np.square(np.sqrt(covs[0]) - np.sqrt(covs[1])).sum()))
    first, second = (_root(cov, name) for cov, name in zip(covs, ("x_cov", "y_cov"), strict=True))
    # tr (C^½ C' C^½)^½ is the sum of the singular values of C^½ C'^½: no second root of rounded numbers
    shared = np.linalg.svd(first @ second, compute_uv=False).sum()
    return float(np.sqrt(apart + max(0.0, np.trace(covs[0]) + np.trace(covs[1]) - 2 * shared)))


def _entropic(
    x: Any, y: Any, reg: float, x_weights: Any, y_weights: Any, tolerance: float, steps: int
) -> tuple[Floats, Floats]:
    """Return the entropic plan and the cost, (n, m) each."""
    from ot.bregman import sinkhorn_log
    from scipy.spatial.distance import cdist

    points, (a, b) = _clouds(x, y, x_weights, y_weights)
    if not 0 < reg < np.inf:
        raise InputError(f"reg must be finite and above 0; it is {reg}.")
    cost = cdist(*points, metric="sqeuclidean")
    plan = np.zeros_like(cost)
    here = np.ix_(a > 0, b > 0)  # the logarithm of a weight of 0 would be infinite
    found, told = sinkhorn_log(
        a[a > 0],
        b[b > 0],
        cost[here],
        reg,
        numItermax=check_count(steps, "steps", 1),
        stopThr=tolerance,
        log=True,
        warn=False,
    )
    if not told["err"][-1] < tolerance:
        raise _unsettled(told["err"][-1], steps, reg)
    plan[here] = found
    return plan, cost


def _cost_within(x: Floats, a: Floats, reg: float, tolerance: float, steps: int) -> float:
    """Return Σ P_ij ‖x_i - x_j‖² of the entropic plan from a cloud to itself.

    Both potentials are then equal, and steps half as long settle in tens where alternating ones take thousands.
    """
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    cost = cdist(x, x, metric="sqeuclidean")
    u, off = np.zeros(len(x)), np.inf
    for _ in range(steps):
        plan = np.exp(u[:, None] + u - cost / reg)
        off = float(np.linalg.norm(plan.sum(axis=1) - a))
        if off < tolerance:
            return float((plan * cost).sum())
        u = (u + np.log(a) - logsumexp(u - cost / reg, axis=1)) / 2
    raise _unsettled(off, steps, reg)


def _unsettled(off: float, steps: int, reg: float) -> InputError:
    return InputError(
        f"Sinkhorn's margins are still {off:.2g} from the weights after {steps} steps. Take a larger reg than {reg}, "
        "more steps, or a larger tolerance."
    )


def _on_lines(x: Floats, y: Floats, a: Floats, b: Floats, p: int) -> Floats:
    """Return W_p^p between the columns of x, (n, L), and of y, (m, L): (L,)."""
    from ot import wasserstein_1d

    return np.asarray(wasserstein_1d(x, y, a, b, p=p))


def _clouds(
    x: Any, y: Any, x_weights: Any, y_weights: Any
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return both clouds as (n, D) and their weights, (n,) with sum 1."""
    first, a = _cloud(x, x_weights, "x", None)
    second, b = _cloud(y, y_weights, "y", first.shape[1])
    return (first, second), (a, b)


def _cloud(values: Any, weights: Any, name: str, width: int | None) -> tuple[Floats, Floats]:
    cloud = _finite(values, name)
    cloud = cloud[:, None] if cloud.ndim == 1 else cloud
    check_shape(cloud, name, ("n", "D"), (None, width))
    if not cloud.size:
        raise InputError(f"{name} is empty; there is nothing to transport.")
    if weights is None:
        return cloud, np.full(len(cloud), 1 / len(cloud))
    mass = _finite(weights, f"{name}_weights")
    check_shape(mass, f"{name}_weights", ("n",), (len(cloud),))
    if mass.min() < 0 or mass.sum() == 0:
        raise InputError(f"{name}_weights must not be negative, nor all zero.")
    return cloud, mass / mass.sum()


def _finite(values: Any, name: str) -> Floats:
    array = as_array(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
        raise InputError(f"{name}: row {row} is not finite.")
    return array


def _check_p(p: int) -> None:
    if p not in (1, 2):
        raise InputError(f"p must be 1 or 2; it is {p!r}.")


def _root(cov: Floats, name: str) -> Floats:
    """Return the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(cov)
    slack = 1e-9 * max(1.0, float(np.abs(values).max(initial=0)))
    if not np.allclose(cov, cov.T, rtol=1e-6, atol=slack) or values.min(initial=0) < -slack:
        raise InputError(f"{name} must be symmetric and positive semi-definite.")
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
