"""Batches that take turns among clusters: Cluster-Margin, TypiClust, and the samples nearest to k-means centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import is_tensor, like, rows_per_block, to_numpy
from labelwise.functional.batches.ranking import top
from labelwise.functional.clusters import Rows, kmeans, nearest_rows, rows_of, squared_distances

MOST_NEIGHBOURS = 10_000  # members of one cluster among which neighbours are searched


def kmeans_batch(
    x: Any,
    n: int,
    rng: np.random.Generator,
    *,
    weights: Any = None,
    unit: bool = False,
    method: str = "auto",
) -> NDArray[np.int64]:
    """Return the rows nearest to the centres of n k-means clusters.

    Each centre takes the nearest row that no earlier centre has taken.

    Args:
        x: (m, D), NumPy or torch, memory maps welcome.
        n: how many rows to take; all of them where there are fewer.
        rng: everything random is drawn from it.
        weights, unit, method: see `labelwise.functional.clusters.kmeans`.

    Returns:
        (min(n, m),) distinct rows.

    Raises:
        As `kmeans`.
    """
    rows = rows_of(x, "x")
    count = min(check_count(n, "n"), len(rows))
    if count == 0:
        return np.empty(0, np.int64)
    found = kmeans(x, count, rng, weights=weights, unit=unit, method=method)
    return nearest_rows(x, like(rows.array, found.centres), unit=unit)


def cluster_margin(
    margins: Any,
    clusters: Any,
    n: int,
    *,
    candidates: int | None = None,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows of small margin that take turns among clusters, small clusters first.

    Of the rows with the smallest margins each cluster gives one in turn, clusters with the fewest such rows first, until
    n are found.

    Args:
        margins: (m,) lead of the best class, p₍₁₎ - p₍₂₎: the smaller, the less sure.
        clusters: (m,) whole numbers, the cluster of each row, in any numbering.
        n: how many rows to take; all of them where there are fewer.
        candidates: rows of smallest margin to choose from, at least n; None: 1.25 n.
        rng: draws which row a cluster gives, as the paper does, and breaks ties of margins; None: its smallest margin,
            the lowest row first.

    Returns:
        (min(n, m),) distinct rows, in the order of asking.

    Raises:
        ShapeError: the arrays differ in length, or clusters are not whole numbers.
        InputError: a margin is NaN, or candidates are fewer than n.

    Source:
        Citovsky et al. 2021, "Batch Active Learning at Scale", Algorithm 2.
    """
    values = as_array(margins, "margins")
    check_shape(values, "margins", ("m",), (None,))
    if np.isnan(values.min(initial=0)):
        raise InputError(f"margins: row {int(np.flatnonzero(np.isnan(values))[0])} is NaN.")
    groups = _clusters(clusters, "clusters", len(values))
    n = check_count(n, "n")
    wanted = -(-5 * n // 4) if candidates is None else check_count(candidates, "candidates")
    if wanted < n:
        raise InputError(f"candidates must be at least n = {n}; it is {wanted}.")
    rows = top(-values.astype(np.float64), wanted, rng)
    if rng is not None:
        rows = rng.permutation(rows)
    _, group, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
    order = np.argsort(sizes, kind="stable")  # ties: the lowest cluster
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    turn = _rank_within(group, len(sizes))
    return rows[np.lexsort((place[group], turn))][:n]


def typicality(x: Any, neighbours: int = 20, *, squared: bool = False) -> Array:
    """Return 1 / (mean distance to the nearest neighbours + 1e-5): high where rows lie densely.

    Args:
        x: (m, D), m >= 2, NumPy or torch.
        neighbours: K of the nearest other rows; all of them where there are fewer.
        squared: take squared distances, as the public code does.

    Returns:
        (m,) in (0, 100,000].

    Raises:
        ShapeError: not (m, D) or a single row.
        InputError: a row has no finite norm, or `neighbours` is below 1.

    Source:
        Hacohen, Dekel, Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets",
        equation 4.
    """
    rows = rows_of(x, "x")
    if len(rows) < 2:
        raise ShapeError("x must have at least two rows: one alone has no neighbour.")
    every = np.arange(len(rows))
    return _typicality(rows, every, every, check_count(neighbours, "neighbours", 1), squared)


def typiclust(
    x: Any,
    clusters: Any,
    n: int,
    *,
    labelled_clusters: Any = None,
    neighbours: int = 20,
    least_size: int = 5,
    squared: bool = False,
    unit: bool = False,
) -> NDArray[np.int64]:
    """Return the most typical rows of clusters that hold the fewest labelled samples, the largest clusters first.

    Clusters with more than `least_size` samples take turns, in the order of fewest labelled samples, then most samples,
    then lowest number; each gives the row with the highest typicality among those it has left, with
    K = min(neighbours, half of them). When these have none left, the small clusters take turns alike.

    Args:
        x: (m, D) unlabelled samples, NumPy or torch, memory maps welcome.
        clusters: (m,) whole numbers, in any numbering.
        n: how many rows to take; all of them where there are fewer.
        labelled_clusters: (L,) the clusters of the labelled samples; they count towards sizes.
        neighbours: K at most.
        least_size: clusters of at most this size come last.
        squared: typicality by squared distances, as the public code has it; the paper has distances.
        unit: scale rows to length 1 first.

    Returns:
        (min(n, m),) distinct rows, in the order of asking. Equal typicality, to nine digits: the lowest row.

    Raises:
        ShapeError: arrays differ in length, or clusters are not whole numbers.
        InputError: a row has no finite norm.

    Deviations:
        In a cluster with more than 10,000 members, neighbours are searched among 10,000 of them, evenly spaced by row.

    Source:
        Hacohen, Dekel, Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets".
    """
    rows = rows_of(x, "x", unit=unit)
    groups = _clusters(clusters, "clusters", len(rows))
    known = _clusters([] if labelled_clusters is None else labelled_clusters, "labelled_clusters", None)
    n = min(check_count(n, "n"), len(rows))
    names, group = np.unique(groups, return_inverse=True)
    covered = np.zeros(names.size, np.int64)
    at = np.searchsorted(names, known)
    inside = (at < names.size) & (names[np.minimum(at, names.size - 1)] == known) if names.size else at < 0
    np.add.at(covered, at[inside], 1)
    free = np.bincount(group, minlength=names.size)
    sizes = free + covered
    small = sizes <= check_count(least_size, "least_size")
    turns = np.lexsort((np.arange(names.size), -sizes, covered, small))
    chosen: list[NDArray[np.int64]] = []
    left = n
    members = np.argsort(group, kind="stable")
    ends = np.cumsum(free)
    for part in (turns[~small[turns]], turns[small[turns]]):
        visits = _visits(free[part], left)
        left -= int(visits.sum())
        found = [
            _most_typical(rows, members[ends[c] - free[c] : ends[c]], int(v), neighbours, squared)
            for c, v in zip(part, visits, strict=True)
        ]
        chosen += [np.array([f[t] for f in found if t < f.size]) for t in range(int(visits.max(initial=0)))]
    return np.concatenate([np.empty(0, np.int64), *chosen]).astype(np.int64)


def _visits(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return how often each cluster is visited when they take turns for n rows and the exhausted are skipped."""
    visits = np.zeros_like(sizes)
    while n > 0 and (open_ := np.flatnonzero(visits < sizes)).size:
        rounds = max(1, min(n // open_.size, int((sizes - visits)[open_].min())))
        open_ = open_[: n if n < open_.size else open_.size]
        visits[open_] += rounds
        n -= rounds * open_.size
    return visits


def _most_typical(
    rows: Rows, members: NDArray[np.int64], n: int, neighbours: int, squared: bool
) -> NDArray[np.int64]:
    """Return n members, each the most typical of those left when it is taken.

    While K stays the same, taking a row can only lower the typicality of the others: values known from before are upper
    bounds, and only rows that lead with such a bound are looked at again.
    """
    chosen = np.empty(n, np.int64)
    if n == 0:
        return chosen
    others, bounds, k_before = members, np.empty(0), -1
    for i in range(n):
        k = min(neighbours, members.size // 2)
        if k == 0:  # a single row
            chosen[i] = members[0]
            break
        if k != k_before or others.size <= k:
            others = members[:: -(-members.size // MOST_NEIGHBOURS)]
            bounds, k_before = _typicality(rows, members, others, k, squared), k
            exact = np.ones(members.size, bool)
        best = _lead(bounds)
        while not exact[best]:
            stale = np.flatnonzero(~exact & (bounds >= bounds[best] * (1 - 1e-9)))[:256]
            bounds[stale] = _typicality(rows, members[stale], others, k, squared)
            exact[stale] = True
            best = _lead(bounds)
        chosen[i] = members[best]
        others = others[others != members[best]]
        members, bounds = np.delete(members, best), np.delete(bounds, best)
        exact = np.zeros(members.size, bool)
    return chosen


def _lead(values: Array) -> int:
    """Return the lowest row whose value is the highest to nine digits."""
    return int(np.flatnonzero(values >= values.max() * (1 - 1e-9))[0])


def _typicality(
    rows: Rows, members: NDArray[np.int64], others: NDArray[np.int64], k: int, squared: bool
) -> Array:
    """Return the typicality of members among others, in float64 and about their mean: duplicates are at distance 0."""
    xp = rows.xp
    crowd = xp.astype(rows.take(others), xp.float64)
    origin = xp.mean(crowd, axis=0)
    crowd = crowd - origin
    k = min(k, others.size - 1)
    found = np.empty(members.size)
    step = rows_per_block(2 * max(others.size, int(crowd.shape[1])))
    for start in range(0, members.size, step):
        part = members[start : start + step]
        here = xp.astype(rows.take(part), xp.float64) - origin
        distances = squared_distances(here, crowd, xp)
        norms = xp.vecdot(here, here)[:, None] + xp.vecdot(crowd, crowd)[None, :]
        distances = xp.where(distances > 1e-14 * norms, distances, xp.zeros_like(distances))  # rounding
        own = np.minimum(np.searchsorted(others, part), others.size - 1)
        mine = np.flatnonzero(others[own] == part)
        distances[like(distances, mine), like(distances, own[mine])] = np.inf
        if is_tensor(distances):
            nearest = to_numpy(distances.topk(k, dim=1, largest=False).values)
        else:
            nearest = np.partition(distances, k - 1, axis=1)[:, :k]
        nearest = np.sort(nearest, axis=1)  # the same sum for the same distances, in whatever order they came
        found[start : start + step] = 1 / ((nearest if squared else np.sqrt(nearest)).mean(axis=1) + 1e-5)
    return found


def _rank_within(group: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return how many earlier entries belong to the same of k groups."""
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=k)
    rank = np.empty(group.size, np.int64)
    rank[order] = np.arange(group.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def _clusters(values: Any, name: str, n: int | None) -> NDArray[np.int64]:
    found = as_array(values, name)
    check_shape(found, name, ("m",), (n,))
    if found.size and found.dtype.kind not in "iu":
        raise ShapeError(f"{name} must be whole numbers; they are {found.dtype}.")
    return found.astype(np.int64, copy=False)
