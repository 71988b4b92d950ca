"""Graph convolutions over all pairs of samples, whose (n, n) matrix of neighbours is never built."""

from __future__ import annotations

from typing import Any

from labelwise.errors import InputError
from labelwise.functional.backend import block, namespace, points


def unit_rows(values: Any, name: str = "embeddings") -> Any:
    """Return the rows divided by their lengths; a row of zeros stays one.

    Args:
        values: (n, D), NumPy or torch.
        name: how an error message calls it.

    Returns:
        (n, D) float32, or float64 where `values` is neither float16 nor float32.

    Raises:
        ShapeError: not (n, D).
        InputError: a row holds a NaN or an infinity; the message names it.
    """
    given = points(values, name)
    xp = namespace(given)
    x = block(given, slice(None), xp)
    largest = xp.max(
        xp.abs(x), axis=1
    )  # of a row: its square may be beyond the type, what is divided by it is not
    bad = ~xp.isfinite(largest)
    if bool(xp.any(bad)):
        raise InputError(f"{name}: row {int(xp.argmax(xp.astype(bad, xp.int8)))} holds a NaN or an infinity.")
    x = x / xp.where(largest > 0, largest, xp.ones_like(largest))[:, None]
    lengths = xp.linalg.vector_norm(x, axis=1)
    return x / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[:, None]


def propagate(units: Any, values: Any) -> Any:
    """Return A H, each sample's values with those of all others mixed in by their similarity.

    S = X Xᵀ holds the cosines between samples; A = (S - I) D⁻¹ + I, with D the sums of the columns of S - I. As
    A H = X (Xᵀ (D⁻¹ H)) - D⁻¹ H + H, it takes O(n D k) time and O(n k + D k) memory. Gradients flow to `values`.

    A column whose sum is zero up to rounding belongs to a sample without neighbours: it is left out of all others.

    Args:
        units: (n, D), X: rows of length 1, see `unit_rows`.
        values: (n, k), H, of the same library.

    Source:
        Caramalau, Bhattarai, Kim 2021, "Sequential Graph Convolutional Network for Active Learning", section 3.2.
    """
    xp = namespace(units, values)
    sums = units @ xp.sum(units, axis=0) - 1
    rounding = 8 * float(xp.finfo(units.dtype).eps) * max(1, units.shape[0])
    alone = xp.abs(sums) <= rounding
    weights = xp.where(alone, xp.zeros_like(sums), 1 / xp.where(alone, xp.ones_like(sums), sums))
    scaled = weights[:, None] * values
    return units @ (units.T @ scaled) - scaled + values


def hidden(mixed: Any, weight: Any, bias: Any) -> Any:
    """Return relu(A (X W) + b), (n, h), given A X: the product with W may wait, so A X is made once and for all.

    Args:
        mixed: (n, D), `propagate(units, units)`.
        weight: (D, h).
        bias: (h,).
    """
    raw = mixed @ weight + bias
    return raw * (raw > 0)


def logits(units: Any, features: Any, weight: Any, bias: Any) -> Any:
    """Return A (H w) + b, (n,): where its sigmoid is near 1, a sample is like the labelled ones.

    Args:
        units: (n, D), rows of length 1.
        features: (n, h), the hidden layer.
        weight: (h, 1).
        bias: (1,).
    """
    return propagate(units, features @ weight)[:, 0] + bias


def sigmoid(values: Any) -> Any:
    """Return 1 / (1 + exp(-v)), without overflow."""
    xp = namespace(values)
    return xp.exp(-xp.logaddexp(xp.zeros_like(values), -values))


def labelled_loss(values: Any, n_unlabelled: int, weight: float) -> Any:
    """Return -mean log s over the labelled samples, less `weight` times mean log(1 - s) over the others.

    Args:
        values: (n,) logits of s, the unlabelled samples first.
        n_unlabelled: how many they are, at least 1.
        weight: λ of the unlabelled ones' part.

    Returns:
        A number (a tensor of no axes for torch); the first part is 0 where nobody is labelled.
    """
    xp = namespace(values)
    others, known = values[:n_unlabelled], values[n_unlabelled:]
    found = weight * xp.mean(xp.logaddexp(xp.zeros_like(others), others))
    if known.shape[0]:
        found = found + xp.mean(xp.logaddexp(xp.zeros_like(known), -known))
    return found
