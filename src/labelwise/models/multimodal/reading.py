"""How a multimodal network reads a dataset: every modality by itself, and one row of bytes a sample while training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelwise.checks import Array
from labelwise.data.base import Dataset
from labelwise.errors import InputError
from labelwise.models.answering import preparation
from labelwise.models.base import Ids
from labelwise.models.inputs import Reader, Scale, absent_rows
from labelwise.models.multimodal.network import Read
from labelwise.models.texts import Tokens, Words


@dataclass(frozen=True, eq=False)
class Held:
    """Samples as one array of bytes, so that the training loop can pick rows of all modalities at once.

    Attributes:
        rows: (n, bytes) each modality's numbers, then a byte a modality that says whether the sample has it.
        parts: of each modality: whether its numbers are bytes (else float32), and the shape of a sample.
    """

    rows: NDArray[np.uint8]
    parts: tuple[tuple[bool, tuple[int, ...]], ...]

    def present(self, modalities: int) -> NDArray[np.bool_]:
        """Return which of so many modalities the samples have, (n, M)."""
        return self.rows[:, -modalities:].astype(bool)

    def apart(self, rows: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the modalities (b, ...) of some rows on any device, and what is present (b, M)."""
        found, at = [], 0
        for bytes_, shape in self.parts:
            size = prod(shape) * (1 if bytes_ else 4)
            # a copy, whose memory begins where floats may
            part = rows[:, at : at + size].clone(memory_format=torch.contiguous_format)
            found.append((part if bytes_ else part.view(torch.float32)).view(len(rows), *shape))
            at += size
        return found, rows[:, at:].bool()


@dataclass(frozen=True, eq=False)
class Reading:
    """Reads all modalities of a dataset with the statistics of its training samples.

    Attributes:
        scales: modality -> its scale, or the words or tokens of a text, in the dataset's order.
    """

    scales: Mapping[str, Scale | Words | Tokens]

    @classmethod
    def measure(
        cls, data: Dataset, ids: Ids, text_features: int, encoders: Mapping[str, Any] | None = None
    ) -> Reading:
        """Return the reading whose statistics are those of these samples.

        Args:
            data, ids: the training samples.
            text_features: columns that the words of a text are hashed into.
            encoders: of the recipe; one with a callable `tokenise` reads the tokens that it makes of a text instead of
                hashed words.

        Raises:
            InputError: the dataset has a single modality, or a tokeniser makes no tokens.
        """
        names = tuple(data.modalities)
        if len(names) < 2:
            raise InputError(
                f"multimodal needs at least two modalities; the data hold {names[0]!r} alone. Take 'cnn', 'mlp' or "
                "another recipe of one network."
            )
        scales = dict(Reader.measure(data, ids, names, text_features).scales)
        for name, scale in scales.items():
            tokenise = getattr((encoders or {}).get(name), "tokenise", None)
            if tokenise is not None and isinstance(scale, Words):
                scales[name] = Tokens.of(name, tokenise)
        return cls(scales)

    @property
    def readers(self) -> dict[str, Reader]:
        """A reader for each modality alone, whose `shape` is that of a sample as its encoder sees it."""
        return {name: Reader({name: scale}) for name, scale in self.scales.items()}

    def present(self, data: Dataset, ids: Ids, batch: Mapping[str, Array]) -> NDArray[np.bool_]:
        """Return which modalities the samples of a batch have, (b, M).

        Raises:
            InputError: the dataset has other modalities than at the fit, or a sample has none at all.
        """
        names = tuple(self.scales)
        if tuple(data.modalities) != names:
            raise InputError(
                f"The data must have the modalities {', '.join(names)}, as at the fit and in that order; they have "
                f"{', '.join(data.modalities)}."
            )
        there = np.ones((len(ids), len(names)), dtype=bool)
        for m, name in enumerate(names):
            absent = absent_rows(data, batch, name)
            if absent is not None:
                there[:, m] = ~absent
        nothing = np.flatnonzero(~there.any(axis=1))
        if nothing.size:
            raise InputError(
                f"Sample {int(ids[nothing[0]])} has none of the modalities {', '.join(names)}"
                f"{f', nor have {nothing.size - 1} others here' if nothing.size > 1 else ''}. Leave it out of the task, "
                "or say what it has."
            )
        return there

    def read(self, data: Dataset, ids: Ids) -> Held:
        """Return the samples as held in memory.

        Raises:
            ShapeError: a modality has samples of another shape or kind than at the fit; the message names it.
            InputError: as `present`, or a value is infinite.
        """
        batch = data.batch(ids)
        there = self.present(data, ids, batch)
        found, parts = [], []
        for name, scale in self.scales.items():
            values = np.ascontiguousarray(scale.read(name, batch[name], absent_rows(data, batch, name)))
            parts.append((values.dtype == np.uint8, values.shape[1:]))
            found.append(values.reshape(len(ids), prod(values.shape[1:])).view(np.uint8))
        return Held(np.concatenate([*found, there.view(np.uint8)], axis=1), tuple(parts))

    def nobody(self) -> Held:
        """Return no sample at all."""
        parts = tuple((False, scale.shape) for scale in self.scales.values())
        size = sum(4 * scale.width for scale in self.scales.values()) + len(parts)
        return Held(np.empty((0, size), dtype=np.uint8), parts)

    def preparation(
        self, held: Held, device: torch.device, *, channels_last: bool
    ) -> Callable[[Tensor], Read]:
        """Return what makes rows as held into what the network reads."""
        each = [preparation(reader, device, channels_last=channels_last) for reader in self.readers.values()]

        def prepare(rows: Tensor) -> Read:
            found, there = held.apart(rows)
            return Read(tuple(make(part) for make, part in zip(each, found, strict=True)), there)

        return prepare
