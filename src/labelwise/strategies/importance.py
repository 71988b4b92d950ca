"""Asks by how much a label would weigh in training: with guessed labels, or, as an upper bound, with the true ones."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_shape
from labelwise.errors import InputError
from labelwise.functional.batches import top, top_per_class
from labelwise.functional.importance import el2n, grand, super_loss_weight
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


@dataclass(frozen=True)
class PseudoScore(Strategy):
    """Ask for what would weigh most in training if the predictor's best guess were the label.

    Formula:
        score = σ*(-ln p_ŷ) ‖p - onehot(ŷ)‖ with ŷ = argmax p: EL2N times the weight of the SuperLoss, τ = ln C.
    Cost:
        O(n C) time; O(n) memory.
    When:
        Comparing with BRAL-T, whose ablation it is. Surely right samples weigh little, doubtful ones more, and the
        SuperLoss lifts what is halfway sure above what is not.
    Source:
        BRAL-T's ablation PseudoScore; EL2N: Paul, Ganguli, Dziugaite 2021; SuperLoss: Castells, Weinzaepfel, Revaud
        2020.
    Deviations:
        The paper does not say how SuperLoss and EL2N combine; the product is the norm of the SuperLoss' gradient with
        respect to the logits.

    Attributes:
        lam: λ of the SuperLoss, 1 for about ten classes and 0.25 for a hundred; None: EL2N alone ("w/o CL").
    """

    lam: float | None = 1.0

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs"}))

    def __post_init__(self) -> None:
        if self.lam is not None and (isinstance(self.lam, bool) or not 0 < self.lam < np.inf):
            raise InputError(f"lam must be finite and above 0, or None; it is {self.lam!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        probs = view.pool.need("probs")
        values = el2n(probs, probs.argmax(axis=1))
        if self.lam is not None:
            best = probs.max(axis=1).astype(np.float64)
            values = values * super_loss_weight(-np.log(best), float(np.log(probs.shape[1])), self.lam)
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class GrandOracle(Strategy):
    """Ask for what would weigh most in training, judged by the pool's true labels: a cheat, to see what is possible.

    It knows the answers before it asks, so it is no strategy that anybody can use: it bounds what guessing how much a
    label weighs could gain. Simulations hand it the truth; campaigns with people refuse it.

    Formula:
        score = ‖p - onehot(y)‖ √(‖z‖² + 1) with the true y: the gradient norm of the last layer.
    Cost:
        O(n (C + D)) time; O(n) memory.
    When:
        In a benchmark, beside strategies that are fair. What it bounds is how much a label weighs, not accuracy: hard
        samples weigh most even where nothing can be learned from them.
    Source:
        Paul, Ganguli, Dziugaite 2021, "Deep Learning on a Data Diet: Finding Important Examples Early in Training".
    Deviations:
        The gradient is that of the last layer; the paper's is of all weights, and the paper prunes labelled data.

    Attributes:
        bias: count the gradient of the last layer's bias, too.
        balanced: take the highest scores of each class, as many of one as of another, as BRAL-T's comparison does;
            what a class lacks, and the rest of a batch that the classes do not divide, go to the highest scores left.
        truth: class index of each id: an array that ids index, or a mapping. Never part of a description.
    """

    bias: bool = True
    balanced: bool = False
    truth: Any = field(default=None, repr=False, compare=False)

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs", "embeddings"}))
    cheats: ClassVar[bool] = True

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        y = self._labels(view.pool.ids, view.n_classes)
        values = grand(view.pool.need("probs"), view.pool.need("embeddings"), y, self.bias)
        if not self.balanced:
            return Proposal(top(values, n, rng), values)
        chosen = top_per_class(values, y, view.n_classes, n // view.n_classes, rng)
        rest = np.setdiff1d(np.arange(len(values)), chosen)
        filled = rest[top(values[rest], n - len(chosen), rng)]
        return Proposal(np.concatenate([chosen, filled]), values)

    def _labels(self, ids: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
        if self.truth is None:
            raise InputError(
                "grand-oracle needs the pool's true labels: give truth=y. A simulation does so by itself; where people "
                "answer, nobody knows them."
            )
        told = self.truth
        if not isinstance(told, Mapping):
            told = as_array(told, "truth")
            check_shape(told, "truth", ("N",), (None,))
        there: Container[int] = told if isinstance(told, Mapping) else range(len(told))
        if missing := [i for i in ids.tolist() if i not in there]:
            raise InputError(f"truth has no label for sample {missing[0]}.")
        known = [told[i] for i in ids.tolist()] if isinstance(told, Mapping) else told[ids]
        return as_labels(known, n_classes, "truth")
