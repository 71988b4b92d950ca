"""How a predictor stands on samples: accuracy, mean and variance of the capped loss, and its worst class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.functional.metrics import accuracy, per_class_accuracy

LEAST = 1e-6  # of a probability: a loss is at most 13.8 nats, so that no sure mistake rules mean and variance


def capped_losses(probs: Any, y: Any) -> NDArray[np.float64]:
    """Return min(-ln p_y, 13.8) of each sample, (n,), in nats.

    Args:
        probs: (n, C) class probabilities.
        y: (n,) class indices.
    """
    of_class = np.asarray(probs)[np.arange(len(y)), np.asarray(y)].astype(np.float64)
    return np.asarray(0.0 - np.log(of_class.clip(LEAST, 1)))  # 0 - 0 where p is 1, not -0


def standing(probs: Any, y: Any) -> dict[str, Any]:
    """Return how good these predictions are, in the numbers that bounds on shifted risks are made of.

    Args:
        probs: (n, C) class probabilities.
        y: (n,) class indices, of at least one sample.

    Returns:
        "n"; "accuracy"; "risk", the mean of the loss min(-ln p_y, 13.8) in nats; "variance", its variance over the
        samples (divided by n, as in the bounds); "worst class", the lowest accuracy of a class that has samples.

    Raises:
        ShapeError: shapes do not match.
        DistributionError: a row of `probs` is no distribution.
        InputError: a label is out of range, or there is no sample.
    """
    share = accuracy(probs, y)
    loss = capped_losses(probs, y)
    shares = [one for one in per_class_accuracy(probs, y) if one is not None]
    return {
        "n": len(loss),
        "accuracy": share,
        "risk": float(loss.mean()),
        "variance": float(loss.var()),
        "worst class": min(shares),
    }
