"""Losses of Dirichlet evidence as torch tensors, one a sample, and the KL term that holds down evidence of wrong classes.

The same numbers as `labelwise.functional.evidential_loss`, with gradients. Computed in float64 wherever the device has
it: the terms of the KL divergence are large and cancel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from labelwise.checks import check_name, check_number
from labelwise.errors import InputError, ShapeError

LOSSES = ("squared_error", "log_likelihood", "digamma")


def evidential_loss(evidence: Tensor, y: Tensor, kind: str = "digamma", *, kl_weight: float = 0.0) -> Tensor:
    """Return each sample's evidential loss, plus λ KL(Dir(α~) ‖ Dir(1)) for evidence of wrong classes.

    With α = e + 1 and S = Σ α: "squared_error" Σ_c (y_c - α_c / S)² + Σ_c Var[p_c], "log_likelihood" ln S - ln α_y,
    "digamma" ψ(S) - ψ(α_y), the expected cross-entropy. α~ is α with the true class set to 1.

    Values are not looked at, so that nothing waits for the device: evidence must be finite and at least 0, as softplus
    makes it, and labels in range.

    Args:
        evidence: (n, C) of any floating type, on any device.
        y: (n,) class indices, int64, on the same device.
        kind: which loss.
        kl_weight: λ >= 0, see `annealing` of `labelwise.functional.evidential_loss`.

    Returns:
        (n,) float64 (float32 on MPS), at least 0 up to rounding; nats, but for the squared error.

    Raises:
        ShapeError: shapes do not match.
        InputError: `evidence` does not hold floats, or λ is negative.
        UnknownName: no such loss.

    Source:
        Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning", equations 3 to 5.
    """
    check_name(kind, LOSSES, "evidential loss")
    check_number(kl_weight, "kl_weight", 0)
    e = _wide(evidence)
    if e.ndim != 2 or y.shape != e.shape[:1]:
        raise ShapeError(
            f"evidence must be (n, C) and y (n,); they have shapes {tuple(evidence.shape)} and {tuple(y.shape)}."
        )
    true = one_hot(y, e.shape[1]).to(e.dtype)
    others = e * (1 - true)
    right = (e * true).sum(1) + 1
    wrong = others.sum(1) + (e.shape[1] - 1)  # not S - α_y, which has no digits where α_y is nearly all
    s = right + wrong
    if kind == "squared_error":
        shares = (others + 1 - true) / s[:, None]  # of the wrong classes; 0 in place of the true one
        p = shares + true * (right / s)[:, None]
        variance = (p * (1 - p)).sum(1) / (s + 1)
        loss = (wrong / s) ** 2 + (shares**2).sum(1) + variance
    elif kind == "log_likelihood":
        loss = torch.log1p(wrong / right)
    else:
        loss = torch.digamma(s) - torch.digamma(right)
    return loss + kl_weight * dirichlet_kl(others) if kl_weight > 0 else loss


def dirichlet_kl(evidence: Tensor) -> Tensor:
    """Return KL(Dir(e + 1) ‖ Dir(1)) in nats, how far an opinion is from knowing nothing.

    Args:
        evidence: (..., C) of any floating type, at least 0.

    Returns:
        (...) float64 (float32 on MPS); 0 without evidence.

    Raises:
        InputError: `evidence` does not hold floats.

    Source:
        Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning".
    """
    e = _wide(evidence)
    alpha = e + 1
    s = alpha.sum(-1)
    bend = e * (torch.digamma(alpha) - torch.digamma(s)[..., None]) - torch.lgamma(alpha)
    return bend.sum(-1) + torch.lgamma(s) - torch.lgamma(s.new_tensor(float(e.shape[-1])))


def _wide(evidence: Tensor) -> Tensor:
    if not evidence.is_floating_point():
        raise InputError(f"evidence must hold floats; it holds {evidence.dtype}.")
    return evidence.float() if evidence.device.type == "mps" else evidence.double()
