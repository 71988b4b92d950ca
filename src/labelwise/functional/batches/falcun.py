"""FALCUN: rows drawn for being unsure and unlike those drawn before, on class probabilities alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_number
from labelwise.functional.backend import rows_per_block
from labelwise.functional.scores import check_probs, smallest_margin


def falcun(probs: Any, n: int, rng: np.random.Generator, *, gamma: float = 10.0) -> NDArray[np.int64]:
    """Return n rows, each drawn with probability proportional to (u + d)^gamma.

    u = 1 - (p₍₁₎ - p₍₂₎); d is the smallest of u and the L1 distances to the rows drawn, scaled to [0, 1] over all rows
    that are left.

    Args:
        probs: (m, C) class probabilities; on CPU, tensors are moved there.
        n: how many rows; all of them where there are fewer.
        rng: draws one number a row.
        gamma: at least 0; 0 draws evenly, the larger it is the more the most relevant row is preferred.

    Returns:
        (min(n, m),) distinct rows in the order of drawing. Where all that is left has probability 0, drawn evenly.

    Raises:
        DistributionError: a row is no distribution; the message names it.
        InputError: `gamma` is negative or no number.

    Source:
        Gilhuber, Beer, Ma, Seidl 2024, "FALCUN: A Simple and Efficient Deep Active Learning Strategy".
        - Scales as the public code (sobermeier/falcun) by its configuration: what is scaled is not what is kept.
        - Where copies of drawn rows are all that is left, that code draws evenly; here u still counts.
    """
    p = check_probs(probs)
    check_number(gamma, "gamma", 0)
    unsure = 1 + smallest_margin(p).astype(np.float64)
    apart = unsure.copy()
    free = np.ones(len(p), bool)
    picks = np.empty(min(check_count(n, "n"), len(p)), np.int64)
    step = rows_per_block(2 * p.shape[1])
    for turn in range(picks.size):
        if turn:
            last = p[picks[turn - 1]].astype(np.float64)
            for start in range(0, len(p), step):
                rows = slice(start, start + step)
                np.minimum(apart[rows], np.abs(p[rows] - last).sum(axis=1), out=apart[rows])
        low, high = apart[free].min(), apart[free].max()
        relevance = np.where(free, unsure + (apart - low) / (high - low or 1), 0)
        # Scaled by the largest, no power overflows; and one of them is 1, so that not all can vanish.
        weights = (relevance / (relevance.max() or 1)) ** gamma * free
        if not relevance.any():
            weights = free.astype(np.float64)
        steps = np.cumsum(weights)
        row = int(np.searchsorted(steps, rng.random() * steps[-1], side="right"))
        picks[turn] = row
        free[row] = False
    return picks
