"""Asks for samples that confuse the predictor in different ways: contextual diversity of the class probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import Array, check_count, check_number
from labelwise.functional.backend import placed, to_numpy
from labelwise.functional.batches import k_center, top
from labelwise.functional.contextual_diversity import reward
from labelwise.functional.scores import check_probs
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, Strategy

_PROBS = frozenset({"probs"})


@dataclass(frozen=True)
class CdalCs(Strategy):
    """Ask for samples whose class probabilities are far from those of every labelled one.

    Formula:
        argmax_u min_c ½ KL(p_u‖p_c) + ½ KL(p_c‖p_u), c over labelled and chosen samples.
    Cost:
        O(n b C) time at worst; O(n) memory beside the arrays.
    When:
        Classes that the predictor mixes up in many ways; little to gain with two classes.
    Source:
        Agarwal, Arora, Anand, Arora 2020, "Contextual Diversity for Active Learning".
    Deviations:
        The first pick is the farthest from the labelled samples; the authors' code draws it by lot. Probabilities
        below 1e-12 count as that in logarithms, where that code leaves out what is infinite.

    Attributes:
        device: "cpu" computes with NumPy; "cuda", "cuda:1", "mps" with torch there; "auto" where it finds one.
    """

    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(pool=_PROBS, labelled=_PROBS)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool, labelled = (placed(part.need("probs"), self.device) for part in (view.pool, view.labelled))
        return Proposal(k_center(pool, n, centres=labelled, metric="symmetric_kl"))


@dataclass(frozen=True)
class CdalRl(Strategy):
    """Ask for the samples that a policy has learned to choose for being unlike one another and like all others.

    Formula:
        z = BiLSTM(p₁ ... p_m), in an order drawn by lot; each step chooses sample i with probability sigmoid(z_i), and
        climbs the gradient of mean ln π · (R - R̄), R = 0.5 exp(-d / 50) + 1.5 k; d is the mean squared distance of
        all p to the nearest chosen one, k the mean of ½ KL(p‖q) + ½ KL(q‖p) over the chosen, R̄ a moving average of
        R. Then the n highest z.
    Cost:
        O(steps · m (C width + width² + m C)) time, one sample after the other; O(m (C + width)) memory.
    When:
        To compare with the literature: `cdal-cs` has the same aim, is exact and far quicker.
    Source:
        Agarwal, Arora, Anand, Arora 2020, "Contextual Diversity for Active Learning".
    Deviations:
        The reward is that of the samples drawn, as in the paper; in the authors' code it is that of the most probable
        ones, whatever was drawn. The order is drawn by lot, where that code takes that of the files. Trained afresh
        on at most `candidates` of the pool; a step whose gradient overflows is left out. Weights of the reward, of the
        penalty on the mean probability (0.01) and of the moving average (0.9) as in that code.

    Attributes:
        width: of the LSTM, in each direction.
        steps: of Adam; each draws one set.
        rate: of Adam.
        decay: of Adam's weights.
        candidates: how many of the pool are looked at, drawn evenly; never fewer than are asked for.
        device: where the policy is trained: "cpu", "cuda", "cuda:1", "mps"; "auto" where torch finds one.
    """

    width: int = 256
    steps: int = 10
    rate: float = 1e-2
    decay: float = 1e-5
    candidates: int = 2_000
    device: str = "cpu"

    needs: ClassVar[Needs] = Needs(pool=_PROBS)

    def __post_init__(self) -> None:
        for name in ("width", "steps", "candidates"):
            check_count(getattr(self, name), name, 1)
        for name in ("rate", "decay"):
            check_number(getattr(self, name), name, 0)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        probs = check_probs(view.pool.need("probs"))
        order = rng.permutation(len(probs))[: max(n, self.candidates)]
        values, rewards = self._trained(np.asarray(probs[order], np.float32), rng)
        return Proposal(order[top(values, n, rng)], notes={"rewards": rewards})

    def _trained(self, probs: Array, rng: np.random.Generator) -> tuple[Array, list[float]]:
        """Return (m,) logits of being chosen, and the reward of each step."""
        import torch

        sequence = placed(torch.from_numpy(probs), self.device, doubles=False)[None]
        policy = _policy(probs.shape[1], self.width, rng).to(sequence.device)
        optimizer = torch.optim.Adam(policy.parameters(), lr=self.rate, weight_decay=self.decay)

        def logits() -> Any:
            return policy["head"](policy["lstm"](sequence)[0])[0, :, 0]

        average, rewards = 0.0, []
        for _ in range(self.steps):
            z = logits()
            chance = torch.sigmoid(z)
            drawn = rng.random(len(probs), np.float32) < to_numpy(chance)
            found = reward(probs, np.flatnonzero(drawn))
            chosen = placed(torch.from_numpy(drawn.astype(np.float32)), self.device, doubles=False)
            likelihood = (chosen * z - torch.nn.functional.softplus(z)).mean()
            cost = 0.01 * (chance.mean() - 0.5) ** 2 - likelihood * (found - average)
            optimizer.zero_grad()
            cost.backward()
            # back through a thousand samples a gradient may overflow: one such step would leave no number in the policy
            if all(bool(weight.grad.isfinite().all()) for weight in policy.parameters()):
                optimizer.step()
            average = 0.9 * average + 0.1 * found
            rewards.append(found)
        with torch.no_grad():
            return to_numpy(logits()), rewards


def _policy(classes: int, width: int, rng: np.random.Generator) -> Any:
    """Return the LSTM in both directions and its linear head, with torch's own bounds of the first weights."""
    from torch import from_numpy, nn, no_grad

    # Made without numbers: those that torch would draw come from its global generator.
    lstm = nn.LSTM(classes, width, batch_first=True, bidirectional=True, device="meta")
    layers = [nn.Linear(2 * width, wide, device="meta") for wide in (2 * width, 1)]
    policy = nn.ModuleDict({"lstm": lstm, "head": nn.Sequential(*layers)}).to_empty(device="cpu")
    with no_grad():
        for part, inputs in ((lstm, width), (layers[0], 2 * width), (layers[1], 2 * width)):
            for weight in part.parameters():
                weight.copy_(from_numpy((2 * rng.random(weight.shape, np.float32) - 1) * inputs**-0.5))
    return policy
