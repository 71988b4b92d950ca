"""A classifier and its companion as one network, and the predictor that answers with both in one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from labelwise.data.base import Dataset
from labelwise.errors import InputError, MissingSignal
from labelwise.models.answering import GIVES, TorchPredictor
from labelwise.models.base import Ids, Progress
from labelwise.models.networks.resnet import Block
from labelwise.signals import Signals

MOST_MAPS = 4
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Hardswish)


class Seen(NamedTuple):
    """What one forward pass of a classifier shows."""

    x: Tensor  # (b, ...) as the network read it
    logits: Tensor  # (b, C)
    embedding: Tensor  # (b, D), the input of the last layer
    maps: tuple[Tensor, ...]  # (b, channels, ...) each, at most four


def watch(network: nn.Module, x: Tensor, *, maps: bool = False) -> Seen:
    """Run a classifier and return what it shows.

    Feature maps are the outputs of a ResNet's blocks, or of the activation layers where there are no such
    blocks; at most four, evenly spaced and ending with the last, in the order of computing. So the ResNet-18
    shows its four stages as in Yoo & Kweon 2019, the CNN its two or three blocks and its dense layer, the MLP
    its two hidden layers.

    Args:
        network: answers logits, or (logits, embedding); from logits alone, the embedding is the input of its
            last `nn.Linear`.
        x: (b, ...) as the network reads it.
        maps: whether to collect them.

    Raises:
        InputError: the network answers logits alone and has no `nn.Linear`.
    """
    found: list[Tensor] = []
    entered: list[Tensor] = []
    layers = list(network.modules())
    blocks: list[nn.Module] = [layer for layer in layers if isinstance(layer, Block)]
    shown = (blocks or [layer for layer in layers if isinstance(layer, ACTIVATIONS)]) if maps else []
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)][-1:]
    hooks = [layer.register_forward_hook(lambda _layer, _x, out: found.append(out)) for layer in shown]
    hooks += [layer.register_forward_pre_hook(lambda _layer, x: entered.append(x[0])) for layer in linear]
    try:
        answer = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(answer, tuple):
        if not entered:
            raise InputError("The network has no nn.Linear: let it return (logits, embedding).")
        answer = answer, entered[-1]
    count = min(MOST_MAPS, len(found))
    chosen = tuple(found[len(found) * part // count - 1] for part in range(1, count + 1))
    return Seen(x, answer[0], answer[1].flatten(1), chosen)


class Companion(nn.Module):
    """What is trained beside a classifier: reads what the classifier shows, answers (b,) numbers."""

    reads_maps: ClassVar[bool] = False

    @abstractmethod
    def forward(self, seen: Seen) -> Tensor: ...


class Beside(nn.Module):
    """A classifier and its companion as one network; the scalar is one more column behind the embedding."""

    def __init__(self, classifier: nn.Module, companion: Companion) -> None:
        super().__init__()
        self.classifier, self.companion = classifier, companion

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = watch(self.classifier, x, maps=self.companion.reads_maps)
        return seen.logits, torch.cat([seen.embedding, self.companion(seen)[:, None]], dim=1)


@dataclass(frozen=True, eq=False)
class CompanionPredictor:
    """A trained classifier and its companion; answers what a `TorchPredictor` does, and the scalar.

    Probs, logits, embeddings and the scalar come from one pass; draws and probes take passes of their own.

    Attributes:
        plain: the classifier alone, for all but the scalar.
        both: classifier and companion in one pass; None where there was no unlabelled sample to train on.
        scalar: the name of what the companion answers.
    """

    plain: TorchPredictor
    both: TorchPredictor | None = field(repr=False)
    scalar: str

    @property
    def notes(self) -> Mapping[str, float]:
        """Diagnostics of the training."""
        return self.plain.notes

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        wanted = f"scalars.{self.scalar}"
        if wanted not in names:
            return self.plain.infer(data, ids, names, progress)
        if self.both is None:
            raise MissingSignal(
                f"There is no {wanted}: at this fit no sample was left unlabelled to train its companion on."
            )
        rest = names - GIVES - {wanted}
        more = self.plain.infer(data, ids, rest) if rest else Signals(ids)
        seen = self.both.infer(data, ids, (names & GIVES) | {"embeddings"}, progress)
        columns = seen.need("embeddings")
        parts: dict[str, Any] = {name: seen.need(name) for name in names & GIVES}
        if "embeddings" in names:
            parts["embeddings"] = np.ascontiguousarray(columns[:, :-1])
        scalars = {**more.scalars, self.scalar: columns[:, -1].copy()}
        return Signals(seen.ids, draws=more.draws, **parts, scalars=scalars)

    def state_dict(self) -> dict[str, Any]:
        return {}
