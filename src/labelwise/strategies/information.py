"""Asks for batches that tell most about rare classes, least of what is known, or both: submodular information measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_name
from labelwise.functional.backend import placed
from labelwise.functional.batches import (
    CosineSimilarity,
    GradientSimilarity,
    Similarity,
    conditional_gain,
    conditional_mutual_information,
    submodular_mutual_information,
)
from labelwise.functional.batches.submodular import check_weights
from labelwise.functional.batches.submodular_information import CONDITIONAL, GAIN, INFORMATION
from labelwise.signals import Needs, Signals, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class _Informed(Strategy):
    """A measure of the batch beside a query set, a private set, or both, drawn from the labelled samples.

    The query set: labelled samples of classes with fewer labels than the mean class; all where no class has. The
    private set: all labelled samples, or, beside a query set, those that are not of it. Each holds at most `most`
    samples, drawn by the seed. Without a query set every batch tells as much, nothing: the batch is random.

    Attributes:
        space: "gradients" of the last layer, under predicted labels in the pool and true ones beside it; or
            "embeddings" or "features". All are compared by (1 + cos) / 2.
        eta: weight of the query set.
        nu: weight of the private set.
        lam: ridge of log-determinants (None: 1), or weight of graph cuts (None: 1/2).
        most: samples in each set, at most.
        device: "cpu" computes with NumPy; "cuda", "mps" with torch there; "auto" where it finds one.
    """

    space: str = "gradients"
    eta: float = 1.0
    nu: float = 1.0
    lam: float | None = None
    most: int = 200
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_name(self.space, ("gradients", "embeddings", "features"), "space")
        check_name(self.measure, (*INFORMATION, *GAIN, *CONDITIONAL), "measure")
        check_weights(self.measure, self.eta, self.nu, self.lam)
        check_count(self.most, "most", 1)

    @property
    def measure(self) -> str:
        """The measure's name in `labelwise.functional.batches`."""
        raise NotImplementedError

    @property
    def needs(self) -> Needs:
        seen = frozenset({"probs", "embeddings"} if self.space == "gradients" else {self.space})
        return Needs(pool=seen, labelled=seen | {"y"})

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        y = view.labelled.need("y")
        asked = rare(y, view.n_classes) if self.measure not in GAIN else np.zeros(y.size, bool)
        avoided = ~asked if self.measure not in INFORMATION else np.zeros(y.size, bool)
        query, private = (self._some(np.flatnonzero(rows), rng) for rows in (asked, avoided))
        notes = {"query samples": query.size, "private samples": private.size}
        if self.measure not in GAIN and not query.size:
            rows = rng.choice(len(view.pool), size=min(n, len(view.pool)), replace=False)
            return Proposal(rows, notes=notes)
        pool = self._similarity(view.pool, None)
        q, p = (self._similarity(view.labelled.take(rows), y[rows]) for rows in (query, private))
        if self.measure in GAIN:
            rows = conditional_gain(pool, p, n, measure=self.measure, nu=self.nu, lam=self.lam, rng=rng)
        elif self.measure in INFORMATION:
            rows = submodular_mutual_information(
                pool, q, n, measure=self.measure, eta=self.eta, lam=self.lam, rng=rng
            )
        else:
            rows = conditional_mutual_information(
                pool, q, p, n, measure=self.measure, eta=self.eta, nu=self.nu, lam=self.lam, rng=rng
            )
        return Proposal(rows, notes=notes)

    def _some(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return rows if rows.size <= self.most else np.sort(rng.choice(rows, self.most, replace=False))

    def _similarity(self, part: Signals, y: Array | None) -> Similarity:
        if self.space != "gradients":
            return CosineSimilarity(placed(part.need(self.space), self.device))
        probs, embeddings = (placed(part.need(name), self.device) for name in ("probs", "embeddings"))
        return GradientSimilarity(probs, embeddings, y)


def rare(y: Array, classes: int) -> NDArray[np.bool_]:
    """Return which labelled samples are of classes with fewer labels than the mean class; all where no class has."""
    counts = np.bincount(y, minlength=classes)
    few = (counts < counts.mean())[y]
    return few if few.any() else np.ones(y.size, bool)


@dataclass(frozen=True)
class Similar(_Informed):
    """Ask for the batch that is most informative about rare classes, by any submodular information measure.

    Formula:
        argmax_A I_f(A; Q | P) greedily: `measure` names f and which of query set Q and private set P there are.
    Cost:
        That of the strategy named like the measure; fl2mi: O(n |Q| (C + D)) time, O(n (C + D)) memory.
    When:
        Imbalanced pools, redundant ones, or both; each measure is a strategy of its own, too.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; P: the other labelled ones, or all where
        the measure has no Q; at most `most` of each, drawn by the seed. The paper is given both by its user.

    Attributes:
        measure: "fl1mi", "fl2mi", "gcmi", "logdetmi", "com", "flcg", "gccg", "logdetcg", "flcmi" or "logdetcmi".
    """

    measure: str = "fl2mi"


@dataclass(frozen=True)
class FL1MI(_Informed):
    """Ask for the samples that cover what in the pool lies near samples of rare classes.

    Formula:
        argmax_A Σ_i min(max_{j in A} s_ij, eta max_{q in Q} s_iq) over the pool, s = (1 + cos) / 2 of gradients.
    Cost:
        O(n² (C + D) ln 10) time above 5,000 samples, in parts of 50,000; O(n (C + D)) memory.
    When:
        Rare classes with several modes; stops at what Q covers, where fl2mi asks for more of the same.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; at most `most`, drawn by the seed. Above 5,000
        samples stochastic greedy, 1 - 1/e - 0.1 of the best batch in expectation.
    """

    measure: ClassVar[str] = "fl1mi"


@dataclass(frozen=True)
class FL2MI(_Informed):
    """Ask for the samples that are most like those of rare classes, and like each of these some.

    Formula:
        argmax_A Σ_{q in Q} max_{j in A} s_jq + eta Σ_{j in A} max_{q in Q} s_jq, s = (1 + cos) / 2 of gradients.
    Cost:
        O(n |Q| (C + D)) time and more for lazy picks; O(n (C + D)) memory.
    When:
        Imbalanced pools; the quickest of the information measures that look at all of Q.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; at most `most`, drawn by the seed.
    """

    measure: ClassVar[str] = "fl2mi"


@dataclass(frozen=True)
class GCMI(_Informed):
    """Ask for the samples that are most like those of rare classes, however like one another.

    Formula:
        argmax_A 2 lam Σ_{j in A, q in Q} s_jq, s = (1 + cos) / 2 of gradients.
    Cost:
        O(n (C + D)) time and memory beside the last layer's size.
    When:
        Retrieval of a rare class; batches repeat themselves.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; at most `most`, drawn by the seed. submodlib leaves
        2 lam out, which changes no batch.
    """

    measure: ClassVar[str] = "gcmi"


@dataclass(frozen=True)
class LogDetMI(_Informed):
    """Ask for samples like those of rare classes that say different things about them.

    Formula:
        argmax_A ln det S_A - ln det(S_A - eta² S_AQ S_Q⁻¹ S_QA), lam added to both diagonals.
    Cost:
        O(n b (b + |Q| + C + D)) time; O(n (b + |Q|)) memory up to 64 MiB, then random parts, as above 20,000.
    When:
        Rare classes, where fl2mi repeats itself.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; at most `most`, drawn by the seed.
        Not submodular: each pick is the best one, without a guarantee for the batch.
    """

    measure: ClassVar[str] = "logdetmi"


@dataclass(frozen=True)
class COM(_Informed):
    """Ask for samples like those of rare classes, each of them with diminishing returns.

    Formula:
        argmax_A eta Σ_{j in A} ln(1 + Σ_{q in Q} s_jq) + Σ_{q in Q} ln(1 + Σ_{j in A} s_jq).
    Cost:
        O(n |Q| (C + D)) time and more for lazy picks; O(n (C + D)) memory.
    When:
        As gcmi, with a little more spread over Q.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; at most `most`, drawn by the seed. The concave
        function is ln(1 + x), as in submodlib; the paper leaves it open.
    """

    measure: ClassVar[str] = "com"


@dataclass(frozen=True)
class FLCG(_Informed):
    """Ask for the samples that represent what the labelled ones do not.

    Formula:
        argmax_A Σ_i max(max_{j in A} s_ij - nu max_{p in P} s_ip, 0) over the pool, s = (1 + cos) / 2 of gradients.
    Cost:
        O(n² (C + D) ln 10) time above 5,000 samples, in parts of 50,000; O(n (C + D)) memory.
    When:
        Redundant pools, later rounds: facility-location that knows what is labelled.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        P: labelled samples; at most `most`, drawn by the seed. Above 5,000 samples stochastic greedy,
        1 - 1/e - 0.1 of the best batch in expectation.
    """

    measure: ClassVar[str] = "flcg"


@dataclass(frozen=True)
class GCCG(_Informed):
    """Ask for samples like many others, unlike one another and unlike the labelled ones.

    Formula:
        argmax_A Σ_{i, j in A} s_ij - lam Σ_{i, j in A} s_ij - 2 lam nu Σ_{j in A, p in P} s_jp, i over the pool first.
    Cost:
        O(n b (C + D)) time; O(n (C + D)) memory.
    When:
        As flcg, where that is too slow.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        P: labelled samples; at most `most`, drawn by the seed.
    """

    measure: ClassVar[str] = "gccg"


@dataclass(frozen=True)
class LogDetCG(_Informed):
    """Ask for the samples that add most volume to the labelled ones.

    Formula:
        argmax_A ln det(S_{A ∪ P} + lam I) - ln det(S_P + lam I), similarities between A and P scaled by nu.
    Cost:
        O(n b (b + |P| + C + D)) time; O(n (b + |P|)) memory up to 64 MiB, then random parts, as above 20,000.
    When:
        Batches unlike one another and unlike what is known; outliers are asked for first.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        P: labelled samples; at most `most`, drawn by the seed.
    """

    measure: ClassVar[str] = "logdetcg"


@dataclass(frozen=True)
class FLCMI(_Informed):
    """Ask for samples that cover what lies near rare classes and not near the others.

    Formula:
        argmax_A Σ_i max(min(max_{j in A} s_ij, eta max_{q in Q} s_iq) - nu max_{p in P} s_ip, 0) over the pool.
    Cost:
        O(n² (C + D) ln 10) time above 5,000 samples, in parts of 50,000; O(n (C + D)) memory.
    When:
        Rare classes beside frequent ones that look alike.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; P: the others; at most `most` of each.
        Above 5,000 samples stochastic greedy, 1 - 1/e - 0.1 of the best batch in expectation.
    """

    measure: ClassVar[str] = "flcmi"


@dataclass(frozen=True)
class LogDetCMI(_Informed):
    """Ask for samples that say much about rare classes that the others do not say.

    Formula:
        argmax_A ln det S_{A ∪ P} + ln det S_{Q ∪ P} - ln det S_{A ∪ Q ∪ P} - ln det S_P, lam on all diagonals; similarities
        of A with Q scaled by eta, with P by nu.
    Cost:
        O(n b (b + |Q| + |P| + C + D)) time; O(n (b + |Q| + |P|)) memory up to 64 MiB, then random parts.
    When:
        Rare classes beside frequent ones that look alike, batches without repetition.
    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios".
    Deviations:
        Q: labelled samples of classes below the mean count, all where none is; P: the others; at most `most` of each.
        Not submodular: each pick is the best one, without a guarantee for the batch.
    """

    measure: ClassVar[str] = "logdetcmi"
