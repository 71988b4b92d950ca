"""The best rows that lie apart: of more candidates than are wanted, one of each cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_number, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches.ranking import top
from labelwise.functional.clusters.quick import quick_kmeans
from labelwise.functional.unified import simplex

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


def side_by_side(parts: Sequence[Any], weights: Any, *, present: Any = None) -> NDArray[np.float32]:
    """Return [√w_1 f_1 / l_1, ..., √w_M f_M / l_M], l_m the root mean square length of f_m among the samples that have it.

    So ‖x - y‖² = Σ_m w_m ‖x_m - y_m‖² / l_m²: no modality rules by the units that it is measured in, and none cancels another.
    Within a modality, lengths stay: a linear head is surer of longer features.

    Args:
        parts: M arrays (n, D_m), finite where present.
        weights: (M,) at least 0, sums to 1.
        present: (n, M) bool; a missing modality is zeros, whatever stands in its place. None: all.

    Returns:
        (n, Σ D_m) float32.

    Raises:
        ShapeError: shapes do not match, or there is no modality.
        InputError: a feature is not finite, or the weights are not on the simplex.

    Source:
        Ours.
    """
    arrays = [as_array(part, f"parts[{m}]") for m, part in enumerate(parts)]
    if not arrays:
        raise ShapeError("parts must hold at least one modality; it is empty.")
    n = len(arrays[0]) if arrays[0].ndim else None
    for m, array in enumerate(arrays):
        check_shape(array, f"parts[{m}]", ("n", "D"), (n, None))
    there = np.ones((n or 0, len(arrays)), bool) if present is None else as_array(present, "present")
    check_shape(there, "present", ("n", "M"), (n, len(arrays)))
    scaled = []
    for m, (array, w) in enumerate(zip(arrays, simplex(weights, len(arrays)), strict=True)):
        f = np.where(there[:, m, None], array, 0).astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(f).all(axis=1))
        if wrong.size:
            raise InputError(f"parts[{m}]: row {wrong[0]} is not finite; features must be.")
        largest = np.abs(f).max(initial=0) or 1.0
        f /= largest  # no square may overflow
        length = np.sqrt(np.square(f).sum() / max(there[:, m].sum(), 1)) or 1.0
        scaled.append((np.sqrt(w) / length * f).astype(np.float32))
    return np.concatenate(scaled, axis=1)
