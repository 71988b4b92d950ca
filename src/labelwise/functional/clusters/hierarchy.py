"""Merges rows into clusters step by step, the nearest first: hierarchical agglomerative clustering."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_name
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import like, to_numpy
from labelwise.functional.clusters.partition import Clustering, nearest_centroid, rows_of

MOST_HIERARCHICAL = 10_000  # 400 MB of distances


def hierarchical(
    x: Any, *, n_clusters: int | None = None, height: float | None = None, linkage: str = "average"
) -> NDArray[np.int64]:
    """Return clusters of hierarchical agglomerative clustering, merged until a number or a height is reached.

    Runs on the CPU with scikit-learn and holds n²/2 distances: for more than 10,000 rows use `sampled_hierarchical`.

    Args:
        x: (n, D), n <= 10,000.
        n_clusters: stop at so many clusters; n where there are fewer rows.
        height: stop before merging clusters that are so far apart. Give one of the two.
        linkage: "average", "complete", "single" or "ward".

    Returns:
        (n,) clusters, numbered in the order in which they first occur.

    Raises:
        ShapeError: `x` is not (n, D).
        InputError: not exactly one of the two stops is given, `x` has too many rows, or one has no finite norm.

    Source:
        Sneath, Sokal 1973, "Numerical Taxonomy" (average linkage).
    """
    from sklearn.cluster import AgglomerativeClustering

    rows = rows_of(x, "x")
    n = len(rows)
    check_name(linkage, ("average", "complete", "single", "ward"), "linkage")
    if (n_clusters is None) == (height is None):
        raise InputError("hierarchical needs n_clusters or height, one of the two.")
    if n > MOST_HIERARCHICAL:
        raise InputError(
            f"x has {n} rows; hierarchical holds n²/2 distances and takes {MOST_HIERARCHICAL} at most."
        )
    if n < 2:
        return np.zeros(n, np.int64)
    stop = None if n_clusters is None else min(check_count(n_clusters, "n_clusters", 1), n)
    tree = AgglomerativeClustering(n_clusters=stop, distance_threshold=height, linkage=linkage)
    return _renumbered(tree.fit_predict(to_numpy(rows.array).astype(np.float64)))


def sampled_hierarchical(
    x: Any, rng: np.random.Generator, *, sample: int = 1000, mean_size: float = 2.0, unit: bool = False
) -> Clustering:
    """Return average-linkage clusters of a drawn sample, and each row's nearest cluster mean.

    Args:
        x: (n, D), n >= 1, NumPy or torch, memory maps welcome.
        rng: draws the sample.
        sample: rows that are clustered, at most 10,000; all where there are fewer.
        mean_size: mean size of a cluster in the sample at which merging stops, at least 1.
        unit: scale rows to length 1 first.

    Returns:
        The clusters' means (k, D), k = ceil(sample / mean_size), in NumPy; and the cluster of each row.

    Raises:
        As `hierarchical`; InputError where `mean_size` is below 1.
    """
    rows = rows_of(x, "x", unit=unit)
    if not mean_size >= 1:
        raise InputError(f"mean_size must be at least 1; it is {mean_size!r}.")
    size = min(check_count(sample, "sample", 1), len(rows))
    if size == 0:
        raise ShapeError("x must have at least one row.")
    drawn = np.sort(rng.choice(len(rows), size, replace=False))
    found = to_numpy(rows.take(drawn)).astype(np.float64)
    groups = hierarchical(found, n_clusters=int(np.ceil(size / mean_size)))
    means = np.zeros((groups.max() + 1, found.shape[1]))
    np.add.at(means, groups, found)
    means = (means / np.bincount(groups)[:, None]).astype(np.result_type(to_numpy(rows.take(slice(0, 0)))))
    return Clustering(means, nearest_centroid(x, like(rows.array, means), unit=unit)[0])


def _renumbered(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Return the same groups, numbered in the order in which they first occur."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[group]
