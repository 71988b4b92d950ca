"""Asks what a companion of the classifier says: its predicted loss, its discriminator, its critic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_shape
from labelwise.errors import InputError
from labelwise.functional.batches import top
from labelwise.functional.blocks import block_rows
from labelwise.functional.scores import check_probs
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class LossPrediction(Strategy):
    """Ask where the predicted loss is largest.

    Formula:
        score = l̂(x), of a module that is trained beside the classifier (recipe `learning-loss`).
    Cost:
        O(n) time and memory; the module hardly slows training and answers in the classifier's pass.
    When:
        A few hundred labels at least, for the module learns from them alone; training it slows the classifier, so
        compare with random on the same recipe.
    Source:
        Yoo, Kweon 2019, "Learning Loss for Active Learning".
    Deviations:
        None here; the paper draws a random part of the pool first (`candidates` of a plan).
    """

    needs: ClassVar[Needs] = Needs(pool=frozenset({"scalars.predicted_loss"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = view.pool.need("scalars.predicted_loss")
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class Vaal(Strategy):
    """Ask where a discriminator is surest that the sample is not labelled yet.

    Formula:
        score = -D(μ(x)), D the probability of "labelled" given the latent mean (recipe `vaal`).
    Cost:
        O(n) time and memory; the autoencoder costs more training than the classifier does.
    When:
        The labelled samples miss a part of the pool that can be seen in the inputs; blind to classes.
    Source:
        Sinha, Ebrahimi, Darrell 2019, "Variational Adversarial Active Learning"; code of its authors.
    Deviations:
        None. DeepAL+ asks for the largest D of a discriminator that learned 1 for both parts; that is wrong and not
        followed.
    """

    needs: ClassVar[Needs] = Needs(pool=frozenset({"scalars.discriminator"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = -view.pool.need("scalars.discriminator").astype(
            np.float64
        )  # whole numbers may have no negative
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class Waal(Strategy):
    """Ask where the classifier is unsure and a critic finds the sample unlike the labelled ones.

    Formula:
        score = -(½ ‖ln p‖₂ + ½ ‖ln p‖₁ - weight D(x)), D the critic on the embedding (recipe `waal`).
    Cost:
        O(n C) time, O(n) memory beside the probabilities; training passes as many unlabelled samples as labelled.
    When:
        Large batches of images, where uncertainty alone fills them with near copies.
    Source:
        Shui, Zhou, Gagné, Wang 2020, "Deep Active Learning: Unified and Principled Method for Query and Training";
        code of its authors.
    Deviations:
        Probabilities count as at least 1.2e-38, the smallest normal float32: with the code's ln 0 samples would be
        last whatever the critic says.

    Attributes:
        weight: of the critic; 10 in the authors' code.
    """

    weight: float = 10.0

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs", "scalars.critic"}))

    def __post_init__(self) -> None:
        if not 0 <= self.weight < np.inf:
            raise InputError(f"weight must be a finite number of at least 0; it is {self.weight!r}.")

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = -waal_cost(view.pool.need("probs"), view.pool.need("scalars.critic"), self.weight)
        return Proposal(top(values, n, rng), values)


def waal_cost(probs: Any, critic: Any, weight: float = 10.0) -> NDArray[np.float64]:
    """Return ½ ‖ln p‖₂ + ½ ‖ln p‖₁ - weight · D, (n,), in nats; WAAL asks for the smallest.

    The two norms are upper bounds of the loss over all labels; they are smallest for even probabilities.

    Args:
        probs: (n, C), rows sum to 1; entries count as at least 1.2e-38.
        critic: (n,) D(x), high where the sample looks like no labelled one.
        weight: of the critic.

    Raises:
        ShapeError: the shapes do not fit.
        DistributionError: a row of probs is no distribution; the message names it.
        InputError: the critic says NaN, which cannot be ranked; the message names the row.

    Source:
        Shui, Zhou, Gagné, Wang 2020, "Deep Active Learning: Unified and Principled Method for Query and Training";
        code of its authors.
    """
    p, d = check_probs(probs), as_array(critic, "critic")
    check_shape(d, "critic", ("n",), (len(p),))
    if (wrong := np.flatnonzero(np.isnan(d))).size:
        raise InputError(f"critic: row {int(wrong[0])} is NaN; it cannot be ranked.")
    cost = -weight * d.astype(np.float64)
    step = block_rows(8 * p.shape[1])
    for start in range(0, len(p), step):
        logs = -np.log(np.maximum(p[start : start + step].astype(np.float64), _TINY))
        cost[start : start + step] += (np.sqrt((logs**2).sum(axis=1)) + logs.sum(axis=1)) / 2
    return cost
