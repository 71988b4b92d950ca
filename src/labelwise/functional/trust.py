"""TrustSet: the labelled samples that still teach most, as many of each class, without those that look mislabelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_labels, check_count, check_shape
from labelwise.errors import InputError
from labelwise.functional.batches.quotas import class_quotas, top_per_class
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.functional.importance import el2n, grand, super_loss_weight
from labelwise.functional.scores import check_probs

Floats = NDArray[np.float64]


def trust_scores(
    probs: Any, y: Any, *, lam: float | None = 1.0, tau: float | None = None, embeddings: Any = None
) -> Floats:
    """Return σ*(-ln p_y) ‖p - onehot(y)‖: the norm of the SuperLoss' gradient with respect to the logits.

    High for samples that are not learnt yet; the weight σ* of the SuperLoss then pushes down those whose loss is so
    large that their labels are doubtful.

    Args:
        probs: (n, C) class probabilities of the model that was trained on these samples.
        y: (n,) class indices.
        lam: λ of the SuperLoss; None leaves its weight out ("without curriculum").
        tau: τ of the SuperLoss in nats; None: ln C.
        embeddings: (n, D) take GraNd of the last layer instead of EL2N: the norm times √(‖z‖² + 1).

    Returns:
        (n,) float64, at least 0.

    Raises: as `el2n`, `grand` and `super_loss_weight`; ShapeError where `probs` are not of one model.

    Source:
        BRAL-T, equations 5 and 6. The derivative of the minimised SuperLoss in the loss is σ* (envelope theorem), so
        that the norm of its gradient is the product.
    """
    p = as_array(probs, "probs")
    check_shape(p, "probs", ("n", "C"), (None, None))
    norms = el2n(p, y) if embeddings is None else grand(p, embeddings, y)
    if lam is None:
        return norms
    told = p[np.arange(len(p)), as_labels(y, p.shape[1])].astype(np.float64)
    with np.errstate(divide="ignore"):  # a label that the model rules out has an infinite loss and weight 0
        loss = -np.log(told)
    return norms * super_loss_weight(loss, float(np.log(p.shape[1])) if tau is None else tau, lam)


def trust_set(scores: Any, y: Any, n_classes: int, size: int) -> NDArray[np.int64]:
    """Return the rows that score highest within each class, as many of each.

    Each class gets max(⌊size / C⌋, 1) places, what is left goes to the classes with the highest mean score. A class
    with fewer samples gives all it has, and no other fills its places: the set stays balanced.

    Args:
        scores: (n,) such as `trust_scores`.
        y: (n,) class indices.
        n_classes: C.
        size: places in all.

    Returns:
        Distinct rows, class after class, best first.

    Raises: as `top_per_class`.

    Source:
        BRAL-T, section 4.1 ("sort data by class ... and select the top-N data for each category").

    Deviations:
        The paper names no N; its ablation cuts the labelled set into groups of the batch's size, so N = ⌊b / C⌋.
    """
    return top_per_class(scores, y, n_classes, class_quotas(scores, y, n_classes, size))


def second_set(scores: Any, y: Any, n_classes: int, size: int) -> NDArray[np.int64]:
    """Return the rows that come next within each class: ranks N + 1 to 2 N where the TrustSet has 1 to N.

    A class that has fewer than N + 1 samples gives none.

    Args, Returns, Raises: as `trust_set`.

    Source:
        BRAL-T's ablation DiffSet ("we select the second-best data group instead of the best one").

    Deviations:
        The paper sorts the whole labelled set and cuts it; here each class is cut, so that the set is balanced, too.
    """
    values, labels = as_array(scores, "scores"), as_labels(y, n_classes)
    check_shape(values, "scores", ("n",), (labels.size,))
    check_count(size, "size")
    best = trust_set(values, labels, n_classes, size)
    rest = np.setdiff1d(np.arange(labels.size), best)
    quotas = class_quotas(values, labels, n_classes, size)
    return rest[top_per_class(values[rest], labels[rest], n_classes, quotas)]


def expected_trust(
    probs: Any, *, class_weights: Any = None, lam: float | None = 1.0, tau: float | None = None
) -> Floats:
    """Return Σ_y p_y w_y σ*(-ln p_y) ‖p - onehot(y)‖: what `trust_scores` would be on average, were the model right.

    It needs no label. Samples that the model is sure of score 0, doubtful ones high, and those most that may belong to
    a heavy class; the weight σ* counts the likely labels rather than the far-fetched ones.

    Args:
        probs: (n, C), memory maps welcome.
        class_weights: (C,) w, at least 0; None: all 1.
        lam: λ of the SuperLoss; None leaves its weight out.
        tau: τ of the SuperLoss in nats; None: ln C.

    Returns:
        (n,) float64, at least 0.

    Raises:
        ShapeError: an array has the wrong shape.
        DistributionError: a row of `probs` is no distribution; the message names it.
        InputError: a weight is negative or not finite; λ or τ as in `super_loss_weight`.

    Source:
        BRAL-T's score (equations 5 and 6) in expectation over the predicted label.
    """
    p = check_probs(as_array(probs, "probs"))
    n, classes = p.shape
    weights = np.ones(classes) if class_weights is None else as_array(class_weights, "class_weights")
    check_shape(weights, "class_weights", ("C",), (classes,))
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("class_weights must be finite and at least 0.")
    limit = float(np.log(classes)) if tau is None else tau
    out = np.empty(n)

    def kernel(rows: int) -> Kernel:
        def work(part: Array, first: int) -> None:
            x = part.astype(np.float64)
            squares = x * x
            best = np.arange(len(x)), x.argmax(axis=1)
            others = squares.sum(axis=1)[:, None] - squares
            squares[best] = 0
            others[best] = squares.sum(axis=1)  # a difference would lose all digits as p nears 1
            norms = np.sqrt(np.square(1 - x) + np.maximum(others, 0))
            if lam is not None:
                with np.errstate(divide="ignore"):
                    norms *= super_loss_weight(-np.log(x).ravel(), limit, lam).reshape(x.shape)
            out[first : first + len(x)] = (x * norms) @ weights

        return work

    sweep(p, kernel, rows=block_rows(80 * classes))
    return out


def balancing_weights(y: Any, n_classes: int, power: float = 1.0) -> Floats:
    """Return (1 / max(n_c, 1))^power of each class, scaled to a mean of 1: rare classes weigh more.

    Args:
        y: (n,) class indices of the labelled samples.
        n_classes: C.
        power: 1 makes a class with half the samples count twice, 0 makes all alike.

    Returns:
        (C,) float64.
    """
    counts = np.bincount(as_labels(y, n_classes), minlength=n_classes)
    weights = np.maximum(counts, 1.0) ** -power
    return np.asarray(weights / weights.mean())
