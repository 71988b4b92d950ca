"""How much the loss of a head may change with each modality's embedding: by its layers, or as measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from labelwise.checks import check_count, check_number, check_shape
from labelwise.errors import InputError
from labelwise.functional.robust import Floats, as_finite, refuse_negative

CROSS_ENTROPY = sqrt(2)  # its gradient in the logits is p - onehot, which is never longer


def spectral_lipschitz(layers: Sequence[Any], widths: Sequence[int], loss: float = CROSS_ENTROPY) -> Floats:
    """Return L (K,), the most that the loss may change for one unit of each modality's embedding.

    The spectral norm of the columns of the first layer that read the modality, times those of all later layers, times
    that of the loss. It holds everywhere where what stands between the layers is 1-Lipschitz (ReLU, tanh, dropout in
    eval mode), and is often far above `empirical_lipschitz`.

    Args:
        layers: weights (out, in) of the head's linear layers, in the order in which they act; the first one reads the
            embeddings side by side.
        widths: K widths of the embeddings, which sum to what the first layer reads.
        loss: Lipschitz constant of the loss in the head's output, at least 0; √2 for cross-entropy of logits.

    Returns:
        (K,) at least 0, Euclidean norms throughout.

    Raises:
        ShapeError: a layer is no matrix, is empty, or does not read what the one before it answers.
        InputError: there is no layer or no modality, a weight is not finite, or a number is out of range.

    Source:
        Szegedy et al. 2014, "Intriguing Properties of Neural Networks", section 4.3.
    """
    if not len(layers) or not len(widths):
        raise InputError("Give at least one layer and one modality's width; there is none.")
    parts = [check_count(width, "a width", 1) for width in widths]
    most = check_number(loss, "loss", 0)
    into = sum(parts)
    matrices = []
    for number, layer in enumerate(layers):
        weights = as_finite(layer, f"layer {number}", ("out", "in"))
        check_shape(weights, f"layer {number}", ("out", "in"), (None, into))
        matrices.append(weights)
        into = len(weights)
    for later in matrices[1:]:
        most *= float(np.linalg.norm(later, 2))
    blocks = np.split(matrices[0], np.cumsum(parts)[:-1], axis=1)
    return np.array([most * np.linalg.norm(block, 2) for block in blocks])


def empirical_lipschitz(gradient_norms: Any) -> Floats:
    """Return the greatest norm of the loss's gradient in each modality's embedding over the samples at hand.

    A sample that is not among them may have a steeper one: call what is made of it empirical, not a bound.

    Args:
        gradient_norms: (n, K) at least 0.

    Returns:
        (K,) at least 0.

    Raises:
        ShapeError: not (n, K), or n or K is 0.
        InputError: a norm is negative or not finite.
    """
    norms = as_finite(gradient_norms, "gradient_norms", ("n", "K"))
    refuse_negative(norms.min(axis=1), "gradient_norms")
    return np.asarray(norms.max(axis=0))
