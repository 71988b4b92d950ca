"""Asks where a graph network, trained to tell labelled samples from the others, is unsure or finds them unlike."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_number
from labelwise.errors import InputError
from labelwise.functional import graph_convolution as gcn
from labelwise.functional.backend import placed, to_numpy
from labelwise.functional.batches import k_center, top
from labelwise.signals import View
from labelwise.strategies.base import InSpace, Proposal


@dataclass(frozen=True)
class _SequentialGcn(InSpace):
    """Trains the network on some of the pool and all labelled samples, and picks from what it finds."""

    width: int = 128
    dropout: float = 0.3
    unlabelled_weight: float = 1.2
    rate: float = 1e-3
    decay: float = 5e-4
    steps: int = 200
    candidates: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "steps", "candidates"):
            check_count(getattr(self, name), name, 1)
        for name in ("unlabelled_weight", "rate", "decay"):
            check_number(getattr(self, name), name, 0)
        check_number(self.dropout, "dropout", 0, 1)
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and less than 1; it is {self.dropout!r}.")

    @abstractmethod
    def pick(
        self, scores: Array, features: Array, labelled: Array, n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Array | None]:
        """Return which rows of the candidates to ask for, and how soon each of them should be."""

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool = len(view.pool)
        seen = np.arange(pool)
        if pool > max(n, self.candidates):
            seen = np.sort(rng.choice(pool, max(n, self.candidates), replace=False))
        scores, features = self._trained(
            view.pool.need(self.space)[seen], view.labelled.need(self.space), rng
        )
        rows, values = self.pick(scores[: seen.size], features[: seen.size], features[seen.size :], n, rng)
        # Candidates that the network never saw have no score, and then there is not one a row.
        return Proposal(seen[rows], values if seen.size == pool else None)

    def _trained(self, pool: Array, labelled: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return (n,) probabilities of being labelled and (n, width) hidden features, the candidates first."""
        import torch

        def tensor(array: Array) -> Any:
            return placed(
                torch.from_numpy(np.ascontiguousarray(array, np.float32)), self.device, doubles=False
            )

        both = [gcn.unit_rows(pool, self.space)]
        if len(labelled):
            both.append(gcn.unit_rows(labelled, f"labelled {self.space}"))
        units = tensor(np.concatenate(both))
        mixed = gcn.propagate(units, units)
        weights = [tensor(w).requires_grad_() for w in self._start(units.shape[1], rng)]
        optimizer = torch.optim.Adam(weights, lr=self.rate, weight_decay=self.decay)

        def forward(drop: bool) -> tuple[Any, Any]:
            features = gcn.hidden(mixed, weights[0], weights[1])
            if drop:
                kept = tensor(rng.random((len(units), self.width), np.float32) >= self.dropout)
                features = features * kept / (1 - self.dropout)
            return gcn.logits(units, features, weights[2], weights[3]), features

        for _ in range(self.steps):
            optimizer.zero_grad()
            loss = gcn.labelled_loss(forward(self.dropout > 0)[0], len(pool), self.unlabelled_weight)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            values, features = forward(drop=False)
        return to_numpy(gcn.sigmoid(values)), to_numpy(features)

    def _start(self, depth: int, rng: np.random.Generator) -> list[Array]:
        """Return weights and biases of both layers, even within ±1/√(width of the layer's output)."""
        bound = self.width**-0.5
        shapes: Any = [((depth, self.width), bound), (self.width, bound), ((self.width, 1), 1), (1, 1)]
        return [rng.uniform(-limit, limit, shape) for shape, limit in shapes]


@dataclass(frozen=True)
class UncertainGcn(_SequentialGcn):
    """Ask where a graph network is unsure whether a sample is labelled.

    Formula:
        s = sigmoid(A relu(A X W + b) w + c), A = (S - I) D⁻¹ + I, S = X Xᵀ, X the embeddings with length 1, D the sums
        of the columns of S - I; trained on -mean log s over the labelled samples - λ mean log(1 - s) over the others;
        argmin |s - margin|.
    Cost:
        O(steps · (m + l) D width) time and O((m + l) (D + width)) memory for m candidates and l labelled samples;
        S is never built.
    When:
        Embeddings that are not negative, as after a ReLU: with signs, a sum of a column may be almost 0.
    Source:
        Caramalau, Bhattarai, Kim 2021, "Sequential Graph Convolutional Network for Active Learning".
    Deviations:
        A sample whose column sums to zero has no neighbours, where the authors' code divides by zero. Sums of
        columns as in that code; the logarithms are taken of logits, which cannot overflow.

    Attributes:
        width: of the hidden layer.
        dropout: of the hidden layer, while it is trained.
        unlabelled_weight: λ, of the unlabelled samples' part of the loss.
        rate: of Adam.
        decay: of Adam's weights.
        steps: of Adam; each sees all samples.
        candidates: how many of the pool are looked at, drawn evenly; all, if there are no more.
        margin: the probability of being labelled that is asked for.
    """

    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.margin, "margin", 0, 1)

    def pick(
        self, scores: Array, features: Array, labelled: Array, n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Array | None]:
        values = -np.abs(scores - self.margin)
        return top(values, n, rng), values


@dataclass(frozen=True)
class CoreGcn(_SequentialGcn):
    """Ask for samples that leave no other far from a labelled one, as a graph network sees them that tells the two apart.

    Formula:
        H = relu(A X W + b) of the network of `uncertain-gcn`; then k-center on H: argmax_u min_c ‖h_u - h_c‖, c over
        labelled and chosen samples.
    Cost:
        That of `uncertain-gcn`, and O((b + l) m width) time for the k-center.
    When:
        As `uncertain-gcn`, and batches are large: the picks keep apart.
    Source:
        Caramalau, Bhattarai, Kim 2021, "Sequential Graph Convolutional Network for Active Learning".
    Deviations:
        As `uncertain-gcn`.

    Attributes:
        width: of the hidden layer.
        dropout: of the hidden layer, while it is trained.
        unlabelled_weight: λ, of the unlabelled samples' part of the loss.
        rate: of Adam.
        decay: of Adam's weights.
        steps: of Adam; each sees all samples.
        candidates: how many of the pool are looked at, drawn evenly; all, if there are no more.
    """

    def pick(
        self, scores: Array, features: Array, labelled: Array, n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Array | None]:
        return k_center(features, n, centres=labelled), None
