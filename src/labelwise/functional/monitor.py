"""Watches a campaign for what averages hide: classes lost, batches of near copies, noise among what was
asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_labels, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import block_rows
from labelwise.functional.curves import as_curve, crossing_point


@dataclass(frozen=True)
class Alarm:
    """Something a person should look at.

    Attributes:
        round: the measurement (row of the arrays given) at which it was first seen.
        kind: "lost", "ignored", "zero", "random-catches-up" or "no-gain".
        words: one sentence.
        class_index: the class it is about, None where it is about all.
    """

    round: int
    kind: str
    words: str
    class_index: int | None = None


@dataclass(frozen=True)
class Share:
    """A share k/n with its 95 % Wilson interval, beside the rate it would have by chance."""

    share: float
    low: float
    high: float
    base: float
    n: int

    @property
    def differs(self) -> bool:
        """True if the base rate lies outside the interval."""
        return not self.low <= self.base <= self.high


def exclusion_alarms(
    per_class: Any,
    asked: Any = None,
    *,
    classes: Sequence[str] | None = None,
    once: float = 0.5,
    floor: float = 0.05,
    rounds: int = 3,
    batches: int = 5,
    chance: float = 0.01,
) -> tuple[Alarm, ...]:
    """Return an alarm for every class that the predictor lost or the strategy stopped asking for.

    "lost": a class whose accuracy once exceeded `once` has been under `floor` for `rounds` measurements in a
    row. "ignored": a class got none of the last `batches` batches, although drawing classes evenly would
    miss it with a probability below `chance` only (chance=1: always an alarm). Each alarm is given once an
    episode, at the round that completes it.

    Args:
        per_class: (r, C) accuracy of each class at each measurement; None or NaN where a class had no sample.
        asked: (b, C) how many samples of each class each batch brought; None: not watched.
        classes: C names for the words.
        once, floor: accuracies.
        rounds, batches: lengths of the two episodes.
        chance: see above.

    Raises:
        ShapeError: shapes do not match.
    """
    grid = _grid(per_class)
    names = _names(classes, grid.shape[1])
    found: list[Alarm] = []
    need = check_count(rounds, "rounds", 1)
    for c in range(grid.shape[1]):
        best, low = 0.0, 0
        for t, value in enumerate(grid[:, c]):
            if np.isnan(value):
                continue
            best = max(best, float(value))
            low = low + 1 if value < floor and best > once else 0
            if low == need:
                words = f"{names[c]} reached {best:.0%} and has been under {floor:.0%} for {need} rounds."
                found.append(Alarm(t, "lost", words, c))
    if asked is not None:
        found += _ignored(asked, names, check_count(batches, "batches", 1), chance)
    return tuple(sorted(found, key=lambda alarm: (alarm.round, alarm.class_index)))


def _ignored(asked: Any, names: Sequence[str], span: int, chance: float) -> list[Alarm]:
    counts = as_array(asked, "asked")
    check_shape(counts, "asked", ("b", "C"), (None, len(names)))
    found = []
    for c, name in enumerate(names):
        before = False
        for t in range(span - 1, len(counts)):
            window = counts[t - span + 1 : t + 1]
            rare = (1 - 1 / len(names)) ** float(window.sum()) <= chance
            now = bool(rare and window[:, c].sum() == 0)
            if now and not before:
                words = f"{name} is in none of the last {span} batches ({int(window.sum())} samples)."
                found.append(Alarm(t, "ignored", words, c))
            before = now
    return found


def failure_signatures(
    labelled: Any,
    accuracy: Any,
    *,
    random: Any = None,
    per_class: Any = None,
    classes: Sequence[str] | None = None,
    window: int = 10,
    gain: float = 0.002,
) -> tuple[Alarm, ...]:
    """Return the signs that a strategy fails: a class at 0 %, random catching up, labels that buy nothing.

    "zero": at the last measurement a class has accuracy 0 (since the round given). "random-catches-up": see
    `crossing_point`. "no-gain": the best mean accuracy of the last `window` measurements is less than `gain`
    above the best before them; the words say at which level, for a finished task gains nothing either.

    Args:
        labelled: (r,) labels at each measurement.
        accuracy: (r,) or (seeds, r).
        random: accuracies of random on the same measurements, (r,) or (seeds, r).
        per_class: (r, C) accuracy of each class; None or NaN where there was no sample.
        classes: C names for the words.
        window: measurements without gain; fewer than twice as many measurements are not judged.
        gain: accuracy.

    Raises:
        ShapeError: shapes do not match.
        InputError: `labelled` does not grow, or a value is not finite.
    """
    found: list[Alarm] = []
    seeds = np.atleast_2d(as_array(accuracy, "accuracy"))
    check_shape(seeds, "accuracy", ("seeds", "r"), (None, None))
    if not len(seeds):
        raise InputError("accuracy is empty; there is no seed to judge.")
    x, mean = as_curve(labelled, seeds.mean(axis=0))
    if per_class is not None:
        grid = _grid(per_class)
        check_shape(grid, "per_class", ("r", "C"), (x.size, None))
        for c, name in enumerate(_names(classes, grid.shape[1])):
            if len(grid) and grid[-1, c] == 0:
                above = np.flatnonzero(grid[:, c] > 0)
                since = int(above[-1]) + 1 if above.size else 0
                found.append(Alarm(since, "zero", f"{name} has been at 0 % since {x[since]:g} labels.", c))
    if random is not None:
        crossing = crossing_point(x, accuracy, random)
        if crossing is not None:
            at = int(np.searchsorted(x, crossing))
            words = f"Random catches up for good at {crossing:.0f} labels."
            found.append(Alarm(at, "random-catches-up", words))
    span = check_count(window, "window", 1)
    if mean.size >= 2 * span:
        late, early = float(mean[-span:].max()), float(mean[:-span].max())
        if late - early < gain:
            words = f"The last {span} rounds gained {late - early:+.2%} over the best before, {early:.1%}."
            found.append(Alarm(int(mean.size - span), "no-gain", words))
    return tuple(found)


def mean_pairwise_distance(x: Any, *, squared: bool = False, block: int | None = None) -> float:
    """Return the mean Euclidean distance between two different samples; 0 for fewer than two.

    Args:
        x: (n, D), flattened where there are more axes.
        squared: of squared distances instead: exact in O(n D), as their sum is n times the squared distances
            to the mean.
        block: rows worked on at a time.

    Raises:
        ShapeError: no sample axis, or a value is not finite.
    """
    points = _points(x)
    n = len(points)
    if n < 2:
        return 0.0
    if squared:
        # Σ_{i<j} |x_i - x_j|² = n Σ_i |x_i - mean|²; there are n (n - 1) / 2 pairs
        return float(2 * np.square(points - points.mean(axis=0)).sum() / (n - 1))
    rows, total = block_rows(8 * n, block), 0.0
    for start, square, _ in _squares(points, rows):
        np.sqrt(square, out=square)
        np.fill_diagonal(square[:, start:], 0.0)  # a sample's distance to itself, without its rounding
        total += float(square.sum())
    return total / (n * (n - 1))


def _squares(
    points: NDArray[np.float64], rows: int
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield (first row, squared distances of a block of rows to all points, what rounding may have cost each).

    One matrix product a block: ten times faster than differences, but small distances drown in its rounding.
    """
    centred = points - points.mean(axis=0)
    norms = np.einsum("ij,ij->i", centred, centred)
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        scale = norms[part, None] + norms
        square = scale - 2 * (centred[part] @ centred.T)
        yield start, np.maximum(square, 0.0, out=square), 1e-12 * points.shape[1] * scale


def class_entropy(y: Any, n_classes: int) -> float:
    """Return the entropy of the classes of a batch in nats: 0 for one class, ln C for equal counts.

    Args:
        y: (n,) class indices, n >= 1.
        n_classes: C.

    Raises:
        InputError: there is no label, or one is out of range.
    """
    labels = as_labels(y, check_count(n_classes, "n_classes", 1))
    if not labels.size:
        raise InputError("y is empty; it has no entropy.")
    share = np.bincount(labels) / labels.size
    share = share[share > 0]
    return float(max(0.0, -(share * np.log(share)).sum()))


def near_duplicates(x: Any, tol: float, *, block: int | None = None) -> NDArray[np.int64]:
    """Return the pairs (i, j), i < j, of samples at a Euclidean distance of at most tol, (k, 2).

    A Gram matrix proposes pairs, generously; their distances are then taken of differences, because a Gram matrix
    loses exactly the small ones to rounding.

    Args:
        x: (n, D), flattened where there are more axes.
        tol: distance, non-negative.
        block: rows worked on at a time.

    Raises:
        ShapeError: no sample axis.
        InputError: a value is not finite, or `tol` is negative.
    """
    points = _points(x)
    if not tol >= 0:
        raise InputError(f"tol must be a distance of at least 0; it is {tol!r}.")
    rows = block_rows(8 * len(points), block)
    found = [np.empty((0, 2), np.int64)]
    for start, square, lost in _squares(points, rows) if len(points) else ():
        near = np.add(np.argwhere(square <= tol * tol + lost), (start, 0))
        near = near[near[:, 0] < near[:, 1]]
        step = block_rows(8 * points.shape[1], block)
        for k in range(0, len(near), step):
            some = near[k : k + step]
            apart = points[some[:, 0]] - points[some[:, 1]]
            found.append(some[np.sqrt(np.einsum("ij,ij->i", apart, apart)) <= tol])
    return np.concatenate(found)


def noisy_share(noisy: Any, base: float) -> Share:
    """Return the share of noisy labels among asks with its 95 % interval, beside the noise rate of the pool.

    Args:
        noisy: (n,) booleans, one an ask, n >= 1.
        base: the share of noisy labels in the pool, in [0, 1].

    Raises:
        InputError: there is no ask, or `base` is no share.

    Source:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    flags = as_array(noisy, "noisy")
    check_shape(flags, "noisy", ("n",), (None,))
    if flags.dtype != np.bool_ and not np.isin(flags, (0, 1)).all():
        raise InputError(f"noisy must be booleans; it holds {flags[~np.isin(flags, (0, 1))][0]}.")
    if not flags.size:
        raise InputError("noisy is empty; nothing was asked.")
    if not 0 <= base <= 1:
        raise InputError(f"base must be a share from 0 to 1; it is {base!r}.")
    n, p = flags.size, float(np.count_nonzero(flags) / flags.size)
    z = 1.959963984540054  # the normal's 97.5 % point
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # the exact ends are 0 and 1 where p is; rounding must not leave the base rate just outside
    return Share(p, 0.0 if p == 0 else float(middle - half), 1.0 if p == 1 else float(middle + half), base, n)


def _points(x: Any) -> Array:
    array = as_array(x, "x")
    if array.ndim < 2:
        raise ShapeError(f"x must have shape (n, D); it has shape {array.shape}.")
    points = array.reshape(len(array), -1) if len(array) else np.empty((0, 1))
    points = points.astype(np.float64)
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise InputError(f"x: row {row} holds a value that is not finite.")
    return points


def _grid(per_class: Any) -> NDArray[np.float64]:
    """Return (r, C) accuracies; None becomes NaN."""
    if not hasattr(per_class, "dtype"):
        if not all(isinstance(row, Sequence | np.ndarray) for row in per_class):
            raise ShapeError("per_class must have shape (r, C): a row a measurement; it holds single values.")
        per_class = [[np.nan if value is None else value for value in row] for row in per_class]
    grid = as_array(per_class, "per_class").astype(np.float64)
    check_shape(grid, "per_class", ("r", "C"), (None, None))
    return grid


def _names(classes: Sequence[str] | None, n: int) -> list[str]:
    if classes is not None and len(classes) != n:
        raise ShapeError(f"classes must hold one name a class, {n}; it holds {len(classes)}.")
    return [f"Class {c}" for c in range(n)] if classes is None else [f"Class {name!r}" for name in classes]
