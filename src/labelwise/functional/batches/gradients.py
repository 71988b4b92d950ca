"""BADGE without its matrix: k-means++ over gradient embeddings that are outer products and never formed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_ids, check_count
from labelwise.errors import InputError
from labelwise.functional.backend import like, rows_per_block
from labelwise.functional.batches.nearest import Nearest, farthest_from, filled, race
from labelwise.functional.batches.spaces import Gradient, Gradients, Space

NAMES = ("probs", "embeddings")


def gradient_kmeans_pp(
    probs: Any,
    embeddings: Any,
    n: int,
    rng: np.random.Generator,
    *,
    chosen: Any = None,
    block: int | None = None,
) -> NDArray[np.int64]:
    """Return n rows by k-means++ over the gradient embeddings g = (p - onehot(argmax p)) ⊗ z.

    g is the gradient of the cross entropy in the last layer's weights, had the likeliest class been the label. The
    first row is the one of largest ‖g‖; each further one is drawn with probability proportional to the squared
    distance of its g to the nearest g before it. Inner products factor, ⟨g, g'⟩ = ⟨r, r'⟩⟨z, z'⟩ with r = p - onehot,
    so nothing of size C·D is formed. The distribution is exact, and the rows depend on `rng` alone, not on blocks or
    on the kind of array.

    Args:
        probs: (m, C) class probabilities, rows sum to 1; any float type, memory maps and torch tensors welcome.
        embeddings: (m, D) finite, before the last layer.
        n: how many rows; all that are left where there are fewer.
        rng: draws m numbers a row after the first.
        chosen: (k,) rows chosen before, which count as centres and are not returned; with any, all n are drawn.
        block: rows in work at a time; None: as many as fill 16 MiB.

    Returns:
        (min(n, m - k),) distinct rows in the order of drawing. Where copies of chosen rows are all that is left: the
        lowest rows.

    Raises:
        ShapeError: an array is not (m, C) or (m, D).
        DistributionError: a row of `probs` is no distribution.
        InputError: an embedding is not finite, or `chosen` are no distinct rows; the message names it.

    Source:
        Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
        Lower Bounds", Algorithm 1.

    Deviations:
        - The paper draws the first row evenly; its public code takes the one of largest norm, and so does this.
        - No gradient of the bias, as in the public code. Its sign, onehot - p, changes no distance.
    """
    space = Gradient(probs, embeddings, NAMES)
    sure, zero = _nothing(space.arrays)
    origin = Gradient(sure, zero, NAMES)
    return _drawn(space, origin, n, rng, chosen, block)


def joint_gradient_kmeans_pp(
    heads: Sequence[tuple[Any, Any]],
    n: int,
    rng: np.random.Generator,
    *,
    chosen: Any = None,
    block: int | None = None,
) -> NDArray[np.int64]:
    """Return n rows by k-means++ over the gradient embeddings of several heads side by side.

    g = [(p_1 - onehot(ŷ)) ⊗ z_1, ..., (p_H - onehot(ŷ)) ⊗ z_H] with ŷ = argmax p_1: the gradient of the sum of all heads'
    cross entropies, had the first head's guess been the label. A head that disagrees with the first has a long block; one
    whose z is zeros has none. How much a head counts lies in the length of its z. Squared distances are sums over heads of
    products, so nothing of size C·D is formed.

    Args:
        heads: pairs of class probabilities (m, C), rows sum to 1, and embeddings (m, D_h), finite; the first tells ŷ.
        n, rng, chosen, block: as `gradient_kmeans_pp`, which this equals for one head.

    Returns:
        As `gradient_kmeans_pp`.

    Raises:
        ShapeError: an array is not (m, C) or (m, D).
        DistributionError: a row of probabilities is no distribution.
        InputError: there is no head, heads do not fit together, an embedding is not finite, or `chosen` are no distinct
            rows.

    Source:
        Ours, from BADGE: see `gradient_kmeans_pp`.
    """
    space = Gradients(heads, "heads")
    flat = _nothing(space.arrays)
    origin = Gradients(list(zip(flat[::2], flat[1::2], strict=True)), "heads")
    return _drawn(space, origin, n, rng, chosen, block)


def _nothing(arrays: Sequence[Any]) -> list[Any]:
    """Return a sample without a gradient: sure of a class, embeddings of 0; of probs and embeddings in turn."""
    return [
        like(
            a,
            np.zeros((1, int(a.shape[1])), np.float32)
            if k % 2
            else np.eye(1, int(a.shape[1]), dtype=np.float32),
        )
        for k, a in enumerate(arrays)
    ]


def _drawn(
    space: Space, origin: Space, n: int, rng: np.random.Generator, chosen: Any, block: int | None
) -> NDArray[np.int64]:
    before = _chosen(chosen, len(space))
    n = min(check_count(n, "n"), len(space) - before.size)
    nearest = Nearest(space, before.size + n, block=block)
    for row in before.tolist():
        nearest.add(row)
    if n and not before.size:
        nearest.add(farthest_from(space, origin))
    even = np.ones(len(space))
    while len(nearest.chosen) < before.size + n and (row_ := nearest.highest(race(rng, even))) is not None:
        nearest.add(row_)
    return filled(nearest.chosen, before.size + n, len(space))[before.size :]


def gradient_distances(probs: Any, embeddings: Any, chosen: Any) -> NDArray[np.float64]:
    """Return min_c ‖g_i - g_c‖², c over the rows chosen: what the next row of `gradient_kmeans_pp` is drawn by.

    Args:
        probs, embeddings: as `gradient_kmeans_pp`.
        chosen: (k,) rows, at least one.

    Returns:
        (m,) squared distances, accurate however close; 0 for chosen rows and their copies.

    Raises:
        As `gradient_kmeans_pp`; InputError: nothing is chosen.
    """
    space = Gradient(probs, embeddings, NAMES)
    rows = _chosen(chosen, len(space))
    if not rows.size:
        raise InputError("chosen must hold at least one row; without one no distance is finite.")
    found = np.full(len(space), np.inf)
    step = rows_per_block(2 * space.width)
    for start in range(0, len(space), step):
        here = slice(start, start + step)
        mine = space.doubles(here)
        for row in rows.tolist():
            found[here] = np.minimum(found[here], space.gap(mine, space.doubles(np.array([row]))))
    return found


def _chosen(chosen: Any, m: int) -> NDArray[np.int64]:
    rows = as_ids(np.empty(0, np.int64) if chosen is None else chosen, "chosen")
    wrong = rows[(rows < 0) | (rows >= m)]
    if wrong.size:
        raise InputError(f"chosen must be rows from 0 to {m - 1}; {int(wrong[0])} is none.")
    return rows
