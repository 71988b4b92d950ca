"""What gradients tell of a sample: how far it lies from another label, and how sharp its loss is.

A probe takes a network in eval mode and a block of inputs as the network reads them, and leaves the network as it
was. Lengths are in the units of those inputs, the standard deviations of the training samples. Every answer is a
finite number: stores hold no infinities.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import prod, sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.functional import softplus

from labelwise.models.losses import logits_of

OVERSHOOT = 0.02  # how far past the boundary a step of DeepFool goes, as a share of the way
DEEPFOOL_STEPS, BIM_STEPS = 50, 100
BIM_EPS = 0.05
MOST_RIVALS = 10
RHO = 0.05
AT_ONCE = 4_000_000  # weights of all samples that sharpness looks at together
FAR = torch.finfo(torch.float32).max


def deepfool(
    network: nn.Module, x: Tensor, *, steps: int = DEEPFOOL_STEPS, rivals: int = MOST_RIVALS
) -> tuple[Tensor, Tensor]:
    """Return the shortest steps that DeepFool finds from each sample to another label.

    The network is taken as linear where the sample stands: the boundary to class k is |f_k| / ‖w_k‖ away, with f_k =
    z_k - z_ŷ and w_k = ∇z_k - ∇z_ŷ. The sample moves to the nearest one, and again from there, until its label flips.
    A step costs up to `rivals` backward passes; three to ten steps are usual.

    Args:
        network: in eval mode.
        x: (b, ...) what it reads.
        steps: after so many a sample is given up.
        rivals: of more than so many other classes, only those with the highest logits at x are tried.

    Returns:
        (r, flipped): r (b, ...) is the sum of the steps; x + 1.02 r has another label than x where flipped, (b,), is
        True, unless x lies on a boundary already.

    Source:
        Moosavi-Dezfooli, Fawzi, Frossard 2016, "DeepFool: a simple and accurate method to fool deep neural networks",
        algorithm 2; the limit on classes and the 50 steps are those of the authors' code. Widespread active-learning
        code never lowers its running minimum over classes, so that the last class wins; here the nearest one does.
    """
    start, order = _ranked(network, x, rivals)
    total, flipped = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    active = torch.arange(len(x), device=x.device)
    for _ in range(steps + 1):  # the last time only looks whether the last step was enough
        if not len(active):
            break
        at = (x[active] + (1 + OVERSHOOT) * total[active]).requires_grad_()
        logits = _logits(network, at)
        lead = logits.gather(1, start[active, None]) - logits.gather(1, order[active])  # (a, rivals)
        nearest = torch.full_like(logits[:, 0].detach(), torch.inf)
        step = torch.zeros_like(at)
        for k in range(lead.shape[1]):
            (w,) = torch.autograd.grad(lead[:, k].sum(), at, retain_graph=True, materialize_grads=True)
            length = w.flatten(1).norm(dim=1)
            distance = lead[:, k].detach() / length
            nearer = distance < nearest  # never where a zero gradient makes it infinite or NaN
            nearest = torch.where(nearer, distance, nearest)
            step = torch.where(_wide(nearer, w), -_wide(distance / length, w) * w, step)
        other = (logits.argmax(1) != start[active]) & logits.isfinite().all(1)
        flipped[active[other | (nearest == 0)]] = True
        moving = ~other & (nearest > 0) & nearest.isfinite()
        active, step = active[moving], step[moving]
        total[active] += step
    return total, flipped


def boundary(network: nn.Module, x: Tensor) -> Tensor:
    """Return the distance to the nearest other label as DeepFool finds it, ‖r‖ in L2.

    Returns:
        (b,) at least 0; the largest float32 where no label flips within 50 steps.
    """
    r, flipped = deepfool(network, x)
    return torch.where(flipped, r.flatten(1).norm(dim=1).clamp(max=FAR), FAR)


def bim(network: nn.Module, x: Tensor, *, eps: float = BIM_EPS, steps: int = BIM_STEPS) -> Tensor:
    """Return how large the perturbation of the basic iterative method is when the label flips, ‖η‖ in L2.

    Each step adds eps · sign of the gradient of the loss at the predicted label to every input.

    Args:
        network: in eval mode.
        x: (b, ...) what it reads.
        eps: size of a step on every input.
        steps: after so many a sample is given up.

    Returns:
        (b,) at least 0; steps · eps · √d, which no perturbation can exceed, where no label flips.

    Source:
        Kurakin, Goodfellow, Bengio 2017, "Adversarial examples in the physical world", section 2.2. As in
        active-learning code, the perturbation is not clipped, for its size is what is asked. The gradient is taken of
        the log-odds against the label: it has the signs of the loss's gradient, and does not vanish in float32 for
        sure answers.
    """
    start, _ = _ranked(network, x, 0)
    moved = torch.zeros_like(x)
    size = torch.full((len(x),), steps * eps * sqrt(prod(x.shape[1:])), device=x.device)
    active = torch.arange(len(x), device=x.device)
    for _ in range(steps + 1):
        if not len(active):
            break
        at = (x[active] + moved[active]).requires_grad_()
        logits = _logits(network, at)
        (slope,) = torch.autograd.grad(_odds_against(logits, start[active]).sum(), at, materialize_grads=True)
        other = logits.argmax(1) != start[active]
        size[active[other]] = moved[active[other]].flatten(1).norm(dim=1)
        flat = slope.flatten(1)
        moving = ~other & (flat != 0).any(1) & flat.isfinite().all(1)
        active, slope = active[moving], slope[moving]
        moved[active] += eps * slope.sign()
    return size


def sharpness(network: nn.Module, x: Tensor) -> Tensor:
    """Return the loss at the predicted label after the weights moved a little where it grows fastest.

    ℓ(w + ε; x, ŷ) with ε = ρ w² ⊙ g / ‖|w| ⊙ g‖, g = ∇_w ℓ(w; x, ŷ), over all weights at once; ρ = 0.05.

    Returns:
        (b,) in nats, at least 0.

    Source:
        Kim, Park, Shin et al. 2023, "SAAL: Sharpness-Aware Active Learning"; the step is that of adaptive
        sharpness-aware minimisation (Kwon et al. 2021). The gradient is taken of the log-odds against the label, which
        has the direction of the loss's and does not vanish in float32 for sure answers.
    """
    return _sharpness(network, x)[1]


def sharpness_rise(network: nn.Module, x: Tensor) -> Tensor:
    """Return by how much that loss exceeds the loss at the weights as they are.

    Returns:
        (b,) in nats; below 0 only where the step overshoots.
    """
    before, after = _sharpness(network, x)
    return after - before


Probe = Callable[[nn.Module, Tensor], Tensor]
# scalar of the pool -> what computes it
PROBES: dict[str, Probe] = {
    "boundary": boundary,
    "bim": bim,
    "sharpness": sharpness,
    "sharpness_rise": sharpness_rise,
}


def _sharpness(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses (b,) before and after the step.

    Each sample has weights of its own after its step. Many at once are several times faster on a network of some ten
    thousand weights (measured), and no faster where the weights of a few samples fill the caches.
    """
    weights = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    others = {name: p for name, p in network.state_dict(keep_vars=True).items() if name not in weights}

    def odds(moved: dict[str, Tensor], one: Tensor, answer: Tensor | None) -> tuple[Tensor, Tensor]:
        logits = logits_of(functional_call(network, moved | others, (one[None].clone(),))).float()
        answer = logits.argmax(1) if answer is None else answer
        return _odds_against(logits, answer)[0], answer

    def losses(one: Tensor) -> tuple[Tensor, Tensor]:
        slopes, (before, answer) = grad_and_value(odds, has_aux=True)(weights, one, None)
        length = torch.stack([(p * slopes[name]).square().sum() for name, p in weights.items()]).sum().sqrt()
        scale = torch.where(length > 0, RHO / length, 0.0)
        moved = {name: p + scale * p.square() * slopes[name] for name, p in weights.items()}
        return softplus(before), softplus(odds(moved, one, answer)[0])

    with torch.no_grad():
        if (
            not len(x) or _logits(network, x[:1]).shape[1] == 1
        ):  # a single class is certain whatever the weights
            return torch.zeros(len(x), device=x.device), torch.zeros(len(x), device=x.device)
        chunk = min(64, AT_ONCE // max(1, sum(p.numel() for p in weights.values())))
        if chunk > 1:
            with suppress(RuntimeError):  # a network whose path depends on values: one sample at a time
                before, after = vmap(losses, chunk_size=chunk)(x)
                return before, after
        found = [torch.stack(losses(one)) for one in x]
        before, after = torch.stack(found, dim=1).unbind()
        return before, after


def _logits(network: nn.Module, x: Tensor) -> Tensor:
    """Return logits in float32; of a copy, since a network may begin with an operation in place."""
    return logits_of(network(x.clone())).float()


def _ranked(network: nn.Module, x: Tensor, rivals: int) -> tuple[Tensor, Tensor]:
    """Return the predicted classes (b,) and, at most `rivals` of them, the next ones (b, k), highest first."""
    with torch.no_grad():
        logits = _logits(network, x)
    start = logits.argmax(1)
    others = logits.scatter(1, start[:, None], -torch.inf)
    return start, others.topk(min(rivals, logits.shape[1] - 1), dim=1).indices


def _odds_against(logits: Tensor, y: Tensor) -> Tensor:
    """Return u = log Σ_{k ≠ y} exp z_k - z_y, (b,); the cross-entropy is softplus(u)."""
    others = logits.scatter(1, y[:, None], -torch.inf)
    return others.logsumexp(1) - logits.gather(1, y[:, None])[:, 0]


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """Return (b,) values with as many axes as `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
