"""Asks before any label is there, by features alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labelwise.checks import check_count
from labelwise.errors import InputError
from labelwise.functional.backend import placed
from labelwise.functional.batches.active_ft import active_ft
from labelwise.signals import View
from labelwise.strategies.base import InSpace, Proposal


@dataclass(frozen=True)
class ActiveFT(InSpace):
    """Ask for samples that together stand for the pool and lie far from one another, found by gradient descent.

    Formula:
        the samples nearest to θ, where θ minimises -Σ_i ln( e^{z_i·θ_c/τ} / (e^{z_i·θ_c/τ} + β Σ_k e^{θ_k·θ_c/τ}) ),
        c the parameter nearest to sample i, all of length 1.
    Cost:
        O(n b D) time for each of 300 steps; O(n + b² + b D) memory beside the arrays.
    When:
        One batch for fine-tuning a pretrained network, asked before any label (space="features").
    Source:
        Xie, Lu, Yan, Yang, Tomizuka, Zhan 2023, "Active Finetuning: Exploiting Annotation Budget in the
        Pretraining-Finetuning Paradigm".
    Deviations:
        None to its public code, whose sum runs over k = c too and whose gradient stops at θ_k. Labelled samples are not
        looked at: a second batch may lie near the first.

    Attributes:
        steps: steps of Adam.
        rate: its learning rate.
        temperature: τ.
        balance: β, how much parameters repel one another.
    """

    steps: int = 300
    rate: float = 1e-3
    temperature: float = 0.07
    balance: float = 1.0

    reads_labelled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.steps, "steps")
        if not (0 < self.rate < np.inf and 0 < self.temperature < np.inf and 0 <= self.balance < np.inf):
            raise InputError(
                "rate and temperature must be above 0 and balance at least 0; "
                f"they are {self.rate!r}, {self.temperature!r} and {self.balance!r}."
            )

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        z = placed(view.pool.need(self.space), self.device)
        rows = active_ft(
            z,
            n,
            rng,
            steps=self.steps,
            rate=self.rate,
            temperature=self.temperature,
            balance=self.balance,
        )
        return Proposal(rows)
