"""Losses of single samples as torch tensors: the SuperLoss, which trusts easy samples more than hard ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelwise.checks import check_number
from labelwise.errors import InputError

# 2/e as the nearest number of each type, and what that leaves out: β + 2/e keeps its digits as it nears 0. Then the
# steps that reach the type's last digit, for every β up to 1e15.
_EDGE = {
    torch.float64: (0.7357588823428847, -2.485750734557673e-17, 3),
    torch.float32: (0.735758900642395, -1.829951037634020e-8, 2),
}


def super_loss_weight(loss: Tensor, tau: float, lam: float) -> Tensor:
    """Return σ* = exp(-W(max(-2/e, β)/2)), β = (loss - τ)/λ: the weight that the SuperLoss gives each sample.

    1 where the loss is τ; more, at most e, for easier samples; towards 0 for harder ones, which may be mislabelled. A
    large λ makes all weights 1. No gradient flows through it. Nothing waits for the device.

    Args:
        loss: (...) the samples' losses in nats, of any floating type, on any device; infinite ones have weight 0, NaN
            stays NaN.
        tau: τ, what parts easy from hard: ln C, or the mean of the losses.
        lam: λ > 0.

    Returns:
        (...) in [0, e], of the type and on the device of `loss`; half precision is computed in float32.

    Raises:
        InputError: `loss` does not hold floats, τ is not finite, or λ is not finite and above 0.

    Source:
        Castells, Weinzaepfel, Revaud 2020, "SuperLoss: A Generic Loss for Robust Curriculum Learning", equation 6.

    Deviations:
        - The public code takes W on the CPU; near its branch point, -1/e, rounding then makes NaN of easy samples or
          costs half the digits. Here W + 1 is found by Halley's iteration on an equation without that cancellation.
    """
    return _weigh(loss, tau, lam)[0].to(loss.dtype)


def super_loss(loss: Tensor, tau: float, lam: float) -> Tensor:
    """Return (loss - τ) σ* + λ (ln σ*)², the SuperLoss at its best weight: its gradient in the loss is σ*.

    The weight counts as a constant in back-propagation; as it is the best one, that is the true gradient, too.

    Args, Raises, Source: as `super_loss_weight`.

    Returns:
        (...) of the type and on the device of `loss`; negative for losses below τ, infinite for infinite ones.
    """
    weight, w = _weigh(loss, tau, lam)
    far = loss.isinf() & (loss > 0)  # infinity times the weight 0
    weighted = ((loss.to(weight.dtype) - tau) * weight).masked_fill(far, math.inf)
    return (weighted + lam * w * w).to(loss.dtype)


@torch.no_grad()
def _weigh(loss: Tensor, tau: float, lam: float) -> tuple[Tensor, Tensor]:
    """Return σ* and W = -ln σ*, each like `loss` but at least float32."""
    if not loss.is_floating_point():
        raise InputError(f"loss must hold floats; it holds {loss.dtype}.")
    check_number(tau, "tau")
    if not 0 < check_number(lam, "lam") < math.inf:
        raise InputError(f"lam must be finite and above 0; it is {lam!r}.")
    x = loss if loss.dtype == torch.float64 else loss.float()
    beta = (x - tau) / lam
    edge, rest, steps = _EDGE[x.dtype]
    # W e^W = β/2 in u = W + 1: u + expm1(-u) = δ e^-u with δ = 1 + e β/2. All is small where u is: no cancellation.
    delta = (beta + edge + rest) * (math.e / 2)
    easy, far = delta <= 0, beta == math.inf
    root = delta.sqrt()
    # Iacono, Boyd 2017, "New approximations to the principal real-valued branch of the Lambert W-function": within 0.4 %
    u = 2.036 * torch.log((1 + 1.14956131 * root) / (1 + 0.4549574 * torch.log1p(root)))
    for _ in range(steps):
        off = u + torch.expm1(-u) - delta * torch.exp(-u)
        u = u - off / (u - (u + 1) * off / (2 * u))
    w = (u - 1).masked_fill(easy, -1.0).masked_fill(far, math.inf)
    return torch.exp(-w).masked_fill(easy, math.e), w
