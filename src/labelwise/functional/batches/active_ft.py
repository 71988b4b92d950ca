"""ActiveFT: moves parameters until they stand for the pool and apart from one another, and takes the nearest samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from labelwise.checks import as_ids, check_count
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import is_tensor, namespace, to_numpy
from labelwise.functional.clusters import Rows, nearest_rows, rows_of

BETAS, EPS = (0.9, 0.999), 1e-8  # of Adam


class Loss(NamedTuple):
    """A loss, its gradient by the parameters, (b, D), and each row's nearest parameter, (n,)."""

    value: float
    gradient: Any
    members: NDArray[np.int64]


def active_ft(
    x: Any,
    n: int,
    rng: np.random.Generator,
    *,
    steps: int = 300,
    rate: float = 1e-3,
    temperature: float = 0.07,
    balance: float = 1.0,
    start: Any = None,
) -> NDArray[np.int64]:
    """Return the rows nearest to n parameters that were moved, from n drawn rows on, down the loss of ActiveFT.

    Adam on all rows at once; then each parameter in turn takes the nearest row that no earlier one has taken.

    Args:
        x: (m, D), NumPy or torch, memory maps welcome; rows are scaled to length 1.
        n: how many rows to take; all of them where there are fewer.
        rng: draws the rows at which parameters start.
        steps: steps of Adam.
        rate: its learning rate.
        temperature, balance: see `active_ft_loss`.
        start: (min(n, m),) distinct rows at which parameters start instead.

    Returns:
        (min(n, m),) distinct rows, one a parameter.

    Raises:
        ShapeError: `x` is not (m, D), or `start` not of n rows.
        InputError: a row has no finite norm, `start` holds a row outside, or a number is out of range.

    Source:
        Xie, Lu, Yan, Yang, Tomizuka, Zhan 2023, "Active Finetuning: Exploiting Annotation Budget in the
        Pretraining-Finetuning Paradigm".
    """
    rows = rows_of(x, "x", unit=True)
    n = min(check_count(n, "n"), len(rows))
    check_count(steps, "steps")
    first = rng.choice(len(rows), n, replace=False) if start is None else as_ids(start, "start")
    if first.size != n:
        raise ShapeError(f"start must hold n = {n} rows; it holds {first.size}.")
    if n == 0:
        return np.empty(0, np.int64)
    if first.min() < 0 or first.max() >= len(rows):
        raise InputError(f"start must hold rows of x, 0 to {len(rows) - 1}.")
    theta = _moved(rows, rows.take(first), steps, rate, temperature, balance)
    return nearest_rows(x, _unit(theta, rows.xp)[0], unit=True)


def active_ft_parameters(
    x: Any,
    theta: Any,
    *,
    steps: int = 300,
    rate: float = 1e-3,
    temperature: float = 0.07,
    balance: float = 1.0,
) -> Any:
    """Return parameters after some steps of Adam down the loss of ActiveFT.

    Args:
        x: (N, D), scaled to length 1 here; NumPy or torch.
        theta: (b, D) where the parameters start, in the same kind of array.
        steps, rate, temperature, balance: see `active_ft`.

    Returns:
        (b, D), of no particular length.

    Raises:
        As `active_ft_loss`.
    """
    rows, places = _pair(x, theta)
    return _moved(rows, places, check_count(steps, "steps"), rate, temperature, balance)


def active_ft_loss(theta: Any, x: Any, *, temperature: float = 0.07, balance: float = 1.0) -> Loss:
    """Return the loss of ActiveFT and its gradient: parameters near to rows, and far from one another.

    -1/N Σ_i ln( e^{f_i·θ_c/τ} / (e^{f_i·θ_c/τ} + β Σ_k e^{θ̄_k·θ_c/τ}) ), where c is the parameter nearest to row i, all
    vectors have length 1, k runs over all parameters, c among them, and no gradient flows through θ̄.

    Args:
        theta: (b, D) parameters of any length.
        x: (N, D), scaled to length 1 here; NumPy or torch, as theta.
        temperature: τ, above 0.
        balance: β, at least 0.

    Returns:
        The loss; its gradient by `theta` as given, not scaled, in the same kind of array; (N,) nearest parameters.

    Raises:
        ShapeError: widths differ, or an array has no row.
        InputError: a row has no finite norm, or a number is out of range.

    Source:
        As `active_ft`; like its public code, and unlike a plain reading of the formula, with k = c and the stop.
    """
    rows, places = _pair(x, theta)
    return _loss(places, rows, temperature, balance)


def _pair(x: Any, theta: Any) -> tuple[Rows, Any]:
    rows = rows_of(x, "x", unit=True)
    places = rows_of(theta, "theta", width=int(rows.array.shape[1]))
    namespace(rows.array, places.array)
    if not len(rows) or not len(places):
        raise ShapeError("theta and x must have at least one row.")
    return rows, places.take(slice(None))


def _moved(rows: Rows, theta: Any, steps: int, rate: float, temperature: float, balance: float) -> Any:
    """Return parameters after steps of Adam."""
    if not 0 < rate < np.inf:
        raise InputError(f"rate must be above 0 and finite; it is {rate!r}.")
    xp = rows.xp
    mean, square = xp.zeros_like(theta), xp.zeros_like(theta)
    for step in range(1, steps + 1):
        with np.errstate(all="ignore"):  # the parameters tell
            slope = _loss(theta, rows, temperature, balance).gradient
            mean = BETAS[0] * mean + (1 - BETAS[0]) * slope
            square = BETAS[1] * square + (1 - BETAS[1]) * slope * slope
            spread = xp.sqrt(square / (1 - BETAS[1] ** step)) + EPS
            theta = theta - rate / (1 - BETAS[0] ** step) * mean / spread
            fine = to_numpy(xp.all(xp.isfinite(xp.vecdot(theta, theta))))
        if not fine:
            raise InputError(
                f"Step {step} of ActiveFT leaves all finite numbers with temperature = {temperature:g}, "
                f"balance = {balance:g}, rate = {rate:g}."
            )
    return theta


def _unit(theta: Any, xp: Any) -> tuple[Any, Any]:
    """Return rows of length 1 and the lengths they had; a row of zeros stays one."""
    norms = xp.sqrt(xp.vecdot(theta, theta))
    norms = xp.where(norms > 0, norms, xp.ones_like(norms))
    return theta / norms[:, None], norms


def _loss(theta: Any, rows: Rows, temperature: float, balance: float) -> Loss:
    if not 0 < temperature < np.inf or not 0 <= balance < np.inf:
        raise InputError(
            f"temperature must be above 0, balance at least 0; they are {temperature!r} and {balance!r}."
        )
    xp, b = rows.xp, int(theta.shape[0])
    t, norms = _unit(theta, xp)
    # Products of unit vectors are at most 1: shifted by that, no exponential overflows.
    apart = xp.exp((t @ xp.permute_dims(t, (1, 0)) - 1) / temperature)  # (b, b), symmetric
    rivals = balance * xp.sum(apart, axis=0)
    value = 0.0
    pull, push = xp.zeros_like(t), xp.zeros_like(norms)
    members = np.empty(len(rows), np.int64)
    for part in rows.blocks(b):
        f = rows.take(part)
        near = f @ xp.permute_dims(t, (1, 0))
        c = xp.argmax(near, axis=1)
        members[part] = to_numpy(c)
        nearest = (xp.max(near, axis=1) - 1) / temperature
        own, others = xp.exp(nearest), rivals[c]
        value += float(xp.sum(xp.log(own + others) - nearest))
        pull = pull + _summed(f, others / (own + others), c, b, xp)
        push = push + _summed(xp.ones_like(own)[:, None], 1 / (own + others), c, b, xp)[:, 0]
    slope = (push[:, None] * balance * (apart @ t) - pull) / (len(rows) * temperature)
    slope = (slope - xp.vecdot(slope, t)[:, None] * t) / norms[:, None]
    return Loss(value / len(rows), slope, members)


def _summed(values: Any, weights: Any, groups: Any, k: int, xp: Any) -> Any:
    """Return Σ weights · values within each of k groups, (k, D), added in the same order at every call."""
    if is_tensor(values):  # a product with ones and zeros: scattering adds in any order on a GPU
        at = groups[None, :] == xp.arange(k, device=values.device)[:, None]
        return (xp.astype(at, values.dtype) * weights[None, :]) @ values
    return csr_array((weights, (groups, np.arange(groups.size))), shape=(k, groups.size)) @ values
