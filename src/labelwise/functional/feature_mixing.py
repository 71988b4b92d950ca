"""Finds the samples whose prediction changes when their embeddings are mixed with others or partly dropped."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import rows_per_block
from labelwise.functional.clusters import rows_of, squared_distances


def class_means(embeddings: Any, y: Any) -> NDArray[np.float64]:
    """Return the mean embedding of each class that has samples, in the order of classes.

    Args:
        embeddings: (n, D).
        y: (n,) class indices.

    Returns:
        (K, D), K the number of distinct classes in `y`; 0 where there is no sample.

    Raises:
        ShapeError: shapes do not fit together, or `y` are no whole numbers.
        InputError: a value of embeddings is not finite.
    """
    rows = rows_of(as_array(embeddings, "embeddings"), "embeddings")
    labels = as_array(y, "y")
    check_shape(labels, "y", ("n",), (len(rows),))
    if labels.size and labels.dtype.kind not in "iu":
        raise ShapeError(f"y must be whole numbers; they are {labels.dtype}.")
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((classes.size, int(rows.array.shape[1])))
    for part in rows.blocks():
        order = np.argsort(place[part], kind="stable")
        here, first = np.unique(place[part][order], return_index=True)
        means[here] += np.add.reduceat(rows.take(part)[order], first, axis=0, dtype=np.float64)
    return means / counts[:, None]


def mixing_flips(
    embeddings: Any, logits: Any, weight: Any, anchors: Any, *, epsilon: float = 0.2
) -> NDArray[np.bool_]:
    """Return whether a sample's prediction changes when its embedding is mixed with some anchor.

    With anchor a, the mix is (1 - α) ⊙ z + α ⊙ a, by the closed form

        α = ε ‖a - z‖ / ‖g‖ · g ⊘ (a - z),  g = ∇_z of the cross-entropy with the predicted class.

    In it the difference to the anchor cancels: the mix is z + ε ‖a - z‖ g / ‖g‖, a step as long as the anchor is far.
    Along a ray a linear layer predicts one class on one interval, so a sample flips for some anchor where it flips
    for the furthest, and only that one is tried.

    Args:
        embeddings: (n, D) z, what the last layer reads.
        logits: (n, C) what it gives.
        weight: (C, D) its weights; adding the same row to all changes nothing.
        anchors: (K, D), such as the means of labelled classes; where there is none, nothing flips.
        epsilon: √D ε, at least 0.

    Returns:
        (n,) bool.

    Raises:
        ShapeError: shapes do not fit together.
        InputError: a value is not finite, or `epsilon` is negative.

    Deviations:
        Where sample and anchor agree in a coordinate, α has no value; the step is taken there, too, as it is next to
        such a coordinate, while the authors' code stays where it is. They let the mean of all labelled samples stand
        for classes without any; it is never further than the furthest class mean, so that it flips nothing more.

    Source:
        Parvaneh et al. 2022, "Active Learning by Feature Mixing", the closed form of section 3.
    """
    layer = _layer(embeddings, logits, weight)
    places = rows_of(as_array(anchors, "anchors"), "anchors", width=layer.weight.shape[1])
    if not 0 <= epsilon < np.inf:
        raise InputError(f"epsilon must be a number of at least 0; it is {epsilon!r}.")
    flips = np.zeros(len(layer.logits), bool)
    if len(places) == 0 or layer.weight.shape[0] == 1:
        return flips
    around = places.take(slice(None)).astype(np.float64)
    origin = around.mean(axis=0)  # products lose digits far from it
    around -= origin
    step = epsilon / np.sqrt(layer.weight.shape[1])
    for part in layer.blocks(len(around)):
        z, outputs, guess = layer.block(part)
        far = np.sqrt(squared_distances(z - origin, around, np).max(axis=1))
        row = np.arange(len(z))
        # g is (1 - p_guess) times this: the probabilities of the others, among themselves, never vanish
        others = outputs.copy()
        others[row, guess] = -np.inf
        others = np.exp(others - others.max(axis=1, keepdims=True))
        others /= others.sum(axis=1, keepdims=True)
        slope = others @ layer.weight - layer.weight[guess]
        length = np.linalg.norm(slope, axis=1)
        slope *= (step * far / np.where(length > 0, length, 1))[:, None]
        flips[part] = (outputs + slope @ layer.weight.T).argmax(axis=1) != guess
    return flips


def dropout_changes(
    embeddings: Any,
    logits: Any,
    weight: Any,
    rng: np.random.Generator,
    *,
    masks: int = 3,
    p: float = 0.75,
) -> NDArray[np.int64]:
    """Return under how many dropout masks a sample's prediction changes.

    A mask sets each value of the embedding to 0 with probability p, and divides what is left by 1 - p.

    Args:
        embeddings: (n, D), what the last layer reads.
        logits: (n, C) what it gives.
        weight: (C, D) its weights; adding the same row to all changes nothing.
        rng: draws D even numbers for each mask of each sample, in this order; those below p drop.
        masks: M, at least 1, drawn for each sample anew.
        p: the probability to drop a value, in [0, 1).

    Returns:
        (n,) in [0, M].

    Raises:
        ShapeError: shapes do not fit together.
        InputError: a value is not finite, `masks` is below 1, or `p` is outside [0, 1).

    Source:
        Gupte, Aklilu, Nirschl, Yeung-Levy 2024, "Revisiting Active Learning in the Era of Vision Foundation Models".
    """
    layer = _layer(embeddings, logits, weight)
    masks = check_count(masks, "masks", 1)
    if not 0 <= p < 1:
        raise InputError(f"p must be in [0, 1); it is {p!r}.")
    changes = np.zeros(len(layer.logits), np.int64)
    for part in layer.blocks(masks * layer.weight.shape[1]):
        z, outputs, guess = layer.block(part)
        kept = rng.random((len(z), masks, z.shape[1])) >= p
        for m in range(masks):
            moved = z * (kept[:, m] / (1 - p) - 1)
            changes[part] += (outputs + moved @ layer.weight.T).argmax(axis=1) != guess
    return changes


class _Layer(NamedTuple):
    """A linear layer's inputs, outputs and weights, checked."""

    embeddings: Array
    logits: Array
    weight: NDArray[np.float64]

    def blocks(self, width: int) -> list[slice]:
        """Return slices that cover all rows, where `width` numbers a row are needed beside inputs and outputs."""
        n, step = len(self.logits), rows_per_block(2 * (sum(self.weight.shape) + width))
        return [slice(start, min(start + step, n)) for start in range(0, n, step)]

    def block(self, rows: slice) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return some inputs, outputs and predicted classes."""
        outputs = self.logits[rows].astype(np.float64)
        return self.embeddings[rows].astype(np.float64), outputs, outputs.argmax(axis=1)


def _layer(embeddings: Any, logits: Any, weight: Any) -> _Layer:
    h, z, w = as_array(embeddings, "embeddings"), as_array(logits, "logits"), as_array(weight, "weight")
    rows_of(h, "embeddings")
    check_shape(z, "logits", ("n", "C"), (len(h), None))
    rows_of(z, "logits")
    check_shape(w, "weight", ("C", "D"), (z.shape[1], h.shape[1]))
    rows_of(w, "weight")
    return _Layer(h, z, w.astype(np.float64, copy=False))
