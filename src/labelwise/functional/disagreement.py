"""How much the predictions for samples differ from those for the labelled samples around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count
from labelwise.errors import ShapeError
from labelwise.functional.backend import namespace, rows_per_block, to_numpy
from labelwise.functional.batches.spaces import FLOOR
from labelwise.functional.clusters import rows_of
from labelwise.functional.scores import check_probs


def k_nearest(values: Any, places: Any, k: int) -> NDArray[np.int64]:
    """Return for each row the k nearest places in Euclidean distance, in no order.

    Args:
        values: (n, D) finite, NumPy or torch; worked on in blocks, no (n, m) array.
        places: (m, D), m >= 1, of the same library and device.
        k: how many; all places where there are fewer.

    Returns:
        (n, min(k, m)) numbers of places.

    Raises:
        ShapeError: `values` is not (n, D), or `places` has another width or no row.
        InputError: a row has no finite norm; the message names it.
    """
    rows, given = rows_of(values, "embeddings"), rows_of(places, "labelled embeddings")
    m, width = (int(size) for size in given.array.shape)
    if m == 0 or width != rows.array.shape[1]:
        raise ShapeError(
            f"labelled embeddings must be (m, {rows.array.shape[1]}), m >= 1; they are {(m, width)}."
        )
    xp = namespace(rows.array, given.array)
    around = given.about_mean()  # distances far from 0 would lose digits
    others = around.take(slice(None))
    squares = xp.sum(others * others, axis=1)
    count = min(check_count(k, "k", 1), m)
    found = np.empty((len(rows), count), np.int64)
    for part in rows.blocks(m):
        own = xp.astype(rows.take(part), others.dtype) - around.origin
        distances = squares - 2 * (
            own @ others.T
        )  # less the row's own square, which is the same for all places
        found[part] = np.argpartition(to_numpy(distances), count - 1, axis=1)[:, :count]
    return found


def contrastive(
    probs: Any, embeddings: Any, labelled_probs: Any, labelled_embeddings: Any, k: int = 10
) -> NDArray[np.float64]:
    """Return the mean of KL(p_l‖p) over the k nearest labelled samples l: predictions unlike those of neighbours.

    Args:
        probs: (n, C) class probabilities; below 1e-12 they count as that in logarithms.
        embeddings: (n, D).
        labelled_probs: (m, C) of the labelled samples.
        labelled_embeddings: (m, D) of theirs; D >= 1.
        k: neighbours; all labelled samples where there are fewer.

    Returns:
        (n,) in nats, at least 0; 0 for all where nobody is labelled.

    Raises:
        ShapeError: arrays do not fit each other.
        DistributionError: a row of probabilities is none; the message names it.

    Source:
        Margatina, Vernikos, Barrault, Aletras 2021, "Active Learning by Acquiring Contrastive Examples".
    """
    p, q = check_probs(probs), check_probs(labelled_probs, "labelled_probs")
    if len(p) != len(embeddings) or len(q) != len(labelled_embeddings):
        raise ShapeError(
            "probs and embeddings must have one row a sample, both of the pool and of the labelled."
        )
    if p.shape[1] != q.shape[1]:
        raise ShapeError(f"labelled_probs must have {p.shape[1]} classes; it has {q.shape[1]}.")
    values = np.zeros(len(p))
    if not len(q):
        return values
    near = k_nearest(embeddings, labelled_embeddings, k)
    step = rows_per_block(8 * p.shape[1])
    # KL(q‖p) = q·ln q - q·ln p: the first part belongs to the neighbour, the second takes their mean
    own = np.empty(len(q))
    for start in range(0, len(q), step):
        part = q[start : start + step].astype(np.float64)
        own[start : start + step] = np.vecdot(part, np.log(np.maximum(part, FLOOR)))
    for start in range(0, len(p), step):
        rows = slice(start, start + step)
        mean = np.zeros((len(near[rows]), p.shape[1]))
        for place in near[rows].T:
            mean += q[place]
        logs = np.log(np.maximum(p[rows].astype(np.float64), FLOOR))
        values[rows] = own[near[rows]].mean(axis=1) - np.vecdot(mean / near.shape[1], logs)
    return np.maximum(values, 0)  # rounding may end a hair below zero
