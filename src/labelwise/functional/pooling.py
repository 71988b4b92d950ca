"""What many data sets say of one more: means that weigh sets by likeness, intervals over sets, partial pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_number, check_shape
from labelwise.errors import InputError


@dataclass(frozen=True)
class Weighed:
    """A weighted mean over sets, and what it says of sets like them.

    Attributes:
        mean: Σ w x / Σ w.
        low, high: interval of the mean of all such sets; None for fewer than two sets' worth of weight.
        next_low, next_high: interval of one more such set; None likewise.
        n: sets in effect, (Σ w)² / Σ w²: as many as there are where all weigh alike.
    """

    mean: float
    low: float | None
    high: float | None
    next_low: float | None
    next_high: float | None
    n: float


@dataclass(frozen=True)
class Pooled:
    """Means of methods, drawn towards the mean of all methods by as much as few sets deserve.

    Attributes:
        means: (A,) drawn.
        centre: the mean of the methods' plain means.
        between: variance of the methods' true means, >= 0.
        within: variance over sets around a method's mean, >= 0.
    """

    means: NDArray[np.float64]
    centre: float
    between: float
    within: float


def weighed(values: Any, weights: Any = None, *, level: float = 0.95) -> Weighed:
    """Return the weighted mean of sets with its interval by Student's t, where sets are the sample.

    With s² = Σ w (x - mean)² / (1 - Σ w²), weights summing to 1: mean ± t s √(Σ w²) holds the mean of all sets, mean ± t
    s √(1 + Σ w²) one more of them, with 1 / Σ w² - 1 degrees of freedom. Equal weights give the textbook's intervals.

    Args:
        values: (n,) one a set, n >= 1.
        weights: (n,) >= 0, not all 0; None: all alike.
        level: of the intervals, in (0, 1).

    Raises:
        ShapeError: shapes differ.
        InputError: no value, one that is not finite, no weight above 0, or a level out of its range.

    Source:
        Kish 1965, "Survey Sampling", for the number in effect; Cochran 1977, "Sampling Techniques", for the variance.
    """
    from scipy.special import stdtrit  # scipy is imported where it is used: `import labelwise` stays quick

    x = _finite(values, "values", ("n",))
    w = np.ones(x.size) if weights is None else _finite(weights, "weights", ("n",))
    check_shape(w, "weights", ("n",), x.shape)
    if not x.size or (w < 0).any() or not w.sum() > 0:
        raise InputError(
            f"weights must be 0 or more, of one set or more, and one above 0; they are {w.tolist()}."
        )
    if not 0 < check_number(level, "level") < 1:
        raise InputError(f"level must lie between 0 and 1; it is {level:g}.")
    w = w / w.sum()
    mean, n = float(w @ x), float(1 / (w @ w))
    if n < 2 - 1e-9:
        return Weighed(mean, None, None, None, None, n)
    spread = np.sqrt(max(0.0, float(w @ (x - mean) ** 2)) / (1 - 1 / n))
    t = float(stdtrit(n - 1, (1 + level) / 2))
    half, ahead = float(t * spread * np.sqrt(1 / n)), float(t * spread * np.sqrt(1 + 1 / n))
    return Weighed(mean, mean - half, mean + half, mean - ahead, mean + ahead, n)


def pooled(values: Any) -> Pooled:
    """Return the methods' means over sets, drawn towards the mean of all methods: empirical Bayes, normal and normal.

    A method's mean over n sets, m, becomes c + (m - c) b / (b + v / n): b is the variance between methods, v the one
    within a method over sets, c the mean over methods, all three estimated by moments from the same values. Who was
    measured on few sets, or where methods hardly differ, moves most. Choosing the largest of many means then favours no
    longer those with the fewest sets, whose means scatter most.

    Args:
        values: (A, sets); NaN where a method was not measured, each method on one set at least.

    Raises:
        InputError: a method was measured nowhere, or there is none.

    Source:
        Efron and Morris 1975, "Data Analysis Using Stein's Estimator and its Generalizations".

    Deviations:
        Variances by moments, and the same v for all methods, so that a method on a single set has one, too.
    """
    x = as_array(values, "values").astype(np.float64)
    check_shape(x, "values", ("A", "sets"), (None, None))
    known = ~np.isnan(x)
    if not x.size or not known.any(axis=1).all():
        raise InputError("values must hold one number or more for each method.")
    if np.isinf(x).any():
        raise InputError("values must be finite, or NaN where there is none; there is an infinite one.")
    n = known.sum(axis=1)
    plain = np.nansum(x, axis=1) / n
    free = int((n - 1).sum())
    squares = float(np.nansum((x - plain[:, None]) ** 2))
    within = squares / free if free else 0.0
    centre = float(plain.mean())
    scatter = float(plain.var(ddof=1)) if plain.size > 1 else 0.0
    between = max(0.0, scatter - within * float((1 / n).mean()))
    noise = within / n
    # Without any spread within, means are known as they are.
    share = np.divide(between, between + noise, out=np.ones_like(noise), where=between + noise > 0)
    return Pooled(centre + (plain - centre) * share, centre, between, within)


def near_mean(values: Any, likeness: Any, elsewhere: float, *, counts: float = 1.0) -> float:
    """Return (Σ k x + c m) / (Σ k + c): sets like mine by likeness k, and the mean m of all as if c sets were just like it.

    Args:
        values: (n,) one a set; n may be 0.
        likeness: (n,) in [0, 1].
        elsewhere: m, what holds where nothing is like mine.
        counts: c > 0.

    Raises:
        ShapeError: shapes differ.
        InputError: a number is not finite or out of its range.
    """
    x, k = _finite(values, "values", ("n",)), _finite(likeness, "likeness", ("n",))
    check_shape(k, "likeness", ("n",), x.shape)
    c = check_number(counts, "counts")
    if not c > 0 or (k < 0).any() or (k > 1).any():
        raise InputError(
            f"likeness must lie in [0, 1] and counts be above 0; they are {k.tolist()} and {c:g}."
        )
    return float((k @ x + c * check_number(elsewhere, "elsewhere")) / (k.sum() + c))


def _finite(values: Any, name: str, letters: tuple[str, ...]) -> NDArray[np.float64]:
    array = as_array(values, name).astype(np.float64)
    check_shape(array, name, letters, (None,) * len(letters))
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite; it holds {array[~np.isfinite(array)][0]}.")
    return array
