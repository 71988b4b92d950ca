"""The modality-wise adversary: a small network a modality says which samples a shift of that modality would make more of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelwise.checks import check_count, check_number
from labelwise.errors import InputError, ShapeError
from labelwise.objectives.robust import NOTHING, Adversary, Known, checked_rho, distribution, wide


@dataclass(frozen=True)
class Variational:
    """Lowers max_h E[(1 + Σ_k h_k(x_k)) l] over additive density ratios, one function of each modality's embedding.

    Attributes:
        rho: (K,) χ² radius of each modality, E h_k² = ρ_k.
        hidden: units of each function's one layer.
        lr: learning rate of the adversary's own Adam.

    Raises:
        InputError: a number is out of range.

    Source:
        "Distributionally Robust Multimodal Machine Learning", arXiv 2511.05716, for sets of shifts modality by modality.

    Deviations:
        That the ratios are sums of small networks, trained step by step in turn with the model, is ours.
    """

    rho: tuple[float, ...]
    hidden: int = 32
    lr: float = 1e-2

    def __post_init__(self) -> None:
        object.__setattr__(self, "rho", checked_rho(self.rho))
        check_count(self.hidden, "hidden", 1)
        if not check_number(self.lr, "lr", 0) > 0:
            raise InputError("lr must be above 0: an adversary that never moves finds no shift.")

    def begin(self, widths: Sequence[int] = (), device: torch.device | str = "cpu") -> Adversary:
        """Return the adversary of a fit; its weights are drawn from torch's global generator: seed it.

        Raises:
            ShapeError: there is not one width for each radius.
        """
        return Alternating(ModalRatios(widths, self.rho, self.hidden).to(device), self.lr)


class ModalRatios(nn.Module):
    """1 + Σ_k h_k(x_k) with h_k = √ρ_k h̃_k / rms(h̃_k), h̃_k what a small network says, centred in the batch.

    Args:
        widths: K widths of embeddings.
        rho: K radii.
        hidden: units of each network's one layer.
    """

    roots: Tensor

    def __init__(self, widths: Sequence[int], rho: Sequence[float], hidden: int) -> None:
        super().__init__()
        if len(widths) != len(rho):
            raise ShapeError(
                f"Each modality needs a radius: there are {len(widths)} embeddings and rho has {len(rho)}."
            )
        # one tensor for all modalities where it can be: of many small ones the optimiser's overhead is what costs
        self.first = nn.ParameterList(uniform(width, hidden, fan=width) for width in widths)
        self.bias = uniform(len(widths), hidden, fan=min(widths))
        self.second = uniform(len(widths), hidden, fan=hidden)  # its bias would fall out as h̃ is centred
        self.register_buffer("roots", torch.tensor(rho).sqrt())

    def directions(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return h̃ (b, K) of embeddings (b, D_k), before it is centred.

        Raises:
            ShapeError: there are not K embeddings.
        """
        if len(embeddings) != len(self.first):
            raise ShapeError(
                f"There must be an embedding for each of {len(self.first)} modalities; there are {len(embeddings)}."
            )
        read = torch.stack([x.float() @ into for x, into in zip(embeddings, self.first, strict=True)], dim=1)
        return (torch.tanh(read + self.bias) * self.second).sum(2)

    def forward(self, embeddings: Sequence[Tensor], there: Tensor | None = None) -> Tensor:
        """Return q (b,), non-negative, summing to 1, with gradients; what is clipped has none.

        A sample that lacks a modality is not moved by its shifts: h_k is 0 there, and ρ_k is of those that have it.
        """
        return additive(self.directions(embeddings), self.roots, there)


def uniform(*shape: int, fan: int) -> nn.Parameter:
    """Return a parameter drawn as those of a linear layer that reads `fan` numbers are."""
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) / fan**0.5)


class Alternating:
    """A fit's variational adversary: for every batch it takes one step up, and then weighs.

    Attributes:
        ratios: its networks.
    """

    def __init__(self, ratios: ModalRatios, lr: float) -> None:
        self.ratios = ratios
        device = ratios.roots.device.type
        version = tuple(int(part) for part in torch.__version__.split(".")[:2])
        fused = device == "cuda" or (device == "cpu" and version >= (2, 4))  # on CPUs torch can since 2.4
        self.optimiser = torch.optim.Adam(ratios.parameters(), lr, fused=fused)

    def weigh(self, losses: Tensor, known: Known = NOTHING) -> Tensor:
        """Take one step that raises Σ q_i l_i, then return q; see `Adversary.weigh`.

        No gradient reaches the embeddings, nor the model's own parameters.
        """
        if known.embeddings is None:
            raise ShapeError("The variational adversary needs the embedding of each modality; there is none.")
        held = [x.detach() for x in known.embeddings]
        values = wide(losses)
        # the least and the greatest loss are 0 and 1 of what is raised: its gradient does not depend on the scale
        low, high = values.aminmax()
        scaled = ((values - low) / torch.where(high > low, high - low, 1)).float()
        with torch.enable_grad(), torch.autocast(values.device.type, enabled=False):
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(-(self.ratios(held, known.there) * scaled).sum())
        self.optimiser.step()
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False):
            q: Tensor = self.ratios(held, known.there)
        return q.to(values.dtype)


def additive(directions: Tensor, roots: Tensor, there: Tensor | None = None) -> Tensor:
    """Return q (b,) ∝ (1 + Σ_k √ρ_k h̃_k / rms(h̃_k))₊ with h̃ (b, K) centred over the samples that have the modality.

    The numbers of `labelwise.functional.ambiguity.additive_weights`, with gradients.

    Args:
        directions: (b, K) h̃; a constant column moves nothing.
        roots: (K,) √ρ.
        there: (b, K) bool; None: all.
    """
    held = torch.ones_like(directions) if there is None else there.to(directions.dtype)
    count = held.sum(0).clamp(min=1)
    h = (directions - (directions * held).sum(0) / count) * held
    mean_square = (h**2).sum(0) / count
    flat = mean_square <= torch.finfo(h.dtype).tiny
    rms = torch.where(flat, 1, mean_square).sqrt()
    return distribution(1 + (torch.where(flat, 0, h / rms) * roots).sum(1))
