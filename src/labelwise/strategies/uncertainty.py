"""Asks for what the predictor is least sure of; and at random, which every other strategy has to beat."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.functional import scores
from labelwise.functional.batches import top
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class Random(Strategy):
    """Ask for samples drawn evenly, without looking at them.

    Formula:
        Every set of n pool rows has the same probability.
    Cost:
        O(pool) time and memory.
    When:
        Always, as what every other strategy has to beat; with a seed of its own it estimates accuracy honestly.
    Source:
        None needed.
    Deviations:
        None.
    """

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool = len(view.pool)
        return Proposal(rng.choice(pool, size=min(n, pool), replace=False))


class _Uncertainty(Strategy):
    """Asks for the highest scores of the pool's probabilities; ties are broken by a seeded permutation."""

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs"}))

    @abstractmethod
    def score(self, view: View) -> scores.Scores:
        """Return (n,) scores of the pool."""

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = self.score(view)
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class LeastConfidence(_Uncertainty):
    """Ask where the most probable class has the lowest probability.

    Formula:
        score = 1 - max_c p_c.
    Cost:
        O(n C) time, one pass over the probabilities; O(n) memory.
    When:
        Small batches of a trained classifier; large ones fill with near copies.
    Source:
        Lewis, Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
    Deviations:
        None; ties are broken by a seeded permutation.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.least_confidence(view.pool.need("probs"))


@dataclass(frozen=True)
class Margin(_Uncertainty):
    """Ask where the most probable class leads the second by least.

    Formula:
        score = -(p_(1) - p_(2)), the best minus the second best.
    Cost:
        O(n C) time, one pass over the probabilities; O(n) memory.
    When:
        The first to try: no parameter, fast, and hard to beat on many classes.
    Source:
        Scheffer, Decomain, Wrobel 2001, "Active Hidden Markov Models for Information Extraction".
    Deviations:
        None; ties are broken by a seeded permutation.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.smallest_margin(view.pool.need("probs"))


@dataclass(frozen=True)
class LargestMargin(_Uncertainty):
    """Ask where the most probable class leads the least probable by least.

    Formula:
        score = -(p_(1) - p_(C)), the best minus the worst.
    Cost:
        O(n C) time, one pass over the probabilities; O(n) memory.
    When:
        Comparing with its paper; the worst class says little where C is large.
    Source:
        "Active Learning for Multi-class Image Classification", arXiv 2505.06825.
    Deviations:
        None; ties are broken by a seeded permutation.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.largest_margin(view.pool.need("probs"))


@dataclass(frozen=True)
class Entropy(_Uncertainty):
    """Ask where the probabilities have the highest entropy.

    Formula:
        score = -Σ_c p_c ln p_c.
    Cost:
        O(n C) time with one logarithm an entry; O(n) memory.
    When:
        Few classes, well calibrated; with many classes the tail drowns the contest at the top.
    Source:
        Shannon 1948, "A Mathematical Theory of Communication"; for active learning Settles 2009, "Active
        Learning Literature Survey", section 3.1.
    Deviations:
        None; ties are broken by a seeded permutation.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.entropy(view.pool.need("probs"))
