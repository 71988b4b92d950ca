"""Exact Wasserstein distances between many small clouds of points: what a reward is made of, thousands a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError

Floats = NDArray[np.float64]

_STEPS = 10_000_000  # of the network simplex
_SLACK = 1 + 1e-9  # bounds are equal to what they bound where points coincide, but for rounding


def euclidean_costs(x: Array, y: Array) -> Floats:
    """Return ‖x_i - y_j‖, (n, D) and (m, D) to (n, m): products in float64 about the mean, far faster than differences.

    Distances below about 1e-7 of the clouds' extent are rounding.
    """
    origin = y.mean(axis=0, dtype=np.float64)
    a, b = x - origin, y - origin
    squares = np.vecdot(a, a)[:, None] + np.vecdot(b, b) - 2 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def transport_cost(costs: Floats) -> float:
    """Return min_P Σ P_ij c_ij with even weights on rows and on columns: W1 where the costs are distances.

    Args:
        costs: (n, m) of at least one row and column.

    Raises:
        InputError: the simplex did not end; costs must be finite.

    Source:
        Peyré, Cuturi 2019, "Computational Optimal Transport"; solver: POT's network simplex.

    Deviations:
        The solver is called below POT's own checks, which take many times longer than a small problem.
    """
    n, m = costs.shape
    if n == 1 or m == 1:  # one point: all mass goes there
        return float(costs.mean())
    from ot.lp.emd_wrap import emd_c

    found = emd_c(np.full(n, 1 / n), np.full(m, 1 / m), np.ascontiguousarray(costs), _STEPS, 0)
    if found[-1] != 1:  # 1: optimal
        raise InputError(f"The transport between two clouds was not found (POT's simplex says {found[-1]}).")
    return float(found[1])


def nearest_cloud(x: Array, clouds: Sequence[Array]) -> int:
    """Return which cloud has the smallest W1 to `x`; the first of equals.

    Most are ruled out by bounds: a plan costs at least what all mass pays to its nearest place, on either side, and
    need not cost more than spreading every point evenly.

    Args:
        x: (n, D).
        clouds: at least one (m, D) each, the likely nearest first.

    Source:
        BRAL-T, equation 7; bounds: relaxed transport as in Kusner et al. 2015, "From Word Embeddings To Document
        Distances".
    """
    least, most = _bounds(x, clouds)
    limit = most.min() * _SLACK
    ahead = [i for i in np.argsort(least, kind="stable").tolist() if not least[i] > limit]
    if len(ahead) == 1:
        return int(ahead[0])
    best, at = np.inf, 0
    for i in ahead:
        if least[i] > best * _SLACK:
            break
        value = transport_cost(euclidean_costs(x, clouds[i]))
        if value < best or (value == best and i < at):
            best, at = value, i
    return at


def _bounds(x: Array, clouds: Sequence[Array]) -> tuple[Floats, Floats]:
    """Return what W1 from `x` to each cloud is at least and at most, in the digits of the points."""
    together = np.concatenate(clouds)  # one product for all clouds
    kind = np.result_type(x.dtype, together.dtype, np.float32)
    origin = together.mean(axis=0, dtype=np.float64).astype(kind)
    a, b = np.subtract(x, origin, dtype=kind), np.subtract(together, origin, dtype=kind)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.vecdot(a, a), np.vecdot(b, b)
        squares = a @ b.T
        squares *= -2
        squares += lengths[0][:, None]
        squares += lengths[1]
        reach = float(np.sqrt(lengths[0].max()) + np.sqrt(lengths[1].max())) ** 2
    # a sum of D products is off by at most D half last places of the product of lengths
    error = (x.shape[1] + 8) * float(np.finfo(kind).eps) / 2 * reach
    if not np.isfinite(error):  # too long for the type
        return np.zeros(len(clouds)), np.full(len(clouds), np.inf)
    above = np.sqrt(np.maximum(squares + kind.type(error), 0))
    squares -= kind.type(error)
    below = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    ends = np.cumsum([len(cloud) for cloud in clouds])[:-1]
    parts = np.split(below, ends, axis=1)
    least = [max(c.min(axis=1).mean(dtype=np.float64), c.min(axis=0).mean(dtype=np.float64)) for c in parts]
    most = [c.mean(dtype=np.float64) for c in np.split(above, ends, axis=1)]
    return np.array(least), np.array(most)


def gaussian_distance(x: Array, y: Array) -> float:
    """Return W2 between the Gaussians with the clouds' means and variances: √(‖m - m'‖² + ‖s - s'‖²)."""
    means = x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)
    spreads = x.std(axis=0, dtype=np.float64) - y.std(axis=0, dtype=np.float64)
    return float(np.sqrt(means @ means + spreads @ spreads))
