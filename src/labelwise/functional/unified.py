"""One score of difficulty and diversity over modalities, and the candidates it leaves to a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_name, check_number, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import rows_per_block
from labelwise.functional.batches.ranking import top
from labelwise.functional.clusters.centroids import centroid_distances

Floats = NDArray[np.float64]

HOW = ("mean", "concat")


def min_max(x: Any) -> Floats:
    """Return (x - min) / (max - min) along the first axis; a constant column becomes 0.

    Args:
        x: (n, ...) finite.

    Returns:
        The same shape in float64, in [0, 1].

    Raises:
        ShapeError: there is no axis.
        InputError: a value is not finite.
    """
    values = as_array(x, "x").astype(np.float64)
    if not values.ndim:
        raise ShapeError("x must have shape (n, ...); it is a single number.")
    if not values.size:
        return values
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        raise InputError(f"x must be finite; it holds {wrong[0]}.")
    low, high = values.min(axis=0), values.max(axis=0)
    if np.abs(np.maximum(-low, high)).max() > np.finfo(np.float64).max / 4:
        return min_max(values / 4)  # their difference is more than float64 holds
    span = high - low
    values -= low
    values /= np.where(span > 0, span, 1)
    return values


def fused_features(
    parts: Sequence[Any], weights: Any, *, present: Any = None, how: str = "mean"
) -> NDArray[np.float32]:
    """Return one feature row a sample from those of M modalities, each scaled to length 1 first.

    "mean" is Σ_m w_m f_m/‖f_m‖ and needs equal widths, such as learned projections have. "concat" puts
    √w_m f_m/‖f_m‖ side by side, so that ‖x - y‖² = Σ_m w_m ‖x_m - y_m‖²: any widths, and no modality cancels another.

    Args:
        parts: M arrays (n, D_m), finite; memory maps and torch tensors welcome.
        weights: (M,) at least 0, sums to 1; `amcb_weights`.
        present: (n, M) bool, which modalities a sample has, whatever stands in place of a missing one; its weight is
            shared out among those present in proportion to theirs, evenly where all of theirs are 0. None: all.
        how: "mean" or "concat".

    Returns:
        (n, D) float32 with D = D_m or Σ D_m, no longer than 1. Zeros where a sample has no modality, or where all its
        features are 0.

    Raises:
        ShapeError: shapes do not match, there is no modality, or widths differ with "mean".
        InputError: a feature is not finite, or the weights are not on the simplex.
        UnknownName: there is no such `how`.

    Source:
        RL-MBA, f(x) = Σ_m w_m f_m(x).

    Deviations:
        - Lengths are 1; the authors do not say, and the modality of the longest features would rule.
        - "concat" is ours, for modalities of unequal width; so is what happens where a modality is missing.
    """
    check_name(how, HOW, "way to fuse features")
    arrays = [as_array(part, f"parts[{m}]") for m, part in enumerate(parts)]
    if not arrays:
        raise ShapeError("parts must hold at least one modality; it is empty.")
    for m, array in enumerate(arrays):
        check_shape(array, f"parts[{m}]", ("n", "D"), (len(arrays[0]) if arrays[0].ndim else None, None))
    widths = [int(array.shape[1]) for array in arrays]
    if how == "mean" and len(set(widths)) > 1:
        raise ShapeError(
            f'parts must be equally wide with how="mean"; they have {widths} columns. Project them, or use '
            '"concat".'
        )
    w = simplex(weights, len(arrays))
    shares = _shares(w, present, len(arrays[0]))
    out = np.zeros((len(arrays[0]), widths[0] if how == "mean" else sum(widths)), np.float32)
    first = 0
    for m, array in enumerate(arrays):
        into = out if how == "mean" else out[:, first : first + widths[m]]
        first += widths[m]
        factor = shares[:, m] if how == "mean" else np.sqrt(shares[:, m])
        there = None if present is None else as_array(present, "present")[:, m]
        _add(array, factor, there, into, f"parts[{m}]")
    return out


def diversity(features: Any, clusters: int, rng: np.random.Generator, *, iterations: int = 5) -> Floats:
    """Return how far each row is from the nearest centre of k-means: what no centre stands for yet.

    Args:
        features: (n, D) finite, such as `fused_features`; memory maps welcome.
        clusters: k, the batch size as a rule; n where there are fewer rows.
        rng: draws the seeds, k-means++.
        iterations: of Lloyd's at most, fewer where one gains less than 1 %; 0 measures from the seeds.

    Returns:
        (n,) float64, at least 0.

    Raises: as `centroid_distances`.

    Source:
        RL-MBA, unified score; Arthur, Vassilvitskii 2007.
    """
    return centroid_distances(features, clusters, rng, iterations=iterations)


def unified_score(uncertainty: Any, diversity: Any, weights: Any, *, beta: float = 0.5) -> Floats:
    """Return q = Σ_m w_m ũ_m + β d̃, both over the pool from 0 to 1 (`min_max`): ask higher ones sooner.

    Args:
        uncertainty: (n, M) finite, of each modality by itself.
        diversity: (n,) finite.
        weights: (M,) at least 0, sums to 1.
        beta: β >= 0.

    Returns:
        (n,) float64 in [0, 1 + β].

    Raises:
        ShapeError: shapes do not match.
        InputError: a value is not finite, β is negative, or the weights are not on the simplex.

    Source:
        RL-MBA, unified score.

    Deviations:
        The authors give no β.
    """
    u, d = as_array(uncertainty, "uncertainty"), as_array(diversity, "diversity")
    check_shape(u, "uncertainty", ("n", "M"), (None, None))
    check_shape(d, "diversity", ("n",), (len(u),))
    w = simplex(weights, u.shape[1])
    return np.asarray(min_max(u) @ w + check_number(beta, "beta", 0) * min_max(d))


def candidate_rows(scores: Any, size: int) -> NDArray[np.int64]:
    """Return the rows of the highest scores, best first, the lowest row among equals.

    Args:
        scores: (n,) no NaN.
        size: how many, at least 1; all where there are fewer.

    Returns:
        (min(size, n),) distinct rows.

    Raises:
        ShapeError: `scores` is not (n,).
        InputError: a score is NaN, or `size` is below 1.

    Source:
        RL-MBA, candidate set.
    """
    return top(scores, check_count(size, "size", 1))


def simplex(weights: Any, modalities: int) -> Floats:
    """Return weights (M,) in float64 that sum to 1 to the last digits.

    Raises:
        ShapeError: another shape.
        InputError: a weight is negative or not finite, or the sum is off by more than 1e-6.
    """
    w = as_array(weights, "weights").astype(np.float64)
    check_shape(w, "weights", ("M",), (modalities,))
    if not (np.isfinite(w).all() and (w >= 0).all()):
        wrong = int(np.flatnonzero(~(np.isfinite(w) & (w >= 0)))[0])
        raise InputError(f"weights must be finite and at least 0; modality {wrong} has {w[wrong]}.")
    total = float(w.sum())
    if abs(total - 1) > 1e-6:
        raise InputError(f"weights must sum to 1; they sum to {total:.6g}.")
    return np.asarray(w / total)


def _shares(w: Floats, present: Any, n: int) -> Floats:
    """Return (n, M) weights that sum to 1 over what each sample has, to 0 where it has nothing."""
    if present is None:
        return np.broadcast_to(w, (n, w.size))
    there = as_array(present, "present")
    if there.dtype != bool or there.shape != (n, w.size):
        raise ShapeError(
            f"present must be bool of shape {(n, w.size)}; it is {there.dtype} of {there.shape}."
        )
    kept = there * w
    kept = np.where(kept.sum(axis=1, keepdims=True) > 0, kept, there)
    return np.asarray(kept / np.maximum(kept.sum(axis=1, keepdims=True), np.finfo(float).tiny))


def _add(array: Array, factor: Floats, there: Array | None, into: Array, name: str) -> None:
    """Add factor times rows scaled to length 1, block by block; a row that is missing may hold anything."""
    step = rows_per_block(max(1, array.shape[1]))
    for start in range(0, len(array), step):
        here = slice(start, start + step)
        found = array[here]
        if there is not None and not there[here].all():
            found = np.where(there[here, None], found, 0)
        into[here] += _scaled(found, factor[here], f"{name}: row", start)


def _scaled(found: Array, factor: Floats, where: str, first: int) -> NDArray[np.float32]:
    """Return rows of a length given by `factor`, (r, D) float32; a row of zeros stays one."""
    with np.errstate(all="ignore"):
        x = found.astype(np.float32)
        squares = np.vecdot(x, x)
        odd = np.flatnonzero(~((squares > 1e-30) & (squares < 1e30)))  # squares that float32 may not hold
        x *= (factor / np.sqrt(squares)).astype(np.float32)[:, None]
    if odd.size:
        few = found[odd].astype(np.float64)
        largest = np.abs(few).max(axis=1, initial=0)
        wrong = np.flatnonzero(~np.isfinite(largest))
        if wrong.size:
            row = int(odd[wrong[0]])
            value = few[wrong[0]][~np.isfinite(few[wrong[0]])][0]
            raise InputError(f"{where} {first + row} holds {value}; features must be finite.")
        few /= np.where(largest > 0, largest, 1)[:, None]
        norms = np.sqrt(np.vecdot(few, few))
        x[odd] = few * (factor[odd] / np.where(norms > 0, norms, 1))[:, None]
    return x
