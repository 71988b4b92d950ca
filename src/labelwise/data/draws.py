"""Draws from labels: stratified parts, long tails, imbalance; and columns of numbers brought to one scale."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_shape
from labelwise.data.base import Ids
from labelwise.errors import InputError

Initial = Literal["random", "twisted-main", "twisted-rare"]
TWIST = 0.05  # share of the neglected half of the classes in a twisted initial set


def allocate(counts: NDArray[np.int64], n: int, *, leave: int = 0) -> NDArray[np.int64]:
    """Return how many of each class to draw so that n are drawn in proportion (largest remainders).

    Every class that can spare one gets at least one if n is large enough for that. Fewer than n are drawn
    only where the classes cannot spare more.

    Args:
        counts: (K,) how many there are of each class.
        n: how many to draw.
        leave: how many of each class must stay behind.

    Returns:
        (K,), each at most counts - leave.
    """
    most = np.maximum(counts - leave, 0)
    n = min(n, int(most.sum()))
    quota = n * counts / max(int(counts.sum()), 1)
    least = np.minimum(most, 1) if n >= np.count_nonzero(most) else np.zeros_like(most)
    sizes = np.clip(np.floor(quota).astype(np.int64), least, most)
    while (short := n - int(sizes.sum())) != 0:
        if short > 0:
            sizes[np.argmax(np.where(sizes < most, quota - sizes, -np.inf))] += 1
        else:
            sizes[np.argmax(np.where(sizes > least, sizes - quota, -np.inf))] -= 1
    return sizes


def draw(y: NDArray[np.int64], sizes: NDArray[np.int64], rng: np.random.Generator) -> Ids:
    """Return sorted positions in y: sizes[k] of class k, or all where there are fewer."""
    shuffled = rng.permutation(len(y))
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    ordered = y[by_class]
    rank = np.arange(len(y)) - np.searchsorted(ordered, ordered)  # place among one's own class
    return np.sort(by_class[rank < sizes[ordered]]).astype(np.int64)


def stratified(y: NDArray[np.int64], n: int, rng: np.random.Generator, *, leave: int = 0) -> Ids:
    """Return about n sorted positions in y, each class in proportion; see `allocate` for the exact numbers.

    Args:
        y: (N,) class indices.
        n: how many.
        rng: draws inside each class.
        leave: how many of each class must stay behind.
    """
    counts = np.bincount(y, minlength=1) if len(y) else np.zeros(1, np.int64)
    return draw(y, allocate(counts, n, leave=leave), rng)


def size_of(wanted: float, total: int, name: str) -> int:
    """Return a number of samples given as a share (a float in [0, 1)) or as a whole number.

    Raises:
        InputError: the share is outside [0, 1), or the number is negative or not below `total`.
    """
    if isinstance(wanted, float):
        if not 0 <= wanted < 1:
            raise InputError(
                f"{name} must be a share in [0, 1) or a whole number of samples; it is {wanted}."
            )
        return round(wanted * total)
    if check_count(wanted, name) >= max(total, 1):
        raise InputError(f"{name} must leave something over of {total} samples; it is {wanted}.")
    return int(wanted)


def carve(y: NDArray[np.int64], size: float, rng: np.random.Generator, name: str) -> Ids:
    """Return sorted positions of a stratified part of y; a class of two or more is in it and stays behind.

    Args:
        y: (N,) class indices.
        size: a share in [0, 1) or a whole number of samples; 0 gives no one.
        rng: draws inside each class.
        name: of the part, for messages.
    """
    n = size_of(size, len(y), name)
    if size == 0:
        return np.empty(0, np.int64)
    spare = int(np.count_nonzero(np.bincount(y) > 1)) if len(y) else 0
    # a share of a small set must not lose a class to rounding; a whole number is taken at its word
    return stratified(y, max(n, spare) if isinstance(size, float) else n, rng, leave=1)


def long_tail_sizes(n_max: int, factor: float, n_classes: int) -> NDArray[np.int64]:
    """Return class sizes of an exponential profile, n_k = floor(n_max · factor^(-k / (K - 1))).

    Args:
        n_max: size of class 0.
        factor: how many times larger class 0 is than class K - 1; at least 1.
        n_classes: K, at least 2.

    Returns:
        (K,) never rising.

    Source:
        Cui, Jia, Lin, Song, Belongie 2019, "Class-Balanced Loss Based on Effective Number of Samples",
        section 5.1.
    """
    if not 1 <= factor < float("inf"):
        raise InputError(f"long_tail must be a finite factor of at least 1; it is {factor}.")
    check_count(n_classes, "n_classes", 2)
    # 5000 · 10^-1 may come out as 499.999...; a billionth more never reaches the next whole number otherwise
    exact = n_max * factor ** (-np.arange(n_classes) / (n_classes - 1))
    return np.floor(exact * (1 + 1e-12)).astype(np.int64)


def imbalanced(y: NDArray[np.int64], n_classes: int, rng: np.random.Generator) -> Ids:
    """Return sorted positions of a 1:2:…:K imbalance: class k is kept with probability (k + 1) / K.

    The realised size is random: with ten classes of 5,000, 27,500 ± 91.

    Source:
        Zhan et al. 2022, "A Comparative Survey of Deep Active Learning", the authors' code for
        CIFAR10-imb (K = 10).
        Deviation: for another number of classes the largest one stays whole, K in the place of 10.
    """
    return np.flatnonzero(rng.random(len(y)) < (y + 1) / n_classes).astype(np.int64)


def initial_set(
    y: NDArray[np.int64], sizes: NDArray[np.int64], how: Initial, n: int, rng: np.random.Generator
) -> Ids:
    """Return sorted positions in y of n samples that are labelled before a campaign begins.

    "random" draws from all samples alike. A twisted set takes 5 % (rounded) at random from the samples of one
    half of the classes, whichever of these they are, and the others from those of the other half:
    "twisted-main" 5 % from the rarer half, "twisted-rare" 5 % from the more frequent half. Of an odd number of
    classes the rarer half is the smaller one; equally large classes are ranked by their index.

    Args:
        y: (N,) class indices of the samples to draw from.
        sizes: (K,) training samples of each class: which classes are rare.
        how: see above.
        n: how many.
        rng: draws inside each half.

    Raises:
        InputError: there is no such way of drawing, n is not below N, or a half has too few samples.

    Source:
        "Labeled TrustSet Guided: Combining Batch Active Learning with Reinforcement Learning", table 8: of
        1,000 samples 50 from 5 of 10 classes and 950 from the others.
    """
    if how not in get_args(Initial):
        raise InputError(f"initial must be one of {', '.join(get_args(Initial))}; it is {how!r}.")
    check_count(n, "initial_size", 1)
    size_of(n, len(y), "initial_size")
    if how == "random":
        return np.sort(rng.permutation(len(y))[:n]).astype(np.int64)
    rare = np.argsort(sizes, kind="stable")[: len(sizes) // 2]
    is_rare = np.isin(y, rare)
    few = round(TWIST * n)
    chosen = []
    for half, word, wanted in (
        (is_rare, "rarest", few if how == "twisted-main" else n - few),
        (~is_rare, "most frequent", n - few if how == "twisted-main" else few),
    ):
        there = np.flatnonzero(half)
        if len(there) < wanted:
            classes = len(rare) if word == "rarest" else len(sizes) - len(rare)
            raise InputError(
                f"initial = {how!r} takes {wanted:,} of {n:,} samples from the {word} {classes} of {len(sizes)} "
                f"classes; the pool has {len(there):,} of theirs. Lower initial_size, or enlarge the pool."
            )
        chosen.append(rng.permutation(there)[:wanted])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def standardise(values: Array, rows: Array) -> NDArray[np.float32]:
    """Return columns with mean 0 and standard deviation 1 as measured on `rows`.

    Missing numbers (NaN) become 0, the mean; a constant column becomes 0.

    Args:
        values: (n, F).
        rows: (n,) bool, which samples to measure on: all but the test part, so that nothing leaks from it.

    Returns:
        (n, F) float32.
    """
    check_shape(values, "values", ("n", "F"), (None, None))
    wide = values.astype(np.float64)
    known = np.where(rows[:, None], wide, np.nan)
    there = ~np.isnan(known)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, known, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(there, (known - mean) ** 2, 0).sum(axis=0) / count)
    scaled = (wide - mean) / np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300), spread, np.inf)
    standard: NDArray[np.float32] = np.nan_to_num(scaled, nan=0.0).astype(np.float32)
    return standard
