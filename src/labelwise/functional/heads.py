"""Recovers a linear last layer from what goes in and what comes out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_shape
from labelwise.errors import InputError, ShapeError

BLOCK_BYTES = 8 * 2**20
UNEXPLAINED = 1e-2  # of the logits' spread: rounding to float16 leaves a tenth of it, a hidden layer far more


class LinearHead(NamedTuple):
    """A layer z = W h + b.

    Attributes:
        weight: (C, D) W; nothing is in directions in which no embedding varies.
        bias: (C,) b.
        residual: share of the logits' spread (root of mean squares) that it leaves unexplained; 0 where that is rounding.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    residual: float


def linear_head(
    embeddings: Any, logits: Any, *, centred: bool = False, unexplained: float = UNEXPLAINED
) -> LinearHead:
    """Return the layer that turned embeddings into logits, by least squares; exact where they are linear in them.

    Where embeddings do not vary in all directions, of all layers that fit the one with the smallest weights.

    Args:
        embeddings: (n, D).
        logits: (n, C).
        centred: take each row's mean off the logits first. Differences between classes stay as they are, and those of
            logarithms of probabilities are linear, too.
        unexplained: the highest residual that is taken for rounding.

    Raises:
        ShapeError: shapes do not fit together, or there is no row.
        InputError: a value is not finite, or logits are not linear in embeddings.
    """
    h, z = as_array(embeddings, "embeddings"), as_array(logits, "logits")
    check_shape(h, "embeddings", ("n", "D"), (None, None))
    check_shape(z, "logits", ("n", "C"), (len(h), None))
    if not (h.size and z.size):
        raise ShapeError(f"A layer needs samples; embeddings have shape {h.shape}, logits {z.shape}.")
    step = max(1, BLOCK_BYTES // (8 * (h.shape[1] + z.shape[1])))
    blocks = [slice(start, start + step) for start in range(0, len(h), step)]

    def outputs(rows: slice) -> NDArray[np.float64]:
        part = z[rows].astype(np.float64)
        return part - part.mean(axis=1, keepdims=True) if centred else part

    centre = np.zeros(h.shape[1]), np.zeros(z.shape[1])
    for rows in blocks:
        inputs = h[rows].astype(np.float64)
        for part, mean, name in ((inputs, centre[0], "embeddings"), (outputs(rows), centre[1], "logits")):
            bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
            if bad.size:
                raise InputError(f"{name}: row {rows.start + bad[0]} is not finite.")
            mean += part.sum(axis=0) / len(h)
    # Q R of all rows, a block at a time: of Q only Qᵀ z is kept
    r, t = np.zeros((0, h.shape[1])), np.zeros((0, z.shape[1]))
    for rows in blocks:
        q, r = np.linalg.qr(np.concatenate([r, h[rows] - centre[0]]))
        t = q.T @ np.concatenate([t, outputs(rows) - centre[1]])
    rounding = 10 * max(_rounding(h), _rounding(z))
    weight = np.linalg.lstsq(r, t, rcond=rounding)[0].T.astype(np.float64)
    bias = centre[1] - weight @ centre[0]
    left = spread = total = 0.0
    for rows in blocks:
        part = outputs(rows)
        left += float(((part - bias - h[rows] @ weight.T) ** 2).sum())
        spread += float(((part - centre[1]) ** 2).sum())
        total += float((z[rows].astype(np.float64) ** 2).sum())
    residual = (
        (left / spread) ** 0.5 if left > rounding**2 * total else 0.0
    )  # constant logits spread by rounding alone
    if residual > unexplained:
        raise InputError(
            f"logits are not linear in embeddings: the best layer leaves {residual:.2g} of their spread unexplained, "
            f"and at most {unexplained:g} can be rounding. Embeddings must be what the last layer, a linear one, reads."
        )
    return LinearHead(weight, bias, residual)


def _rounding(array: Array) -> float:
    return float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else float(np.finfo(np.float64).eps)
