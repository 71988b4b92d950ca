"""One network for several modalities: encoders, evidential heads, and one answer of all."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from labelwise.models.multimodal.fusion import fuse


class Read(NamedTuple):
    """A batch as the network reads it."""

    parts: tuple[Tensor, ...]  # M of (b, ...); rows of what is missing are never looked at
    present: Tensor  # (b, M) bool


class Told(NamedTuple):
    """What the network answers a batch."""

    logits: Tensor  # (b, C); their softmax is the answer
    embedding: Tensor  # (b, D) what the last linear layers read
    scores: Tensor  # (b, M, C) of the modalities' heads, before the temperature and softplus
    evidence: Tensor  # (b, M, C) at least 0, and 0 where a modality is missing
    modal: Tensor  # (b, M, width) projections, 0 where a modality is missing
    there: Tensor  # (b, M) bool, which modalities were read
    opinion: Tensor | None  # (b, C) fused evidence; None where a head answers


class Branch(nn.Module):
    """What one modality passes: its encoder, a learned linear map to the common width, and a linear head.

    Args:
        encoder: (b, ...) -> (b, into).
        into: the width of what it answers.
        width: of the projection.
        n_classes: C.
    """

    def __init__(self, encoder: nn.Module, into: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Linear(into, width)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return projections (b, width), 0 where `there` (b,) says no, and the head's scores (b, C).

        The encoder sees none of the missing samples: its batch norm would compare the others with them.
        """
        rows = there.nonzero()[:, 0]
        read = x.index_select(0, rows)
        if len(rows) == 1 and self.training:  # batch norm compares samples: one sample is shown twice
            read = read.expand(2, *x.shape[1:])
        if len(rows):
            known = self.projection(self.encoder(read))[: len(rows)].float()
        else:
            known = x.new_zeros((0, self.projection.out_features), dtype=torch.float32)
        modal = known.new_zeros((len(x), known.shape[1])).index_copy(0, rows, known)
        return modal, self.head(modal).float()


class MultimodalNetwork(nn.Module):
    """Answers from whichever modalities a sample has; softplus makes evidence of each modality.

    With fusion "head" the projections' weighted mean, over the modalities that are there, passes a layer with ReLU and
    a linear head. With a rule of `labelwise.models.multimodal.fusion` the evidence is fused, the logits are ln α, so
    that their softmax is the Dirichlet mean, and the embedding is the projections side by side, which the heads read.

    Args:
        branches: one a modality.
        trunk: (b, width) -> (b, D) and then
        head: (b, D) -> (b, C); None under a rule, both.
        weights: (M,) above 0, summing to 1.
        learned: (M,) bool, which modalities any training sample has; the others are never read.
        fusion: "head" or a rule.
        modality_dropout: probability that a modality is kept out of the fusion while training; never all of a sample.

    Attributes:
        temperature: (M,) T of each modality, which its evidence is softplus(score / T) of.
    """

    weights: Tensor
    learned: Tensor
    temperature: Tensor

    def __init__(
        self,
        branches: list[Branch],
        trunk: nn.Module | None,
        head: nn.Module | None,
        *,
        weights: Tensor,
        learned: Tensor,
        fusion: str,
        modality_dropout: float,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.trunk, self.head = trunk, head
        self.fusion, self.modality_dropout = fusion, modality_dropout
        self.register_buffer("weights", weights)
        self.register_buffer("learned", learned)
        self.register_buffer("temperature", torch.ones(len(branches)))

    def forward(self, read: Read) -> Told:
        modal, scores, there = self.encoded(read)
        evidence = softplus(scores / self.temperature[:, None]) * there[..., None]
        logits, embedding, opinion = self.fused(modal, evidence, self._kept(there))
        return Told(logits, embedding, scores, evidence, modal, there, opinion)

    def encoded(self, read: Read) -> tuple[Tensor, Tensor, Tensor]:
        """Return projections (b, M, width), 0 where missing, the heads' scores (b, M, C), and what is read (b, M)."""
        there = read.present & self.learned
        told = [
            branch(part, there[:, m])
            for m, (branch, part) in enumerate(zip(self.branches, read.parts, strict=True))
        ]
        modal, scores = (torch.stack(found, dim=1) for found in zip(*told, strict=True))
        return modal, scores, there

    def fused(self, modal: Tensor, evidence: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return logits (b, C), embedding and fused evidence of the fusion that reads the modalities `kept` (b, M).

        Where it reads none, the head's layers read zeros, and a rule has no evidence: all its classes are as likely.
        """
        if self.trunk is None or self.head is None:
            opinion = fuse(self.fusion, evidence, kept, self.weights)
            return torch.log1p(opinion), modal.flatten(1), opinion
        share = self.weights * kept
        share = share / share.sum(1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        embedding = self.trunk((share[..., None] * modal).sum(1))
        return self.head(embedding), embedding, None

    def coalitions(self, told: Told) -> Tensor:
        """Return probabilities (b, 2^M, C) of the fusion where it reads a coalition of the modalities it has.

        The encoders do not run again. Bit m of the coalition's number is set where it may read modality m.
        """
        m = told.there.shape[1]
        found = []
        for number in range(2**m):
            members = torch.tensor([bool(number >> one & 1) for one in range(m)], device=told.there.device)
            logits, *_ = self.fused(told.modal, told.evidence, told.there & members)
            found.append(logits.float().softmax(dim=1))
        return torch.stack(found, dim=1)

    def _kept(self, there: Tensor) -> Tensor:
        if not self.training or self.modality_dropout == 0:
            return there
        kept = there & (torch.rand(there.shape, device=there.device) >= self.modality_dropout)
        return torch.where(kept.any(1, keepdim=True), kept, there)


class Joint(nn.Module):
    """The network as one that reads a row of numbers a sample, so that a probe can move all modalities at once.

    The last M numbers of a row say what is present; the answer has no slope along them, nor along what is missing.
    """

    def __init__(self, network: MultimodalNetwork) -> None:
        super().__init__()
        self.network = network
        self.shapes: tuple[torch.Size, ...] = ()

    def rows(self, read: Read) -> Tensor:
        """Return a batch as rows (b, F_1 + ... + F_M + M), whose shapes are those of the rows to come."""
        self.shapes = tuple(part.shape[1:] for part in read.parts)
        flat = [
            part.flatten(1) * there[:, None] for part, there in zip(read.parts, read.present.T, strict=True)
        ]
        return torch.cat([*flat, read.present.float()], dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        sizes = [*(shape.numel() for shape in self.shapes), len(self.shapes)]
        *flat, present = torch.split(rows, sizes, dim=1)
        parts = (part.reshape(len(part), *shape) for part, shape in zip(flat, self.shapes, strict=True))
        logits: Tensor = self.network(Read(tuple(parts), present > 0.5)).logits
        return logits
