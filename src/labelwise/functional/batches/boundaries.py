"""Batches along the boundary of every class: BASE."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches.ranking import top

BLOCK_BYTES = 4 * 2**20


def balanced_boundaries(
    logits: Any, n: int, *, weight: Any = None, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return n rows, as many for each class c, nearest to the boundary between c and what is not c.

    With ŷ the most probable class, a sample lies (z_ŷ - z_c) / ‖w_ŷ - w_c‖ from the boundary of another class c, in the
    space of embeddings, and min_c of it from that of ŷ itself. Classes choose one after the other, the nearest first.

    Args:
        logits: (m, C) z.
        n: how many rows; all of them where there are fewer.
        weight: (C, D) of the linear last layer; None: distances are differences of logits.
        rng: draws the classes that get one row more where C does not divide n, and the order among equals; None: the
            lowest classes, the lowest row.

    Returns:
        (min(n, m),) distinct rows, class after class.

    Raises:
        ShapeError: shapes do not fit together.
        InputError: a value is not finite.

    Source:
        Emam et al. 2021, "Active Learning at the ImageNet Scale", BASE.
        - The public code (zeyademam/active_learning) gives what is left of n to the lowest classes: with fewer rows
          than classes the others never get any.
    """
    z = as_array(logits, "logits")
    check_shape(z, "logits", ("m", "C"), (None, None))
    if z.shape[1] == 0:
        raise ShapeError(f"logits must have at least one class; they have shape {z.shape}.")
    m, classes = z.shape
    w = None if weight is None else as_array(weight, "weight").astype(np.float64)
    if w is not None:
        check_shape(w, "weight", ("C", "D"), (classes, None))
        if not np.isfinite(w).all():
            raise InputError(
                f"weight: row {int(np.flatnonzero(~np.isfinite(w).all(axis=1))[0])} is not finite."
            )
    n = min(check_count(n, "n"), m)
    predicted, own = _nearest(z, w)
    quotas = np.full(classes, n // classes)
    quotas[(np.arange(classes) if rng is None else rng.permutation(classes))[: n % classes]] += 1
    best = z[np.arange(m), predicted].astype(np.float64)
    free = np.ones(m, bool)
    picked: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for c in np.flatnonzero(quotas):
        rows = np.flatnonzero(free)
        distances = _distances(best[rows] - z[rows, c], _norms(w, int(c), classes)[predicted[rows]])
        distances = np.where(predicted[rows] == c, own[rows], distances)
        rows = rows[top(-distances, int(quotas[c]), rng)]
        free[rows] = False
        picked.append(rows)
    return np.concatenate(picked)


def _nearest(z: NDArray[Any], w: NDArray[np.float64] | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each row's most probable class and the distance to the nearest boundary of it, infinite if there is none."""
    m, classes = z.shape
    predicted, own = np.empty(m, np.int64), np.empty(m)
    step = max(1, BLOCK_BYTES // (8 * classes))
    for start in range(0, m, step):
        part = z[start : start + step]
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
        if bad.size:
            raise InputError(f"logits: row {start + bad[0]} is not finite.")
        predicted[start : start + step] = part.argmax(axis=1)
    for c in np.unique(predicted):
        norms, mine = _norms(w, int(c), classes), np.flatnonzero(predicted == c)
        for start in range(0, mine.size, step):
            rows = mine[start : start + step]
            part = z[rows].astype(np.float64)
            distances = _distances(part[:, c, None] - part, norms)
            distances[:, c] = np.inf
            own[rows] = distances.min(axis=1)
    return predicted, own


def _norms(w: NDArray[np.float64] | None, c: int, classes: int) -> NDArray[np.float64]:
    """Return ‖w_k - w_c‖ of all classes k, (C,)."""
    norms = np.ones(classes)
    if w is not None:
        step = max(1, BLOCK_BYTES // (8 * max(1, w.shape[1])))
        for start in range(0, classes, step):
            norms[start : start + step] = np.linalg.norm(w[start : start + step] - w[c], axis=1)
    return norms


def _distances(leads: NDArray[np.float64], norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return leads / norms; classes with the same weights have no boundary, it is infinitely far."""
    apart = norms > 0
    return np.where(apart, leads / np.where(apart, norms, 1), np.inf)
