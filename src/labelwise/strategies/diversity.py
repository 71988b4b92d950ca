"""Asks for samples that lie far apart, or that stand for many others, without looking at what the predictor says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelwise.functional.backend import placed
from labelwise.functional.batches import k_center
from labelwise.signals import View
from labelwise.strategies.base import InSpace, Proposal


@dataclass(frozen=True)
class CoreSet(InSpace):
    """Ask for the samples that leave no other far from a labelled one.

    Formula:
        argmax_u min_c ‖z_u - z_c‖, c over labelled and chosen samples.
    Cost:
        O(n (l + b) D) time at worst, l labelled, and mostly O(n l D), since distances only fall and few samples are
        measured again a pick; O(n) memory beside the arrays.
    When:
        Large batches and embeddings, or fixed features, that mean something. Poor with outliers: they are farthest.
    Source:
        Sener, Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach".
    Deviations:
        - The greedy algorithm alone, as everybody's; the paper's mixed-integer refinement is left out.
        - Exact distances: public code takes roots of float32 differences of products, which are NaN for near copies
          of labelled samples, and asks for these first.
        - With nothing labelled, the first of the pool is the first centre.
    """

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool, labelled = (placed(part.need(self.space), self.device) for part in (view.pool, view.labelled))
        return Proposal(k_center(pool, n, centres=labelled))
