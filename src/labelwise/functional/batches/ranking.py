"""Turns scores into rows to ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_shape
from labelwise.errors import InputError


def top(scores: Any, n: int, rng: np.random.Generator | None = None) -> NDArray[np.int64]:
    """Return the n rows with the highest scores, best first.

    Args:
        scores: (m,) one score a row, higher = ask sooner; infinite ones are welcome.
        n: how many rows to take; all of them where there are fewer.
        rng: breaks ties, at the border and in the order, by a random permutation; None: the lowest row first.

    Returns:
        (min(n, m),) distinct rows.

    Raises:
        ShapeError: `scores` is not (m,).
        InputError: a score is NaN, or n is negative; the message names it.
    """
    values = as_array(scores, "scores")
    check_shape(values, "scores", ("m",), (None,))
    n = min(check_count(n, "n"), len(values))
    if n == 0:
        return np.empty(0, np.int64)
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    if np.isnan(values.min()):
        raise InputError(
            f"scores: row {int(np.flatnonzero(np.isnan(values))[0])} is NaN; it cannot be ranked."
        )
    rows = _shortlist(values, n)
    short = values[rows]
    border = np.partition(short, short.size - n)[short.size - n]  # the n-th highest score
    above, tied = rows[short > border], rows[short == border]
    if rng is not None and tied.size > 1:
        tied = rng.permutation(tied)
    chosen = np.concatenate([above, tied[: n - above.size]])
    order = rng.permutation(chosen.size) if rng is not None else np.arange(chosen.size)
    return chosen[order][np.argsort(-values[chosen[order]], kind="stable")]


def _shortlist(values: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Return, in order, at least all rows that can be among the n highest.

    Of a long array every 16th score tells a threshold that about twice n rows reach; if n rows do, no other
    matters, and one comparison has done what a partition of everything takes ten times as long for.
    """
    if values.size > 2**16 and 8 * n < values.size:
        sample = values[::16]
        keep = min(sample.size, n // 8 + 64)
        threshold = np.partition(sample, sample.size - keep)[sample.size - keep]
        rows = np.flatnonzero(values >= threshold)
        if rows.size >= n:
            return rows
    return np.arange(values.size)
