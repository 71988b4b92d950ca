"""Weights of modalities from the accuracy of their own heads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_number, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.metrics import accuracy

Floats = NDArray[np.float64]


def amcb_weights(gaps: Any, *, temperature: float = 0.1, floor: float = 0.05, sign: int = 1) -> Floats:
    """Return w = (1 - M ε) softmax(s Δ / τ) + ε, how much each of M modalities counts this round.

    Softmax does not see what all gaps share: Δ_m = accuracy of modality m - accuracy of the fusion gives the same
    weights as the accuracies of the modalities alone. With s = 1 the modality whose own head is the better one gains
    weight, which adapts to the data but evens nothing out; s = -1 favours the weaker one.

    Args:
        gaps: (M,) finite, M >= 1; `modality_gaps`, or accuracies, in [-1, 1].
        temperature: τ > 0; towards 0 the best modality takes all that the floor leaves.
        floor: ε in [0, 1/M], what no weight falls below.
        sign: s, 1 or -1.

    Returns:
        (M,) float64 in [ε, 1], sums to 1; [1] for M = 1; even where gaps are equal.

    Raises:
        ShapeError: `gaps` is not (M,) with M >= 1.
        InputError: a gap is not finite, or another value is out of its range.

    Source:
        RL-MBA, adaptive modality contribution balancing.

    Deviations:
        - τ, ε and the form of the floor are ours; the authors name a floor and give no numbers.
        - s = -1 is ours.
    """
    delta = as_array(gaps, "gaps").astype(np.float64)
    check_shape(delta, "gaps", ("M",), (None,))
    m = delta.size
    if not m:
        raise ShapeError("gaps must have shape (M,) with M >= 1; it is empty.")
    wrong = np.flatnonzero(~np.isfinite(delta))
    if wrong.size:
        raise InputError(
            f"gaps must be finite; modality {int(wrong[0])} is {delta[wrong[0]]}. Measure it on samples "
            "with labels."
        )
    tau = check_number(temperature, "temperature", 0)
    if not tau:
        raise InputError("temperature must be above 0; it is 0. A small one, 0.01, lets the best take all.")
    epsilon = check_number(floor, "floor", 0, 1 / m)
    if isinstance(sign, bool) or sign not in (1, -1):
        raise InputError(
            f"sign must be 1 (the better modality counts more) or -1 (the weaker); it is {sign!r}."
        )
    ranked = sign * delta
    with np.errstate(over="ignore", under="ignore"):  # far behind the best: e^-inf = 0
        w = np.exp((ranked - ranked.max()) / tau)
    return np.asarray((1 - m * epsilon) * (w / w.sum()) + epsilon)


def modality_gaps(modal_probs: Any, probs: Any, y: Any, present: Any) -> Floats:
    """Return Δ_m = accuracy of modality m's own head, on the samples that have it, - accuracy of the fusion on all.

    A head answers nothing of a sample without its modality: what stands there, even probabilities, would count as a
    guess of the first class, and weights would follow how often a modality is missing. The fusion is measured on all
    samples for every modality, so that its accuracy still cancels in weights and in the variance of gaps. On the
    samples of modality m alone it would not: where nothing else is there, the fusion is that head, and a modality that
    is often alone would have no gap.

    Args:
        modal_probs: (n, M, C) of the unimodal heads; anything that is a distribution where a modality is missing.
        probs: (n, C) of the fusion.
        y: (n,) class indices.
        present: (n, M) bool, which modalities a sample has.

    Returns:
        (M,) in [-1, 1]; negative where the fusion beats the modality alone. A modality that no sample has counts as a
        guess, right once in C.

    Raises:
        ShapeError: shapes do not match.
        DistributionError: a row is no distribution.
        InputError: a label is out of range, or there is no sample.

    Source:
        RL-MBA, adaptive modality contribution balancing: "Top-1 gaps".

    Deviations:
        The authors do not speak of missing modalities.
    """
    heads, there = as_array(modal_probs, "modal_probs"), as_array(present, "present")
    check_shape(heads, "modal_probs", ("n", "M", "C"), (None, None, None))
    n, m, c = heads.shape
    if there.dtype != bool or there.shape != (n, m):
        raise ShapeError(f"present must be bool of shape {(n, m)}; it is {there.dtype} of {there.shape}.")
    fused, labels = accuracy(probs, y), as_array(y, "y")
    check_shape(labels, "y", ("n",), (n,))
    alone = [
        accuracy(heads[rows, k], labels[rows]) if rows.any() else 1 / c for k, rows in enumerate(there.T)
    ]
    return np.array(alone) - fused
