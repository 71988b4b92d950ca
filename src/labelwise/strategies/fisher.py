"""Asks for the batch that leaves the last layer's parameters least uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.functional.backend import placed
from labelwise.functional.batches import bait, bait_form
from labelwise.functional.batches.fisher import check_bait
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class Bait(Strategy):
    """Ask for the batch whose labels would tell most about the last layer, as its Fisher information has it.

    Formula:
        argmin_S tr((λ I + Σ_labelled I(x) + Σ_S I(x))⁻¹ Σ_all I(x)), I(x) = (diag p - p pᵀ) ⊗ h hᵀ, weighted means;
        greedily to `oversample` · n rows, then those removed that are missed least.
    Cost:
        Full: O((CD)³) once, then O(m (CD + C²) C + (CD)² C) a pick for m candidates; 8 (5 (CD)² + 2 m C²) bytes.
        Diagonal: O(m CD) once, then far less a pick; O(CD) memory beside the arrays.
    When:
        Small and medium batches, a linear last layer on good embeddings, C·D of at most some thousands, and minutes to
        spare for selection.
    Source:
        Ash, Goel, Krishnamurthy, Kakade 2021, "Gone Fishing: Neural Active Learning with Fisher Embeddings".
    Deviations:
        Labelled and new samples weigh N/(N+n) and n/(N+n) as in the authors' code; the paper has 1/N and 1. The code's
        copies of its last row, where twice the batch exceeds the pool, are left out. Diagonals are ours; the notes
        say which form ran.

    Attributes:
        lam: λ from 1e-50 to 1e50, how much is known without any label.
        oversample: how many times the batch is added before some is removed; 1 removes nothing.
        form: "full", "diagonal", or "auto": full where it holds at most 1 GiB.
        device: "cpu" computes with NumPy; "cuda", "cuda:1" with torch there, "auto" where it finds one. Not "mps", which
            has no float64: "auto" computes with NumPy there.
    """

    lam: float = 1.0
    oversample: float = 2.0
    form: str = "auto"
    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(
        pool=frozenset({"probs", "embeddings"}), labelled=frozenset({"probs", "embeddings"})
    )

    def __post_init__(self) -> None:
        check_bait(self.lam, self.oversample, self.form)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        parts = [
            placed(part.need(name), self.device)
            for part in (view.pool, view.labelled)
            for name in ("probs", "embeddings")
        ]
        probs, embeddings, labelled_probs, labelled_embeddings = parts
        form = self.form
        if form == "auto":
            form = bait_form(len(probs), probs.shape[1], embeddings.shape[1])
        rows = bait(
            probs,
            embeddings,
            n,
            labelled_probs=labelled_probs,
            labelled_embeddings=labelled_embeddings,
            lam=self.lam,
            oversample=self.oversample,
            form=form,
        )
        return Proposal(rows, notes={"form": form})
