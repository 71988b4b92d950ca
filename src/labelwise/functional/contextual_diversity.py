"""How much the class probabilities of chosen samples differ, and how well these stand for all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.backend import rows_per_block
from labelwise.functional.batches.spaces import FLOOR
from labelwise.functional.scores import check_probs


def mean_symmetric_kl(probs: Any) -> float:
    """Return the mean of ½ KL(p‖q) + ½ KL(q‖p) over all ordered pairs of rows, a row with itself among them.

    As the divergence of a pair is ½ (p - q)·(ln p - ln q), the mean is Σ_c (mean of p ln p - mean of p times mean of
    ln p): no pair is looked at. O(k C) time.

    Args:
        probs: (k, C) class probabilities; below 1e-12 they count as that in logarithms.

    Returns:
        A number of at least 0, in nats; 0 for no row.

    Source:
        Agarwal, Arora, Anand, Arora 2020, "Contextual Diversity for Active Learning", section 3.1.
    """
    p = np.asarray(probs, np.float64)
    if not len(p):
        return 0.0
    logs = np.log(np.maximum(p, FLOOR))
    both = np.vecdot(p, logs).mean() - p.mean(axis=0) @ logs.mean(axis=0)
    return max(0.0, float(both))  # rounding may end a hair below zero


def mean_square_to_nearest(probs: Array, chosen: NDArray[np.int64]) -> float:
    """Return the mean over all rows of the squared Euclidean distance to the nearest chosen one.

    Args:
        probs: (n, C).
        chosen: (k,) rows, at least one. Worked on in blocks: O(n k C) time, no (n, k) array.
    """
    p = np.asarray(probs, np.float64)
    centres = p[chosen]
    squares = np.vecdot(centres, centres)
    total = 0.0
    step = rows_per_block(2 * len(centres))
    for start in range(0, len(p), step):
        part = p[start : start + step]
        nearest = (squares - 2 * (part @ centres.T)).min(axis=1) + np.vecdot(part, part)
        total += float(np.maximum(nearest, 0).sum())
    return total / len(p)


def reward(probs: Any, chosen: NDArray[np.int64]) -> float:
    """Return 0.5 exp(-d / 50) + 1.5 k: d the mean square to the nearest chosen row, k their mean divergence.

    Args:
        probs: (n, C) class probabilities.
        chosen: (k,) rows.

    Returns:
        A number of at least 0; 0 where nothing is chosen.

    Source:
        Agarwal, Arora, Anand, Arora 2020, section 3.3; weights as in the authors' code.
    """
    p = check_probs(probs)
    if not len(chosen):
        return 0.0
    return 0.5 * float(np.exp(-mean_square_to_nearest(p, chosen) / 50)) + 1.5 * mean_symmetric_kl(p[chosen])
