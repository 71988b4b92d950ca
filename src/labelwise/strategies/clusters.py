"""Asks for what stands for clusters: the nearest to their centres, the most typical, or the least sure of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import check_count
from labelwise.errors import InputError
from labelwise.functional import scores
from labelwise.functional.backend import like, placed
from labelwise.functional.batches.clustered import cluster_margin, kmeans_batch, typiclust
from labelwise.functional.clusters import kmeans, nearest_centroid, sampled_hierarchical
from labelwise.signals import Needs, View
from labelwise.strategies.base import InSpace, Proposal


@dataclass(frozen=True)
class KMeans(InSpace):
    """Ask for the sample nearest to each of b k-means centres.

    Formula:
        argmin_u ‖z_u - μ_j‖ for j = 1 … b, μ the centres of b clusters of the pool.
    Cost:
        O(n b D) time for each of about 20 iterations, over at most max(20,000, 64 b) drawn samples; memory for these.
    When:
        First batches and small models; it looks at no label and no uncertainty, so that random catches up later.
    Source:
        Zhan et al. 2022, "A Comparative Survey of Deep Active Learning" (KMeans).
    Deviations:
        A centre takes the nearest sample of the pool that no earlier centre has taken; public code takes the nearest of
        the centre's own cluster. The centres are learned on the CPU whatever the device.
    """

    reads_labelled: ClassVar[bool] = False

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal(kmeans_batch(placed(view.pool.need(self.space), self.device), n, rng))


@dataclass(frozen=True)
class Clue(InSpace):
    """Ask for the sample nearest to each of b k-means centres, where unsure samples weigh more.

    Formula:
        argmin_u ‖z_u - μ_j‖ for j = 1 … b, μ minimising Σ_u H(p_u) min_j ‖z_u - μ_j‖².
    Cost:
        O(n b D) time for each of about 20 iterations, over at most max(20,000, 64 b) drawn samples; memory for these.
    When:
        Domain adaptation and mid-size budgets: uncertain and diverse at little cost.
    Source:
        Prabhu, Chandrasekaran, Saenko, Hoffman 2021, "Active Domain Adaptation via Clustering Uncertainty-weighted
        Embeddings".
    Deviations:
        Probabilities are taken as they are (softmax temperature 1). The centres are learned on the CPU whatever the
        device. Where no sample is uncertain at all, all weigh alike.
    """

    reads_labelled: ClassVar[bool] = False

    @property
    def needs(self) -> Needs:
        return Needs(pool=frozenset({"probs", self.space}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        weights = scores.entropy(view.pool.need("probs"))
        return Proposal(
            kmeans_batch(placed(view.pool.need(self.space), self.device), n, rng, weights=weights)
        )


@dataclass(frozen=True)
class ClusterMargin(InSpace):
    """Ask for samples of small margin, in turn among clusters, small clusters first.

    Formula:
        of the 1.25 b smallest p₍₁₎ - p₍₂₎: one drawn from each average-linkage cluster in turn, fewest members first.
    Cost:
        O(n C + n k D) time, k = 500 clusters of 1,000 drawn samples; O(n) memory beside the arrays.
    When:
        Very large batches, where the least sure samples are near copies of one another.
    Source:
        Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar 2021, "Batch Active Learning at Scale".
    Deviations:
        The paper clusters all samples once, by the first predictor's embeddings; here a drawn sample is clustered anew
        every round, by the embeddings of that round, and the rest joins the nearest cluster mean (as GALAXY's code does,
        once). Public codes take a cluster's smallest margin; the paper and this draw one.

    Attributes:
        candidates: how many samples of small margin to choose from, as a multiple of b, at least 1.
        sample: how many samples are clustered.
        mean_size: mean size of their clusters at which merging stops.
    """

    candidates: float = 1.25
    sample: int = 1000
    mean_size: float = 2.0

    reads_labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.candidates < np.inf:
            raise InputError(f"candidates must be at least 1, times the batch; it is {self.candidates!r}.")
        check_count(self.sample, "sample", 1)

    @property
    def needs(self) -> Needs:
        return Needs(pool=frozenset({"probs", self.space}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        margins = -scores.smallest_margin(view.pool.need("probs"))
        z = placed(view.pool.need(self.space), self.device)
        groups = sampled_hierarchical(z, rng, sample=self.sample, mean_size=self.mean_size).members
        wanted = int(np.ceil(self.candidates * n))
        return Proposal(cluster_margin(margins, groups, n, candidates=wanted, rng=rng))


@dataclass(frozen=True)
class TypiClust(InSpace):
    """Ask for the most typical sample of each cluster that holds no labelled one, the largest clusters first.

    Formula:
        argmax_u 1 / (mean distance to its 20 nearest neighbours), u in cluster j, for clusters j of k-means with
        k = min(labelled + b, 500), fewest labelled first, then largest.
    Cost:
        O(n k D) time for each of about 20 iterations over at most max(20,000, 64 k) drawn samples, and O(n s D) for
        neighbours in clusters of s samples; O(n) memory beside the arrays and the drawn samples.
    When:
        Very few labels, with features learned without labels (space="features"); uncertainty wins once labels are many.
    Source:
        Hacohen, Dekel, Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets".
    Deviations:
        Distances, as in the paper; its public code has squared distances (squared=True). Clusters without unlabelled
        samples are skipped, where that code fails, and clusters of at most 5 come last. k-means is plain where that
        code takes mini-batches. In a cluster of more than 10,000, neighbours are searched among 10,000.

    Attributes:
        unit: scale samples to length 1 first, as the public code does.
        neighbours: how many nearest neighbours tell typicality; half of a cluster at most.
        most_clusters: how many clusters are made at most.
        least_size: clusters of at most this size come last.
        squared: typicality by squared distances.
    """

    unit: bool = True
    neighbours: int = 20
    most_clusters: int = 500
    least_size: int = 5
    squared: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("neighbours", "most_clusters"):
            check_count(getattr(self, name), name, 1)
        check_count(self.least_size, "least_size")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        z, known = (placed(part.need(self.space), self.device) for part in (view.pool, view.labelled))
        k = min(len(view.labelled) + n, self.most_clusters)
        found = kmeans(z, k, rng, also=known, unit=self.unit)
        home = nearest_centroid(known, like(known, found.centres), unit=self.unit)[0]
        settings: dict[str, Any] = {
            "neighbours": self.neighbours,
            "least_size": self.least_size,
            "squared": self.squared,
            "unit": self.unit,
        }
        return Proposal(typiclust(z, found.members, n, labelled_clusters=home, **settings))
