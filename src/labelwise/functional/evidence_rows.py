"""Evidence as it comes, checked and handed on block by block: whatever stands in a row, a message names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array
from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import Kernel, block_rows, sweep

Floats = NDArray[np.float64]

MOST = float(np.finfo(np.float64).max) * (1 - 1e-9)  # evidence of a row; leaves its sum room for rounding


def rowwise(
    evidence: Any,
    letters: str,
    core: Callable[[Floats, slice], Floats],
    *,
    per_class: bool = False,
    present: Any = None,
    weights: Floats | None = None,
) -> Floats:
    """Return `core` of blocks of checked evidence, (r, ..., C) float64 and their rows; one result a last axis or two.

    Args:
        evidence: (..., C), or (..., M, C) where `letters` are "MC".
        letters: the axes that `core` needs.
        core: its results are (r, ..., C) where `per_class`, else (r, ...), without the axis M.
        present: (..., M) bool or None.
        weights: looked at for its shape only.
    """
    array = as_array(evidence, "evidence")
    k = len(letters)
    if array.ndim < k or 0 in array.shape[-k:]:
        raise ShapeError(
            f"evidence must have shape (..., {', '.join(letters)}) with {' and '.join(letters)} >= 1; "
            f"it has shape {array.shape}."
        )
    of_views = array.shape[:-1]
    if weights is not None and weights.shape not in (of_views, of_views[-1:]):
        raise ShapeError(
            f"weights must have shape {of_views[-1:]} or {of_views}; it has shape {weights.shape}."
        )
    there = None
    if present is not None:
        there = as_array(present, "present")
        if there.dtype != bool or there.shape != of_views:
            raise ShapeError(
                f"present must be bool of shape {of_views}; it is {there.dtype} of {there.shape}."
            )
    alone = array.ndim == k
    if alone:
        array, there = array[None], None if there is None else there[None]
    out = np.empty(array.shape[:-k] + (array.shape[-1:] if per_class else ()))

    def make(rows: int) -> Kernel:
        def work(part: Array, first: int) -> None:
            here = slice(first, first + len(part))
            x = np.ascontiguousarray(part, dtype=np.float64)
            if there is not None:
                x = np.where(there[here, ..., None], x, 0.0)
            check_evidence(x, None if alone else first)
            out[here] = core(x, here)

        return work

    sweep(array, make, rows=block_rows(8 * prod(array.shape[1:])))
    return out[0, ...] if alone else out


def check_evidence(
    x: Array, first: int | None, name: str = "evidence", modalities: Sequence[str] = ()
) -> None:
    """Raise for the first row of evidence that is negative or not finite, or has no finite sum.

    Args:
        x: (r, ..., C); where there are modalities they are axis 1.
        first: the number of the first row; None where the caller gave no rows.
        name: how the message calls the evidence.
        modalities: their names; numbers stand for those that have none.

    Raises:
        InputError: there is such a row; the message names it, and its modality.
    """
    if not x.size or (x.min() >= 0 and float(x.max()) <= MOST / x.shape[-1]):
        return
    sums = x.sum(axis=-1)
    wrong = ~np.isfinite(sums) | (x < 0).any(axis=-1)
    if not wrong.any():
        return
    at = tuple(np.argwhere(wrong)[0].tolist())
    row = x[at]
    off = row[~(np.isfinite(row) & (row >= 0))]
    what = f"holds {off[0]}" if off.size else "is more than float64 can add"
    place = [] if first is None else [f"row {first + at[0]}"]
    place += [modalities[m] if m < len(modalities) else f"modality {m}" for m in at[1:2]]
    where = f"{name}: {', '.join(place)}" if place else name
    raise InputError(f"{where} {what}; evidence is finite and at least 0.")
