"""How much each modality contributes: Shapley values, and how uneven they are."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_count, check_shape
from labelwise.errors import InputError, ShapeError

Floats = NDArray[np.float64]
MOST_EXACT = 10  # modalities: more have too many coalitions to ask about every one


def shapley(values: Any) -> Floats:
    """Return the Shapley values of M modalities from the worth of all 2^M coalitions, exactly.

    φ_m = Σ over coalitions S without m of |S|! (M - |S| - 1)! / M! (v(S ∪ m) - v(S)); they sum to v(all) - v(none).

    Args:
        values: (..., 2^M) the worth of each coalition; bit m of its number is set where modality m is in it, so that
            values[..., 0] is worth of none and values[..., -1] of all.

    Returns:
        (..., M) float64. O(M 2^M) time for each.

    Raises:
        ShapeError: the last axis is no power of 2 of at least 2.
        InputError: a value is not finite.

    Source:
        Shapley 1953, "A Value for n-Person Games".
    """
    v = _finite(values, "values")
    size = v.shape[-1] if v.ndim else 0
    m = size.bit_length() - 1
    if size < 2 or size != 2**m:
        raise ShapeError(f"values must have shape (..., 2^M) with M >= 1; it has shape {v.shape}.")
    masks = np.arange(size)
    members = np.bitwise_count(masks)
    phi = np.empty((*v.shape[:-1], m))
    weight = np.array([factorial(s) * factorial(m - s - 1) / factorial(m) for s in range(m)])
    for one in range(m):
        without = masks[masks >> one & 1 == 0]
        phi[..., one] = (v[..., without | 1 << one] - v[..., without]) @ weight[members[without]]
    return phi


def shapley_sampled(
    worth: Callable[[int], float], modalities: int, orders: int, rng: np.random.Generator
) -> Floats:
    """Return Shapley values estimated from random orders in which modalities join, for when 2^M is too many.

    Each order adds v(those before m and m) - v(those before m) to φ_m; the mean over orders is unbiased, and sums to
    v(all) - v(none) whatever the orders.

    Args:
        worth: returns v of a coalition given as a number, bit m set where modality m is in it; called once for each
            coalition that comes up.
        modalities: M.
        orders: how many orders are drawn.
        rng: draws them.

    Returns:
        (M,) float64.

    Raises:
        InputError: M or `orders` is below 1, or a coalition's worth is not finite.

    Source:
        Castro, Gómez, Tejada 2009, "Polynomial Calculation of the Shapley Value Based on Sampling".
    """
    m = check_count(modalities, "modalities", 1)
    known: dict[int, float] = {}

    def v(mask: int) -> float:
        if mask not in known:
            known[mask] = float(_finite(worth(mask), f"worth({mask})"))
        return known[mask]

    phi = np.zeros(m)
    for _ in range(check_count(orders, "orders", 1)):
        mask = 0
        for one in rng.permutation(m).tolist():
            phi[one] += v(mask | 1 << one) - v(mask)
            mask |= 1 << one
    return phi / orders


def contribution(coalitions: Any, modal_probs: Any, y: Any, present: Any = None) -> dict[str, Any]:
    """Return what each modality contributes to the accuracy of a fusion, on samples whose labels are known.

    Args:
        coalitions: (n, 2^M, C) class probabilities where only a coalition's modalities are read.
        modal_probs: (n, M, C) of the unimodal heads.
        y: (n,) class indices, of at least one sample.
        present: (n, M) bool, which modalities a sample has; None: all. A head answers nothing of a sample without its
            modality, and is measured on the others; where there are none it counts as a guess, right once in C.

    Returns:
        "accuracy": of each modality's own head, M numbers; "shapley": of the accuracy of the fusion, M numbers that sum
        to accuracy of all less accuracy of none; "dispersion": D(φ) of these; "by class": (C, M) accuracy of each
        modality's head on each class, None where a class has no sample.

    Raises:
        ShapeError: shapes do not match.
        InputError: a label is out of range, or there is no sample.

    Source:
        RL-MBA, analysis of modality contributions; `shapley`, `dispersion`.
    """
    worlds, heads = as_array(coalitions, "coalitions"), as_array(modal_probs, "modal_probs")
    check_shape(heads, "modal_probs", ("n", "M", "C"), (None, None, None))
    n, m, c = heads.shape
    check_shape(worlds, "coalitions", ("n", "2^M", "C"), (n, 2**m, c))
    labels = as_labels(y, c, "y")
    if not n or labels.size != n:
        raise InputError(
            f"contribution needs samples with a label each; it has {n} samples, {labels.size} labels."
        )
    phi = shapley((worlds.argmax(axis=2) == labels[:, None]).mean(axis=0))
    there = np.ones((n, m), bool) if present is None else as_array(present, "present")
    if there.dtype != bool or there.shape != (n, m):
        raise ShapeError(f"present must be bool of shape {(n, m)}; it is {there.dtype} of {there.shape}.")
    right = (heads.argmax(axis=2) == labels[:, None]) & there
    hits, shown = np.zeros((2, c, m))
    np.add.at(hits, labels, right)
    np.add.at(shown, labels, there)
    counts = np.bincount(labels, minlength=c)
    by_class = np.divide(hits, shown, out=np.full((c, m), 1 / c), where=shown > 0)
    alone = np.divide(hits.sum(axis=0), shown.sum(axis=0), out=np.full(m, 1 / c), where=shown.sum(axis=0) > 0)
    return {
        "accuracy": alone.tolist(),
        "shapley": phi.tolist(),
        "dispersion": float(dispersion(phi)),
        "by class": [row.tolist() if count else None for row, count in zip(by_class, counts, strict=True)],
    }


def dispersion(phi: Any) -> Floats:
    """Return D(φ), how unevenly modalities contribute: |φ_1 - φ_2| for two of them, their variance (ddof 0) for more.

    Args:
        phi: (..., M) contributions, M >= 1.

    Returns:
        (...) float64, at least 0; 0 for M = 1.

    Raises:
        ShapeError: there is no modality.
        InputError: a value is not finite.

    Source:
        RL-MBA, supplement.
    """
    v = _modalities(phi, "phi")
    return np.asarray(np.abs(v[..., 0] - v[..., 1]) if v.shape[-1] == 2 else v.var(axis=-1))


def contribution_shares(phi: Any) -> Floats:
    """Return |φ_m| / Σ |φ|, each modality's share of what all contribute; even shares where none contributes.

    Args:
        phi: (..., M) contributions, M >= 1.

    Returns:
        (..., M) float64, sums to 1.

    Raises: as `dispersion`.

    Source:
        Shen et al. 2023, "Towards Balanced Active Learning for Multimodal Classification" (BMMAL).

    Deviations:
        The authors' code gives NaN, 0/0, where no modality contributes.
    """
    size = np.abs(_modalities(phi, "phi"))
    total = size.sum(axis=-1, keepdims=True)
    return np.where(total > 0, size / np.where(total > 0, total, 1), 1 / size.shape[-1])


def balancing_scales(shares: Any) -> Floats:
    """Return 1 - (c_max - c_m): 1 for the strongest modality, less for weaker ones.

    Args:
        shares: (..., M) of `contribution_shares`.

    Returns:
        (..., M) float64 in [0, 1].

    Raises: as `dispersion`.

    Source:
        Shen et al. 2023, BMMAL; for more than two modalities the form is ours.
    """
    c = _modalities(shares, "shares")
    return np.asarray(1 - (c.max(axis=-1, keepdims=True) - c))


def _modalities(values: Any, name: str) -> Floats:
    """Return (..., M) finite numbers, at least one modality."""
    array = _finite(values, name)
    if not array.ndim or not array.shape[-1]:
        raise ShapeError(f"{name} must have shape (..., M) with M >= 1; it has shape {array.shape}.")
    return array


def _finite(values: Any, name: str) -> Floats:
    array = as_array(values, name).astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite; it holds {array[~np.isfinite(array)][0]}.")
    return array
