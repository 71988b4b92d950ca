"""Batches whose balls of one radius hold as many samples as they can: ProbCover, and its rule for the radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from labelwise.checks import Array, check_count
from labelwise.errors import InputError
from labelwise.functional.backend import like, to_numpy
from labelwise.functional.clusters import Rows, kmeans, raised, rows_of, squared_distances

GRAPH_BYTES = 48 * 2**20  # of neighbour lists at least; with more, distances are computed anew when needed
TILE = 1024  # rows a side of one product of distances
JUDGED = 2000  # rows whose balls tell the purity of a radius


def prob_cover(
    x: Any,
    n: int,
    delta: float,
    *,
    labelled: Any = None,
    unit: bool = False,
    rng: np.random.Generator | None = None,
    graph_bytes: int | None = None,
) -> NDArray[np.int64]:
    """Return n rows, each the one whose ball of radius delta holds the most rows that no ball covers yet.

    Labelled samples cover their balls first. Once all are covered, no row adds anything: the rest are ties.

    Args:
        x: (m, D) unlabelled samples, NumPy or torch, memory maps welcome.
        n: how many rows to take; all of them where there are fewer.
        delta: radius of a ball, above 0; a row is inside where its distance is strictly smaller. Distances that
            rounding cannot tell from it may fall on either side.
        labelled: (L, D) labelled samples.
        unit: scale rows to length 1 first, as the paper does.
        rng: breaks ties by a random permutation; None: the lowest row.
        graph_bytes: memory for the lists of neighbours; None: as much as `x` takes in float32, at least 48 MiB. Where
            they need more, they are not kept, and distances are computed again, about n² more and n a pick; rows are
            the same, but for distances within rounding of delta.

    Returns:
        (min(n, m),) distinct rows, in the order of asking.

    Raises:
        ShapeError: `x` or `labelled` is not (m, D).
        InputError: a row has no finite norm, or delta is not above 0.

    Source:
        Yehuda, Dekel, Hacohen, Weinshall 2022, "Active Learning Through a Covering Lens".
    """
    if not delta > 0:
        raise InputError(f"delta must be above 0; it is {delta!r}.")
    rows = rows_of(x, "x", unit=unit)
    n = min(check_count(n, "n"), len(rows))
    if n == 0:
        return np.empty(0, np.int64)
    known = None if labelled is None else rows_of(labelled, "labelled", width=int(rows.array.shape[1]))
    rows = rows.about_mean().resolving(float(delta))
    room = max(GRAPH_BYTES, 4 * len(rows) * int(rows.array.shape[1])) if graph_bytes is None else graph_bytes
    balls, gains = _balls(rows, float(delta), room)
    covered = np.zeros(len(rows), bool)
    if known is not None and len(known):
        covered = _within(rows, rows.of(known.array), float(delta))
        gains = _without(balls, gains, np.flatnonzero(covered), ~covered)
    rank = np.arange(len(rows))[::-1] if rng is None else rng.permutation(len(rows))
    free = np.ones(len(rows), bool)
    chosen = np.empty(n, np.int64)
    for i in range(n):
        best = int(np.argmax(np.where(free, gains * len(rows) + rank, -1)))
        chosen[i] = best
        free[best] = False
        if gains[best]:
            ball = balls.of(best)
            new = ball[~covered[ball]]
            covered[new] = True
            gains = _without(balls, gains, new, ~covered)
    return chosen


def purity_radius(
    x: Any,
    clusters: int,
    rng: np.random.Generator,
    *,
    purity: float = 0.95,
    unit: bool = False,
) -> float:
    """Return the largest radius at which a share of balls, `purity`, lies within one k-means cluster each.

    The paper's rule for ProbCover's delta: clusters stand for classes, so no label is looked at. A ball is pure up to the
    distance to the nearest row of another cluster; the radius is a quantile of these distances, over 2,000 rows drawn
    evenly and all rows as their neighbours.

    Args:
        x: (m, D), m >= 1, NumPy or torch, memory maps welcome.
        clusters: how many; the paper takes the number of classes. At least 2 are made.
        rng: draws the rows and the clusters.
        purity: share of pure balls, above 0 and at most 1.
        unit: scale rows to length 1 first.

    Returns:
        The radius, above 0; infinite where all rows fall into one cluster.

    Raises:
        ShapeError: `x` is not (m, D) or empty.
        InputError: purity is no share, or a row has no finite norm.

    Source:
        Yehuda, Dekel, Hacohen, Weinshall 2022, "Active Learning Through a Covering Lens", section 3.3.
    """
    if not 0 < purity <= 1:
        raise InputError(f"purity must be above 0 and at most 1; it is {purity!r}.")
    members = kmeans(x, max(2, check_count(clusters, "clusters", 1)), rng, unit=unit).members
    rows = rows_of(x, "x", unit=unit).about_mean()
    judged = np.sort(rng.choice(len(rows), min(JUDGED, len(rows)), replace=False))
    here = rows.take(judged)
    nearest = np.full(judged.size, np.inf)
    for part in rows.blocks(judged.size):
        found = squared_distances(here, rows.take(part), rows.xp)
        same = like(found, members[judged][:, None] == members[part][None, :])
        found[same] = np.inf
        nearest = np.minimum(nearest, to_numpy(rows.xp.min(found, axis=1)))
    impure = int((1 - purity) * judged.size + 1e-9)  # rounding: 0.05 of 100 are 5
    return max(float(np.sqrt(np.sort(nearest)[impure])), float(np.finfo(np.float32).tiny))


def _tiles(n: int) -> list[slice]:
    return [slice(start, min(start + TILE, n)) for start in range(0, n, TILE)]


class _Balls(Protocol):
    """The balls around all rows; a row lies in another's ball just when that lies in its own."""

    def of(self, row: int) -> NDArray[np.int64]:
        """Return the rows inside a row's ball, itself among them."""

    def tally(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many of some rows lie in each row's ball, (m,)."""


@dataclass(frozen=True, eq=False)
class _Listed:
    """Balls as lists of neighbours: those after a row, and those before it."""

    after: csr_array
    before: csr_array

    def of(self, row: int) -> NDArray[np.int64]:
        after, before = (
            half.indices[half.indptr[row] : half.indptr[row + 1]] for half in (self.after, self.before)
        )
        found: NDArray[np.int64] = np.concatenate([[row], after, before]).astype(np.int64)
        return found

    def tally(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        m = self.after.shape[0]
        found = np.bincount(rows, minlength=m)
        for half in (self.after, self.before):
            found += np.bincount(half[rows].indices, minlength=m)
        return found


@dataclass(frozen=True, eq=False)
class _Measured:
    """Balls whose distances are computed whenever they are asked for."""

    rows: Rows
    delta: float

    def of(self, row: int) -> NDArray[np.int64]:
        found = self.tally(np.array([row]))
        found[row] = 1
        return np.flatnonzero(found)

    def tally(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        found = np.zeros(len(self.rows), np.int64)
        xp = self.rows.xp
        for part in _tiles(rows.size):
            here = raised(self.rows.take(rows[part]), xp, left=True)
            for other in _tiles(len(self.rows)):
                inside = _inside(here, self.rows.take(other), xp, self.delta)
                found[other] += to_numpy(xp.sum(inside, axis=0))
        return found


def _inside(here: Any, there: Any, xp: Any, delta: float) -> Any:
    found = here @ xp.permute_dims(raised(there, xp, left=False), (1, 0))
    return found > max(-delta * delta / 2, -float(xp.finfo(found.dtype).max))


def _balls(rows: Rows, delta: float, most_bytes: int) -> tuple[_Balls, NDArray[np.int64]]:
    """Return the balls, as lists where these fit into memory, and how many rows each holds; each pair is met once."""
    m, xp = len(rows), rows.xp
    sizes = np.zeros(m, np.int64)
    lists: list[Array] | None = []
    counts = np.zeros(m + 1, np.int64)
    room = most_bytes // 8  # each pair stands in two lists of int32
    tiles = _tiles(m)
    for t, part in enumerate(tiles):
        here = raised(rows.take(part), xp, left=True)
        found: list[tuple[Array, Array]] = []
        for other in tiles[t:]:
            inside = to_numpy(_inside(here, rows.take(other), xp, delta))
            if other == part:
                inside = np.triu(
                    inside, 1
                )  # without a row itself, which is added last, and with each pair once
            sizes[other] += inside.sum(axis=0)
            sizes[part] += inside.sum(axis=1)
            room -= int(np.count_nonzero(inside))
            if room < 0:
                lists = None
            if lists is not None:
                first, second = np.divmod(np.flatnonzero(inside).astype(np.int32), inside.shape[1])
                found.append((first, second + other.start))
        if lists is not None:
            firsts = np.concatenate([first for first, _ in found])
            order = np.argsort(firsts, kind="stable")
            lists.append(np.concatenate([second for _, second in found])[order])
            counts[part.start + 1 : part.stop + 1] = np.bincount(firsts, minlength=part.stop - part.start)
    sizes += 1
    if lists is None:
        return _Measured(rows, delta), sizes
    indices = np.concatenate(lists)
    del lists
    after = csr_array((np.ones(indices.size, np.int8), indices, np.cumsum(counts)), shape=(m, m))
    return _Listed(after, after.T.tocsr()), sizes


def _within(rows: Rows, others: Rows, delta: float) -> NDArray[np.bool_]:
    """Return which rows lie in the ball of any of the others."""
    xp = rows.xp
    found = np.zeros(len(rows), bool)
    for part in _tiles(len(others)):
        here = raised(others.take(part), xp, left=True)
        for tile in _tiles(len(rows)):
            found[tile] |= to_numpy(xp.any(_inside(here, rows.take(tile), xp, delta), axis=0))
    return found


def _without(
    balls: _Balls, gains: NDArray[np.int64], new: NDArray[np.int64], open_: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return how many open rows each ball holds after `new` ones were covered, by whichever of the two are fewer."""
    rest = np.flatnonzero(open_)
    if new.size > rest.size:
        return balls.tally(rest)
    less: NDArray[np.int64] = gains - balls.tally(new)
    return np.maximum(less, 0, out=less)  # where rounding moved a row across the border
