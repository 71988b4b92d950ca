"""Asks where posterior draws of the predictor disagree: dropout masks, deep ensembles, committees."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import Array, check_count, check_name
from labelwise.errors import InputError
from labelwise.functional import draws, scores
from labelwise.functional.backend import placed
from labelwise.functional.batches import batch_bald, top
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy

_DRAWS = frozenset({"draws"})
_LEAST = np.finfo(np.float64).tiny  # in place of a score of 0, whose logarithm would be infinite


class _Ranked(Strategy):
    """Asks for the highest scores of the pool's draws; ties are broken by a seeded permutation."""

    needs: ClassVar[Needs] = Needs(pool=_DRAWS)

    @abstractmethod
    def score(self, pool: Array) -> Array:
        """Return (n,) scores of draws (n, S, C)."""

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = self.score(view.pool.need("draws"))
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class VariationRatio(_Ranked):
    """Ask where the fewest draws vote for the class that most vote for.

    Formula:
        score = 1 - max_c #{s: argmax p_s = c} / S.
    Cost:
        O(n S C) time, one pass over the draws; O(n) memory.
    When:
        Many draws: with few of them there are only S different scores, and chance decides among equals.
    Source:
        Freeman 1965, "Elementary Applied Statistics"; for draws Gal, Islam, Ghahramani 2017, "Deep Bayesian Active
        Learning with Image Data".
    Deviations:
        DeepAL+ calls 1 - max p of a single pass by this name; that is least-confidence.
    """

    def score(self, pool: Array) -> Array:
        return draws.variation_ratio(pool)


@dataclass(frozen=True)
class MeanStd(_Ranked):
    """Ask where the draws' probabilities spread most, on average over classes.

    Formula:
        score = (1/C) Σ_c std_s p_sc.
    Cost:
        O(n S C) time, one pass over the draws; O(n) memory.
    When:
        A simple stand-in for bald; with many classes the tail dilutes it.
    Source:
        Kampffmeyer, Salberg, Jenssen 2016, "Semantic Segmentation of Small Objects and Modeling of Uncertainty in
        Urban Remote Sensing Images Using Deep Convolutional Neural Networks".
    Deviations:
        None; the standard deviation is the population's, divided by S.
    """

    def score(self, pool: Array) -> Array:
        return draws.mean_std(pool)


@dataclass(frozen=True)
class Bald(_Ranked):
    """Ask for the samples whose labels would tell most about the predictor, each taken alone.

    Formula:
        score = H[p̄] - (1/S) Σ_s H[p_s].
    Cost:
        O(n S C) time with one logarithm an entry; O(n) memory.
    When:
        Noisy labels, where entropy asks for what no label can settle. Large batches fill with near copies: see
        batch-bald, power-bald.
    Source:
        Houlsby, Huszár, Ghahramani, Lengyel 2011, "Bayesian Active Learning for Classification and Preference
        Learning"; for networks Gal, Islam, Ghahramani 2017.
    Deviations:
        None. The recipe must really draw: public code often runs it on networks without a dropout layer, where all
        draws are equal and all scores 0.
    """

    def score(self, pool: Array) -> Array:
        return draws.bald(pool)


@dataclass(frozen=True)
class PowerBald(Strategy):
    """Ask for samples drawn in proportion to a power of their BALD score, so that a batch varies at no cost.

    Formula:
        the n highest of β ln BALD(x) + Gumbel noise: draws without replacement with weights BALD(x)^β.
    Cost:
        That of bald: O(n S C) time; O(n) memory.
    When:
        Large batches: about as good as batch-bald, for the price of bald.
    Source:
        Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron, Gal 2023, "Stochastic Batch Acquisition: A Simple
        Baseline for Deep Active Learning" (2021 as arXiv 2106.12059).
    Deviations:
        A score of 0 counts as the least positive number, so that samples without any are asked last, in random order.

    Attributes:
        beta: β >= 0; 0 asks at random, a large one as bald does.
    """

    beta: float = 1.0

    needs: ClassVar[Needs] = Needs(pool=_DRAWS)

    def __post_init__(self) -> None:
        number = isinstance(self.beta, int | float) and not isinstance(self.beta, bool)
        if not number or not 0 <= self.beta < np.inf:
            raise InputError(f"beta must be a finite number of at least 0; it is {self.beta!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        gains = draws.bald(view.pool.need("draws"))
        values = self.beta * np.log(np.maximum(gains, _LEAST)) + rng.gumbel(size=gains.size)
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class BatchBald(Strategy):
    """Ask for the batch whose labels would tell most about the predictor, all together.

    Formula:
        greedily the row that adds most to I(y_1, ..., y_b; predictor) = H[y_1, ..., y_b] - Σ_i (1/S) Σ_s H[p_s(y_i)].
    Cost:
        O(n S C) time for the first row, then O(num_samples S C) for each of the few rows that may be next;
        O(n + num_samples S) memory.
    When:
        Batches of up to a few tens and S well above that: S draws tell at most ln S nats, and beyond that choices are
        noise. For larger batches power-bald.
    Source:
        Kirsch, van Amersfoort, Gal 2019, "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active
        Learning".
    Deviations:
        Rows are looked at lazily, which changes no pick while the joint distribution is exact; configurations are drawn
        label by label and carried on, where the authors' code draws each step anew; 0 ln 0 = 0, not NaN.

    Attributes:
        num_samples: label configurations looked at: all of them while there are no more, else as many drawn ones.
        device: "cpu" computes with NumPy; "cuda", "cuda:1" with torch there; "auto" where it finds one.
    """

    num_samples: int = 1024
    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(pool=_DRAWS)

    def __post_init__(self) -> None:
        check_count(self.num_samples, "num_samples", 1)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool = placed(view.pool.need("draws"), self.device)
        return Proposal(batch_bald(pool, n, num_samples=self.num_samples, rng=rng))


@dataclass(frozen=True)
class Epig(Strategy):
    """Ask for the samples whose labels would tell most about the labels of samples that will be predicted.

    Formula:
        score = mean over targets x* of I(y; y* | x, x*), from the draws' joint predictions.
    Cost:
        O(n min(answers, m C) S C) time for m targets; O(n) memory and no array of size n m or C².
    When:
        The pool holds much that nobody will ask the predictor about: bald chases what is odd, this does not.
    Source:
        Bickford Smith, Kirsch, Farquhar, Gal, Foster, Rainforth 2023, "Prediction-Oriented Bayesian Active Learning".
    Deviations:
        Of many classes a part of the m C answers is drawn, the same for all samples; the paper sums over all.

    Attributes:
        target: "pool": targets are drawn from the pool; "validation": from the validation samples, for pools that are
            unlike what will be predicted.
        targets: m, how many targets are drawn.
        answers: how many pairs of a target and a class are looked at, at most.
    """

    target: str = "pool"
    targets: int = 100
    answers: int = 2000

    def __post_init__(self) -> None:
        check_name(self.target, ("pool", "validation"), "target")
        check_count(self.targets, "targets", 1)
        check_count(self.answers, "answers", 1)

    @property
    def needs(self) -> Needs:
        return Needs(pool=_DRAWS, validation=_DRAWS if self.target == "validation" else frozenset())

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool = view.pool.need("draws")
        among = pool if self.target == "pool" else view.validation.need("draws")
        if not len(among):
            raise InputError("There is no validation sample to be a target of epig; use target='pool'.")
        rows = np.sort(rng.choice(len(among), size=min(self.targets, len(among)), replace=False))
        values = draws.epig(pool, among[rows], answers=self.answers, rng=rng)
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class QueryByCommittee(_Ranked):
    """Ask where the members of a committee disagree.

    Formula:
        "vote-entropy": the entropy of the members' votes; "consensus-divergence": (1/S) Σ_s KL(p_s ‖ p̄), the same
        number as bald.
    Cost:
        O(n S C) time; O(n) memory.
    When:
        A committee of different recipes or of fits on different samples: its members are the draws.
    Source:
        Seung, Opper, Sompolinsky 1992, "Query by Committee"; vote entropy: Dagan, Engelson 1995; divergence: McCallum,
        Nigam 1998, "Employing EM and Pool-Based Active Learning for Text Classification".
    Deviations:
        Members are soft: they need not be consistent with all labels, as the first paper's are.

    Attributes:
        disagreement: "vote-entropy" or "consensus-divergence".
    """

    disagreement: str = "vote-entropy"

    def __post_init__(self) -> None:
        check_name(self.disagreement, ("vote-entropy", "consensus-divergence"), "disagreement")

    def score(self, pool: Array) -> Array:
        divides = self.disagreement == "consensus-divergence"
        return draws.consensus_divergence(pool) if divides else draws.vote_entropy(pool)


class _OfMean(_Ranked):
    """Ranks by a score of the draws' mean probabilities."""

    metric: ClassVar[Callable[..., Any]]

    def score(self, pool: Array) -> Array:
        return draws.of_mean(type(self).metric, pool)


@dataclass(frozen=True)
class McLeastConfidence(_OfMean):
    """Ask where the draws' mean has its most probable class lowest.

    Formula:
        score = 1 - max_c p̄_c.
    Cost:
        O(n S C) time, one pass over the draws; O(n) memory.
    When:
        As least-confidence, with draws at hand: their mean is better calibrated than one pass.
    Source:
        Lewis, Gale 1994; the mean over dropout passes: Gal, Islam, Ghahramani 2017, "Deep Bayesian Active Learning with
        Image Data".
    Deviations:
        None.
    """

    metric = staticmethod(scores.least_confidence)


@dataclass(frozen=True)
class McMargin(_OfMean):
    """Ask where the most probable class of the draws' mean leads the second by least.

    Formula:
        score = -(p̄_(1) - p̄_(2)).
    Cost:
        O(n S C) time, one pass over the draws; O(n) memory.
    When:
        As margin, with draws at hand: their mean is better calibrated than one pass.
    Source:
        Scheffer, Decomain, Wrobel 2001; the mean over dropout passes: DeepAL+ (Zhan et al. 2022, "A Comparative Survey
        of Deep Active Learning").
    Deviations:
        None.
    """

    metric = staticmethod(scores.smallest_margin)


@dataclass(frozen=True)
class McLargestMargin(_OfMean):
    """Ask where the most probable class of the draws' mean leads the least probable by least.

    Formula:
        score = -(p̄_(1) - p̄_(C)).
    Cost:
        O(n S C) time, one pass over the draws; O(n) memory.
    When:
        As largest-margin, with draws at hand: their mean is better calibrated than one pass.
    Source:
        "Active Learning for Multi-class Image Classification", arXiv 2505.06825, on the mean of draws.
    Deviations:
        The paper scores a single pass.
    """

    metric = staticmethod(scores.largest_margin)


@dataclass(frozen=True)
class McEntropy(_OfMean):
    """Ask where the draws' mean has the highest entropy.

    Formula:
        score = -Σ_c p̄_c ln p̄_c.
    Cost:
        O(n S C) time; O(n) memory.
    When:
        As entropy, with draws at hand. Unlike bald it also asks for what is noisy by nature.
    Source:
        Gal, Islam, Ghahramani 2017, "Deep Bayesian Active Learning with Image Data" ("max entropy").
    Deviations:
        None; 0 ln 0 = 0, where DeepAL+ gives NaN.
    """

    metric = staticmethod(scores.entropy)
