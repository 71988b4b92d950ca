"""Batches that raise how well a kernel around each labelled sample covers the pool: MaxHerding, UHerding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_shape
from labelwise.errors import InputError
from labelwise.functional.backend import is_tensor, like, to_numpy
from labelwise.functional.clusters import raised, rows_of, squared_distances

EVALUATED = 10_000  # rows that coverage is summed over
WORK = 4 * 2**20  # kernel values in work at a time


def max_herding(
    x: Any,
    n: int,
    *,
    labelled: Any = None,
    sigma: float = 1.0,
    weights: Any = None,
    unit: bool = False,
    rng: np.random.Generator | None = None,
    evaluated: int = EVALUATED,
) -> NDArray[np.int64]:
    """Return n rows that greedily raise the coverage Σ_e w_e max_c k(x_e, x_c), c over labelled and chosen samples.

    k(x, y) = exp(-‖x - y‖² / σ²): a soft ball. Gains only fall as rows are chosen, so a row is looked at again only when
    its last known gain leads (lazy greedy): the rows are those of the plain greedy search.

    Args:
        x: (m, D) unlabelled samples, NumPy or torch, memory maps welcome.
        n: how many rows to take; all of them where there are fewer.
        labelled: (L, D) labelled samples.
        sigma: width of the kernel, above 0; at least a millionth of the largest distance of a row to their mean is
            taken, for shorter distances are rounding.
        weights: (m,) non-negative, how much it counts that a row is covered; None: all alike (MaxHerding).
        unit: scale rows to length 1 first, as the papers do.
        rng: draws the rows that coverage is summed over, where there are more than `evaluated`; None: evenly spaced ones.
        evaluated: how many rows coverage is summed over at most.

    Returns:
        (min(n, m),) distinct rows, in the order of asking; the lowest row on ties.

    Raises:
        ShapeError: an array has a wrong shape.
        InputError: a row has no finite norm, a weight is negative or not finite, or sigma is not above 0.

    Source:
        Bae, Noh, Sutherland 2024, "Generalized Coverage for More Robust Low-Budget Active Learning"; with weights
        Bae, Sutherland, Oliveira 2025, "Uncertainty Herding: One Active Learning Method for All Label Budgets".
    """
    if not 0 < sigma < np.inf:
        raise InputError(f"sigma must be above 0 and finite; it is {sigma!r}.")
    rows = rows_of(x, "x", unit=unit)
    m = len(rows)
    n = min(check_count(n, "n"), m)
    counts = np.ones(m) if weights is None else as_array(weights, "weights").astype(np.float64)
    check_shape(counts, "weights", ("m",), (m,))
    wrong = np.flatnonzero(~(counts >= 0) | np.isinf(counts))
    if wrong.size:
        raise InputError(
            f"weights: row {int(wrong[0])} is {counts[wrong[0]]:.6g}; weights must be at least 0."
        )
    counts = counts / max(counts.max(initial=0), np.finfo(np.float64).tiny)  # no float32 overflows
    known = None if labelled is None else rows_of(labelled, "labelled", width=int(rows.array.shape[1]))
    if n == 0:
        return np.empty(0, np.int64)
    most = check_count(evaluated, "evaluated", 1)
    judged = np.arange(m)
    if m > most:
        judged = (
            np.linspace(0, m - 1, most).astype(np.int64)
            if rng is None
            else np.sort(rng.choice(m, most, False))
        )
    rows = rows.about_mean().resolving(sigma)
    crowd = rows.take(judged)
    heights = rows.xp.zeros_like(crowd[:, 0])
    sigma = max(float(sigma), 1e-6 * float(rows.xp.max(rows.xp.vecdot(crowd, crowd))) ** 0.5)
    right = rows.xp.permute_dims(raised(crowd, rows.xp, left=False), (1, 0))
    soft = _Soft(right, rows.xp.astype(like(crowd, counts[judged]), crowd.dtype), sigma, rows.xp)
    del crowd
    if known is not None and len(known):
        others = rows.of(known.array)
        for part in _blocks(len(known), judged.size):
            found = rows.xp.max(soft.kernel(others.take(part)), axis=0)
            heights = rows.xp.where(found > heights, found, heights)
    gains = np.concatenate([soft.gains(rows.take(part), heights) for part in _blocks(m, judged.size)])
    chosen = np.empty(n, np.int64)
    fresh = np.ones(m, bool)
    for i in range(n):
        ahead = 32
        while not fresh[best := int(np.argmax(gains))]:
            ahead = min(2 * ahead, m)  # at first few rows, which mostly settle it; then ever more at a time
            rival = float(gains[fresh].max(initial=-np.inf))
            stale = np.flatnonzero(~fresh & (gains >= rival) & (gains > -np.inf))  # but no chosen row
            if stale.size > ahead:
                stale = stale[np.argpartition(-gains[stale], ahead)[:ahead]]
            for part in _blocks(stale.size, judged.size):
                gains[stale[part]] = soft.gains(rows.take(stale[part]), heights)
            fresh[stale] = True
        chosen[i] = best
        found = soft.kernel(rows.take(np.array([best])))[0]
        heights = rows.xp.where(found > heights, found, heights)
        fresh[:] = False
        gains[chosen[: i + 1]] = -np.inf
    return chosen


def least_distance(x: Any, *, unit: bool = False) -> float:
    """Return the smallest distance between two rows that differ; infinite where there are none.

    Args:
        x: (m, D), NumPy or torch; it takes m² D time.
        unit: scale rows to length 1 first.

    Raises:
        ShapeError: not (m, D).
        InputError: a row has no finite norm.
    """
    rows = rows_of(x, "x", unit=unit)
    if len(rows) < 2:
        return float("inf")
    rows, xp = rows.about_mean(), rows.xp
    least = np.inf
    for part in rows.blocks(2 * len(rows)):
        here = xp.astype(rows.take(part), xp.float64)
        for other in rows.blocks(2 * len(rows)):
            there = xp.astype(rows.take(other), xp.float64)
            found = squared_distances(here, there, xp)
            scale = xp.vecdot(here, here)[:, None] + xp.vecdot(there, there)[None, :]
            apart = found[found > 1e-13 * scale]  # less is rounding: the rows are equal
            least = min(least, float(xp.min(apart)) if apart.shape[0] else np.inf)
    return float(np.sqrt(least))


@dataclass(frozen=True, eq=False)
class _Soft:
    """The Gaussian kernel of rows with the crowd that coverage is summed over, (D + 2, crowd)."""

    crowd: Any
    weights: Any
    sigma: float
    xp: Any

    def kernel(self, here: Any) -> Any:
        """Return k(x, y) of some rows with the crowd, (k, crowd)."""
        found = raised(here, self.xp, left=True) @ self.crowd
        with np.errstate(over="ignore"):  # far rows of a narrow kernel: exp(-inf) is 0
            found *= min(2 / self.sigma / self.sigma, 1e30)
        if is_tensor(found):
            return self.xp.exp(self.xp.clip(found, max=0))
        return np.exp(np.minimum(found, 0, out=found), out=found)

    def gains(self, here: Any, heights: Any) -> Array:
        """Return how much coverage each row would add, (k,) in float64."""
        found = self.kernel(here)
        found -= heights[None, :]
        found = self.xp.clip(found, min=0) if is_tensor(found) else np.maximum(found, 0, out=found)
        # beside a column of zeros, for no number of threads changes a product of matrices, but some one with a vector
        pair = self.xp.stack([self.weights, self.xp.zeros_like(self.weights)], axis=1)
        return to_numpy(found @ pair)[:, 0].astype(np.float64)


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, WORK // max(width, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
