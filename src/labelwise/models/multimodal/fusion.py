"""How the evidence of several modalities becomes one opinion, as torch tensors with gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.checks import check_name

RULES = ("weighted", "dempster-shafer", "mean", "product")


def fuse(rule: str, evidence: Tensor, present: Tensor, weights: Tensor) -> Tensor:
    """Return the fused evidence of M modalities; a missing one counts as none, whatever stands in its place.

    With α = e + 1:

    - "weighted": Σ_m w_m e_m, which is α_f = Σ_m w_m α_m for weights that sum to 1;
    - "dempster-shafer": C (Π_m (1 + e_m / C) - 1), Dempster's rule for any number of opinions in closed form;
    - "mean": the mean of e_m over the modalities that a sample has;
    - "product": Π_m α_m - 1, whose mean probabilities are proportional to the product of the modalities' ones.

    Args:
        rule: which.
        evidence: (b, M, C) at least 0.
        present: (b, M) bool.
        weights: (M,) at least 0, of "weighted"; nothing else reads them.

    Returns:
        (b, C) at least 0, of the type of `evidence`.

    Raises:
        UnknownName: no such rule.

    Source:
        Weighted: RL-MBA, evidential fusion. Dempster-Shafer: Han, Zhang, Fu, Zhou 2021, "Trusted Multi-View
        Classification", as the product form of `labelwise.functional.evidence.dempster_shafer`. Mean and product are
        the usual late fusions.
    """
    check_name(rule, RULES, "fusion rule")
    e = torch.where(present[..., None], evidence, 0.0)
    if rule == "weighted":
        return (e * weights[:, None]).sum(1)
    if rule == "mean":
        return e.sum(1) / present.sum(1).clamp(min=1)[:, None]
    c = e.shape[2] if rule == "dempster-shafer" else 1
    fused = e[:, 0]
    for m in range(1, e.shape[1]):
        # f + e (1 + f / C) is the product without its 1: small evidence keeps its digits
        fused = fused + e[:, m] * (1 + fused / c)
    return fused
