"""Asks where little makes the answer another one: a small change of the input, or of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_name
from labelwise.functional.batches import kmeans_pp, top
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy


def _scalar(view: View, name: str) -> NDArray[np.float64]:
    return view.pool.need(name).astype(np.float64)


@dataclass(frozen=True)
class DeepFool(Strategy):
    """Ask for the samples nearest to another label, as DeepFool finds it.

    Formula:
        argmin_x ‖r(x)‖, r the sum of steps |f_k| / ‖w_k‖² · w_k to the nearest boundary, where f_k = z_k - z_ŷ and
        w_k = ∇z_k - ∇z_ŷ, until the label flips.
    Cost:
        O(n log b) here; the signal `boundary` costs the predictor three to ten steps a sample, of min(C - 1, 10)
        backward passes each (at most 50 steps).
    When:
        Networks on images or numbers, small pools or `plan.candidates`. Together with the recipe `dfal`, which also
        learns from the twins x + r, this is DFAL.
    Source:
        Ducoffe, Precioso 2018, "Adversarial Active Learning for Deep Networks: a Margin Based Approach"; DeepFool:
        Moosavi-Dezfooli, Fawzi, Frossard 2016.
    Deviations:
        - The nearest class is taken at each step; DeepAL+ and code derived from it never lower their running minimum
          and take the last class.
        - Lengths are measured in standard deviations of the training inputs. Of more than 10 other classes the 10
          with the highest logits are tried, as in the authors' code.
    """

    needs: ClassVar[Needs] = Needs(pool=frozenset({"scalars.boundary"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = -_scalar(view, "scalars.boundary")
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class Bim(Strategy):
    """Ask where the smallest perturbation of equal steps on all inputs flips the label.

    Formula:
        argmin_x ‖η(x)‖, η = Σ ε sign ∇_x ℓ(x + η, ŷ) until the label flips; ε = 0.05.
    Cost:
        O(n log b) here; the signal `bim` costs the predictor one backward pass a step, at most 100.
    When:
        As `deepfool`, of which it is the cruder and, with many classes, the cheaper form: sizes are multiples of ε.
    Source:
        Kurakin, Goodfellow, Bengio 2017, "Adversarial examples in the physical world"; for active learning as
        AdversarialBIM in DeepAL+ (Zhan et al. 2022, "A Comparative Survey of Deep Active Learning").
    Deviations:
        - At most 100 steps, after which a sample counts as farther than all others; DeepAL+ goes on for ever.
    """

    needs: ClassVar[Needs] = Needs(pool=frozenset({"scalars.bim"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = -_scalar(view, "scalars.bim")
        return Proposal(top(values, n, rng), values)


@dataclass(frozen=True)
class Saal(Strategy):
    """Ask where the loss is largest once the weights moved a little in their worst direction.

    Formula:
        argmax_x ℓ(w + ε; x, ŷ), minus ℓ(w; x, ŷ) for the variant "diff"; ε = ρ w² ⊙ g / ‖|w| ⊙ g‖, g = ∇_w ℓ(w; x, ŷ),
        ρ = 0.05. With `diverse`, k-means++ on these numbers: the largest first, then each is drawn with probability
        proportional to its squared distance to the nearest chosen one.
    Cost:
        O(n log b) here, O(n b) if diverse; the signal costs the predictor two forward passes and one backward pass a
        sample, of many samples at once where the network is small.
    When:
        Networks of up to a few million weights; set `plan.candidates` (the paper: 2,000).
    Source:
        Kim, Park, Shin et al. 2023, "SAAL: Sharpness-Aware Active Learning".
    Deviations:
        - The random subset that is scored is the campaign's `candidates`, not the strategy's.

    Attributes:
        variant: "max", the loss after the step, or "diff", its rise.
        diverse: spread the batch over the scores instead of taking the highest.
    """

    variant: str = "max"
    diverse: bool = False

    def __post_init__(self) -> None:
        check_name(self.variant, ("max", "diff"), "variant")

    @property
    def needs(self) -> Needs:
        return Needs(pool=frozenset({self._signal}))

    @property
    def _signal(self) -> str:
        return "scalars.sharpness" if self.variant == "max" else "scalars.sharpness_rise"

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        values = _scalar(view, self._signal)
        if self.diverse:  # no score a sample: which are chosen depends on those before
            return Proposal(kmeans_pp(values[:, None], n, rng, first="norm"))
        return Proposal(top(values, n, rng), values)
