"""Losses of Dirichlet evidence, one a sample, and the KL term that holds down evidence of wrong classes."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_count, check_name, check_number, check_shape
from labelwise.functional.evidence import mean_variance, take_out
from labelwise.functional.evidence_rows import rowwise

Floats = NDArray[np.float64]

LOSSES = ("squared_error", "log_likelihood", "digamma")
STIRLING_FROM = 32.0  # from here on five terms of Stirling's series are exact to the last place


def dirichlet_kl(evidence: Any) -> Floats:
    """Return KL(Dir(e + 1) ‖ Dir(1)) in nats, how far an opinion is from knowing nothing.

    ln Γ(S) - ln Γ(C) - Σ ln Γ(α_c) + Σ (α_c - 1) (ψ(α_c) - ψ(S)), with Stirling's leading terms, which cancel, left
    out: exact for any evidence.

    Args, Raises: as `labelwise.functional.evidence.opinion`.

    Returns:
        (...) float64, at least 0; 0 without evidence.

    Source:
        Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning".
    """
    return rowwise(evidence, "C", lambda x, here: _kl(x))


def evidential_loss(evidence: Any, y: Any, kind: str = "digamma", *, kl_weight: float = 0.0) -> Floats:
    """Return each sample's evidential loss, plus λ KL(Dir(α~) ‖ Dir(1)) for evidence of wrong classes.

    "squared_error": Σ_c (y_c - α_c / S)² + Σ_c Var[p_c], the expected squared error;
    "log_likelihood": ln S - ln α_y, minus the log of the expected probability;
    "digamma": ψ(S) - ψ(α_y), the expected cross-entropy.
    α~ is α with the true class set to 1.

    Args:
        evidence: (n, C) at least 0.
        y: (n,) class indices.
        kind: which loss.
        kl_weight: λ >= 0, see `annealing`.

    Returns:
        (n,) float64, at least 0; nats, but for the squared error.

    Raises:
        ShapeError: shapes do not match.
        InputError: evidence is negative or not finite, a label out of range, or λ negative.
        UnknownName: no such loss.

    Source:
        Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning", equations 3 to 5.
    """
    check_name(kind, LOSSES, "evidential loss")
    check_number(kl_weight, "kl_weight", 0)
    array = as_array(evidence, "evidence")
    check_shape(array, "evidence", ("n", "C"), (None, None))
    labels = as_labels(y, array.shape[1])
    check_shape(labels, "y", ("n",), (len(array),))

    def core(x: Floats, here: slice) -> Floats:
        c, true = x.shape[-1], labels[here]
        others = x + 1
        right = take_out(others, true)
        wrong = others.sum(axis=-1)  # not S - α_y, which has no digits where α_y is nearly all
        s = right + wrong
        if kind == "squared_error":
            others /= s[:, None]
            loss = (wrong / s) ** 2 + np.vecdot(others, others) + c * mean_variance(x)
        else:
            loss = np.log1p(wrong / right)  # ln S - ln α_y
            if kind == "digamma":
                loss += _stirling(s)[1] - _stirling(right)[1]
        if kl_weight > 0:
            misleading = x.copy()
            take_out(misleading, true)
            loss += kl_weight * _kl(misleading)
        return np.asarray(loss)

    return rowwise(array, "C", core)


def annealing(step: int, steps: int = 10) -> float:
    """Return λ = min(1, step / steps), the weight of the KL term that grows as training goes on.

    Raises:
        InputError: `step` is no whole number of at least 0, or `steps` none of at least 1.

    Source:
        Sensoy, Kaplan, Kandemir 2018, 10 epochs; Han et al. 2021 take 50.
    """
    return min(1.0, check_count(step, "step") / check_count(steps, "steps", 1))


def _kl(e: Floats) -> Floats:
    c = float(e.shape[-1])
    s = e.sum(axis=-1) + c
    (_, psi_s), (_, psi_c) = _stirling(s), _stirling(np.array(c))
    spread = (c - 1) * (np.log(s / c) + psi_s - psi_c)  # (C - 1) (ψ(S) - ψ(C))
    kl = _bend(s) - _bend(np.array(c)) + spread - _bend(e + 1).sum(axis=-1)
    return np.asarray(np.maximum(kl, 0))


def _bend(x: Floats) -> Floats:
    """Return ln Γ(x) - (x - 1) ψ(x) + x - 1 for x >= 1: 0 at 1, and near ln(x) / 2 where both terms are huge."""
    gamma, psi = _stirling(x)
    return np.asarray((np.log(x) + log(2 * pi)) / 2 - 1 + gamma - (x - 1) * psi)


def _stirling(x: Floats) -> tuple[Floats, Floats]:
    """Return ln Γ(x) - ((x - ½) ln x - x + ½ ln 2π) and ψ(x) - ln x for x >= 1, what Stirling's terms leave."""
    from scipy.special import gammaln, psi

    far = x >= STIRLING_FROM
    r = 1 / np.maximum(x, STIRLING_FROM)
    q = r * r
    gamma = r * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q / 1188))))
    slope = -r / 2 - q * (1 / 12 - q * (1 / 120 - q * (1 / 252 - q * (1 / 240 - q / 132))))
    near = np.minimum(x, STIRLING_FROM)
    ln = np.log(near)
    leading = (near - 0.5) * ln - near + log(2 * pi) / 2
    return np.where(far, gamma, gammaln(near) - leading), np.where(far, slope, psi(near) - ln)
