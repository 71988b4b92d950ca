"""The best rows that lie apart: of more candidates than are wanted, one of each cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_number
from labelwise.functional.batches.ranking import top
from labelwise.functional.clusters.quick import quick_kmeans

# more rows than that share cells: k-means of every row against each would not fit in memory
MOST_CELLS = 500


def spread(scores: Any, x: Any, n: int, over: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return n rows that score high and lie apart: of the `over` n best, the best of each of n clusters, then the next.

    Args:
        scores: (m,) higher = sooner.
        x: (m, D) where samples lie; memory maps welcome.
        n: the batch; with more than 500 clusters' worth, clusters give several each, in turn.
        over: candidates for each row, at least 1; 1: no spreading.
        rng: breaks ties and seeds k-means.

    Returns:
        (min(n, m),) distinct rows: the best of all clusters first, by score.

    Raises:
        ShapeError: `scores` is not (m,).
        InputError: a score is NaN, `over` is below 1, or a row is not finite.

    Source:
        Ours.
    """
    wanted = int(np.ceil(check_number(over, "over", 1) * check_count(n, "n")))
    candidates = top(scores, min(len(scores), wanted), rng)  # best first
    if candidates.size <= n or n < 1:
        return candidates[:n]
    among = np.sort(candidates)  # memory maps are read in order
    cluster = np.empty(candidates.size, np.int64)
    cluster[np.argsort(candidates)] = quick_kmeans(np.asarray(x[among]), min(n, MOST_CELLS), rng)
    by_cluster = np.argsort(cluster, kind="stable")  # within a cluster best first
    sizes = np.bincount(cluster)
    turn = np.empty(candidates.size, np.int64)
    turn[by_cluster] = np.arange(candidates.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return candidates[np.argsort(turn, kind="stable")[:n]]
