"""How far rows are from the nearest of many centres of k-means, as quick as matrix products allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count
from labelwise.functional.backend import rows_per_block, to_numpy
from labelwise.functional.clusters.partition import rows_of

Ints = NDArray[np.int64]

AT_ONCE = 128  # rows drawn before distances are measured again


def centroid_distances(
    x: Any, k: int, rng: np.random.Generator, *, iterations: int = 5, most: int = 20_000
) -> NDArray[np.float64]:
    """Return the distance of each row to the nearest of k centres: k-means++ seeds, then Lloyd's iterations.

    Seeds are drawn many at a time, by rejection: a row drawn by old distances is kept with probability new over old
    squared distance, which is the exact distribution of drawing one by one.

    Args:
        x: (n, D), NumPy or torch, memory maps welcome; float32 is computed with as such.
        k: how many centres; n where there are fewer rows, fewer where rows are copies of one another.
        rng: draws the seeds, and the rows to learn from where there are more than `most`.
        iterations: of Lloyd's; fewer where nothing changes any more. 0: distances to the seeds.
        most: rows that seeds and all iterations but the last see, or 32 k if that is more. The last one sees all rows
            in blocks: a centre is nearer to rows that moved it.

    Returns:
        (n,) float64, at least 0; the difference to the nearest centre is taken without products, so that small
        distances keep their digits.

    Raises:
        ShapeError: `x` is not (n, D).
        InputError: a row has no finite norm, or a count is out of range.

    Source:
        Arthur, Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"; Lloyd 1982, "Least Squares
        Quantization in PCM".
    """
    rows = rows_of(x, "x")
    k, n = check_count(k, "k", 1), len(rows)
    check_count(iterations, "iterations")
    if k >= n:
        return np.zeros(n)
    rows = rows.about_mean()
    enough = max(check_count(most, "most", 1), 32 * k)
    every = n <= enough
    sample = to_numpy(rows.take(slice(None) if every else np.sort(rng.choice(n, enough, replace=False))))
    centres, members = _seeds(sample, k, rng)
    for step in range(iterations if every else iterations - 1):
        if step:
            found = _nearest(sample, centres)
            if np.array_equal(found, members):
                break
            members = found
        _move(centres, [(sample, members)])
    blocks = rows.blocks(k)
    if iterations and not every:
        parts = (to_numpy(rows.take(here)) for here in blocks)
        _move(centres, ((part, _nearest(part, centres)) for part in parts))
    out = np.empty(n)
    for here in blocks:
        part = to_numpy(rows.take(here))
        off = part - centres[_nearest(part, centres)]
        out[here] = np.sqrt(np.vecdot(off, off))
    return out


def _seeds(x: Array, k: int, rng: np.random.Generator) -> tuple[Array, Ints]:
    """Return up to k rows by k-means++, (k, D), and the nearest of them to each row, (n,)."""
    squares = np.vecdot(x, x)
    new = np.array([rng.integers(len(x))])
    chosen = [x[new]]
    near = np.full(len(x), np.inf, x.dtype)
    members = np.zeros(len(x), np.int64)
    count = 0
    while True:
        _approach(x, squares, chosen[-1], count, near, members)
        near[new] = 0
        count += len(new)
        ahead = np.cumsum(near, dtype=np.float64)
        if count == k or not ahead[-1] > 0:  # no other place is left
            return np.concatenate(chosen), members
        size = min(k - count, max(8, count), AT_ONCE)
        drawn = np.searchsorted(ahead, rng.random(size) * ahead[-1], side="right")
        drawn = np.minimum(drawn, len(x) - 1)
        new = drawn[_kept(x[drawn], near[drawn], rng.random(size))]
        chosen.append(x[new])


def _kept(found: Array, old: Array, levels: Array) -> Ints:
    """Return which of some rows drawn by old squared distances to keep, so that each is drawn by its newest."""
    own = np.vecdot(found, found)
    between = own[:, None] + own - 2 * (found @ found.T)
    np.fill_diagonal(between, 0)
    now = np.minimum(old, between[0])
    kept = [0]  # nothing has changed since it was drawn
    for row, level in enumerate((levels[1:] * old[1:]).tolist(), 1):
        if level < now[row]:
            kept.append(row)
            np.minimum(now, between[row], out=now)
    return np.array(kept, np.int64)


def _approach(x: Array, squares: Array, centres: Array, first: int, near: Array, members: Ints) -> None:
    """Lower squared distances, and tell which centre is the nearest, by centres numbered from `first` on."""
    for here in _parts(len(x), len(centres)):
        far = _reduced(x[here], centres)
        which = far.argmin(axis=1)
        best = np.maximum(far[np.arange(len(far)), which] + squares[here], 0)
        closer = best < near[here]
        near[here] = np.where(closer, best, near[here])
        members[here] = np.where(closer, first + which, members[here])


def _nearest(x: Array, centres: Array) -> Ints:
    found = [_reduced(x[here], centres).argmin(axis=1) for here in _parts(len(x), len(centres))]
    return np.concatenate(found)


def _reduced(x: Array, centres: Array) -> Array:
    """Return ‖x - c‖² - ‖x‖², (r, k)."""
    far = x @ (-2 * centres).T
    far += np.vecdot(centres, centres)
    return np.asarray(far)


def _move(centres: Array, parts: Iterable[tuple[Array, Ints]]) -> None:
    """Put each centre at the mean of its rows; one without any stays where it is.

    Args:
        centres: (k, D).
        parts: rows (r, D) and their centres (r,), some at a time.
    """
    from scipy.sparse import csr_array

    counts, sums = np.zeros(len(centres), np.int64), np.zeros(centres.shape)
    for x, members in parts:
        starts = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=len(centres)))])
        ones = np.ones(len(x), x.dtype)
        sums += csr_array((ones, np.argsort(members, kind="stable"), starts), (len(centres), len(x))) @ x
        counts += np.diff(starts)
    here = counts > 0
    centres[here] = sums[here] / counts[here, None]


def _parts(n: int, k: int) -> list[slice]:
    step = rows_per_block(k)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
