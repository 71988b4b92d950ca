"""Asks where predictions contradict neighbours, where they are unsure in many ways, or where nobody labelled yet."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.checks import Array, check_count, check_number
from labelwise.errors import InputError
from labelwise.functional.backend import placed
from labelwise.functional.batches import top
from labelwise.functional.batches.falcun import falcun
from labelwise.functional.clusters import rows_of
from labelwise.functional.disagreement import contrastive
from labelwise.signals import Needs, View
from labelwise.strategies.base import InSpace, Proposal, Strategy


@dataclass(frozen=True)
class Cal(Strategy):
    """Ask where the prediction differs most from those for the nearest labelled samples.

    Formula:
        argmax_u mean over the k nearest labelled l of KL(p_l‖p_u), nearest in Euclidean distance of embeddings.
    Cost:
        O(n l D + n k C) time; O(n k) memory beside the arrays, distances in blocks.
    When:
        Decision boundaries that run between close samples; labels enough to have neighbours. Nothing keeps the
        picks of a batch apart.
    Source:
        Margatina, Vernikos, Barrault, Aletras 2021, "Active Learning by Acquiring Contrastive Examples".
    Deviations:
        Probabilities below 1e-12 count as that in logarithms. Where nobody is labelled, rows are drawn evenly.

    Attributes:
        k: neighbours.
        device: where neighbours are searched: "cpu" with NumPy; "cuda", "cuda:1", "mps" with torch there; "auto".
    """

    k: int = 10
    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(
        pool=frozenset({"probs", "embeddings"}), labelled=frozenset({"probs", "embeddings"})
    )

    def __post_init__(self) -> None:
        check_count(self.k, "k", 1)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool, known = (placed(part.need("embeddings"), self.device) for part in (view.pool, view.labelled))
        values = contrastive(view.pool.need("probs"), pool, view.labelled.need("probs"), known, self.k)
        # Not given as scores: those of probabilities rise with uncertainty (law S), and contrast need not.
        return Proposal(top(values, n, rng))


@dataclass(frozen=True)
class Falcun(Strategy):
    """Ask, by lot, for samples that are unsure and whose probabilities are unlike those asked for before.

    Formula:
        Draw u with probability ∝ (m_u + d_u)^γ, m = 1 - (p₍₁₎ - p₍₂₎), d = min(m, min_q ‖p_u - p_q‖₁) over the drawn q,
        scaled to [0, 1] over all samples left.
    Cost:
        O(n b C) time; O(n) memory beside the arrays.
    When:
        Large batches and no embeddings at hand: probabilities alone keep the picks apart.
    Source:
        Gilhuber, Beer, Ma, Seidl 2024, "FALCUN: A Simple and Efficient Deep Active Learning Strategy".
    Deviations:
        Where copies of drawn samples are all that is left, the authors' code draws evenly; here m still counts.

    Attributes:
        gamma: γ, at least 0: how much the most relevant samples are preferred.
    """

    gamma: float = 10.0

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs"}))

    def __post_init__(self) -> None:
        check_number(self.gamma, "gamma", 0)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal(falcun(view.pool.need("probs"), n, rng, gamma=self.gamma))


@dataclass(frozen=True)
class Discriminative(InSpace):
    """Ask for samples that a classifier tells most surely from the labelled ones.

    Formula:
        In each of `parts` turns: fit P(unlabelled | z) by logistic regression, ask for the highest, count them as
        labelled.
    Cost:
        O(parts · m D) time an iteration, m = labelled and at most ten times as many unlabelled samples that it is
        fitted on; O(m D) memory.
    When:
        The labelled set misses parts of the pool; embeddings in which these are easy to tell apart.
    Source:
        Gissin, Shalev-Shwartz 2019, "Discriminative Active Learning".
    Deviations:
        A logistic regression on standardised values, where the authors train a network of three layers: it has one
        optimum and no seed. Both weigh the two kinds alike. Where nobody is labelled, the first turn is drawn by lot.

    Attributes:
        parts: turns that a batch is asked for in.
    """

    parts: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.parts, "parts", 1)
        if self.device != "cpu":
            raise InputError(f"device must be 'cpu': scikit-learn fits there; it is {self.device!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool, labelled = view.pool.need(self.space), view.labelled.need(self.space)
        size = min(n, len(pool))
        parts = min(self.parts, size)
        free = np.ones(len(pool), bool)
        picks = np.empty(0, np.int64)
        for turn in range(parts):
            share = size * (turn + 1) // parts - picks.size
            left = np.flatnonzero(free)
            known = np.concatenate([labelled, pool[picks]])
            values = self._unlike(pool, left, known, rng) if len(known) else np.zeros(left.size)
            chosen = left[top(values, share, rng)]
            free[chosen] = False
            picks = np.concatenate([picks, chosen])
        return Proposal(picks)

    def _unlike(self, pool: Array, left: Array, known: Array, rng: np.random.Generator) -> Array:
        """Return how unlike the known samples each of the rows that are left is: a logit."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        rows = rows_of(pool, self.space)
        shown = left
        if left.size > 10 * len(known):
            shown = np.sort(rng.choice(left, 10 * len(known), replace=False))
        x = np.concatenate([rows.take(shown), rows_of(known, f"labelled {self.space}").take(slice(None))])
        x = x.astype(np.float64)
        mean, spread = x.mean(axis=0), x.std(axis=0)
        spread[spread == 0] = 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 steps rank well enough
            model = LogisticRegression(class_weight="balanced", max_iter=200)
            model.fit((x - mean) / spread, np.arange(len(x)) < shown.size)
        weights = model.coef_[0] / spread
        values = np.empty(len(rows))
        for part in rows.blocks():
            values[part] = (rows.take(part) - mean) @ weights
        return np.asarray(values[left])
