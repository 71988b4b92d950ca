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
    """Ask for samples drawn evenly, without looking at them."""

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

    Source:
        Lewis, Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
    """

    def score(self, view: View) -> scores.Scores:
        return scores.least_confidence(view.pool.need("probs"))


@dataclass(frozen=True)
class Margin(_Uncertainty):
    """Ask where the most probable class leads the second by least.

    Source:
        Scheffer, Decomain, Wrobel 2001, "Active Hidden Markov Models for Information Extraction".
    """

    def score(self, view: View) -> scores.Scores:
        return scores.smallest_margin(view.pool.need("probs"))


@dataclass(frozen=True)
class LargestMargin(_Uncertainty):
    """Ask where the most probable class leads the least probable by least.

    Source:
        "Active Learning for Multi-class Image Classification", arXiv 2505.06825.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.largest_margin(view.pool.need("probs"))


@dataclass(frozen=True)
class Entropy(_Uncertainty):
    """Ask where the probabilities have the highest entropy.

    Source:
        Shannon 1948, "A Mathematical Theory of Communication"; for active learning Settles 2009, "Active
        Learning Literature Survey", section 3.1.
    """

    def score(self, view: View) -> scores.Scores:
        return scores.entropy(view.pool.need("probs"))
