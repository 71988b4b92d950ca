"""Asks where predictions change once embeddings do: mixed with those of labelled classes, or partly dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.checks import as_labels, check_count
from labelwise.errors import InputError
from labelwise.functional.batches import kmeans_among
from labelwise.functional.feature_mixing import class_means, dropout_changes, mixing_flips
from labelwise.functional.heads import linear_head
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class AlfaMix(Strategy):
    """Ask for unlike samples whose prediction changes when a little of a labelled class is mixed into them.

    Formula:
        Candidates: argmax f((1 - α) ⊙ z_u + α ⊙ a) ≠ argmax f(z_u) for some class mean a of the labelled, with
        α = ε ‖a - z_u‖ / ‖g‖ · g ⊘ (a - z_u), g = ∇_z CE(f(z_u), argmax f(z_u)), ε = 0.2 / √D. Of these, the nearest
        to each of b k-means centres.
    Cost:
        O(n D (C + K)) time, K labelled classes, and that of k-means; O(m D) memory for m candidates.
    When:
        Few labels and embeddings that mean something, as of pretrained networks: near boundaries, yet diverse.
    Source:
        Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi 2022, "Active Learning by Feature Mixing".
    Deviations:
        - Where fewer than b are candidates, the rest is drawn evenly. The authors' code raises ε by 0.2 / √D at a time
          before it draws.
        - Only the furthest class mean is tried: a linear layer that changes its mind for another does so for it. Classes
          without labels have no mean of their own. Where nobody is labelled, all are drawn evenly.
        - Where a sample and a mean agree in a coordinate, α has no value; the step is taken there, too, which the
          authors' code does not do.
        - The last layer is recovered from its inputs and outputs, by least squares; where it is not linear an error
          says so. Mixing moves in directions in which embeddings of the pool vary.

    Attributes:
        epsilon: √D ε, how much is mixed in.
        unit: scale embeddings to length 1 before k-means, as the authors' code does.
    """

    epsilon: float = 0.2
    unit: bool = True

    needs: ClassVar[Needs] = Needs(
        pool=frozenset({"embeddings", "logits"}), labelled=frozenset({"embeddings", "y"})
    )

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < np.inf:
            raise InputError(f"epsilon must be a number of at least 0; it is {self.epsilon!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        if len(view.pool) == 0:
            return Proposal(np.empty(0, np.int64))
        z, logits = view.pool.need("embeddings"), view.pool.need("logits")
        head = linear_head(z, logits, centred=True)
        y = as_labels(view.labelled.need("y"), view.n_classes)
        anchors = class_means(view.labelled.need("embeddings"), y)
        flips = mixing_flips(z, logits, head.weight, anchors, epsilon=self.epsilon)
        notes = {"candidates": int(flips.sum()), "unexplained by a linear layer": head.residual}
        return Proposal(kmeans_among(z, flips, n, rng, unit=self.unit), notes=notes)


@dataclass(frozen=True)
class DropQuery(Strategy):
    """Ask for unlike samples whose prediction changes under most of several dropout masks.

    Formula:
        Candidates: argmax f(z_u ⊙ d_m / (1 - p)) ≠ argmax f(z_u) for more than half of m = 1 … M, d ~ Bernoulli(1 - p).
        Of these, the nearest to each of b k-means centres.
    Cost:
        O(M n D C) time, and that of k-means; O(m D) memory for m candidates.
    When:
        A linear layer on embeddings of a pretrained network that stays as it is, from few labels on.
    Source:
        Gupte, Aklilu, Nirschl, Yeung-Levy 2024, "Revisiting Active Learning in the Era of Vision Foundation Models".
    Deviations:
        - Where fewer than b are candidates, the rest is drawn evenly. The authors' code first takes samples that change
          under fewer masks, where candidates are fewer than 25 b.
        - The last layer is recovered from its inputs and outputs, by least squares; where it is not linear an error
          says so. What comes of a value that is the same in all samples counts as the layer's bias: it never drops.
        - scikit-activeml has M = 5, keeps what is left unscaled, and takes the most changed where candidates are few.

    Attributes:
        masks: M, dropout masks of each sample.
        p: the probability to drop a value.
        unit: scale embeddings to length 1 before k-means, as the authors' code does.
    """

    masks: int = 3
    p: float = 0.75
    unit: bool = True

    needs: ClassVar[Needs] = Needs(pool=frozenset({"embeddings", "logits"}))

    def __post_init__(self) -> None:
        check_count(self.masks, "masks", 1)
        if not 0 <= self.p < 1:
            raise InputError(f"p must be in [0, 1); it is {self.p!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        if len(view.pool) == 0:
            return Proposal(np.empty(0, np.int64))
        z, logits = view.pool.need("embeddings"), view.pool.need("logits")
        head = linear_head(z, logits, centred=True)
        changes = dropout_changes(z, logits, head.weight, rng, masks=self.masks, p=self.p)
        unsure = 2 * changes > self.masks
        notes = {"candidates": int(unsure.sum()), "unexplained by a linear layer": head.residual}
        return Proposal(kmeans_among(z, unsure, n, rng, unit=self.unit), notes=notes)
