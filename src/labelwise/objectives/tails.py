"""Robust objectives that look at the worst share of the samples, or at the worst groups of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labelwise.checks import check_count, check_number
from labelwise.errors import InputError, ShapeError
from labelwise.objectives.robust import NOTHING, Adversary, Known, Plain, distribution, wide


@dataclass(frozen=True)
class Cvar(Plain):
    """The mean of the worst share α of a batch; of equal losses at the border the first in the batch weigh.

    Attributes:
        alpha: α in (0, 1].

    Raises:
        InputError: α is out of range.

    Source:
        Rockafellar, Uryasev 2000, "Optimization of Conditional Value-at-Risk".
    """

    alpha: float

    def __post_init__(self) -> None:
        if not check_number(self.alpha, "alpha", 0, 1) > 0:
            raise InputError("alpha must be above 0: the worst of no samples has no mean.")

    def _weigh(self, losses: Tensor) -> Tensor:
        n = len(losses)
        order = losses.argsort(descending=True, stable=True)
        before = torch.arange(n, device=losses.device, dtype=losses.dtype) / n
        q = torch.empty_like(losses)
        q[order] = (self.alpha - before).clamp(0, 1 / n)
        return distribution(q)


@dataclass(frozen=True)
class GroupDro:
    """Group DRO: weights of groups that grow exponentially with their losses, a step a batch.

    A sample weighs as its group does, shared among those of the group in the batch; groups that the batch lacks keep
    their weight for later batches.

    Attributes:
        n_groups: G >= 1.
        step: step size, at least 0.

    Raises:
        InputError: a number is out of range.

    Source:
        Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", algorithm 1.

    Deviations:
        The paper's Σ q_g L_g leaves out what groups that are not in the batch weigh; here the others share it, so that
        the size of a step does not depend on who is in the batch.
    """

    n_groups: int
    step: float = 0.01

    def __post_init__(self) -> None:
        check_count(self.n_groups, "n_groups", 1)
        check_number(self.step, "step", 0)

    def begin(self, widths: Sequence[int] = (), device: torch.device | str = "cpu") -> Adversary:
        return _Groups(self)


class _Groups:
    """Adversary of `GroupDro`.

    Attributes:
        q: (G,) weights of the groups; None before the first batch.
    """

    def __init__(self, objective: GroupDro) -> None:
        self.n, self.step = objective.n_groups, objective.step
        self.q: Tensor | None = None

    def weigh(self, losses: Tensor, known: Known = NOTHING) -> Tensor:
        groups = known.groups
        if groups is None or groups.shape != losses.shape:
            raise ShapeError(
                f"Group DRO needs the group of each of {len(losses)} samples: groups (b,)"
                f"{'' if groups is None else f'; they have shape {tuple(groups.shape)}'}."
            )
        values = wide(losses)
        counts = values.new_zeros(self.n).index_add(0, groups, torch.ones_like(values))
        means = values.new_zeros(self.n).index_add(0, groups, values) / counts.clamp(min=1)
        q = values.new_full((self.n,), 1 / self.n) if self.q is None else self.q
        # exp(step · L) scaled by the greatest, which no number is too large for
        self.q = torch.softmax(q.log() + self.step * means, 0)
        return distribution((self.q / counts.clamp(min=1))[groups])
