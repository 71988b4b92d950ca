"""How far each modality of new data has moved from old data: density ratios by a domain classifier, and their χ² radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labelwise.checks import check_count, check_number, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.ambiguity import ratio_radius
from labelwise.functional.robust import ROUNDING, Floats, as_finite

FOLDS = 5
MOST_LOGIT = 50.0  # e^50 is more than any number of samples can bear out, and its square fits


def domain_ratios(
    source: Any,
    target: Any,
    rng: np.random.Generator,
    *,
    folds: int = FOLDS,
    squares: bool = False,
    strength: float = 1.0,
) -> Floats:
    """Return estimates of dQ/dP at the samples of P, each by a classifier that has not seen the sample.

    Logistic regression tells samples of Q from samples of P on standardised columns; p / (1 - p), corrected for how many
    there are of both, is the ratio. It is exact in the limit where the log ratio is linear: Gaussians with equal
    covariance, whose means differ.

    Args:
        source: (n, D) samples of P, n >= `folds`; embeddings, or whatever tells the two apart.
        target: (m, D) samples of Q, m >= `folds`.
        rng: deals the folds.
        folds: at least 2.
        squares: whether the classifier also reads the squares of the columns, by which it sees changes of scale.
        strength: C of scikit-learn, above 0: smaller ones make ratios milder.

    Returns:
        (n,) above 0 and finite, in the order of `source`. Their mean is about 1; see
        `labelwise.functional.ambiguity.ratio_weights` for weights.

    Raises:
        ShapeError: not (n, D) and (m, D), or empty.
        InputError: an entry is not finite, a number is out of range, or there are fewer samples than folds.

    Source:
        Bickel, Brückner, Scheffer 2009, "Discriminative Learning Under Covariate Shift"; Sugiyama, Suzuki, Kanamori 2012,
        "Density Ratio Estimation in Machine Learning", chapter 4.
    """
    from sklearn.linear_model import LogisticRegression

    p, q = as_finite(source, "source", ("n", "D")), as_finite(target, "target", ("m", "D"))
    check_shape(q, "target", ("m", "D"), (None, p.shape[1]))
    check_count(folds, "folds", 2)
    if check_number(strength, "strength", 0) == 0:
        raise InputError("strength must be above 0: of a classifier of no strength all ratios are 1.")
    for name, part in (("source", p), ("target", q)):
        if len(part) < folds:
            raise InputError(f"{name} must have a sample for each of {folds} folds; it has {len(part)}.")
    fold_p, fold_q = (rng.permutation(np.arange(len(part)) % folds) for part in (p, q))
    ratios = np.empty(len(p))
    for fold in range(folds):
        old, new = p[fold_p != fold], q[fold_q != fold]
        x, held = _columns(np.concatenate([old, new]), p[fold_p == fold], squares)
        y = np.repeat([0, 1], [len(old), len(new)])
        told = LogisticRegression(C=strength, max_iter=1000).fit(x, y).decision_function(held)
        ratios[fold_p == fold] = np.exp(np.clip(told, -MOST_LOGIT, MOST_LOGIT)) * (len(old) / len(new))
    return ratios


def shift_radii(
    source: Sequence[Any], target: Sequence[Any], rng: np.random.Generator, *, squares: bool = False
) -> Floats:
    """Return ρ̂ (K,), the χ² radius by which each modality has moved: `ratio_radius` of its `domain_ratios`.

    Clipping at the 99th percentile makes large radii too small; with few samples for the width of the embeddings a
    modality that has not moved has a radius above 0, too. Compare with the radius between two parts of the old data.

    Args:
        source: K arrays (n_k, D_k) of old samples.
        target: K arrays (m_k, D_k) of new ones, the modalities in the same order.
        rng: deals the folds.
        squares: as in `domain_ratios`.

    Returns:
        (K,) at least 0.

    Raises:
        ShapeError: the numbers of modalities differ, or as `domain_ratios`.
        InputError: as `domain_ratios`, or there is no modality.
    """
    if len(source) != len(target):
        raise ShapeError(
            f"source and target must have the same modalities; they have {len(source)} and {len(target)}."
        )
    if not len(source):
        raise InputError("source must hold at least one modality; there is none.")
    pairs = zip(source, target, strict=True)
    return np.array([ratio_radius(domain_ratios(p, q, rng, squares=squares)) for p, q in pairs])


def _columns(known: Floats, held: Floats, squares: bool) -> tuple[Floats, Floats]:
    """Return both with columns standardised on the first, and their squares if asked for; constant columns become 0."""
    scale = np.abs(known).max(axis=0)
    scale = np.where(scale > 0, scale, 1)  # squares of large numbers may not fit
    known, held = known / scale, held / scale
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    width = np.where(deviation > ROUNDING, deviation, np.inf)
    known, held = (known - mean) / width, (held - mean) / width
    if not squares:
        return known, held
    return _columns(np.hstack([known, known**2]), np.hstack([held, held**2]), False)
