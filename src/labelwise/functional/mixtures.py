"""Entropies of mixtures of a sample's draws: what is left to know of a label once another one is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from labelwise.functional.blocks import BLOCK_BYTES

TINY = np.finfo(np.float64).tiny  # 0 ln 0 = 0: any finite logarithm will do there


def mixtures_a_pass(classes: int) -> int:
    """Return how many mixtures of a sample's draws fill a block."""
    return max(1, BLOCK_BYTES // (8 * classes))


def mixed_entropy(weights: Any, rows: int, classes: int, xp: Any) -> Callable[[Any], Any]:
    """Return a function that gives Σ_j ω_j H[Σ_s w_js x_s]: the nats left, on average, once one of J answers is known.

    Answer j has probability ω_j, and given it the draws have the weights w_js, Σ_s w_js = 1.

    Args:
        weights: (J, S) the products ω_j w_js, float64; they sum to 1.
        rows: the most samples that the function will be given at once.
        classes: C.
        xp: the arrays' library, see `labelwise.functional.backend.namespace`.

    Returns:
        A function (r, S, C) -> (r,) of draws in float64. It owns two buffers of `rows` times `mixtures_a_pass(C)` times
        C numbers at most: made anew in each call, they would take four times as long as what is done with them. A
        sample's result does not depend on the others.
    """
    step = min(len(weights), mixtures_a_pass(classes))
    shares = xp.sum(weights, axis=1)
    known = xp.vecdot(shares, xp.log(shares))  # -H[answer]; H[label | answer] = H[label, answer] - H[answer]
    room = [
        xp.empty(rows * step * classes, dtype=weights.dtype, device=array_api_compat.device(weights))
        for _ in range(2)
    ]

    def left(x: Any) -> Any:
        total = known
        for first in range(0, len(weights), step):
            part = weights[first : first + step]
            size = len(x) * len(part) * classes
            joint, logs = (xp.reshape(buffer[:size], (len(x), -1)) for buffer in room)
            xp.matmul(part, x, out=xp.reshape(joint, (len(x), len(part), classes)))
            logs[...] = joint
            logs += TINY  # 0 ln 0 = 0; nothing else is so small
            total = total - xp.vecdot(joint, xp.log(logs, out=logs))
        return total

    return left
