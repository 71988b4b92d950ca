"""What a training tells of its course, beside where it ended: how the loss moves, and how large gradients are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RATE = 0.1  # of the moving averages: a step counts for half after six more


class Diary:
    """Hears every step of a training; nothing leaves the device before `notes`.

    Args:
        rate: of the moving averages, in (0, 1]: new = (1 - rate) · before + rate · now, from the first step on.
    """

    def __init__(self, rate: float = RATE) -> None:
        self.rate = rate
        self._average: Tensor | None = None
        self._norm: Tensor | None = None
        self._losses: list[Tensor] = []

    def epoch(self) -> None:
        """Hear that an epoch begins."""
        self._losses = []

    def step(self, loss: Tensor, network: nn.Module) -> None:
        """Hear a step's loss, (), while the network holds its gradients, which are neither scaled nor clipped."""
        self._losses.append(loss)
        self._average = self._moved(self._average, loss)
        slopes = [p.grad for p in network.parameters() if p.grad is not None]
        if slopes:
            self._norm = self._moved(self._norm, nn.utils.get_total_norm(slopes))

    def notes(self) -> Mapping[str, float]:
        """Return "loss average" and "gradient norm", moving averages, and "loss slope", nats a step.

        The slope is that of the line through the last epoch's losses by least squares; 0 for an epoch of one step.
        """
        return {
            "loss average": 0.0 if self._average is None else float(self._average),
            "loss slope": _slope(self._losses),
            "gradient norm": 0.0 if self._norm is None else float(self._norm),
        }

    def _moved(self, before: Tensor | None, now: Tensor) -> Tensor:
        now = now.detach().float()
        if before is None:
            return torch.nan_to_num(now, 0, 0, 0).clone()
        # float16 overflows now and then, and the step is left out: so it is here
        return torch.where(now.isfinite(), before.lerp(now, self.rate), before)


def _slope(losses: list[Tensor]) -> float:
    if len(losses) < 2:
        return 0.0
    y = torch.stack(losses).double().cpu()
    x = torch.arange(len(y), dtype=torch.float64)
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())
