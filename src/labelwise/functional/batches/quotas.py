"""Batches with a share for every class: how many a class gets, and which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_count, check_shape
from labelwise.errors import InputError
from labelwise.functional.batches.ranking import top


def top_per_class(
    scores: Any, y: Any, n_classes: int, n: int | NDArray[Any], rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return the rows with the highest scores of each class, class after class, best first.

    Args:
        scores: (m,) one score a row, higher = ask sooner.
        y: (m,) class indices: labels or predictions.
        n_classes: C.
        n: how many of each class, or (C,) one number a class; fewer where a class has fewer rows. What one class lacks
            no other gets.
        rng: breaks ties by a random permutation; None: the lowest row first.

    Returns:
        Distinct rows, at most n a class.

    Raises:
        ShapeError: an array has the wrong shape.
        InputError: a score is NaN, a label out of range or a quota negative.
    """
    values = as_array(scores, "scores")
    check_shape(values, "scores", ("m",), (None,))
    labels = as_labels(y, check_count(n_classes, "n_classes", 1), "y")
    check_shape(labels, "y", ("m",), (len(values),))
    quotas = as_array(n, "n") if isinstance(n, np.ndarray) else np.full(n_classes, check_count(n, "n"))
    check_shape(quotas, "n", ("C",), (n_classes,))
    if quotas.dtype.kind not in "iu" or quotas.min() < 0:
        raise InputError("n must hold whole numbers of at least 0, one a class.")
    picked = []
    for c in range(n_classes):
        rows = np.flatnonzero(labels == c)
        picked.append(rows[top(values[rows], int(quotas[c]), rng)])
    return np.concatenate(picked)


def class_quotas(scores: Any, y: Any, n_classes: int, budget: int) -> NDArray[np.int64]:
    """Return how many rows each class gets of a budget: the same for all, the rest to the classes that score highest.

    Every class gets max(⌊budget / C⌋, 1); what is then left goes, one each, to the classes with the highest mean score
    (ties: the lowest class; classes without a row last). With a budget below C the quotas sum to C.

    Args:
        scores: (m,).
        y: (m,) class indices.
        n_classes: C.
        budget: rows in all.

    Returns:
        (C,) quotas.

    Source:
        BRAL-T, class-balanced TrustSet.
    """
    values = as_array(scores, "scores")
    labels = as_labels(y, check_count(n_classes, "n_classes", 1), "y")
    check_shape(values, "scores", ("m",), (len(labels),))
    counts = np.bincount(labels, minlength=n_classes)
    sums = np.bincount(labels, weights=values.astype(np.float64), minlength=n_classes)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
    quotas = np.full(n_classes, max(check_count(budget, "budget") // n_classes, 1))
    left = max(budget - int(quotas.sum()), 0)
    quotas[np.argsort(-means, kind="stable")[:left]] += 1
    return quotas


def proportional_quotas(weights: Any, budget: int) -> NDArray[np.int64]:
    """Return shares of a budget in proportion to weights, rounded by the largest remainder; they sum to the budget.

    Args:
        weights: (C,) at least 0, not all 0; ties of remainders go to the lowest class.
        budget: to be shared out.

    Raises:
        InputError: a weight is negative or not finite, or all are 0.

    Source:
        Hamilton's method.
    """
    w = as_array(weights, "weights").astype(np.float64)
    check_shape(w, "weights", ("C",), (None,))
    check_count(budget, "budget")
    if not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise InputError("weights must be finite, at least 0 and not all 0.")
    exact = budget * w / w.sum()
    # A share that is whole but for rounding must not lose its unit to another's remainder.
    shares: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    left = budget - int(shares.sum())
    shares[np.argsort(-(exact - shares), kind="stable")[:left]] += 1
    return shares
