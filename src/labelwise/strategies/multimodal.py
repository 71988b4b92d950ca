"""Asks by what modalities say, each and together: balanced gradients, and the doubt in their evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_name
from labelwise.errors import InputError, ShapeError
from labelwise.functional import evidence
from labelwise.functional.backend import placed
from labelwise.functional.batches import gradient_kmeans_pp, top
from labelwise.functional.contribution import balancing_scales, contribution_shares, shapley
from labelwise.functional.evidence_rows import Floats, check_evidence
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy

FUSIONS: dict[str, Callable[..., Floats]] = {
    "weighted": lambda e, present: evidence.weighted_fusion(
        e, np.full(e.shape[1], 1 / e.shape[1]), present=present
    ),
    "dempster-shafer": lambda e, present: evidence.dempster_shafer(e, present=present),
}
RULES: dict[str, Callable[..., Floats]] = {
    "difficulty": partial(evidence.difficulty, normalise=True),
    "vacuity": evidence.vacuity,
    "expected-entropy": evidence.expected_entropy,
}


@dataclass(frozen=True)
class Bmmal(Strategy):
    """Ask for long gradients that differ, as BADGE, with weaker modalities held back by what they contribute.

    Formula:
        g_u = (p_u - onehot(ŷ_u)) ⊗ [s_1 z_1, ..., s_M z_M]; first argmax ‖g_u‖, then draws in proportion to
        min_c ‖g_u - g_c‖². s_m = 1 - (c_max - c_m), c_m = |φ_m| / Σ |φ|, φ the Shapley values of p(ŷ_u) over all
        coalitions of modalities: for two, φ_1 = ½ (p(1, 2) - p(·, 2) + p(1, ·) - p(·, ·)).
    Cost:
        O(n M 2^M) for contributions, then as BADGE with D = Σ D_m; O(n Σ D_m) memory. The signal `coalitions` costs the
        predictor 2^M passes of its fusion, none of its encoders.
    When:
        Several modalities of which one rules the answer: BADGE then asks for what is new to that one alone.
    Source:
        Shen, Qin, Zhang, Wang, Cheng 2023, "Towards Balanced Active Learning for Multimodal Classification".
    Deviations:
        - Any number of modalities; for more than two the scale's form is ours.
        - A dropped modality is one that the fusion does not read, as where a sample lacks it; the authors' code puts
          zeros into features side by side.
        - Where no modality contributes, all count the same; the authors' code divides 0 by 0.
        - Distances factor into those of probabilities and embeddings: the same numbers, without n·C·D of memory.

    Attributes:
        device: "cpu" computes with NumPy; "cuda", "cuda:1", "mps" with torch there; "auto" where it finds one.
    """

    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(pool=frozenset({"coalitions", "modal_embeddings"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        coalitions, parts = view.pool.need("coalitions"), view.pool.modal_embeddings or ()
        if not parts or coalitions.shape[1] != 2 ** len(parts):
            raise ShapeError(
                f"bmmal needs 2^M coalitions for M modalities; there are {coalitions.shape[1]} coalitions and "
                f"{len(parts)} modal embeddings."
            )
        probs = coalitions[:, -1]
        scaled = _side_by_side(parts, scales(coalitions))
        rows = gradient_kmeans_pp(placed(probs, self.device), placed(scaled, self.device), n, rng)
        return Proposal(rows)


def scales(coalitions: Any) -> Floats:
    """Return BMMAL's s (n, M) of coalitions (n, 2^M, C), read at the class that all modalities together answer."""
    answer = coalitions[:, -1].argmax(axis=1)
    worth = np.take_along_axis(coalitions, answer[:, None, None], axis=2)[..., 0]
    return balancing_scales(contribution_shares(shapley(worth)))


def _side_by_side(parts: tuple[Any, ...], by: Floats) -> NDArray[np.float32]:
    """Return [s_1 z_1, ..., s_M z_M], (n, Σ D_m)."""
    ends = np.cumsum([0, *(part.shape[1] for part in parts)])
    whole = np.empty((len(by), ends[-1]), np.float32)
    for m, part in enumerate(parts):
        np.multiply(part, by[:, m, None], out=whole[:, ends[m] : ends[m + 1]], casting="same_kind")
    return whole


@dataclass(frozen=True)
class EvidentialUncertainty(Strategy):
    """Ask where the modalities' evidence leaves most doubt.

    Formula:
        Of fused evidence e, α = e + 1, S = Σ α: difficulty 1/C Σ_c Var[p_c] = (1 - ‖α / S‖²) / (C (S + 1)); vacuity
        C / S; expected entropy Σ_c α_c / S (ψ(S + 1) - ψ(α_c + 1)). Conflict is the mass K that Dempster's rule drops
        since modalities give it to classes which contradict one another. e = 1/M Σ_m e_m, or Dempster's rule.
    Cost:
        O(n M C) time, O(n C) memory.
    When:
        Evidential heads, perhaps of one modality only. Vacuity asks for what is unlike all that was learnt, expected
        entropy for what is known to be ambiguous, difficulty for either, and conflict for where modalities disagree.
    Source:
        Sensoy, Kaplan, Kandemir 2018, "Evidential Deep Learning to Quantify Classification Uncertainty" (vacuity);
        RL-MBA, "Label What Matters: Modality-Balanced and Difficulty-Aware Multimodal Active Learning" (difficulty of
        fused evidence); Han, Zhang, Fu, Zhou 2021, "Trusted Multi-View Classification" (Dempster's rule, conflict);
        Malinin, Gales 2018, "Predictive Uncertainty Estimation via Prior Networks" (expected entropy).
    Deviations:
        - RL-MBA weighs modalities by their accuracy of the round; here they weigh the same. See `rl-mba`.
        - A missing modality is no evidence: it leaves doubt in the mean, and nothing in Dempster's rule.

    Attributes:
        rule: "difficulty", "vacuity", "expected-entropy" or "conflict".
        fusion: "weighted", with equal weights, or "dempster-shafer"; "conflict" reads none.
    """

    rule: str = "difficulty"
    fusion: str = "weighted"

    needs: ClassVar[Needs] = Needs(pool=frozenset({"evidence", "present"}))

    def __post_init__(self) -> None:
        check_name(self.rule, (*RULES, "conflict"), "rule")
        check_name(self.fusion, tuple(FUSIONS), "fusion")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        e, present = view.pool.need("evidence"), view.pool.need("present")
        try:
            if self.rule == "conflict":
                values = evidence.conflict(e, present=present)
            else:
                values = RULES[self.rule](FUSIONS[self.fusion](e, present))
        except InputError:  # say it by the modality's name
            seen = np.where(np.asarray(present, bool)[..., None], e, 0)
            check_evidence(seen, 0, "evidence of the pool samples", view.modalities)
            raise
        return Proposal(top(values, n, rng), values)
