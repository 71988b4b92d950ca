"""Whether probabilities mean what they say, and one temperature that makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.metrics import brier, ece, nll, reliability

__all__ = ["brier", "ece", "fit_temperature", "logit_nll", "nll", "reliability", "tempered"]

Floats = NDArray[np.float64]


def fit_temperature(logits: Any, y: Any) -> float:
    """Return the T > 0 whose softmax(logits / T) gives the labels the highest likelihood: the minimiser of `logit_nll`.

    The likelihood is convex in 1/T, so the minimiser is found to the last digits. Some data have it only in the limit:

    - 0.0 where every label has the highest logit of its row (separable): the surer, the better;
    - inf where labels have on average no higher logits than the other classes: nothing is better than even odds;
    - 1.0 where all logits of each row are equal, and every T is as good.

    `tempered` takes all three.

    Args:
        logits: (n, C) before the softmax, of samples that the predictor was not fitted on; n >= 1.
        y: (n,) class indices.

    Returns:
        T in [0, inf].

    Raises:
        ShapeError: shapes do not match.
        InputError: a logit is not finite, a label is out of range, or there is no sample.

    Source:
        Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Deviations:
        The authors' code takes one L-BFGS call from T = 1.5, which stops short of the minimum: 2.365 instead of 2.823
        on one of the golden cases.
    """
    from scipy.optimize import brentq

    z, own = _below_best(logits, y)
    low = z.min(axis=1)
    if not low.any():
        return 1.0
    if not own.any():
        return 0.0
    if (z.mean(axis=1) - own).mean() >= 0:
        return float("inf")

    def slope(beta: float) -> float:
        """Return the derivative of the mean negative log-likelihood in β = 1/T, E_p[z] - z_y; it grows with β."""
        weight = np.exp(beta * z)
        return float((np.vecdot(weight, z) / weight.sum(axis=1) - own).mean())

    high = -1 / float(low.min())
    while slope(high) < 0:
        high *= 2
    return 1 / float(brentq(slope, 0.0, high, xtol=1e-14 * high, rtol=1e-14))


def tempered(logits: Any, temperature: float) -> Floats:
    """Return softmax(logits / T), (n, C) float64.

    At T = 0 all probability is on the highest logit (shared evenly by equals); at T = inf all classes are alike.

    Args:
        logits: (n, C).
        temperature: T in [0, inf].

    Raises:
        ShapeError: `logits` is not (n, C) with C >= 1.
        InputError: a logit is not finite, or T is negative or NaN.
    """
    if not temperature >= 0:
        raise InputError(f"temperature must be at least 0; it is {temperature}.")
    z, _ = _below_best(logits)
    if temperature == 0:
        weight = (z == 0).astype(np.float64)
    else:
        with np.errstate(over="ignore"):  # a tiny T: what is below the best has no probability
            weight = np.exp(z / temperature)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def logit_nll(logits: Any, y: Any, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of labels under softmax(logits / T), in nats.

    From logits, so no probability is rounded to 0 and none is held up at 1e-12 as in `nll`.

    Args:
        logits: (n, C), n >= 1.
        y: (n,) class indices.
        temperature: T > 0.

    Raises: as `fit_temperature`; InputError where T is not positive.
    """
    if not temperature > 0:
        raise InputError(f"temperature must be above 0; it is {temperature}.")
    z, own = _below_best(logits, y)
    with np.errstate(over="ignore"):
        return float((np.log(np.exp(z / temperature).sum(axis=1)) - own / temperature).mean())


def _below_best(logits: Any, y: Any = None) -> tuple[Floats, Floats]:
    """Return how far each logit is below its row's highest, (n, C), and those of the labels, (n,); both <= 0."""
    array = as_array(logits, "logits").astype(np.float64)
    check_shape(array, "logits", ("n", "C"), (None, None))
    if array.shape[1] == 0:
        raise ShapeError(f"logits must have at least one class; they have shape {array.shape}.")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(f"logits: row {row} holds {array[row, column]}.")
    array -= array.max(axis=1, keepdims=True)
    if y is None:
        return array, np.empty(0)
    labels = as_labels(y, array.shape[1])
    check_shape(labels, "y", ("n",), (len(array),))
    if not labels.size:
        raise InputError("logits is empty; there is nothing to fit or measure.")
    return array, array[np.arange(len(array)), labels]
