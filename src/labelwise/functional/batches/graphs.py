"""Batches found by bisection on line graphs, one a class, between samples known to be of it and known not to be: GALAXY."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_count, check_shape
from labelwise.errors import InputError
from labelwise.functional.scores import check_probs

KEPT_BYTES = 2**26  # lines are kept while they take no more; the others are sorted anew at each turn
TIE = 1e-8  # of the highest probability: orders the samples that a class wins by how clearly it does


def galaxy(
    probs: Any,
    n: int,
    *,
    labelled_probs: Any,
    labelled_y: Any,
    reveal: Callable[[int], int] | None = None,
    first: int = 0,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows, each halfway between two samples that differ, on the line on which a class orders all samples.

    For class c all samples, labelled ones too, are sorted by p_c - max p and linked to their neighbours. Classes take
    turns: the shortest path from a labelled sample of c to a labelled sample not of c, through unlabelled ones, is
    found, its midpoint asked for and labelled at once. Where a class has no such path, samples one step farther apart
    are linked, in the graphs of all classes, and it is tried once more; if in vain, a row is drawn.

    Args:
        probs: (m, C) of the pool, rows sum to 1.
        n: how many rows; all of them where there are fewer.
        labelled_probs: (N, C) of the labelled samples.
        labelled_y: (N,) their classes.
        reveal: called with each row as it is asked for, returns its class; None: the most probable one stands in.
        first: the class whose turn it is at the start; then its successors, in a cycle.
        rng: draws a row where there is no path; None: the lowest row.

    Returns:
        (min(n, m),) distinct rows, in the order of asking. Ties between paths: the lowest row.

    Raises:
        ShapeError: shapes do not fit together.
        DistributionError: a row of probabilities is no distribution.
        InputError: a label is no class.

    Source:
        Zhang, Katz-Samuels, Nowak 2022, "GALAXY: Graph-based Active Learning at the Extreme".
        - Of several shortest paths the public code (jifanz/GALAXY) takes the one that a hash finds first.
        - A class that no labelled sample belongs to, or that all do, has no path whatever is linked; its turn passes
          to the next. The public code draws a row at random and links all graphs wider.
    """
    p = check_probs(probs, "probs")
    known_p = check_probs(labelled_probs, "labelled_probs")
    classes = p.shape[1]
    check_shape(known_p, "labelled_probs", ("n", "C"), (None, classes))
    known_y = as_labels(labelled_y, classes, "labelled_y")
    check_shape(known_y, "labelled_y", ("n",), (len(known_p),))
    n = min(check_count(n, "n"), len(p))
    turn = check_count(first, "first") % classes
    best = np.concatenate([p.max(axis=1, initial=0), known_p.max(axis=1, initial=0)])
    y = np.concatenate([np.full(len(p), -1), known_y])  # rows of the pool first: a node's number is its row
    lines: dict[int, NDArray[np.int32]] = {}
    counts = np.bincount(known_y, minlength=classes)
    reach, rows = 1, np.empty(n, np.int64)
    for i in range(n):
        row = None
        divided = np.flatnonzero((counts > 0) & (counts < counts.sum()))
        if divided.size:
            turn = int(divided[np.searchsorted(divided, turn) % divided.size])
            order = lines.get(turn)
            if order is None:
                order = line(np.concatenate([p[:, turn], known_p[:, turn]]), best)
                if (len(lines) + 1) * order.nbytes <= KEPT_BYTES:
                    lines[turn] = order
            found = y[order]
            signs = np.where(found < 0, 0, np.where(found == turn, 1, -1))
            middle = midpoints(signs, reach)
            if not middle.size and reach < y.size:
                reach += 1
                middle = midpoints(signs, reach)
            if middle.size:
                row = int(order[middle].min())
            turn = (turn + 1) % classes
        if row is None:
            free = np.flatnonzero(y[: len(p)] < 0)
            row = int(free[0] if rng is None else rng.choice(free))
        rows[i] = row
        y[row] = np.argmax(p[row]) if reveal is None else _class(reveal(row), row, classes)
        counts[y[row]] += 1
    return rows


def line(probs: Array, best: Array) -> NDArray[np.int32]:
    """Return the nodes in the order of a class: by p_c - max p, and where it is the most probable one by p_c.

    Args:
        probs: (n,) p_c.
        best: (n,) max p.
    """
    highest = best.astype(np.float64)
    return np.argsort(probs - highest + TIE * highest, kind="stable").astype(np.int32)


def midpoints(signs: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Return the positions halfway along each shortest path from a sample of the class to one that is not.

    Args:
        signs: (n,) along the line: 1 of the class, -1 not of it, 0 unlabelled.
        reach: samples at most this many steps apart are linked, but for two that are known to differ.

    Returns:
        (k,) unlabelled positions, those with edges // 2 edges to the sample of the class; none where there is no path.
        With a reach above 1 the hops of a long path could be laid in many ways: the one that halves it is meant.
    """
    if reach > 1:
        between = (signs == 0) & _near(signs > 0, reach) & _near(signs < 0, reach)
        if between.any():
            return np.flatnonzero(between)
    # Longer paths run between two labelled samples that follow one another: whoever passes by a labelled sample
    # within reach has found a shorter path.
    known = np.flatnonzero(signs)
    left, right = known[:-1], known[1:]
    far = (signs[left] != signs[right]) & (right - left > reach)
    left, right = left[far], right[far]
    edges = -(-(right - left) // reach)
    shortest = edges == edges.min(initial=len(signs))
    left, right, edges = left[shortest], right[shortest], edges[shortest]
    gap, before, after = right - left, (edges + 1) // 2, edges // 2
    steps = np.clip(
        (gap + 1) // 2, gap - after * reach, before * reach
    )  # from the one that is not of the class
    found: NDArray[np.int64] = np.where(signs[left] < 0, left + steps, right - steps)
    return found


def _near(marked: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Tell which positions have a marked one at most `reach` steps away."""
    sums = np.concatenate([[0], np.cumsum(marked)])
    at = np.arange(marked.size)
    return sums[np.minimum(at + reach + 1, marked.size)] > sums[np.maximum(at - reach, 0)]


def _class(label: Any, row: int, classes: int) -> int:
    if isinstance(label, bool) or not isinstance(label, int | np.integer) or not 0 <= label < classes:
        raise InputError(
            f"reveal must return a class from 0 to {classes - 1}; of row {row} it returned {label!r}."
        )
    return int(label)
