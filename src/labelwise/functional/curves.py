"""What learning curves say: areas, intervals over seeds, crossings and who beats whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_shape
from labelwise.errors import InputError
from labelwise.seeds import generator


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; low and high are None where one value alone tells no spread."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A mean paired difference a - b.

    Attributes:
        mean: its mean.
        low, high: its 95 % bootstrap interval; None for fewer than two pairs.
        p: the two-sided p of the paired t-test; None for fewer than two pairs.
        n: how many pairs.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def aubc(labelled: Any, accuracy: Any) -> float:
    """Return the area under accuracy against labels (trapezoids), divided by the labels bought in between.

    A mean accuracy over the budget, comparable between any budgets and batches; the accuracy itself for one
    point.

    Args:
        labelled: (r,) labels at each measurement, growing, r >= 1.
        accuracy: (r,) accuracy with so many labels.

    Raises:
        ShapeError: shapes differ.
        InputError: `labelled` does not grow, a value is not finite, or there is none.
    """
    x, y = as_curve(labelled, accuracy)
    return float(y[0]) if x.size == 1 else float(np.trapezoid(y, x) / (x[-1] - x[0]))


def aubc_quota(accuracy: Any, batch: int, quota: int) -> float:
    """Return the papers' AUBC = (1/Q) Σ_j b/2 (acc_j + acc_{j+1}), the last step Q mod b wide if b does not
    divide Q.

    For tables to compare with published ones. Where b does not divide Q the published code runs ⌊Q/b⌋ full
    rounds, yet counts the last one with the width Q mod b and divides by all of Q: the value is too low by
    that share. It is kept here as published, not rounded; `aubc` is the corrected form and equals this one
    where b divides Q.

    Args:
        accuracy: (rounds + 1,) the first being that of the start batch.
        batch: b, labels a round.
        quota: Q, labels bought after the start batch.

    Raises:
        InputError: fewer than two accuracies, or b > Q.

    Source:
        Zhan et al. 2022, "A Comparative Survey of Deep Active Learning", and the authors' `get_aubc`.
    """
    b, q = check_count(batch, "batch", 1), check_count(quota, "quota", 1)
    if b > q:
        raise InputError(f"batch is {b}, more than quota, {q}.")
    y = _finite(accuracy, "accuracy", ("rounds + 1",))
    if y.size < 2:
        raise InputError(f"accuracy must have at least 2 values; it has {y.size}.")
    widths = np.full(y.size - 1, float(b))
    if q % b:
        widths[-1] = q % b
    return float((widths * (y[1:] + y[:-1]) / 2).sum() / q)


def labels_to_reach(labelled: Any, accuracy: Any, target: float) -> float | None:
    """Return how many labels first give the target accuracy, linear between measurements; None if none do.

    Args, Raises: as `aubc`.
    """
    x, y = as_curve(labelled, accuracy)
    reached = np.flatnonzero(y >= target)
    if not reached.size:
        return None
    i = int(reached[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (target - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def crossing_point(labelled: Any, a: Any, b: Any) -> float | None:
    """Return the number of labels at which b overtakes a for good, None if it never does.

    With d the mean over seeds of a - b: the last measurement with d > 0 is followed by one with d <= 0, and
    the crossing is where the line between them meets zero. None where d > 0 at the end (not overtaken) and
    where d > 0 nowhere (there was no lead to lose). A difference of exactly 0 to the end counts as caught up.

    Args:
        labelled: (r,) labels at each measurement, growing.
        a: (r,) or (seeds, r) accuracies of a strategy.
        b: the same of what it is compared with, usually random.

    Raises:
        ShapeError: shapes differ.
        InputError: `labelled` does not grow, or a value is not finite.
    """
    first, second = (np.atleast_2d(_finite(v, name)) for v, name in ((a, "a"), (b, "b")))
    check_shape(first, "a", ("seeds", "r"), (None, None))
    check_shape(second, "b", ("seeds", "r"), first.shape)
    if not len(first):
        raise InputError("a is empty; there is nothing to compare.")
    x, d = as_curve(labelled, (first - second).mean(axis=0))
    ahead = np.flatnonzero(d > 0)
    if not ahead.size or ahead[-1] == d.size - 1:
        return None
    i = int(ahead[-1])
    return float(x[i] + d[i] / (d[i] - d[i + 1]) * (x[i + 1] - x[i]))


def mean_interval(values: Any) -> Interval:
    """Return the mean and its 95 % interval by Student's t.

    Args:
        values: (n,) one a seed, n >= 1.

    Raises:
        InputError: there is no value, or one is not finite.
    """
    from scipy.special import stdtrit  # scipy is imported where it is used: `import labelwise` stays quick

    v = _finite(values, "values", ("n",))
    if not v.size:
        raise InputError("values is empty; there is nothing to average.")
    mean, n = float(v.mean()), int(v.size)
    if n == 1:
        return Interval(mean, None, None, 1)
    half = float(stdtrit(n - 1, 0.975) * v.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(a: Any, b: Any, seed: int = 0, resamples: int = 10_000) -> Difference:
    """Return the mean of a - b over pairs with its 95 % percentile-bootstrap interval and the paired
    t-test's p.

    With few pairs (five seeds) the bootstrap interval is on the narrow side: read it together with p. Pairs
    that all differ by the same non-zero amount have p = 0, pairs that do not differ p = 1.

    Args:
        a: (n,) one value a seed, n >= 1.
        b: (n,) of the same seeds in the same order.
        seed: of the resampling.
        resamples: how many resamples.

    Raises:
        ShapeError: shapes differ.
        InputError: there is no pair, or a value is not finite.
    """
    first, second = _finite(a, "a", ("n",)), _finite(b, "b", ("n",))
    check_shape(second, "b", ("n",), first.shape)
    d = first - second
    n = d.size
    if n == 0:
        raise InputError("a is empty; there is nothing to compare.")
    if n == 1:
        return Difference(float(d[0]), None, None, None, 1)
    draws = generator(seed, "paired_difference").integers(n, size=(check_count(resamples, "resamples", 1), n))
    low, high = np.quantile(d[draws].mean(axis=1), [0.025, 0.975])
    return Difference(float(d.mean()), float(low), float(high), t_test(d), n)


def penalty_matrix(
    accuracy: Any, labelled: Any, batch: int, random: int, *, alpha: float = 0.05, share: float = 0.99
) -> NDArray[np.float64]:
    """Return the (A, A) penalty matrix: how often, over settings, row beats column significantly.

    Checkpoints of a setting are start + 2^(j-1) batches (and the start) as far as they were
    measured and random's mean is not above `share` of its final mean; of each, 1/checkpoints goes to (i, j)
    where i's mean is higher and a paired t-test over the first five seeds has p < alpha. A column's mean is
    what that strategy lost: lower is better.

    Args:
        accuracy: (settings, A, seeds, r); missing seeds are NaN.
        labelled: (r,) labels at each measurement.
        batch: labels a round.
        random: which of the A is random.
        alpha: the level of the test.
        share: of random's final accuracy.

    Raises:
        ShapeError: shapes do not match.
        InputError: `labelled` does not grow, `random` is none of the A, or random was not measured somewhere.

    Source:
        Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", section 4.
    """
    values = as_array(accuracy, "accuracy").astype(np.float64)
    labels, _ = as_curve(labelled, labelled)
    check_shape(values, "accuracy", ("settings", "A", "seeds", "r"), (None, None, None, labels.size))
    size = check_count(batch, "batch", 1)
    n = values.shape[1]
    if check_count(random, "random") >= n:
        raise InputError(f"random must be one of the {n} strategies, 0 to {n - 1}; it is {random}.")
    if np.isnan(values[:, random]).all(axis=1).any():
        raise InputError(
            "accuracy of random must hold a number at every measurement; of one all seeds are NaN."
        )
    total = np.zeros((n, n))
    for setting in values:
        mean = np.nanmean(setting[random], axis=0)
        settled = mean > share * mean[-1]
        wanted = [labels[0] + size * 2**j for j in range(int(labels[-1] - labels[0]).bit_length())]
        later = [int(i) for i in np.flatnonzero(np.isin(labels, wanted))]
        stop = next((k for k, i in enumerate(later) if settled[i]), len(later))
        points = [0, *later[:stop]]
        for point in points:
            for i in range(n):
                for j in range(n):
                    pairs = setting[i, :, point] - setting[j, :, point]
                    pairs = pairs[~np.isnan(pairs)][:5]
                    if i != j and pairs.size > 1 and pairs.mean() > 0:
                        total[i, j] += (t_test(pairs) < alpha) / len(points)
    return total


def win_counts(accuracy: Any) -> NDArray[np.int64]:
    """Return the (A, A) penalty matrix without a test: at how many (setting, budget) row's mean beats
    column's.

    Args:
        accuracy: (settings, A, seeds, r); missing seeds are NaN.
    """
    values = as_array(accuracy, "accuracy").astype(np.float64)
    check_shape(values, "accuracy", ("settings", "A", "seeds", "r"), (None, None, None, None))
    mean = np.nanmean(values, axis=2)  # (settings, A, r)
    return np.asarray((mean[:, :, None] > mean[:, None, :]).sum(axis=(0, 3)), np.int64)


def t_test(d: NDArray[np.float64]) -> float:
    """Return the two-sided p of Student's t-test that differences, (n,) with n >= 2, have mean 0."""
    from scipy.special import stdtr

    if np.ptp(d) == 0:  # the deviation of equal numbers may round to something above 0
        return 1.0 if d[0] == 0 else 0.0
    t = d.mean() / (d.std(ddof=1) / np.sqrt(d.size))
    return float(min(1.0, 2 * stdtr(d.size - 1, -abs(t))))


def _finite(values: Any, name: str, letters: tuple[str, ...] | None = None) -> NDArray[np.float64]:
    array = as_array(values, name).astype(np.float64)
    if letters is not None:
        check_shape(array, name, letters, (None,) * len(letters))
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite; it holds {array[~np.isfinite(array)][0]}.")
    return array


def as_curve(labelled: Any, accuracy: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64, (r,).

    Raises:
        ShapeError: shapes differ.
        InputError: `labelled` does not grow, a value is not finite, or there is none.
    """
    x, y = _finite(labelled, "labelled", ("r",)), _finite(accuracy, "accuracy", ("r",))
    check_shape(y, "accuracy", ("r",), x.shape)
    if not x.size:
        raise InputError("labelled is empty; a curve needs at least one measurement.")
    if (np.diff(x) <= 0).any():
        i = int(np.flatnonzero(np.diff(x) <= 0)[0])
        raise InputError(f"labelled must grow; {x[i]:g} is followed by {x[i + 1]:g}.")
    return x, y
