"""Picks centres one after another: the farthest sample from those there are, or one drawn by its squared distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_name, check_shape
from labelwise.errors import InputError
from labelwise.functional.backend import block as some_rows
from labelwise.functional.backend import like, namespace, to_numpy
from labelwise.functional.batches.nearest import Nearest, farthest_from, filled, race
from labelwise.functional.batches.spaces import Cosine, Euclidean, Space, SymmetricKL

METRICS = ("euclidean", "cosine", "symmetric_kl")
FIRST = ("random", "farthest", "norm")


def k_center(
    points: Any, n: int, *, centres: Any = None, metric: str = "euclidean", block: int | None = None
) -> NDArray[np.int64]:
    """Return n rows, each the farthest from all centres and rows before it: argmax_u min_c d(u, c).

    Exactly the rows that distances in float64, without matrix products, would give; the lowest row among equals.
    Where nothing but copies of centres is left, the lowest rows.

    Args:
        points: (m, D) finite, of any real type; memory maps and torch tensors of any device welcome.
        n: how many rows; all of them where there are fewer.
        centres: (k, D) centres to start from, e.g. the labelled samples; None or k = 0: every distance is infinite and
            row 0, the lowest, is first.
        metric: "euclidean"; "cosine", 1 - cos, where a row of zeros is at 1 from all but its like and directions
            closer than 1e-15 are one; "symmetric_kl", ½ KL(p‖q) + ½ KL(q‖p) in nats of rows that are probabilities,
            of which those below 1e-12 count as 1e-12.
        block: rows in work at a time; None: as many as fill 16 MiB. No block changes a row.

    Returns:
        (min(n, m),) distinct rows in the order of choosing.

    Raises:
        ShapeError: `points` is not (m, D) with D >= 1, or `centres` has another width.
        InputError: a value is not finite, or a row is no distribution where it has to be; the message names it.

    Source:
        Gonzalez 1985, "Clustering to Minimize the Maximum Intercluster Distance"; for active learning Sener, Savarese
        2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach"; symmetric KL: Agarwal et al.
        2020, "Contextual Diversity for Active Learning", whose code takes logarithms of 0.
    """
    check_name(metric, METRICS, "metric")
    space, given = _spaces(points, centres, metric)
    n = min(check_count(n, "n"), len(space))
    nearest = Nearest(space, n, given, block)
    if n and nearest.count == 0:
        nearest.add(0)
    while len(nearest.chosen) < n and (row := nearest.highest()) is not None:
        nearest.add(row)
    return filled(nearest.chosen, n, len(space))


def kmeans_pp(
    points: Any,
    n: int,
    rng: np.random.Generator,
    *,
    centres: Any = None,
    first: str = "random",
    weights: Any = None,
    block: int | None = None,
) -> NDArray[np.int64]:
    """Return n rows, each drawn with probability proportional to its squared distance to the nearest one before it.

    The distribution is exact, and the rows depend on `rng` alone, not on blocks or on the kind of array.

    Args:
        points: (m, D) finite, of any real type; memory maps and torch tensors of any device welcome.
        n: how many rows; all of them where there are fewer.
        rng: draws m numbers a row.
        centres: (k, D) centres to start from; None or k = 0: see `first`.
        first: the first row where no centres are given: "random", in proportion to the weights; "farthest" from the
            mean; "norm", farthest from 0. The last two heed no weights and take the lowest row among equals.
        weights: (m,) finite, none negative: probabilities are proportional to weight times squared distance. Rows of
            weight 0 are drawn by none but the last rule.
        block: rows in work at a time; None: as many as fill 16 MiB.

    Returns:
        (min(n, m),) distinct rows in the order of drawing. Where all that is left has probability 0: the lowest rows.

    Raises:
        ShapeError: `points` is not (m, D) with D >= 1, or `centres` or `weights` do not fit it.
        InputError: a value is not finite, or a weight is negative; the message names it.

    Source:
        Arthur, Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding".
    """
    check_name(first, FIRST, "first")
    space, given = _around(points, centres)
    n = min(check_count(n, "n"), len(space))
    w = _weights(weights, len(space))
    nearest = Nearest(space, n, given, block)
    if n and nearest.count == 0:
        if first == "random":
            nearest.add(int(np.argmax(race(rng, w))))
        else:
            x = space.arrays[0]
            start = _mean(x) if first == "farthest" else np.zeros((1, x.shape[1]), np.float32)
            nearest.add(farthest_from(space, Euclidean(like(x, start), first, space.origin)))
    while len(nearest.chosen) < n and (row := nearest.highest(race(rng, w))) is not None:
        nearest.add(row)
    return filled(nearest.chosen, n, len(space))


def _around(values: Any, centres: Any) -> tuple[Euclidean, Euclidean | None]:
    """Return samples and given centres, products of both being taken around one origin."""
    space = Euclidean(values, "points")
    if centres is None:
        return space, None
    return space, Euclidean(centres, "centres", space.origin, space.width)


def _spaces(values: Any, centres: Any, metric: str) -> tuple[Space, Space | None]:
    if metric == "euclidean":
        return _around(values, centres)
    kind = Cosine if metric == "cosine" else SymmetricKL
    space = kind(values, "points")
    if centres is None:
        return space, None
    return space, kind(centres, "centres", int(space.arrays[0].shape[1]))


def _weights(weights: Any, m: int) -> NDArray[np.float64]:
    if weights is None:
        return np.ones(m)
    w = as_array(weights, "weights").astype(np.float64)
    check_shape(w, "weights", ("m",), (m,))
    wrong = np.flatnonzero(~((w >= 0) & np.isfinite(w)))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"weights: row {row} is {w[row]}; a weight must be finite and at least 0.")
    return w / (w.max(initial=0) or 1)  # only ratios count, and no quotient in `race` may overflow


def _mean(array: Any) -> NDArray[Any]:
    """Return the mean row (1, D), summed in blocks that no argument changes."""
    xp = namespace(array)
    total = np.zeros(array.shape[1])
    for start in range(0, len(array), 4096):
        part = to_numpy(some_rows(array, slice(start, start + 4096), xp))
        total += part.sum(axis=0, dtype=np.float64)
    return (total / len(array)).astype(part.dtype)[None, :]
