"""k-means in a fixed number of iterations, for thousands of small problems in a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count
from labelwise.errors import ShapeError
from labelwise.functional.backend import rows_per_block
from labelwise.functional.clusters.partition import Rows, rows_of

WORTH = 2**19  # numbers from which on it pays to keep bounds: fewer stay in the cache


def quick_kmeans(
    x: Any, k: int, rng: np.random.Generator, *, iterations: int = 10, most: int = 20_000
) -> NDArray[np.int64]:
    """Return the cluster of each row: k-means++ seeds, then at most so many of Lloyd's iterations.

    `kmeans` refines until nothing changes and costs milliseconds however few rows there are; this one costs some tens
    of microseconds an iteration.

    Args:
        x: (n, D), n >= 1, NumPy or torch, memory maps welcome.
        k: how many clusters; n where there are fewer rows.
        rng: draws the seeds, and the rows to learn from where there are more than `most`.
        iterations: of Lloyd's; fewer where nothing changes any more.
        most: rows that the centres are learnt from; all rows are then assigned in blocks.

    Returns:
        (n,) numbers from 0; every number below the largest is in use, so there may be fewer than k.

    Raises:
        ShapeError: `x` is not (n, D) or has no row.
        InputError: a row has no finite norm, or `k` is below 1.

    Source:
        Arthur, Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding".
    """
    return seeded_kmeans(x, k, rng, iterations=iterations, most=most)()


def seeded_kmeans(
    x: Any, k: int, rng: np.random.Generator, *, iterations: int = 10, most: int = 20_000
) -> Callable[[], NDArray[np.int64]]:
    """Return what finds the clusters of `quick_kmeans`; everything random is drawn before it returns.

    Args, Raises: as `quick_kmeans`.
    """
    rows = rows_of(x, "x")
    n = len(rows)
    if n == 0:
        raise ShapeError("x must have at least one row.")
    k = min(check_count(k, "k", 1), n)
    check_count(iterations, "iterations")
    if k == 1:
        return lambda: np.zeros(n, np.int64)
    rows = rows.about_mean()
    every = n <= max(most, k)
    drawn = slice(None) if every else np.sort(rng.choice(n, max(most, k), replace=False))
    sample = _taken(rows, drawn)
    centres = sample[_seeds(sample, k, rng)]

    def refined() -> NDArray[np.int64]:
        members = _refined(sample, centres, iterations)
        if not (every and iterations):
            members = np.empty(n, np.int64)
            for part in rows.blocks(k):
                members[part] = _nearest(_taken(rows, part), centres)
        return np.asarray(np.unique(members, return_inverse=True)[1], np.int64)

    return refined


def _taken(rows: Rows, which: Any) -> Array:
    from labelwise.functional.backend import to_numpy

    return to_numpy(rows.take(which))


def _refined(sample: Array, centres: Array, iterations: int) -> NDArray[np.int64]:
    """Return the centre that each row followed last in Lloyd's iterations; `centres` move in place."""
    n, k = len(sample), len(centres)
    members = np.full(n, k)  # of none yet
    sums = np.zeros((k + 1, sample.shape[1]), sample.dtype)
    bounds = Bounds(sample) if sample.size >= WORTH and k > 1 else None
    for _ in range(iterations):
        if bounds is None:
            asked, found = slice(None), _nearest(sample, centres)
        else:
            asked, found = bounds.settled(sample, centres)
        moved = np.flatnonzero(found != members[asked])
        if not moved.size:
            break
        to, moved = found[moved], moved if isinstance(asked, slice) else asked[moved]
        for low in range(0, moved.size, rows_per_block(k)):  # later iterations move few rows
            part = slice(low, low + rows_per_block(k))
            some = moved[part]
            change = np.zeros((k + 1, some.size), sample.dtype)
            change[to[part], np.arange(some.size)] = 1
            change[members[some], np.arange(some.size)] = -1
            sums += change @ (sample if some.size == n else sample[some])
        members[moved] = to
        counts = np.bincount(members, minlength=k)
        here = counts > 0  # a centre without members stays where it is
        before = centres.copy()
        centres[here] = sums[:k][here] / counts[here, None].astype(sample.dtype)
        if bounds is not None:
            bounds.moved(np.linalg.norm(centres.astype(np.float64) - before, axis=1), members)
    return members


class Bounds:
    """How far each row is at most from its own centre and at least from all others, so that few need be asked again.

    Source:
        Hamerly 2010, "Making k-means Even Faster".
    """

    def __init__(self, sample: Array) -> None:
        self.lengths = np.vecdot(sample, sample)
        # a sum of D products is off by at most D half last places of the product of lengths; centres lie among rows
        half = float(np.finfo(sample.dtype).eps) / 2
        self.error = (sample.shape[1] + 8) * half * 4 * float(self.lengths.max())
        self.most = np.full(len(sample), np.inf)
        self.least = np.zeros(len(sample))

    def settled(self, sample: Array, centres: Array) -> tuple[Any, NDArray[np.int64]]:
        """Return rows whose nearest centre may be another now, and the nearest centres of these."""
        asked: Any = np.flatnonzero(self.most >= self.least)
        if 2 * asked.size > len(sample):  # to gather most rows takes longer than to ask all
            asked = slice(None)
        found, squares, seconds = _nearest_two(sample, centres, asked)
        own = self.lengths[asked]
        for squared, bound, side in ((squares, self.most, 1), (seconds, self.least, -1)):
            far = np.sqrt(np.maximum(squared + own, 0), dtype=np.float64)
            # |d - d'| <= |d² - d'²| / d', and <= √|d² - d'²|
            bound[asked] = far + side * self.error / np.maximum(far, self.error**0.5 or 1)
        return asked, found

    def moved(self, by: NDArray[np.float64], members: NDArray[np.int64]) -> None:
        """Take in how far each centre moved."""
        self.most += by[members]
        self.least -= by.max()


def _nearest_two(sample: Array, centres: Array, asked: Any) -> tuple[NDArray[np.int64], Array, Array]:
    """Return the nearest centre of some rows, the square of its distance and that of the second nearest.

    The squares lack the rows' own.
    """
    squares = np.vecdot(centres, centres)
    n = len(sample) if isinstance(asked, slice) else asked.size
    found, first, second = np.empty(n, np.int64), np.empty(n, sample.dtype), np.empty(n, sample.dtype)
    step = rows_per_block(max(centres.shape))
    for low in range(0, n, step):
        part = slice(low, min(low + step, n))
        rows = sample[part] if isinstance(asked, slice) else sample[asked[part]]
        far = rows @ centres.T
        far *= -2
        far += squares
        found[part] = far.argmin(axis=1)
        at = np.arange(len(far)), found[part]
        first[part] = far[at]
        far[at] = np.inf
        second[part] = far.min(axis=1)
    return found, first, second


def _nearest(x: Array, centres: Array) -> NDArray[np.int64]:
    """Return the nearest centre of each row; its own length does not matter to that."""
    squares = np.vecdot(centres, centres)
    found = []
    for part in _parts(x, len(centres)):
        far = part @ centres.T
        far *= -2
        far += squares
        found.append(far.argmin(axis=1))
    return np.concatenate(found)


def _parts(x: Array, k: int) -> list[Array]:
    """Return x in parts whose distances to k centres fill a block: all of it, unless there are many centres."""
    step = rows_per_block(k)
    return [x[start : start + step] for start in range(0, len(x), step)]


def _seeds(sample: Array, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return k rows by k-means++: each drawn in proportion to its squared distance from those before."""
    seeds = np.empty(k, np.int64)
    seeds[0] = rng.integers(len(sample))
    squares = np.vecdot(sample, sample)
    near = np.full(len(sample), np.inf)
    for j in range(1, k):
        last = seeds[j - 1]
        np.minimum(near, squares + squares[last] - 2 * (sample @ sample[last]), out=near)
        near[last] = 0
        ahead = np.cumsum(np.maximum(near, 0), dtype=np.float64)
        if ahead[-1] > 0:
            seeds[j] = min(
                int(np.searchsorted(ahead, rng.random() * ahead[-1], side="right")), len(sample) - 1
            )
        else:  # no other place is left
            seeds[j] = rng.integers(len(sample))
    return seeds
