"""Which unlabelled samples the worst shift of single modalities would make more of, as far as labelled losses tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_number, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.ambiguity import additive_weights
from labelwise.functional.robust import Floats, as_finite

RIDGE = 1.0
NOTHING = 1e-9  # of a column or of the losses


def shift_weights(
    losses: Any,
    labelled: Sequence[Any],
    pool: Sequence[Any],
    rho: Any,
    *,
    labelled_there: Any = None,
    pool_there: Any = None,
    ridge: float = RIDGE,
) -> Floats:
    """Return w = (1 + Σ_m h_m(x_m))₊ of each pool sample, scaled to mean 1: dQ/dP of the worst shift found, P the pool.

    Among h_m with E h_m = 0 and E h_m² <= ρ_m, the excess E[(Σ h_m) l] is greatest where each h_m is in proportion to
    E[l | x_m] - E[l]. That mean is estimated by `ridge_carried`, and scaled on the pool to the radius. So a modality in
    which nothing tells the losses apart is shifted along noise, as far as ρ_m allows.

    Args:
        losses: (l,) of labelled samples.
        labelled: M arrays (l, D_m), their embeddings.
        pool: M arrays (n, D_m).
        rho: (M,) χ² radius of each modality, finite, at least 0.
        labelled_there, pool_there: (l, M) and (n, M) bool, which modalities the samples have; None: all. A sample
            without modality m has h_m = 0.
        ridge: as `ridge_carried`.

    Returns:
        (n,) at least 0, of mean 1. All 1 where no labelled sample, or no spread of losses, says anything.

    Raises:
        ShapeError: shapes do not match, there is no modality, or n = 0.
        InputError: an entry is not finite, or a number is out of range.

    Source:
        Additive density ratios: `labelwise.functional.ambiguity.additive_weights`.
    """
    values = np.asarray(as_array(losses, "losses"), np.float64)
    check_shape(values, "losses", ("l",), (None,))
    if len(labelled) != len(pool) or not pool:
        raise ShapeError(
            f"There must be as many modalities of labelled samples as of the pool, at least one; there are {len(labelled)} "
            f"and {len(pool)}."
        )
    n = len(pool[0])
    held, asked = _there(labelled_there, values.size, len(pool)), _there(pool_there, n, len(pool))
    directions = np.zeros((n, len(pool)))
    for m, (known, new) in enumerate(zip(labelled, pool, strict=True)):
        check_shape(as_array(known, "labelled"), "labelled", ("l", "D"), (values.size, None))
        check_shape(as_array(new, "pool"), "pool", ("n", "D"), (n, None))
        read, wanted = held[:, m], asked[:, m]
        if read.sum() > 1 and wanted.any():
            told = ridge_carried(values[read], np.asarray(known)[read], np.asarray(new)[wanted], ridge=ridge)
            told = told - told.mean()
            if (
                np.abs(told).max() > NOTHING * np.abs(values).max()
            ):  # else rounding would be scaled to the radius
                directions[wanted, m] = told
    return n * additive_weights(directions, rho)


def ridge_carried(losses: Any, labelled: Any, pool: Any, *, ridge: float = RIDGE) -> Floats:
    """Return what linear ridge regression of the losses on the labelled rows says of the pool's.

    Columns are standardised by the labelled rows. The penalty is `ridge` times the mean squared length of a row: that of
    a Gaussian process of linear functions whose noise is `ridge` times what it explains of a usual row.

    Args:
        losses: (l,) finite, l >= 1.
        labelled: (l, D), D >= 1; a constant column says nothing.
        pool: (n, D).
        ridge: above 0.

    Returns:
        (n,) the mean loss where the rows say nothing.

    Raises:
        ShapeError: shapes do not match, or there are no losses.
        InputError: an entry is not finite, or `ridge` is not above 0.

    Source:
        Hoerl, Kennard 1970, "Ridge Regression: Biased Estimation for Nonorthogonal Problems".
    """
    values = as_finite(losses, "losses", ("l",))
    known = as_finite(labelled, "labelled", ("l", "D"))
    check_shape(known, "labelled", ("l", "D"), (values.size, None))
    new = as_array(pool, "pool")
    check_shape(new, "pool", ("n", "D"), (None, known.shape[1]))
    if not check_number(ridge, "ridge", 0) > 0:
        raise InputError("ridge must be above 0: as many columns as samples would repeat every loss.")
    mean, spread = known.mean(axis=0), known.std(axis=0)
    usable = spread > NOTHING * np.abs(known).max(axis=0)
    scale = np.where(usable, 1 / np.where(usable, spread, 1), 0)
    z = (known - mean) * scale
    left, s, right = np.linalg.svd(z, full_matrices=False)
    penalty = ridge * max(1, int(usable.sum()))
    slopes = scale * (right.T @ (s / (s**2 + penalty) * (left.T @ (values - values.mean()))))
    return _products(new, slopes) + float(values.mean() - mean @ slopes)


def _products(rows: Array, slopes: Floats) -> Floats:
    """Return rows @ slopes in float64, a block of rows at a time: the pool is not copied whole."""
    out = np.empty(len(rows))
    step = max(1, 2**18 // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        out[start : start + step] = np.asarray(rows[start : start + step], np.float64) @ slopes
    if not np.isfinite(out).all():
        row = int(np.flatnonzero(~np.isfinite(out))[0])
        raise InputError(
            f"pool: row {row} holds a value that is not finite, or too large; it must be finite."
        )
    return out


def _there(values: Any, n: int, modalities: int) -> NDArray[np.bool_]:
    if values is None:
        return np.ones((n, modalities), bool)
    array = as_array(values, "there")
    check_shape(array, "there", ("n", "M"), (n, modalities))
    if array.dtype != np.bool_:
        raise ShapeError(f"there must be true or false; it is {array.dtype}.")
    return array
