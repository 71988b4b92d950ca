"""Asks for batches that cover the pool, avoid redundancy or span the most volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.functional import scores
from labelwise.functional.backend import placed
from labelwise.functional.batches import (
    ClasswiseSimilarity,
    CosineSimilarity,
    facility_location,
    graph_cut,
    log_determinant,
    top,
)
from labelwise.functional.batches.greedy import sample_size
from labelwise.functional.batches.submodular import check_weights
from labelwise.signals import Needs, View
from labelwise.strategies.base import InSpace, Proposal

_UNCERTAIN = {
    "entropy": scores.entropy,
    "margin": scores.smallest_margin,
    "least-confidence": scores.least_confidence,
}


@dataclass(frozen=True)
class FacilityLocation(InSpace):
    """Ask for the samples that represent the pool: every sample has an asked one like it.

    Formula:
        argmax_A Σ_i max_{j in A} s_ij over the pool, s = (1 + cos) / 2, greedily.
    Cost:
        O(n² D ln(1/epsilon)) time above 5,000 samples, in parts of 50,000; O(n D) memory.
    When:
        First batches and large ones, embeddings or features that mean something.
    Source:
        Wei, Iyer, Bilmes 2015, "Submodularity in Data Subset Selection and Active Learning"; Mirzasoleiman and others
        2015, "Lazier Than Lazy Greedy".
    Deviations:
        Up to 5,000 samples lazy and exact, (1 - 1/e) of the best batch; above, each pick is the best of a sample,
        1 - 1/e - epsilon in expectation.

    Attributes:
        method: "lazy", "stochastic", or "auto", which decides by the pool's size.
        epsilon: of the guarantee.
    """

    method: str = "auto"
    epsilon: float = 0.1
    reads_labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        sample_size(1, 1, self.method, self.epsilon)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        points = placed(view.pool.need(self.space), self.device)
        return Proposal(facility_location(points, n, method=self.method, epsilon=self.epsilon, rng=rng))


@dataclass(frozen=True)
class GraphCut(InSpace):
    """Ask for samples that are like many others and unlike one another.

    Formula:
        argmax_A Σ_{i, j in A} s_ij - lam Σ_{i in A, j in A} s_ij, i over the pool, s = (1 + cos) / 2, greedily.
    Cost:
        O(n b D) time; O(n D) memory.
    When:
        Dense regions first: lam weighs a batch of b against n samples, so that up to 1/2, where the measure is monotone,
        small batches hardly avoid repetition; a lam near n / b does.
    Source:
        Iyer, Khargoankar, Bilmes, Asnani 2021, "Submodular Combinatorial Information Measures with Applications in
        Machine Learning".
    Deviations:
        None.

    Attributes:
        lam: weight of redundancy; the measure is monotone up to 1/2.
    """

    lam: float = 0.5
    reads_labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weights("gc", 1, 1, self.lam)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal(graph_cut(placed(view.pool.need(self.space), self.device), n, lam=self.lam))


@dataclass(frozen=True)
class LogDeterminant(InSpace):
    """Ask for the samples that span the most volume: as unlike one another as can be.

    Formula:
        argmax_A ln det(S_A + lam I), s = (1 + cos) / 2, greedily: the mode of a determinantal process.
    Cost:
        O(n b (b + D)) time; O(n b) memory up to 64 MiB, then the pool is split into random parts, as above 20,000.
    When:
        Batches without repetition; outliers are asked for first.
    Source:
        Chen, Zhang, Zhou 2018, "Fast Greedy MAP Inference for Determinantal Point Process to Improve Recommendation
        Diversity".
    Deviations:
        None.

    Attributes:
        lam: ridge, > 0; the measure is monotone from 1 on.
    """

    lam: float = 1.0
    reads_labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_weights("logdet", 1, 1, self.lam)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal(
            log_determinant(placed(view.pool.need(self.space), self.device), n, lam=self.lam, rng=rng)
        )


@dataclass(frozen=True)
class Fass(InSpace):
    """Ask for those of the most uncertain samples that represent them, class by predicted class.

    Formula:
        V = the beta b samples of highest uncertainty; argmax_A Σ_{i in V} max_{j in A, ŷ_j = ŷ_i} s_ij, greedily.
    Cost:
        O(n C) to filter, O((beta b)² D) for the rest, at most; O(beta b D) memory.
    When:
        Large batches of an uncertainty strategy, which would ask for the same thing many times.
    Source:
        Wei, Iyer, Bilmes 2015, "Submodularity in Data Subset Selection and Active Learning".
    Deviations:
        s = (1 + cos) / 2 of embeddings; the paper's nearest-neighbour function has a constant less the squared distance.

    Attributes:
        beta: how many times the batch passes the filter, at least 1.
        uncertainty: what filters: "entropy", "margin" or "least-confidence".
    """

    beta: float = 5.0
    uncertainty: str = "entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.uncertainty, tuple(_UNCERTAIN), "uncertainty")
        if not 1 <= self.beta < np.inf:
            raise InputError(f"beta must be at least 1; it is {self.beta!r}.")

    @property
    def needs(self) -> Needs:
        return Needs(pool=frozenset({"probs", self.space}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        probs = view.pool.need("probs")
        few = np.sort(top(_UNCERTAIN[self.uncertainty](probs), int(np.ceil(self.beta * n)), rng))
        points = CosineSimilarity(placed(view.pool.need(self.space)[few], self.device))
        rows = facility_location(ClasswiseSimilarity(points, probs[few].argmax(axis=1)), n, rng=rng)
        return Proposal(few[rows], notes={"filtered": len(few)})
