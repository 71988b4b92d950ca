"""How far rows are from the nearest of many centres of k-means, as quick as matrix products allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_number
from labelwise.functional.backend import to_numpy
from labelwise.functional.clusters.partition import Rows, rows_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AT_ONCE = 256  # rows drawn before distances are measured again
HELD_BYTES = 2**28  # rows stay ready to compute with while they take no more


def centroid_distances(
    x: Any, k: int, rng: np.random.Generator, *, iterations: int = 5, tolerance: float = 0.01
) -> Floats:
    """Return the distance of each row to the nearest of k centres: k-means++ seeds, then Lloyd's iterations.

    All rows seed and move centres, however many there are: centres lie nearer to rows that moved them, so distances
    would tell which did. O(n k D) time an iteration, all of it in matrix products; no array (n, k).

    Args:
        x: (n, D), NumPy or torch, memory maps welcome; computed with in float32 where it is that or shorter.
        k: how many centres; n where there are fewer rows, fewer where rows are copies of one another.
        rng: draws the seeds.
        iterations: of Lloyd's at most; 0: distances to the seeds.
        tolerance: stop where an iteration shortens squared distances by a smaller share than this, as the fourth or
            fifth does as a rule; 0: where nothing changes any more.

    Returns:
        (n,) float64, at least 0. The difference to the nearest centre is taken without products, so that small
        distances keep their digits.

    Raises:
        ShapeError: `x` is not (n, D).
        InputError: a row has no finite norm, or another value is out of range.

    Source:
        Arthur, Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"; Lloyd 1982, "Least Squares
        Quantization in PCM".
    """
    rows = rows_of(x, "x")
    k, n = check_count(k, "k", 1), len(rows)
    check_count(iterations, "iterations")
    check_number(tolerance, "tolerance", 0, 1)
    if k >= n:
        return np.zeros(n)
    blocks = Blocks(rows.about_mean(), k)
    centres, members = seeds(blocks, k, rng)
    settled = not iterations  # whether members are the nearest centres
    before = np.inf
    for step in range(iterations):
        if step:
            changed, total = _assign(blocks, centres, members)
            settled = not changed or before - total < tolerance * before
            if settled:
                break
            before = total
        _move(blocks, centres, members)
    out = np.empty(n)
    for here, part in blocks:
        off = part - centres[members[here] if settled else _nearest(part, centres)]
        out[here] = np.sqrt(np.vecdot(off, off))
    return out


class Blocks:
    """Rows in NumPy, some at a time; converted once where they are few enough to be held."""

    def __init__(self, rows: Rows, k: int) -> None:
        """Cut rows so that a block's distances to k centres stay small."""
        self.rows, self.slices = rows, rows.blocks(k)
        first = to_numpy(rows.take(slice(0, 1)))
        self.dtype, self.width = first.dtype, first.shape[1]
        self.held = self.take(slice(None)) if len(rows) * first.nbytes <= HELD_BYTES else None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        for here in self.slices:
            yield here, self.take(here) if self.held is None else self.held[here]

    def take(self, which: Any) -> Array:
        """Return some rows, (r, D)."""
        return to_numpy(self.rows.take(which))


def seeds(blocks: Blocks, k: int, rng: np.random.Generator) -> tuple[Array, Ints]:
    """Return k rows by k-means++, and which of them is the nearest to each row.

    Many are drawn at a time, by rejection: a row drawn by distances to older centres is kept with probability new over
    old squared distance, which is exactly to draw one by one.

    Returns:
        (k, D), fewer where all rows are copies of them; (n,).
    """
    n = len(blocks)
    near, members = np.full(n, np.inf, blocks.dtype), np.zeros(n, np.int64)
    new = rng.integers(n, size=1)
    chosen = [blocks.take(new)]
    count = 0
    while True:
        _approach(blocks, chosen[-1], count, near, members)
        near[new] = 0
        count += len(new)
        ahead = np.cumsum(near, dtype=np.float64)
        if count == k or not ahead[-1] > 0:  # no other place is left
            return np.concatenate(chosen), members
        size = min(k - count, max(8, count), AT_ONCE)
        drawn = np.searchsorted(ahead, rng.random(size) * ahead[-1], side="right")
        drawn = np.minimum(drawn, n - 1)
        found = blocks.take(drawn)
        kept = _kept(found, near[drawn], rng.random(size))
        new = drawn[kept]
        chosen.append(found[kept])


def _kept(found: Array, old: Array, levels: Array) -> Ints:
    """Return which of some rows drawn by old squared distances to keep, so that each is drawn by its newest."""
    own = np.vecdot(found, found)
    between = own[:, None] + own - 2 * (found @ found.T)
    now = np.minimum(old, between[0])
    kept = [0]  # nothing has changed since it was drawn
    for row, level in enumerate((levels[1:] * old[1:]).tolist(), 1):
        if level < now[row]:
            kept.append(row)
            np.minimum(now, between[row], out=now)
    return np.array(kept, np.int64)


def _approach(blocks: Blocks, centres: Array, first: int, near: Array, members: Ints) -> None:
    """Lower squared distances, and tell which centre is the nearest, by centres numbered from `first` on."""
    for here, part in blocks:
        far = _reduced(part, centres)
        which = far.argmin(axis=1)
        best = far[np.arange(len(far)), which] + np.vecdot(part, part)
        closer = best < near[here]
        near[here] = np.where(closer, np.maximum(best, 0), near[here])
        members[here] = np.where(closer, first + which, members[here])


def _assign(blocks: Blocks, centres: Array, members: Ints) -> tuple[bool, float]:
    """Give each row its nearest centre; return whether any is another than before, and the sum of squared distances."""
    changed, total = False, 0.0
    for here, part in blocks:
        far = _reduced(part, centres)
        found = far.argmin(axis=1)
        changed = changed or not np.array_equal(found, members[here])
        members[here] = found
        near = far[np.arange(len(far)), found] + np.vecdot(part, part)
        total += float(near.sum(dtype=np.float64))
    return changed, max(total, 0.0)


def _nearest(x: Array, centres: Array) -> Ints:
    return np.asarray(_reduced(x, centres).argmin(axis=1), np.int64)


def _reduced(x: Array, centres: Array) -> Array:
    """Return ‖x - c‖² - ‖x‖², (r, k)."""
    far = x @ (-2 * centres).T
    far += np.vecdot(centres, centres)
    return np.asarray(far)


def _move(blocks: Blocks, centres: Array, members: Ints) -> None:
    """Put each centre at the mean of its rows; one without any stays where it is."""
    from scipy.sparse import csr_array

    k = len(centres)
    sums = np.zeros((k, blocks.width))
    for here, part in blocks:
        ends = np.cumsum(np.bincount(members[here], minlength=k))
        order = np.argsort(members[here], kind="stable")
        ones = np.ones(len(part), blocks.dtype)
        sums += csr_array((ones, order, np.append(0, ends)), (k, len(part))) @ part
    counts = np.bincount(members, minlength=k)
    full = counts > 0
    centres[full] = sums[full] / counts[full, None]
