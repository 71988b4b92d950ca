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
_WORTH = 2**13  # costs from which on the simplex takes far longer than closer bounds
_SOFTNESS = 0.02  # of the plan behind these, in mean costs
_SWEEPS = 20  # to find it
_CLOSE = 1e-2  # squares below so much of the clouds' extent squared lose digits to products of short floats


def euclidean_costs(x: Array, y: Array) -> Floats:
    """Return ‖x_i - y_j‖, (n, D) and (m, D) to (n, m): products in float64 about the mean, far faster than differences.

    Distances below about 1e-7 of the clouds' extent are rounding.
    """
    origin = y.mean(axis=0, dtype=np.float64)
    a, b = x - origin, y - origin
    squares = np.vecdot(a, a)[:, None] + np.vecdot(b, b) - 2 * (a @ b.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def short_costs(x: Array, y: Array) -> Floats:
    """Return `euclidean_costs` to about five digits, of float32 clouds in half the time: for means of many of them.

    Products are in the digits of the clouds; pairs that are close are looked at again by their differences.
    """
    kind = np.result_type(x.dtype, y.dtype, np.float32)
    if kind != np.float32:
        return euclidean_costs(x, y)
    origin = y.mean(axis=0, dtype=np.float64).astype(kind)
    a, b = np.subtract(x, origin, dtype=kind), np.subtract(y, origin, dtype=kind)
    lengths = np.vecdot(a, a), np.vecdot(b, b)
    squares = a @ b.T
    squares *= -2
    squares += lengths[0][:, None]
    squares += lengths[1]
    i, j = np.nonzero(squares <= _CLOSE * (lengths[0].max() + lengths[1].max()))
    if i.size > len(x) + len(y):  # beside points far away all others are close
        return euclidean_costs(x, y)
    off = a[i] - b[j]
    squares[i, j] = np.vecdot(off, off)
    return np.asarray(np.sqrt(squares, dtype=np.float64))


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
    need not cost more than spreading every point evenly. Where clouds are large, a plan softened by entropy bounds
    both sides to a few percent.

    Args:
        x: (n, D).
        clouds: at least one (m, D) each, the likely nearest first.

    Source:
        BRAL-T, equation 7; bounds: relaxed transport as in Kusner et al. 2015, "From Word Embeddings To Document
        Distances"; Cuturi 2013, "Sinkhorn Distances".
    """
    least, most, costs, error = _bounds(x, clouds)
    ahead = _ahead(least, most)
    if len(ahead) > 1 and np.isfinite(error):
        for i in ahead:
            if costs[i].size >= _WORTH:
                low, high = softened_bounds(costs[i], error)
                least[i], most[i] = np.fmax(least[i], low), np.fmin(most[i], high)
        ahead = _ahead(least, most)
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


def _ahead(least: Floats, most: Floats) -> list[int]:
    """Return which clouds may be the nearest, the smallest lower bound first."""
    limit = most.min() * _SLACK
    return [i for i in np.argsort(least, kind="stable").tolist() if not least[i] > limit]


def _bounds(x: Array, clouds: Sequence[Array]) -> tuple[Floats, Floats, list[Array], float]:
    """Return what W1 from `x` to each cloud is at least and at most, in the digits of the points.

    Also costs that are not above the distances, (n, m) for each cloud, and how far at most their squares are below.
    """
    together = np.concatenate(clouds)  # one product for all clouds
    kind = np.result_type(x.dtype, together.dtype, np.float32)
    origin = together.mean(axis=0, dtype=np.float64).astype(kind)
    a, b = np.subtract(x, origin, dtype=kind), np.subtract(together, origin, dtype=kind)
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.vecdot(a, a), np.vecdot(b, b)
        reach = float(np.sqrt(lengths[0].max()) + np.sqrt(lengths[1].max())) ** 2
    # a sum of D products is off by at most D half last places of the product of lengths
    error = (x.shape[1] + 8) * float(np.finfo(kind).eps) / 2 * reach
    if not np.isfinite(error):  # too long for the type
        return np.zeros(len(clouds)), np.full(len(clouds), np.inf), [], np.inf
    a *= -2
    squares = a @ b.T
    squares += lengths[0][:, None] - kind.type(error)
    squares += lengths[1]
    squares = np.maximum(squares, 0, out=squares)
    ends = np.cumsum([len(cloud) for cloud in clouds])[:-1]
    # a mean of roots is at most the root of the mean
    most = [np.sqrt(c.mean(dtype=np.float64) + 2 * error) for c in np.split(squares, ends, axis=1)]
    costs = np.split(np.sqrt(squares, out=squares), ends, axis=1)
    least = [max(c.min(axis=1).mean(dtype=np.float64), c.min(axis=0).mean(dtype=np.float64)) for c in costs]
    return np.array(least), np.array(most), costs, 2 * error


def softened_bounds(costs: Array, error: float) -> tuple[float, float]:
    """Return what a transport with even weights costs at least and at most; NaN where exponentials vanish.

    The plan u_i K_ij v_j softened by entropy gives both: prices of the columns, with which no row can pay less than
    its cheapest column, and a plan, once what its columns have too much is taken off and spread over what lacks.

    Args:
        costs: (n, m), none above the true ones.
        error: how far their squares are at most below those of the true ones.

    Source:
        Cuturi 2013, "Sinkhorn Distances"; Altschuler, Weed, Rigollet 2017, "Near-linear Time Approximation Algorithms
        for Optimal Transport via Sinkhorn Iteration", algorithm 2.
    """
    n, m = costs.shape
    mean = float(costs.mean(dtype=np.float64))
    with np.errstate(all="ignore"):
        plan = np.exp((costs.min(axis=1, keepdims=True) - costs) / costs.dtype.type(_SOFTNESS * mean or 1))
        columns = np.ones(m, plan.dtype)
        for _ in range(_SWEEPS):
            rows = 1 / (n * (plan @ columns))
            columns = 1 / (m * (rows @ plan))
        prices = _SOFTNESS * mean * np.log(columns)
        low = (costs - prices).min(axis=1).mean(dtype=np.float64) + prices.mean(dtype=np.float64)
        plan *= (1 / (n * (plan @ columns)))[:, None]  # rows have what they should
        plan *= columns
        plan *= np.minimum(1, 1 / (m * plan.sum(axis=0)))
        squares = np.square(costs)
        lack = np.maximum(1 / n - plan.sum(axis=1), 0), np.maximum(1 / m - plan.sum(axis=0), 0)
        rest = lack[0] @ squares @ lack[1] / max(lack[1].sum(), np.finfo(plan.dtype).tiny)
        high = np.sqrt(np.vdot(plan, squares) + rest + error)
    # sums of numbers no larger than these are off by far less than so much of them
    room = 1e-5 * (float(costs.max()) + float(np.abs(prices).max()))
    return float(low - room), float(high + room)


def gaussian_distance(x: Array, y: Array) -> float:
    """Return W2 between the Gaussians with the clouds' means and variances: √(‖m - m'‖² + ‖s - s'‖²)."""
    means = x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)
    spreads = x.std(axis=0, dtype=np.float64) - y.std(axis=0, dtype=np.float64)
    return float(np.sqrt(means @ means + spreads @ spreads))
