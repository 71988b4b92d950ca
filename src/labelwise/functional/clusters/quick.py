"""k-means in a fixed number of iterations, for thousands of small problems in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count
from labelwise.errors import ShapeError
from labelwise.functional.backend import rows_per_block
from labelwise.functional.clusters.partition import Rows, rows_of


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
    rows = rows_of(x, "x")
    n = len(rows)
    if n == 0:
        raise ShapeError("x must have at least one row.")
    k = min(check_count(k, "k", 1), n)
    check_count(iterations, "iterations")
    if k == 1:
        return np.zeros(n, np.int64)
    rows = rows.about_mean()
    every = n <= max(most, k)
    drawn = slice(None) if every else np.sort(rng.choice(n, max(most, k), replace=False))
    sample = _taken(rows, drawn)
    centres = sample[_seeds(sample, k, rng)]
    members = np.full(len(sample), k)  # of none yet
    sums = np.zeros((k + 1, sample.shape[1]), sample.dtype)
    for _ in range(iterations):
        found = _nearest(sample, centres)
        moved = np.flatnonzero(found != members)
        if not moved.size:
            break
        for some in _parts(moved, k):  # later iterations move few rows
            change = np.zeros((k + 1, some.size), sample.dtype)
            change[found[some], np.arange(some.size)] = 1
            change[members[some], np.arange(some.size)] = -1
            sums += change @ sample[some]
        members = found
        counts = np.bincount(members, minlength=k)
        here = counts > 0  # a centre without members stays where it is
        centres[here] = sums[:k][here] / counts[here, None].astype(sample.dtype)
    if not (every and iterations):
        members = np.empty(n, np.int64)
        for part in rows.blocks(k):
            members[part] = _nearest(_taken(rows, part), centres)
    return np.asarray(np.unique(members, return_inverse=True)[1], np.int64)


def _taken(rows: Rows, which: Any) -> Array:
    from labelwise.functional.backend import to_numpy

    return to_numpy(rows.take(which))


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
