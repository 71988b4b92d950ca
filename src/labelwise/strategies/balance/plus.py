"""RL-MBA made better: what is unsure to the fusion, spread over what each modality sees by itself; learned where it helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import check_name, check_number
from labelwise.errors import InputError
from labelwise.functional.arms import belief
from labelwise.functional.balance import amcb_weights, modality_gaps
from labelwise.functional.batches import joint_gradient_kmeans_pp
from labelwise.functional.batches.spreading import side_by_side, spread
from labelwise.functional.scores import smallest_margin
from labelwise.signals import Needs, View
from labelwise.strategies.balance.notes import told
from labelwise.strategies.balance.state import Floats, modality_names
from labelwise.strategies.base import Outcome, Proposal, State, Strategy

WEIGHTS = {"equal": 0, "rebalancing": -1, "favouring": 1}


@dataclass
class RlMbaPlus(Strategy):
    """Ask where the fusion is least sure, and within that for samples which differ in what each modality sees of them.

    Formula:
        Of the `over` b samples with the smallest lead p₍₁₎ - p₍₂₎ of the fusion, the one with the smallest lead in each of b
        k-means clusters of [√w_1 f_1/l_1, ..., √w_M f_M/l_M], l_m the root mean square length of modality m's features.
        With `arms`, a Thompson bandit chooses who asks; reward: the share of the validation Brier score that a
        batch took away.
    Cost:
        O(n (C + Σ D_m)) time, k-means of `over` b samples into at most 500 clusters; O(n Σ D_m) memory.
    When:
        Two or more modalities, whatever their worth, all there or some missing. It needs no validation sample, unless arms or
        weights are to be learned.
    Source:
        Ours, from RL-MBA: its candidates and its diversity, without its weights and with another policy.
    Deviations:
        From RL-MBA, each with its ablation in the protocol `rl-mba/plus`:
        - The lead of the fused head tells what is hard, not the variance of fused evidence.
        - Modalities lie side by side in the features; a mean of them lets one cancel another.
        - They weigh the same. "rebalancing" and "favouring" are AMCB with either sign.
        - The best of each cluster of the candidates is asked; RL-MBA draws from a policy that hardly moves.
        - The policy is a bandit over whole strategies: few numbers to learn, and it falls back on this strategy's
          own batch while no arm stands out.

    Attributes:
        over: candidates for each sample of the batch, at least 1; 1 for no spreading.
        batch: "spread", or "gradients": k-means++ over the gradients of the fused and all unimodal heads side by side, had the
            fused guess been the label (ablation: nothing is spread then).
        space: where samples must lie apart: "modalities", or "fused", the embedding that the fused head reads (ablation).
        weights: "equal", "rebalancing" (AMCB with the sign that favours the weaker modality) or "favouring".
        arms: other strategies that the bandit may let ask; none: nothing is learned.
        explore: probability that a round goes to an arm by Thompson sampling while none stands out.
        least_signal: by how many deviations the rewards of an arm must exceed those of this strategy's own batches
            for it to ask.
    """

    over: float = 3.0
    batch: str = "spread"
    space: str = "modalities"
    weights: str = "equal"
    arms: tuple[Strategy, ...] = ()
    explore: float = 0.25
    least_signal: float = 2.0
    played: list[int] = field(default_factory=list, init=False, compare=False, repr=False)
    rewards: list[float] = field(default_factory=list, init=False, compare=False, repr=False)

    inner: ClassVar[tuple[str, ...]] = ("arms",)

    def __post_init__(self) -> None:
        check_name(self.weights, tuple(WEIGHTS), "weighing of modalities")
        check_name(self.batch, ("spread", "gradients"), "batch")
        check_name(self.space, ("modalities", "fused"), "space")
        check_number(self.over, "over", 1)
        check_number(self.explore, "explore", 0, 1)
        check_number(self.least_signal, "least_signal", 0)
        if not isinstance(self.arms, tuple) or not all(isinstance(arm, Strategy) for arm in self.arms):
            raise InputError(f"arms must be strategies; they are {self.arms!r}. labelwise.make takes names.")

    @property
    def needs(self) -> Needs:
        where = {"modal_embeddings"} if self.space == "modalities" else {"embeddings"}
        if self.batch == "gradients":
            where = {"modal_embeddings", "embeddings", "modal_probs"}
        own = Needs(
            frozenset({"probs", "present"} | where),
            validation=frozenset({"probs", "modal_probs", "present", "y"} if WEIGHTS[self.weights] else ()),
        )
        return reduce(
            lambda a, b: Needs(a.pool | b.pool, a.labelled | b.labelled, a.validation | b.validation),
            (arm.needs for arm in self.arms),
            own,
        )

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        arm, notes = self._arm(rng) if self.arms else (0, {})
        if len(self.played) > len(self.rewards):  # the round before bought nothing that was measured
            self.played = self.played[: len(self.rewards)]
        if self.arms:
            self.played = [*self.played, arm]
        if arm:
            other = self.arms[arm - 1]
            found = other.propose(view.only(other.needs), n, rng)
            return replace(found, notes={**found.notes, **notes})
        start = perf_counter()
        weights = self._weights(view)
        pool = view.pool
        scores = smallest_margin(pool.need("probs"))
        present = np.asarray(pool.need("present")).astype(bool)
        parts = pool.modal_embeddings or ()
        if self.batch == "gradients":
            z = side_by_side([pool.need("embeddings")], [1.0])
            heads = [(pool.need("probs"), z)]
            for m, w in enumerate(weights):
                z = np.sqrt(w) * side_by_side([parts[m]], [1.0], present=present[:, m, None])
                heads.append((pool.need("modal_probs")[:, m], z))
            rows = joint_gradient_kmeans_pp(heads, n, rng)
        else:
            alone = self.space == "modalities"
            x = side_by_side(parts, weights, present=present) if alone else pool.need("embeddings")
            rows = spread(scores, x, n, self.over, rng)
        notes["modality weights"] = told(modality_names(view, weights.size), weights)
        return Proposal(rows, scores, notes | {"seconds": {"selection": perf_counter() - start}})

    def _weights(self, view: View) -> Floats:
        m = view.pool.need("present").shape[1]
        sign = WEIGHTS[self.weights]
        if not sign or not len(view.validation):
            return np.full(m, 1 / m)
        held = view.validation
        gaps = modality_gaps(*(held.need(name) for name in ("modal_probs", "probs", "y", "present")))
        return amcb_weights(gaps, sign=sign)

    def _arm(self, rng: np.random.Generator) -> tuple[int, dict[str, Any]]:
        """Return who asks, 0 for this strategy's own batch, and what to note."""
        known = len(self.rewards)
        found = belief(self.played[:known], self.rewards, len(self.arms) + 1)
        signal = found.signal()
        best = int(signal.argmax())
        explores, drawn = rng.random() < self.explore, found.draw(rng)
        stands_out = bool(signal[best] >= self.least_signal) and best > 0
        arm = best if stands_out else drawn if explores else 0
        why = (
            "an arm stands out" if stands_out else "explores" if explores else "no arm stands out: own batch"
        )
        return arm, {"arm": arm, "policy": why, "signals": [round(float(s), 4) for s in signal]}

    def learn(self, outcome: Outcome) -> None:
        for arm in self.arms:
            arm.learn(outcome)
        before, after = outcome.before.get("brier"), outcome.after.get("brier")
        if len(self.played) == len(self.rewards) + 1 and before and after is not None:
            self.rewards = [*self.rewards, 1 - float(after) / float(before)]

    def state_dict(self) -> dict[str, State]:
        if not self.arms:
            return {}
        return {"played": list(self.played), "rewards": list(self.rewards),
                "arms": [arm.state_dict() for arm in self.arms]}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.played = [int(arm) for arm in state.get("played", [])]
        self.rewards = [float(reward) for reward in state.get("rewards", [])]
        for arm, held in zip(self.arms, state.get("arms", []), strict=False):
            arm.load_state_dict(held)
