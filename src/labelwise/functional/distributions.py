"""What a row of class probabilities must be, and words for one that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labelwise.checks import Array
from labelwise.errors import DistributionError

# How far a row may be from summing to one, by bytes of the type given: the rounding of its entries, and in
# float32 room for values that were bfloat16, in float64 for values that were printed with four decimals.
TOLERANCE = {2: 1e-2, 4: 5e-3, 8: 1e-3}


def tolerance_of(kind: np.dtype[Any]) -> float:
    """Return how far a row of this type may be from summing to one; whole numbers count as float64."""
    return TOLERANCE.get(kind.itemsize if kind.kind == "f" else 8, TOLERANCE[8])


def refuse(x: Array, tolerance: float, called: Callable[[int], str]) -> None:
    """Raise for the first row that is no distribution, and say what is wrong with it; return if all are.

    Args:
        x: (r, C).
        tolerance: how far a row may be from summing to one.
        called: how the message calls a row, e.g. "probs: row 7".

    Raises:
        DistributionError: a row holds a NaN, an infinite or a negative entry, or does not sum to one.
    """
    for i, values in enumerate(x.astype(np.float64)):
        total = values.sum()
        if not np.isfinite(values).all():
            wrong = f"holds {values[~np.isfinite(values)][0]}"
        elif values.min() < 0:
            wrong = f"holds {values.min():.6g}, and no probability is negative"
        elif abs(total - 1) > tolerance * 0.999:  # the block was summed in a shorter type
            wrong = f"sums to {total:.6g}"
        else:
            continue
        raise DistributionError(f"{called(i)} is no distribution: {wrong}.")
