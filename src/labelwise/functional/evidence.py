"""Evidence for classes as Dirichlet opinions: uncertainty, variance, fusion of modalities.

Evidence e >= 0 for C classes stands for the Dirichlet distribution with α = e + 1; no evidence is the uniform one, and
so is a modality that is missing. All is computed in float64 and block by block: beside its result a function needs a
few MiB, whatever the number of samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array
from labelwise.errors import InputError
from labelwise.functional.evidence_rows import MOST, Floats, check_evidence, rowwise


class Opinion(NamedTuple):
    """A Dirichlet distribution seen as a subjective opinion: beliefs and vacuity sum to 1."""

    alpha: Floats  # (..., C) e + 1
    strength: Floats  # (...) S = Σ α
    belief: Floats  # (..., C) e / S
    vacuity: Floats  # (...) C / S, 1 where there is no evidence
    probs: Floats  # (..., C) α / S, the mean


def opinion(evidence: Any) -> Opinion:
    """Return what evidence says: α = e + 1, S = Σ α, belief b = e / S, vacuity u = C / S and the mean α / S.

    Args:
        evidence: (..., C) at least 0; any float type, memory maps and torch tensors welcome.

    Returns:
        Arrays (..., C) and (...) in float64, see `Opinion`.

    Raises:
        ShapeError: there is no class.
        InputError: evidence is negative or not finite, or the sum of a row is not; the message names the row.

    Source:
        Jøsang 2016, "Subjective Logic"; Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning to Quantify
        Classification Uncertainty".
    """
    e = rowwise(evidence, "C", lambda x, here: x, per_class=True)
    strength = np.asarray(e.sum(axis=-1) + e.shape[-1])
    whole = strength[..., None]
    return Opinion(e + 1, strength, e / whole, e.shape[-1] / strength, (e + 1) / whole)


def vacuity(evidence: Any) -> Floats:
    """Return u = C / S, how much of an opinion is the lack of evidence: 1 without any, towards 0 with much.

    Args, Raises, Source: as `opinion`.

    Returns:
        (...) float64 in (0, 1].
    """
    return rowwise(evidence, "C", lambda x, here: x.shape[-1] / (x.sum(axis=-1) + x.shape[-1]))


def dirichlet_variance(evidence: Any) -> Floats:
    """Return Var[p_c] = α_c (S - α_c) / (S² (S + 1)), how unsure each class probability is.

    Args, Raises: as `opinion`.

    Returns:
        (..., C) float64 in [0, 1/12].
    """
    return rowwise(evidence, "C", lambda x, here: _variances(x), per_class=True)


def difficulty(evidence: Any, *, normalise: bool = False) -> Floats:
    """Return U = 1/C Σ_c Var[p_c] = (1 - ‖α / S‖²) / (C (S + 1)), the mean variance of class probabilities.

    Largest, (1 - 1/C) / (C (C + 1)), where there is no evidence.

    Args:
        evidence: as `opinion`; fused evidence, or (n, M, C) for the difficulty by each modality alone.
        normalise: divide by the largest value, so that U is in [0, 1] for any C; ranks stay.

    Returns:
        (...) float64; 0 for C = 1.

    Raises: as `opinion`.

    Source:
        RL-MBA, evidential fusion for difficulty assessment.
    """

    def core(x: Floats, here: slice) -> Floats:
        c = x.shape[-1]
        most = (1 - 1 / c) / (c * (c + 1))
        return mean_variance(x) / (most if normalise and c > 1 else 1)

    return rowwise(evidence, "C", core)


def expected_entropy(evidence: Any) -> Floats:
    """Return E[H(p)] = Σ_c α_c / S (ψ(S + 1) - ψ(α_c + 1)), the entropy to be expected of class probabilities.

    Small where evidence speaks for one class, and where there is little of it: it is ln C only where much evidence is
    even. The entropy of the mean, less this, is what more evidence could still settle.

    Args, Raises: as `opinion`.

    Returns:
        (...) float64 in [0, ln C], nats.

    Source:
        Malinin, Gales 2018, "Predictive Uncertainty Estimation via Prior Networks", eq. 14.
    """

    def core(x: Floats, here: slice) -> Floats:
        from scipy.special import digamma

        s = x.sum(axis=-1) + x.shape[-1]
        p = (x + 1) / s[..., None]
        return np.asarray(np.maximum((p * (digamma(s + 1)[..., None] - digamma(x + 2))).sum(axis=-1), 0))

    return rowwise(evidence, "C", core)


def weighted_fusion(evidence: Any, weights: Any, *, present: Any = None) -> Floats:
    """Return Σ_m w_m e_m, the evidence of α_f = 1 + Σ_m w_m (α_m - 1).

    Where weights sum to 1, α_f = Σ w_m α_m lies between the least and the largest α_m of each class.

    Args:
        evidence: (..., M, C) at least 0.
        weights: (M,) or (..., M), at least 0.
        present: (..., M) bool, which modalities a sample has; a missing one is no evidence, whatever stands in its
            place. None: all.

    Returns:
        (..., C) float64.

    Raises:
        ShapeError: shapes do not match, or there is no modality or class.
        InputError: evidence, a weight or their product is negative or not finite; the message names the row.

    Source:
        RL-MBA, evidential fusion for difficulty assessment.
    """
    w = as_array(weights, "weights").astype(np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise InputError(
            f"weights must be finite and at least 0; they hold {w[~((w >= 0) & (w < np.inf))][0]}."
        )
    of_sample = w.ndim > 1

    def core(x: Floats, here: slice) -> Floats:
        fused = np.matmul((w[here] if of_sample else w)[..., None, :], x)[..., 0, :]
        check_evidence(fused, here.start, "weights times evidence")
        return np.asarray(fused)

    return rowwise(evidence, "MC", core, per_class=True, present=present, weights=w)


def dempster_shafer(evidence: Any, *, present: Any = None) -> Floats:
    """Return the evidence of M opinions combined by Dempster's rule, C (Π_m (1 + e_m / C) - 1) for each class.

    Dempster's rule multiplies masses and shares out what conflicts: for two opinions
    b = (b¹ b² + b¹ u² + b² u¹) / (1 - K), u = u¹ u² / (1 - K), K = Σ_{i≠j} b¹_i b²_j, and the combined evidence is
    b C / u. Over M opinions b ∝ Π (b_m + u_m) - Π u_m and u ∝ Π u_m, and in b / u all normalising cancels: O(M C), any
    order of opinions, no loss of digits where they conflict. `opinion` of the result has belief, vacuity and mean.

    Evidence never falls by fusion, and vacuity never grows, even where opinions conflict: `conflict` tells.

    Args:
        evidence: (..., M, C) at least 0.
        present: as `weighted_fusion`; a missing modality changes nothing.

    Returns:
        (..., C) float64. Where the combined evidence is more than float64 holds, it is scaled down to about 1.8e308 in
        all: beliefs and means keep their digits.

    Raises:
        ShapeError: shapes do not match, or there is no modality or class.
        InputError: evidence is negative or not finite; the message names the row.

    Source:
        Dempster 1967; Han, Zhang, Fu, Zhou 2021, "Trusted Multi-View Classification". The product form is ours; it
        equals their fold over views.
    """
    return rowwise(evidence, "MC", lambda x, here: _combined(x), per_class=True, present=present)


def conflict(evidence: Any, *, present: Any = None) -> Floats:
    """Return K, the mass that opinions give to classes which contradict one another, and that Dempster's rule drops.

    For two opinions K = Σ_{i≠j} b¹_i b²_j. For more, combined one by one, 1 - K = Π (1 - K_step); the order of
    opinions does not matter.

    Args, Raises, Source: as `dempster_shafer`.

    Returns:
        (...) float64 in [0, 1]: 0 where no opinions contradict, or there is one alone.
    """

    def core(x: Floats, here: slice) -> Floats:
        fused, lost = x[..., 0, :], np.zeros(x.shape[:-2])
        for m in range(1, x.shape[-2]):
            lost += (1 - lost) * _contradiction(fused, x[..., m, :])
            fused = _combined(np.stack([fused, x[..., m, :]], axis=-2))
        return np.minimum(lost, 1)  # rounding

    return rowwise(evidence, "MC", core, present=present)


def mean_variance(x: Floats) -> Floats:
    """Return `difficulty` of a block of evidence, (..., C) float64."""
    c = x.shape[-1]
    s = x.sum(axis=-1) + c
    p = (x + 1) / s[..., None]
    best = take_out(p, p.argmax(axis=-1))
    rest = p.sum(axis=-1)  # not 1 - best, which has no digits where best is near 1
    return np.asarray((rest * best + rest - np.vecdot(p, p)) / (c * (s + 1)))


def take_out(x: Floats, columns: NDArray[np.int64]) -> Floats:
    """Set one entry of each row to 0 and return what stood there, (..., C) and (...) -> (...)."""
    found = np.take_along_axis(x, columns[..., None], axis=-1)
    np.put_along_axis(x, columns[..., None], 0, axis=-1)
    return np.asarray(found[..., 0])


def _variances(x: Floats) -> Floats:
    s = x.sum(axis=-1, keepdims=True) + x.shape[-1]
    p = (x + 1) / s
    others, rest, best = p.copy(), 1 - p, p.argmax(axis=-1)
    take_out(others, best)
    np.put_along_axis(rest, best[..., None], others.sum(axis=-1, keepdims=True), axis=-1)
    return np.asarray(p * rest / (s + 1))


def _contradiction(one: Floats, other: Floats) -> Floats:
    """Return K of two opinions, (..., C) evidence each."""
    a, b = (e / (e.sum(axis=-1, keepdims=True) + e.shape[-1]) for e in (one, other))
    best = b.argmax(axis=-1)
    a_best, b_best = take_out(a, best), take_out(b, best)
    rest = b.sum(axis=-1)
    # Σ_i a_i (Σ_j b_j - b_i), the entry where the bracket would cancel apart
    return np.asarray(a.sum(axis=-1) * (rest + b_best) - np.vecdot(a, b) + a_best * rest)


def _combined(x: Floats) -> Floats:
    """Return (..., C) evidence of (..., M, C) combined."""
    c = x.shape[-1]
    fused = x[..., 0, :].copy()
    for m in range(1, x.shape[-2]):
        # f + e (1 + f / C) is the product without its 1: small evidence keeps its digits
        step = fused / c
        step += 1
        step *= x[..., m, :]
        fused += step
    huge = ~(fused.sum(axis=-1) <= MOST)  # or NaN, of infinite times zero
    if huge.any():
        logs = np.log1p(x[huge] / c).sum(axis=-2)
        share = np.exp(logs - logs.max(axis=-1, keepdims=True)) * -np.expm1(-logs)
        fused[huge] = share / share.sum(axis=-1, keepdims=True) * MOST
    return fused
