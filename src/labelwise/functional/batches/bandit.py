"""Batches put together from the proposals of several strategies, by which of them finds rare classes: TAILOR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_ids, check_count, check_shape
from labelwise.errors import InputError

DISCOUNT = 0.9
LEAST = 1e-6  # of α: a Dirichlet needs more than 0, which thousands of discounts would round to


def tailor(
    proposals: Sequence[Any], alpha: Any, counts: Any, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return n rows, each the next one that an arm proposes, and which arm that was; arms by Thompson sampling.

    For each draw every arm i guesses the classes of its samples, θ_i ~ Dirichlet(α_i), and the arm whose guess is worth
    most, argmax_i θ_i · v, gives its first row that is not taken; v are `class_values`.

    Args:
        proposals: for each of k arms rows in the order of asking, at least n each.
        alpha: (k, C) > 0, how often each arm was seen to find each class.
        counts: (C,) labelled samples of each class.
        n: how many rows.
        rng: draws θ.

    Returns:
        (n,) distinct rows in the order of asking, and (n,) arms.

    Raises:
        ShapeError: shapes do not fit together.
        InputError: an entry of alpha is not above 0, or arms propose fewer than n rows.

    Source:
        Zhang, Shao, Verma, Nowak 2023, "Algorithm Selection for Deep Active Learning with Imbalanced Datasets", TAILOR.
        - The public code (jifanz/TAILOR) draws from Dirichlet(α + 1).
    """
    arms = [as_ids(rows, f"proposals[{i}]") for i, rows in enumerate(proposals)]
    a = as_array(alpha, "alpha").astype(np.float64)
    check_shape(a, "alpha", ("k", "C"), (len(arms), None))
    if not (np.isfinite(a).all() and (a > 0).all()):
        raise InputError("alpha must hold numbers above 0.")
    values = class_values(counts)
    check_shape(values, "counts", ("C",), (a.shape[1],))
    n = check_count(n, "n")
    if n and (not arms or min(rows.size for rows in arms) < n):
        raise InputError(f"Each arm must propose {n} rows; they propose {[rows.size for rows in arms]}.")
    rows, asked = np.empty(n, np.int64), np.empty(n, np.int64)
    taken: set[int] = set()
    at = [0] * len(arms)
    for t in range(n):
        arm = int(np.argmax([rng.dirichlet(row) @ values for row in a]))
        while int(arms[arm][at[arm]]) in taken:  # fewer than n are taken, and it has n
            at[arm] += 1
        rows[t], asked[t] = arms[arm][at[arm]], arm
        taken.add(int(rows[t]))
    return rows, asked


def class_values(counts: Any) -> NDArray[np.float64]:
    """Return what one more sample of each class is worth: 1 / max(1, n_c), negative where c has over half of all labels.

    Args:
        counts: (C,) labelled samples of each class.
    """
    labelled = as_array(counts, "counts").astype(np.float64)
    check_shape(labelled, "counts", ("C",), (None,))
    values: NDArray[np.float64] = 1 / np.maximum(labelled, 1)
    return np.where(labelled > 0.5 * labelled.sum(), -values, values)


def discounted(alpha: Any, arms: Any, y: Any, discount: float = DISCOUNT) -> NDArray[np.float64]:
    """Return α after a batch: discount · α, and 1 more for each class that an arm found.

    Args:
        alpha: (k, C).
        arms: (b,) which arm asked for each sample.
        y: (b,) the classes these turned out to be.
        discount: of what was known before, from above 0 to 1.
    """
    found = np.maximum(discount * as_array(alpha, "alpha").astype(np.float64), LEAST)
    np.add.at(found, (as_array(arms, "arms").astype(np.int64), as_array(y, "y").astype(np.int64)), 1)
    return found
