"""How much a labelled sample weighs in training: EL2N, GraNd, and the weights of the SuperLoss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_labels, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.functional.scores import check_probs

Floats = NDArray[np.float64]


def el2n(probs: Any, y: Any) -> Floats:
    """Return the error L2-norm ‖p - onehot(y)‖, the mean over models where there are several.

    It is the norm of the cross-entropy's gradient with respect to the logits: 0 for a sample that is learnt, at most
    √2 for one that is surely wrong.

    Args:
        probs: (n, C) class probabilities of one model, or (K, n, C) of K models.
        y: (n,) class indices.

    Returns:
        (n,) float64 in [0, √2].

    Raises:
        ShapeError: shapes do not match.
        DistributionError: a row of `probs` is no distribution; the message names it.
        InputError: a label is out of range.

    Source:
        Paul, Ganguli, Dziugaite 2021, "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
        definition 3.
    """
    models, labels = _models(probs, y)
    return np.asarray(np.mean([_norms(p, labels) for p in models], axis=0))


def grand(probs: Any, embeddings: Any, y: Any, bias: bool = True) -> Floats:
    """Return GraNd of the last layer: the norm of one sample's cross-entropy gradient, the mean over models.

    For a linear last layer the gradient is (p - onehot(y)) ⊗ (z, 1), so its norm is ‖p - onehot(y)‖ √(‖z‖² + 1).

    Args:
        probs: (n, C) class probabilities of one model, or (K, n, C) of K models.
        embeddings: (n, D) or (K, n, D), what the last layer of each model reads.
        y: (n,) class indices.
        bias: count the gradient of the layer's bias, too; without it the 1 is left out.

    Returns:
        (n,) float64, at least 0.

    Raises: as `el2n`; InputError where an embedding is not finite.

    Source:
        Paul, Ganguli, Dziugaite 2021, "Deep Learning on a Data Diet", definition 2.

    Deviations:
        The paper takes the gradient of all weights; this is that of the last layer, the only one that predictions and
        embeddings tell.
    """
    models, labels = _models(probs, y)
    z = as_array(embeddings, "embeddings")
    if z.ndim == 2:
        z = z[None]
    check_shape(z, "embeddings", ("K", "n", "D"), (len(models), labels.size, None))
    found = []
    for p, h in zip(models, z, strict=True):
        squares = np.empty(labels.size)

        def kernel(rows: int, into: Floats = squares) -> Kernel:
            def work(part: Array, first: int) -> None:
                x = part.astype(np.float64)
                into[first : first + len(x)] = np.vecdot(x, x)

            return work

        sweep(h, kernel, rows=block_rows(8 * h.shape[1]))
        if not np.isfinite(squares).all():
            raise InputError(
                f"embeddings: row {int(np.flatnonzero(~np.isfinite(squares))[0])} is not finite."
            )
        found.append(_norms(p, labels) * np.sqrt(squares + bias))
    return np.asarray(np.mean(found, axis=0))


def super_loss_weight(loss: Any, tau: float, lam: float) -> Floats:
    """Return σ* = exp(-W(max(-2/e, β)/2)), β = (loss - τ)/λ: the weight that the SuperLoss gives each sample.

    1 where the loss is τ; more, at most e, for easier samples; towards 0 for harder ones, which may be mislabelled. A
    large λ makes all weights 1.

    Args:
        loss: (n,) the samples' losses in nats; infinite ones have weight 0.
        tau: τ, what parts easy from hard: ln C, or the mean of the losses.
        lam: λ > 0.

    Returns:
        (n,) float64 in [0, e].

    Raises:
        ShapeError: `loss` is not (n,).
        InputError: a loss is NaN, τ is not finite, or λ is not finite and positive.

    Source:
        Castells, Weinzaepfel, Revaud 2020, "SuperLoss: A Generic Loss for Robust Curriculum Learning", equation 6.

    Deviations:
        The public code takes W at -1/e, its branch point, where rounding makes NaN of every easy sample; here these
        have the exact limit, e.
    """
    w, _ = _lambert(loss, tau, lam)
    return np.exp(-w)


def super_loss(loss: Any, tau: float, lam: float) -> Floats:
    """Return (loss - τ) σ* + λ (ln σ*)², the SuperLoss at its best weight: its gradient in the loss is σ*.

    Args, Raises, Source: as `super_loss_weight`.

    Returns:
        (n,) float64; negative for losses below τ.
    """
    w, beta = _lambert(loss, tau, lam)
    # Where β is not clamped W e^W = β/2, so that (loss - τ) σ* = λ β e^-W = 2 λ W: no infinity times zero.
    easy = beta <= -2 / np.e
    return np.asarray(lam * np.where(easy, beta * np.e + 1, w * (2 + w)))


def _lambert(loss: Any, tau: float, lam: float) -> tuple[Floats, Floats]:
    """Return W(max(-2/e, β)/2) and β, (n,) each."""
    from scipy.special import lambertw

    losses = as_array(loss, "loss").astype(np.float64)
    check_shape(losses, "loss", ("n",), (None,))
    if np.isnan(losses).any():
        raise InputError(f"loss: row {int(np.flatnonzero(np.isnan(losses))[0])} is NaN.")
    if not 0 < lam < np.inf:
        raise InputError(f"lam must be finite and above 0; it is {lam}.")
    if not np.isfinite(tau):
        raise InputError(f"tau must be finite; it is {tau}.")
    beta = (losses - tau) / lam
    w = np.full(beta.shape, -1.0)  # W(-1/e), which scipy calls NaN
    inside = beta > -2 / np.e
    found = lambertw(beta[inside] / 2).real
    w[inside] = np.where(np.isnan(found), -1.0, found)  # within rounding of the branch point
    return w, beta


def _models(probs: Any, y: Any) -> tuple[list[Array], NDArray[np.int64]]:
    """Return the checked probabilities of each model, (n, C), and the labels."""
    array = as_array(probs, "probs")
    if array.ndim == 2:
        array = array[None]
    check_shape(array, "probs", ("K", "n", "C"), (None, None, None))
    if not len(array):
        raise ShapeError("probs must hold at least one model; it holds none.")
    models = [check_probs(p) for p in array]
    labels = as_labels(y, array.shape[2])
    check_shape(labels, "y", ("n",), (array.shape[1],))
    return models, labels


def _norms(probs: Array, y: NDArray[np.int64]) -> Floats:
    """Return ‖p - onehot(y)‖, (n,)."""
    norms = np.empty(y.size)

    def kernel(rows: int) -> Kernel:
        def work(part: Array, first: int) -> None:
            here = slice(first, first + len(part))
            x = part.astype(np.float64)
            x[np.arange(len(x)), y[here]] -= 1  # not Σp² - 2 p_y + 1, which loses every digit as p_y nears 1
            norms[here] = np.sqrt(np.vecdot(x, x))

        return work

    sweep(probs, kernel, rows=block_rows(8 * probs.shape[1]))
    return norms
