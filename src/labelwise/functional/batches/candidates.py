"""A batch among some rows only: k-means where they are more than asked for, others by lot where they are fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_shape
from labelwise.errors import ShapeError
from labelwise.functional.batches.clustered import kmeans_batch
from labelwise.functional.clusters import rows_of


def kmeans_among(
    x: Any, candidates: Any, n: int, rng: np.random.Generator, *, unit: bool = False
) -> NDArray[np.int64]:
    """Return the candidates nearest to the centres of n k-means clusters of them.

    Where n or fewer are candidates, all of them are taken, and others drawn evenly.

    Args:
        x: (m, D), NumPy or torch, memory maps welcome; the candidates' rows are copied.
        candidates: (m,) bool.
        n: how many rows to take; all of them where there are fewer.
        rng: everything random is drawn from it.
        unit: scale rows to length 1 first.

    Returns:
        (min(n, m),) distinct rows, candidates first.

    Raises:
        ShapeError: `x` is not (m, D), or `candidates` is not (m,) bool.
        InputError: a row has no finite norm.
    """
    rows = rows_of(x, "x")
    chosen = as_array(candidates, "candidates")
    check_shape(chosen, "candidates", ("m",), (len(rows),))
    if chosen.dtype != np.bool_:
        raise ShapeError(f"candidates must be true or false; they are {chosen.dtype}.")
    n = min(check_count(n, "n"), len(rows))
    among = np.flatnonzero(chosen)
    if among.size > n:
        return among[kmeans_batch(rows.array[among], n, rng, unit=unit)]
    others = (
        rng.choice(np.flatnonzero(~chosen), n - among.size, replace=False) if among.size < n else among[:0]
    )
    return np.concatenate([among, others])
