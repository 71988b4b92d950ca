"""Groups rows that lie together, and finds the rows nearest to given places; tall arrays are walked in blocks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_name, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import (
    block,
    is_tensor,
    kind_of,
    like,
    namespace,
    points,
    rows_per_block,
    to_numpy,
)

METHODS = ("auto", "lloyd", "mini-batch")
SMALL = 20_000_000  # rows times centres up to which plain Lloyd iterations take about as long as mini-batches
MINI_BATCH, EPOCHS = 5_000, 10
TRAINING_ROWS, ROWS_A_CENTRE = 20_000, 64  # what centres are learned from at most: the larger of the two
SEEDING_ROWS, SEEDING_ROWS_A_CENTRE = (
    5_000,
    10,
)  # what k-means++ seeds are drawn from: most of the time goes there
LISTED = 64  # nearest rows remembered of each place


class Clustering(NamedTuple):
    """Centres, (k, D), and the cluster of each row, (n,)."""

    centres: Array
    members: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of an array as kernels compute with them: contiguous, of unit length if asked, about an origin.

    Distances come from products; they are exact to rounding about the origin, so it should lie among the rows.

    Attributes:
        array: (n, D), NumPy or torch.
        xp: the functions of its library.
        kind: the type to compute with.
        unit: whether rows are scaled to length 1; a row of zeros stays one.
        origin: (D,) what is subtracted, or None.
    """

    array: Any
    xp: Any
    kind: Any
    unit: bool = False
    origin: Any = None

    def __len__(self) -> int:
        return int(self.array.shape[0])

    def take(self, rows: Any) -> Any:
        """Return some rows, a slice or (k,) row numbers."""
        found = self.xp.astype(block(self.array, rows, self.xp), self.kind, copy=False)
        if self.unit:
            norms = self.xp.sqrt(self.xp.vecdot(found, found))
            found = found / self.xp.where(norms > 0, norms, self.xp.ones_like(norms))[:, None]
        return found if self.origin is None else found - self.origin

    def about_mean(self) -> Rows:
        """Return the same rows about their mean."""
        total = 0.0
        for rows in self.blocks():
            total = total + self.xp.sum(self.take(rows), axis=0)
        return Rows(self.array, self.xp, self.kind, self.unit, total / max(len(self), 1))

    def resolving(self, distance: float) -> Rows:
        """Return the same rows, in float64 where products of shorter floats would blur distances of this length."""
        longest = 0.0
        for part in self.blocks():
            found = self.take(part)
            longest = max(longest, float(self.xp.max(self.xp.vecdot(found, found))))
        blurred = distance * distance < 1e-3 * longest  # float32 leaves about three digits of the square
        return replace(self, kind=self.xp.float64) if blurred else self

    def of(self, other: Any) -> Rows:
        """Return another array's rows, treated alike."""
        namespace(self.array, other)  # of one library, on one device
        return Rows(other, self.xp, self.kind, self.unit, self.origin)

    def blocks(self, width: int = 0) -> list[slice]:
        """Return slices that cover all rows, as many a block as its work, `width` numbers a row, allows."""
        step = rows_per_block(max(int(self.array.shape[1]), width))
        return [slice(start, min(start + step, len(self))) for start in range(0, len(self), step)]


def rows_of(x: Any, name: str, *, unit: bool = False, width: int | None = None) -> Rows:
    """Return an array's rows to compute with.

    Raises:
        ShapeError: not (n, D), or D is not `width`.
        InputError: a row has no finite norm; the message names it.
    """
    array = points(x, name, width)
    xp = namespace(array)
    rows = Rows(array, xp, kind_of(array, xp))
    for part in rows.blocks():
        found = rows.take(part)
        with np.errstate(all="ignore"):
            # a margin for squares of distances, which reach four times those of norms, about a mean sixteen times
            fine = to_numpy(rows.xp.isfinite(32 * rows.xp.vecdot(found, found)))
        if not fine.all():
            row = part.start + int(np.flatnonzero(~fine)[0])
            raise InputError(f"{name}: row {row} has no finite norm; a value is NaN, infinite or too large.")
    return Rows(array, xp, rows.kind, unit)


def squared_distances(a: Any, b: Any, xp: Any) -> Any:
    """Return ‖a_i - b_j‖², (n, D) and (m, D) to (n, m), at least 0."""
    found = a @ xp.permute_dims(b, (1, 0))
    found *= -2
    found += xp.vecdot(a, a)[:, None]
    found += xp.vecdot(b, b)[None, :]
    return (
        xp.where(found > 0, found, xp.zeros_like(found))
        if is_tensor(found)
        else np.maximum(found, 0, out=found)
    )


def raised(found: Any, xp: Any, *, left: bool) -> Any:
    """Return rows with two columns more, so that a left row times a right row is -‖a - b‖² / 2."""
    half = xp.vecdot(found, found)[:, None] / -2
    one = xp.ones_like(half)
    return xp.concat([found, half, one] if left else [found, one, half], axis=1)


def nearest_centroid(x: Any, centres: Any, *, unit: bool = False) -> tuple[NDArray[np.int64], Array]:
    """Return the nearest centre of each row, and its squared distance.

    Args:
        x: (n, D), NumPy or torch, memory maps welcome.
        centres: (k, D), k >= 1.
        unit: scale the rows of `x`, not the centres, to length 1 first.

    Returns:
        (n,) numbers of centres, the lowest on ties; (n,) squared distances.

    Raises:
        ShapeError: widths differ, or there is no centre.
        InputError: a row has no finite norm.
    """
    rows = rows_of(x, "x", unit=unit).about_mean()
    places = _places(centres, rows)
    members, squared = np.empty(len(rows), np.int64), np.empty(len(rows))
    for part in rows.blocks(int(places.shape[0])):
        found = squared_distances(rows.take(part), places, rows.xp)
        members[part] = to_numpy(rows.xp.argmin(found, axis=1))
        squared[part] = to_numpy(rows.xp.min(found, axis=1))
    return members, squared


def nearest_rows(x: Any, places: Any, *, unit: bool = False) -> NDArray[np.int64]:
    """Return for each place in turn the nearest row that no earlier place has taken.

    Args:
        x: (n, D), NumPy or torch, memory maps welcome.
        places: (k, D), such as centres.
        unit: scale the rows of `x`, not the places, to length 1 first.

    Returns:
        (min(k, n),) distinct rows; of equally near ones the lowest, unless more than 64 are.

    Raises:
        ShapeError: widths differ, or there is no place.
        InputError: a row has no finite norm.
    """
    rows = rows_of(x, "x", unit=unit).about_mean()
    wanted = _places(places, rows)[: len(rows)]
    k = int(wanted.shape[0])
    taken = np.zeros(len(rows), bool)
    chosen = np.full(k, -1, np.int64)
    done = 0
    while done < k:  # each pass serves at least LISTED places more: so many can be lost to the others
        lists = _shortlists(rows, wanted[done:], taken)
        for candidates in lists:
            free = candidates[~taken[candidates]]
            if not free.size:
                break
            chosen[done] = free[0]
            taken[free[0]] = True
            done += 1
    return chosen


def _shortlists(rows: Rows, places: Any, taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the nearest free rows of each place, (k, up to LISTED), nearest first."""
    k = int(places.shape[0])
    near, which = np.empty((0, k)), np.empty((0, k), np.int64)
    for part in rows.blocks(k):
        free = part.start + np.flatnonzero(~taken[part])
        found = to_numpy(squared_distances(rows.take(free), places, rows.xp))
        ids = np.broadcast_to(free[:, None], found.shape)
        if len(free) > LISTED:
            keep = np.argpartition(found, LISTED - 1, axis=0)[:LISTED]
            found, ids = np.take_along_axis(found, keep, 0), np.take_along_axis(ids, keep, 0)
        near, which = np.concatenate([near, found]), np.concatenate([which, ids])
        order = np.lexsort((which, near), axis=0)[:LISTED]
        near, which = np.take_along_axis(near, order, 0), np.take_along_axis(which, order, 0)
    return which.T


def kmeans(
    x: Any,
    k: int,
    rng: np.random.Generator,
    *,
    also: Any = None,
    weights: Any = None,
    unit: bool = False,
    method: str = "auto",
) -> Clustering:
    """Return k-means clusters: centres from k-means++ and Lloyd's iterations or mini-batches.

    scikit-learn finds the centres on the CPU, whatever device `x` is on. It learns from at most max(20,000, 64 k) rows
    drawn evenly, and seeds from max(5,000, 10 k) of these, so that time and memory stay bounded; all rows are then
    assigned to their nearest centre in blocks.

    Args:
        x: (n, D), n >= 1, NumPy or torch, memory maps welcome.
        k: how many clusters; n where there are fewer rows. Clusters may be empty, as with duplicates.
        rng: everything random is drawn from it.
        also: (m, D) rows that shape the centres beside those of `x` and get no cluster, such as labelled samples.
        weights: (n,) non-negative, how much each row of `x` counts; all-zero weights count alike.
        unit: scale rows to length 1 first.
        method: "lloyd", "mini-batch" (of 5,000), or "auto": Lloyd where k times the rows it learns from is
            at most 20,000,000.

    Returns:
        Centres (k, D) in NumPy, and the cluster of each row of `x`.

    Raises:
        ShapeError: `x`, `also` or `weights` has a wrong shape.
        InputError: a row has no finite norm, a weight is negative, or `k` is below 1.
        UnknownName: there is no such method.

    Source:
        Arthur, Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding"; Sculley 2010, "Web-Scale K-Means
        Clustering".
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    check_name(method, METHODS, "method of k-means")
    rows = rows_of(x, "x", unit=unit)
    n = len(rows)
    if n == 0:
        raise ShapeError("x must have at least one row.")
    others = rows_of(rows.array[:0] if also is None else also, "also", width=int(rows.array.shape[1]))
    rows = rows.about_mean()
    others = rows.of(others.array)
    counts = np.concatenate([_weights(weights, n), np.ones(len(others))])
    total = n + len(others)
    k = min(check_count(k, "k", 1), n)
    most = max(TRAINING_ROWS, ROWS_A_CENTRE * k)
    drawn = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
    if not counts[drawn].any():  # all that counts was missed
        counts[:] = 1
    sample, counts = _gathered(rows, others, drawn), counts[drawn]
    seeding = rng.permutation(drawn.size)[: max(SEEDING_ROWS, SEEDING_ROWS_A_CENTRE * k)]
    sure = counts[seeding] if counts[seeding].any() else None
    state = int(rng.integers(2**32))
    with (
        warnings.catch_warnings(),
        threadpool_limits(1),
    ):  # threads would add up in any order
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than centres: some coincide
        seeds, _ = kmeans_plusplus(sample[seeding], k, sample_weight=sure, random_state=state)
        if method == "lloyd" or (method == "auto" and drawn.size * k <= SMALL):
            fitter = KMeans(k, init=seeds, n_init=1, random_state=state, copy_x=False)
        else:
            fitter = MiniBatchKMeans(
                k, init=seeds, n_init=1, random_state=state, batch_size=MINI_BATCH, max_iter=EPOCHS
            )
        fitter.fit(sample, sample_weight=counts)
    centres = fitter.cluster_centers_ + to_numpy(rows.origin)
    return Clustering(centres, nearest_centroid(x, like(rows.array, centres), unit=unit)[0])


def _gathered(rows: Rows, others: Rows, drawn: NDArray[np.int64]) -> Array:
    """Return drawn rows of both arrays, one after the other, in NumPy."""
    found = np.empty((drawn.size, int(rows.array.shape[1])), to_numpy(rows.take(slice(0, 0))).dtype)
    step = rows_per_block(found.shape[1])
    split = int(np.searchsorted(drawn, len(rows)))
    for source, low, high, first in ((rows, 0, split, 0), (others, split, drawn.size, len(rows))):
        for start in range(low, high, step):
            part = slice(start, min(start + step, high))
            found[part] = to_numpy(source.take(drawn[part] - first))
    return found


def _places(places: Any, rows: Rows) -> Any:
    """Return checked places about the origin of the rows and in their type."""
    found = rows_of(places, "centres", width=int(rows.array.shape[1]))
    namespace(rows.array, found.array)
    if len(found) == 0:
        raise ShapeError("centres must have at least one row.")
    return rows.xp.astype(found.take(slice(None)) - rows.origin, rows.kind)


def _weights(weights: Any, n: int) -> Array:
    if weights is None:
        return np.ones(n)
    found = as_array(weights, "weights").astype(np.float64)
    check_shape(found, "weights", ("n",), (n,))
    wrong = np.flatnonzero(~(found >= 0) | np.isinf(found))
    if wrong.size:
        raise InputError(
            f"weights: row {int(wrong[0])} is {found[wrong[0]]:.6g}; weights must be at least 0."
        )
    return found if found.any() else np.ones(n)
