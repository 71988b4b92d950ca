"""Asks for the batch that one training step on it would help validation samples most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.checks import check_count
from labelwise.errors import InputError
from labelwise.functional.backend import placed
from labelwise.functional.batches import glister
from labelwise.signals import Needs, Signals, View
from labelwise.strategies.base import Proposal, Strategy

_WITH_LABELS = frozenset({"probs", "embeddings", "y"})


@dataclass(frozen=True)
class Glister(Strategy):
    """Ask for the samples that, trained on with their predicted labels, would most raise the validation likelihood.

    Formula:
        argmax_A Σ_v ln p_v(θ - eta Σ_{j in A} g_j) greedily, g_j = (p_j - onehot(ŷ_j)) ⊗ [z_j, 1], each gain to first
        order: eta ⟨g_j, Ḡ⟩ with the validation gradient Ḡ after the step so far.
    Cost:
        O(n C D ln 100) time for the draws and O(b m C D) for m validation samples; O(m (C + D) + C D) memory.
    When:
        A validation set like the test set, noisy or imbalanced pools. Predicted labels that are wrong mislead it, and a
        small eta repeats itself: the validation gradient hardly moves within a batch.
    Source:
        Killamsetty, Sivasubramanian, Ramakrishnan, Iyer 2021, "GLISTER: Generalization based Data Subset Selection for
        Efficient and Robust Learning".
    Deviations:
        Last-layer gradients in factored form. At most `most` validation samples, drawn by the seed. Without any, the
        labelled samples stand for them; without these, random. The public code first steps on the labelled samples,
        and takes the pool with predicted labels for validation where there is none; the paper does neither, nor does
        this.

    Attributes:
        eta: length of the step on the sum of the batch's gradients.
        most: validation samples that are looked at, at most.
        device: "cpu" computes with NumPy; "cuda", "mps" with torch there; "auto" where it finds one.
    """

    eta: float = 0.01
    most: int = 1_000
    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(
        pool=frozenset({"probs", "embeddings"}), labelled=_WITH_LABELS, validation=_WITH_LABELS
    )

    def __post_init__(self) -> None:
        check_count(self.most, "most", 1)
        if not 0 < self.eta < np.inf:
            raise InputError(f"eta must be a positive number; it is {self.eta!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool, held = view.pool, view.validation if len(view.validation) else view.labelled
        if not len(held):
            return Proposal(rng.choice(len(pool), size=min(n, len(pool)), replace=False))
        if len(held) > self.most:
            held = held.take(np.sort(rng.choice(len(held), self.most, replace=False)))
        probs, embeddings = self._arrays(pool)
        held_probs, held_embeddings = self._arrays(held)
        rows = glister(
            probs, embeddings, n, validation_probs=held_probs, validation_embeddings=held_embeddings,
            validation_y=held.need("y"), eta=self.eta, rng=rng,
        )  # fmt: skip
        return Proposal(rows, notes={"validation samples": len(held)})

    def _arrays(self, part: Signals) -> tuple[object, object]:
        return placed(part.need("probs"), self.device), placed(part.need("embeddings"), self.device)
