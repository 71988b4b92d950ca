"""One temperature a modality, so that its evidence says no more and no less than validation samples bear out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_shape
from labelwise.errors import InputError

LEAST, MOST = 0.05, 20.0  # few validation samples, all of them right, would ask for boundless evidence
_STEPS = 25


def evidence_temperature(logits: Any, y: Any) -> float:
    """Return the T in [1/20, 20] whose evidence softplus(logits / T) gives labels the highest likelihood.

    The likelihood is that of the Dirichlet mean, α / S with α = e + 1. It need not have one maximum only, so T is looked
    for on a grid first and then between the neighbours of its best point.

    Args:
        logits: (n, C) before the softplus, of samples that the network was not fitted on; n >= 1.
        y: (n,) class indices.

    Raises:
        ShapeError: shapes do not match.
        InputError: a logit is not finite, a label is out of range, or there is no sample.

    Source:
        RL-MBA, supplement B: one scalar a modality, fitted on a held-out validation split. Where it acts is not said
        there; this is the usual place.
    """
    from scipy.optimize import minimize_scalar

    z = as_array(logits, "logits").astype(np.float64)
    check_shape(z, "logits", ("n", "C"), (None, None))
    labels = as_labels(y, z.shape[1])
    check_shape(labels, "y", ("n",), (len(z),))
    if not len(z):
        raise InputError("logits is empty; there is nothing to fit.")
    if not np.isfinite(z).all():
        row, column = np.argwhere(~np.isfinite(z))[0].tolist()
        raise InputError(f"logits: row {row} holds {z[row, column]}.")
    grid = np.linspace(np.log(LEAST), np.log(MOST), _STEPS)
    best = int(np.argmin([_nll(z, labels, at) for at in grid]))
    low, high = grid[max(0, best - 1)], grid[min(_STEPS - 1, best + 1)]
    found = minimize_scalar(
        lambda at: _nll(z, labels, at), bounds=(low, high), method="bounded", options={"xatol": 1e-8}
    )
    # the bounded search never looks at the bounds themselves
    return float(np.exp(found.x if found.fun < _nll(z, labels, grid[best]) else grid[best]))


def _nll(z: NDArray[np.float64], y: NDArray[np.int64], log_temperature: float) -> float:
    alpha = np.logaddexp(0, z / np.exp(log_temperature)) + 1
    return float((np.log(alpha.sum(axis=1)) - np.log(alpha[np.arange(len(y)), y])).mean())
