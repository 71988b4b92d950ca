"""How good predictions are: accuracy, per-class accuracy, macro F1, likelihood and calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_labels, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.functional.curves import (
    Difference,
    Interval,
    aubc,
    aubc_quota,
    crossing_point,
    labels_to_reach,
    mean_interval,
    paired_difference,
    penalty_matrix,
    win_counts,
)
from labelwise.functional.distributions import TOLERANCE
from labelwise.functional.scores import check_probs

__all__ = [
    "Difference",
    "Interval",
    "Reliability",
    "accuracy",
    "aubc",
    "aubc_quota",
    "brier",
    "confusion",
    "crossing_point",
    "ece",
    "labels_to_reach",
    "macro_f1",
    "mean_interval",
    "measure",
    "nll",
    "paired_difference",
    "penalty_matrix",
    "per_class_accuracy",
    "reliability",
    "win_counts",
]

# A sure mistake costs -ln 1e-12 = 27.6 nats and not infinity, so that means stay finite and can be stored as
# JSON.
LEAST_PROBABILITY = 1e-12
MOST_CONFUSED = 100  # classes up to which `measure` gives the confusion matrix


def accuracy(probs: Any, y: Any) -> float:
    """Return the share of samples whose most probable class (the lowest of equals) is the true one.

    Args:
        probs: (n, C) class probabilities.
        y: (n,) class indices.

    Raises:
        ShapeError: shapes do not match.
        DistributionError: a row of `probs` is no distribution.
        InputError: a label is out of range, or there is no sample.
    """
    return _Seen(probs, y).accuracy


def per_class_accuracy(probs: Any, y: Any) -> list[float | None]:
    """Return each class's accuracy (recall); None for a class that has no sample, which is no zero.

    Args, Raises: as `accuracy`.
    """
    return _shares(*_Seen(probs, y).hits_and_true())


def confusion(y_true: Any, y_pred: Any, n_classes: int) -> NDArray[np.int64]:
    """Return the (C, C) counts of samples of true class (row) that were taken for a class (column).

    Args:
        y_true: (n,) class indices.
        y_pred: (n,) class indices.
        n_classes: C.

    Raises:
        ShapeError: lengths differ.
        InputError: a label is out of range.
    """
    classes, true, pred = _pairs(y_true, y_pred, n_classes)
    return np.bincount(true * classes + pred, minlength=classes**2).reshape(classes, classes)


def macro_f1(y_true: Any, y_pred: Any, n_classes: int) -> float:
    """Return the mean of the classes' F1 = 2 TP / (2 TP + FP + FN).

    Classes that occur neither among the true nor among the predicted labels are left out of the mean.

    Args, Raises: as `confusion`; InputError where there is no sample.
    """
    classes, true, pred = _pairs(y_true, y_pred, n_classes)
    if not true.size:
        raise InputError("y_true is empty; there is nothing to measure.")
    # not by way of (C, C) counts: of 11,000 classes they would take a gigabyte
    hits, there, said = (np.bincount(y, minlength=classes) for y in (true[true == pred], true, pred))
    return _f1(hits, there, said)


def nll(probs: Any, y: Any) -> float:
    """Return the mean negative log-likelihood -ln p_y in nats; probabilities below 1e-12 count as 1e-12.

    Args, Raises: as `accuracy`.
    """
    return _Seen(probs, y).nll


def brier(probs: Any, y: Any) -> float:
    """Return the mean over samples of Σ_c (p_c - 1[c = y])², from 0 to 2.

    Args, Raises: as `accuracy`.

    Source:
        Brier 1950, "Verification of Forecasts Expressed in Terms of Probability" (the multi-class form).
    """
    return _Seen(probs, y).brier


def ece(probs: Any, y: Any, bins: int = 15) -> float:
    """Return the expected calibration error Σ_b n_b/n |accuracy_b - confidence_b|.

    Confidence is the highest probability; bins are (lo, hi] of equal width. 0: what the predictor says it
    knows, it knows.

    Args:
        probs: (n, C) class probabilities.
        y: (n,) class indices.
        bins: number of bins, at least 1.

    Raises: as `accuracy`.

    Source:
        Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    seen = _Seen(probs, y)
    return _ece(seen.confidence, seen.predicted == seen.y, check_count(bins, "bins", 1))


@dataclass(frozen=True, eq=False)
class Reliability:
    """What bins of confidence hold: the points of a reliability diagram.

    Attributes:
        counts: (bins,) samples.
        confidence: (bins,) their mean confidence, 0 in an empty bin.
        accuracy: (bins,) the share of them that is right, 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(confidence: Any, right: Any, bins: int = 15) -> Reliability:
    """Return how right predictions of some confidence are, in bins (lo, hi] of equal width as in `ece`.

    `ece` is Σ counts/n |accuracy - confidence|; the maximum calibration error is the largest gap.

    Args:
        confidence: (n,) the highest probability of each sample.
        right: (n,) whether its class is the true one.
        bins: number of bins, at least 1.

    Raises:
        ShapeError: shapes do not match.
        InputError: a confidence is not in [0, 1] (up to rounding).

    Source:
        DeGroot, Fienberg 1983, "The Comparison and Evaluation of Forecasters".
    """
    sure, hits = as_array(confidence, "confidence"), as_array(right, "right")
    check_shape(sure, "confidence", ("n",), (None,))
    check_shape(hits, "right", ("n",), sure.shape)
    wrong = np.flatnonzero(~((sure >= 0) & (sure <= 1 + TOLERANCE[2])))
    if wrong.size:
        raise InputError(f"confidence: row {int(wrong[0])} is {sure[wrong[0]]}, not in [0, 1].")
    which, n = _bin(sure, check_count(bins, "bins", 1)), bins
    counts = np.bincount(which, minlength=n)
    full = np.maximum(counts, 1)
    sums = (np.bincount(which, weights=values.astype(np.float64), minlength=n) for values in (sure, hits))
    return Reliability(counts, *(total / full for total in sums))


def measure(probs: Any, y: Any, n_classes: int) -> dict[str, Any]:
    """Return every metric of one set of predictions, as JSON values, in one pass over `probs`.

    Args:
        probs: (n, C) class probabilities, n >= 1.
        y: (n,) class indices.
        n_classes: C.

    Returns:
        accuracy, per_class (a list; None for a class without samples), macro_f1, nll, brier, ece (15 bins),
        count; and confusion (lists of counts, true class by row) where there are at most 100 classes.

    Raises: as `accuracy`; ShapeError where `probs` has not `n_classes` columns.
    """
    seen = _Seen(probs, y)
    if seen.n_classes != check_count(n_classes, "n_classes", 1):
        raise ShapeError(f"probs must have shape (n, C={n_classes}); it has {seen.n_classes} columns.")
    metrics: dict[str, Any] = {
        "accuracy": seen.accuracy,
        "nll": seen.nll,
        "brier": seen.brier,
        "ece": _ece(seen.confidence, seen.predicted == seen.y, 15),
        "count": int(seen.y.size),
    }
    if n_classes <= MOST_CONFUSED:  # (C, C) counts of thousands of classes would be nearly all zeros
        metrics["confusion"] = confusion(seen.y, seen.predicted, n_classes).tolist()
    hits, true = seen.hits_and_true()
    metrics["per_class"] = _shares(hits, true)
    metrics["macro_f1"] = _f1(hits, true, np.bincount(seen.predicted, minlength=n_classes))
    return metrics


class _Seen:
    """What one pass over checked probabilities tells of each sample."""

    def __init__(self, probs: Any, y: Any) -> None:
        array = check_probs(probs)
        n, self.n_classes = array.shape
        self.y = as_labels(y, self.n_classes)
        if self.y.size != n:
            raise ShapeError(f"y must have shape (n={n}); it has shape {self.y.shape}.")
        if n == 0:
            raise InputError("probs is empty; there is nothing to measure.")
        self.predicted = np.empty(n, np.int64)
        self.confidence, self.of_truth, self.squares = np.empty(n), np.empty(n), np.empty(n)

        def kernel(rows: int) -> Kernel:
            def work(part: Array, first: int) -> None:
                # -> float64, (rows, C): means over many samples are worth the cast
                x, here = part.astype(np.float64), slice(first, first + len(part))
                each = np.arange(len(part))
                self.predicted[here] = best = x.argmax(axis=1)
                self.confidence[here] = x[each, best]
                self.of_truth[here] = x[each, self.y[here]]
                self.squares[here] = np.vecdot(x, x)

            return work

        sweep(array, kernel, rows=block_rows(8 * self.n_classes))

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.y).mean())

    @property
    def nll(self) -> float:
        return float(-np.log(np.maximum(self.of_truth, LEAST_PROBABILITY)).mean())

    @property
    def brier(self) -> float:
        # Σ_c (p_c - 1[c = y])² = Σ_c p_c² - 2 p_y + 1
        return float((self.squares - 2 * self.of_truth + 1).mean())

    def hits_and_true(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many samples of each class were right, and how many there are, (C,) each."""
        right = self.y[self.predicted == self.y]
        return np.bincount(right, minlength=self.n_classes), np.bincount(self.y, minlength=self.n_classes)


def _ece(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int) -> float:
    which = _bin(confidence, bins)
    gaps = np.bincount(which, weights=right - confidence, minlength=bins)  # n_b (accuracy_b - confidence_b)
    return float(np.abs(gaps).sum() / confidence.size)


def _bin(confidence: Array, bins: int) -> NDArray[np.int64]:
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)  # (lo, hi]


def _shares(hits: NDArray[np.int64], of: NDArray[np.int64]) -> list[float | None]:
    return [h / n if n else None for h, n in zip(hits.tolist(), of.tolist(), strict=True)]


def _f1(hits: NDArray[np.int64], true: NDArray[np.int64], pred: NDArray[np.int64]) -> float:
    there = (true + pred) > 0
    return float((2 * hits[there] / (true + pred)[there]).mean())


def _pairs(y_true: Any, y_pred: Any, n_classes: int) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    classes = check_count(n_classes, "n_classes", 1)
    true, pred = as_labels(y_true, classes, "y_true"), as_labels(y_pred, classes, "y_pred")
    if true.size != pred.size:
        raise ShapeError(f"y_pred must have shape (n={true.size}); it has shape {pred.shape}.")
    return classes, true, pred
