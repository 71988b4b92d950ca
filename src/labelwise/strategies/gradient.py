"""Asks where an answer would change the predictor's last layer most, and in directions that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.functional.backend import placed
from labelwise.functional.batches import gradient_kmeans_pp
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class Badge(Strategy):
    """Ask for samples whose gradients, were the best guess right, are long and point apart.

    Formula:
        g_u = (p_u - onehot(argmax p_u)) ⊗ z_u; first argmax ‖g_u‖, then draws in proportion to min_c ‖g_u - g_c‖².
    Cost:
        O(n b + n (C + D)) time mostly, since few samples are measured again a pick, O(n b (C + D)) at worst; O(n)
        memory beside the arrays.
    When:
        The safe choice for networks: uncertain and diverse without a weight to set, at any batch size.
    Source:
        Ash, Zhang, Krishnamurthy, Langford, Agarwal 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient
        Lower Bounds".
    Deviations:
        - The first is the longest gradient, as in the authors' code; the paper draws it evenly.
        - Distances factor into those of probabilities and embeddings: the same numbers, without n·C·D of memory.
        - Never the same sample twice, which public code allows once all distances are 0.

    Attributes:
        device: "cpu" computes with NumPy; "cuda", "cuda:1", "mps" with torch there; "auto" where it finds one.
    """

    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs", "embeddings"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        probs, embeddings = (placed(view.pool.need(s), self.device) for s in ("probs", "embeddings"))
        return Proposal(gradient_kmeans_pp(probs, embeddings, n, rng))
