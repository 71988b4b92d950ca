"""Uncertainty scores of class probabilities, (n, C) -> (n,): a higher score means ask sooner.

Those of posterior draws, (n, S, C) -> (n,), are in `labelwise.functional.draws`; the best known are found here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_shape
from labelwise.errors import ShapeError
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.functional.distributions import refuse, tolerance_of
from labelwise.functional.draws import bald, mean_std, predictive_entropy, variation_ratio

try:
    from labelwise.functional import _rows
except ImportError:  # no compiler was there when labelwise was built; NumPy gives the same numbers
    _rows = None  # type: ignore[assignment]

__all__ = [
    "Scores",
    "bald",
    "check_probs",
    "entropy",
    "largest_margin",
    "least_confidence",
    "mean_std",
    "predictive_entropy",
    "smallest_margin",
    "variation_ratio",
]

Scores = NDArray[np.floating[Any]]
# Scores a block whose rows are known to sum to one: (block, its bits, row starts, out) -> whether it met none but
# plain non-negative numbers. Where it did not, `out` is void.
Rule = Callable[[Array, Array, NDArray[np.intp], Array], bool]

# The bits of non-negative floats, read as whole numbers, are ordered as the floats are, and their maximum takes half
# the time, having no NaN to heed. Where a row sums to one all entries are below 2; whatever has a sign, -0.0 among
# them, is far above it: the maximum that a score needs anyway has seen every entry to be non-negative.
_BITS: dict[int, np.dtype[Any]] = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}
_TWO = {size: np.array(2.0, f"f{size}").view(kind)[()] for size, kind in _BITS.items()}


def least_confidence(probs: Any, *, block: int | None = None, threads: int | None = None) -> Scores:
    """Return 1 - max_c p: how sure the predictor is that its best guess is wrong.

    0 where one class has all the probability, at most 1 - 1/C.

    Args:
        probs: (n, C) class probabilities, rows sum to 1; any float type, memory maps and torch tensors
            welcome.
        block: rows worked on at a time; None: as many as fill about 3 MiB.
        threads: threads to use; None: see `labelwise.functional.blocks.thread_count`.

    Returns:
        (n,) float32, or float64 where `probs` is neither float16 nor float32. Neither `block` nor `threads`
        changes it.

    Raises:
        ShapeError: `probs` is not (n, C) with C >= 1.
        DistributionError: a row has a negative or non-finite entry or does not sum to 1; the message names
            it.

    Source:
        Lewis, Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
    """

    def make(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        def rule(x: Array, bits: Array, starts: NDArray[np.intp], out: Array) -> bool:
            best = out.view(kind)
            np.maximum.reduceat(bits, starts, out=best)
            plain = bool(best.max() < _TWO[kind.itemsize])
            np.subtract(1, out, out=out)
            return plain

        return rule

    return _score(probs, make, block, threads)


def smallest_margin(probs: Any, *, block: int | None = None, threads: int | None = None) -> Scores:
    """Return -(p₍₁₎ - p₍₂₎), the negated lead of the best class over the second best.

    Papers ask for the smallest margin; negated, a higher score means ask sooner here too. 0 where two classes
    tie for the lead, -1 where one has all the probability. A single class leads nobody: 0 for C = 1.

    Args, Returns, Raises: as `least_confidence`; (n,) in [-1, 0].

    Source:
        Scheffer, Decomain, Wrobel 2001, "Active Hidden Markov Models for Information Extraction".
    """

    def compiled(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        def rule(x: Array, bits: Array, starts: NDArray[np.intp], out: Array) -> bool:
            return bool(_rows.smallest_margin(bits, out) < _TWO[kind.itemsize])

        return rule

    def make(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        below = np.empty((rows, width), kind)
        best, second = np.empty(rows, kind), np.empty(rows, kind)

        def rule(x: Array, bits: Array, starts: NDArray[np.intp], out: Array) -> bool:
            r = len(x)
            top, gap, next_best = best[:r], below[:r], second[:r]
            np.maximum.reduceat(bits, starts, out=top)
            # Counted modulo 2^k, bits minus the lead's bits are 0 for the lead and huge for all below it,
            # most so for the nearest: a second maximum finds the runner-up, and nothing is struck out.
            np.subtract(bits.reshape(r, width), top[:, None], out=gap)
            np.maximum.reduceat(gap.reshape(-1), starts, out=next_best)
            np.add(next_best, top, out=next_best)
            np.subtract(next_best.view(out.dtype), top.view(out.dtype), out=out)
            if gap.size - np.count_nonzero(gap) > r:  # somewhere two classes share the lead
                out[(gap == 0).sum(axis=1) > 1] = 0
            return bool(top.max() < _TWO[kind.itemsize])

        return rule

    return _score(probs, make if _rows is None else compiled, block, threads)


def largest_margin(probs: Any, *, block: int | None = None, threads: int | None = None) -> Scores:
    """Return -(p₍₁₎ - p₍C₎), the negated lead of the best class over the worst.

    Papers ask for the smallest such margin; negated, a higher score means ask sooner here too. For two
    classes it is `smallest_margin`. 0 for C = 1.

    Args, Returns, Raises: as `least_confidence`; (n,) in [-1, 0].

    Source:
        "Active Learning for Multi-class Image Classification", arXiv 2505.06825 ("best versus worst").
    """

    def make(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        best = np.empty(rows, kind)

        def rule(x: Array, bits: Array, starts: NDArray[np.intp], out: Array) -> bool:
            top = best[: len(x)]
            np.maximum.reduceat(bits, starts, out=top)
            np.minimum.reduceat(bits, starts, out=out.view(kind))
            np.subtract(out, top.view(out.dtype), out=out)
            return bool(top.max() < _TWO[kind.itemsize])

        return rule

    return _score(probs, make, block, threads)


def entropy(probs: Any, *, block: int | None = None, threads: int | None = None) -> Scores:
    """Return H(p) = -Σ_c p_c ln p_c in nats, with 0 ln 0 = 0.

    0 where one class has all the probability, ln C where all classes are equally probable.

    Args, Returns, Raises: as `least_confidence`; (n,) in [0, ln C].

    Source:
        Shannon 1948, "A Mathematical Theory of Communication".
    """

    def make(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        real = np.dtype(f"f{kind.itemsize}")
        logarithm, unit = _logarithm(real.itemsize)
        tiny = np.finfo(real).tiny
        logs = np.empty((rows, width), real)

        def rule(x: Array, bits: Array, starts: NDArray[np.intp], out: Array) -> bool:
            work = logs[: len(x)]
            np.vecdot(x, logarithm(x, out=work), out=out)
            if np.isnan(out.min()):  # 0 times -inf, or the logarithm of something negative
                if x.min() < 0:
                    return False
                # p ln p -> 0 at p = 0, so any finite logarithm will do there
                np.vecdot(x, logarithm(np.maximum(x, tiny, out=work), out=work), out=out)
            np.multiply(out, -unit, out=out)
            np.maximum(out, 0, out=out)  # rounding: a row like (1, 1e-9) may end a hair below zero
            return True

        return rule

    return _score(probs, make, block, threads)


def check_probs(
    probs: Any, name: str = "probs", *, block: int | None = None, threads: int | None = None
) -> Array:
    """Return `probs` as an array whose rows are all distributions.

    Args:
        probs: (n, C).
        name: how an error message calls it.
        block, threads: as `least_confidence`.

    Raises:
        ShapeError: not (n, C) with C >= 1.
        DistributionError: a row is no distribution; the message names the row and what is wrong with it.
    """

    def make(rows: int, width: int, kind: np.dtype[Any]) -> Rule:
        return lambda x, bits, starts, out: bool(bits.max() < _TWO[kind.itemsize])

    array = _as_probs(probs, name)
    _score(array, make, block, threads, name)
    return array


def _as_probs(probs: Any, name: str) -> Array:
    array = as_array(probs, name)
    check_shape(array, name, ("n", "C"), (None, None))
    if array.shape[1] == 0:
        raise ShapeError(f"{name} must have at least one class; it has shape {array.shape}.")
    return array


@cache
def _logarithm(size: int) -> tuple[np.ufunc, float]:
    """Return the logarithm that NumPy computes fastest on this machine and the length of its unit in nats.

    Both are vectorised where the processor has AVX-512, and log2 is the faster; elsewhere at most ln is.
    """
    introspect = getattr(np.lib, "introspect", None)  # since NumPy 2.1
    if introspect is not None:
        kinds = introspect.opt_func_info(func_name="^log2$", signature=f"float{8 * size}").get("log2", {})
        if any(not str(kind["current"]).startswith("baseline") for kind in kinds.values()):
            return np.log2, log(2)
    return np.log, 1.0


def _score(
    probs: Any,
    make: Callable[[int, int, np.dtype[Any]], Rule],
    block: int | None,
    threads: int | None,
    name: str = "probs",
) -> Scores:
    """Check and score in one pass: a block is read from memory once and used while it is in the cache."""
    array = _as_probs(probs, name)
    n, width = array.shape
    # float16 has no fast arithmetic; longdouble and whole numbers are worked on as float64
    real = np.dtype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)
    kind = _BITS[real.itemsize]
    tolerance = tolerance_of(array.dtype)
    scores = np.empty(n, real)

    def kernel(rows: int) -> Kernel:
        rule = make(rows, width, kind)
        ones = np.ones(width, real)
        starts = np.arange(0, rows * width, width)
        buffer: Array | None = None

        def work(part: Array, first: int) -> None:
            nonlocal buffer
            r = len(part)
            x = part
            if part.dtype != real or not part.flags.c_contiguous:  # a foreign byte order is another dtype
                buffer = np.empty((rows, width), real) if buffer is None else buffer
                x = buffer[:r]
                np.copyto(x, part)
            out = scores[first : first + r]
            np.vecdot(x, ones, out=out)
            np.subtract(out, 1, out=out)
            np.abs(out, out=out)
            if not out.max() <= tolerance:  # true for NaN as well
                refuse(x, tolerance, lambda i: f"{name}: row {first + i}")
            if not rule(x, x.reshape(-1).view(kind), starts[:r], out):
                if x.min() < 0:
                    refuse(x, tolerance, lambda i: f"{name}: row {first + i}")
                x = x + 0.0  # what had a sign was -0.0, and no longer has
                rule(x, x.reshape(-1).view(kind), starts[:r], out)

        return work

    sweep(array, kernel, rows=block_rows(width * real.itemsize, block), threads=threads)
    return scores
