"""What drift is measured on: each modality of samples as columns of numbers, by a network or as the samples come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_name
from labelwise.data.base import Dataset, Ids
from labelwise.errors import InputError, ShapeError
from labelwise.models.base import Predictor, Progress, Recipe
from labelwise.models.inputs import IMAGE, TEXT, VIDEO, Reader, kind_of
from labelwise.models.texts import Words

MODAL, FUSED, INPUTS = "modal", "embeddings", "inputs"
READS = ("auto", MODAL, FUSED, INPUTS)
WORDS = {MODAL: "embeddings of each modality", FUSED: "embeddings", INPUTS: "their inputs as they are"}
_WORDS = 512  # columns that the words of a text are hashed into
_SIDE = 8  # pictures become so many blocks high and wide
_BLOCK = 256  # samples read at once


@dataclass(frozen=True, eq=False)
class Seen:
    """Samples as numbers.

    Attributes:
        names: M modalities; the one called "all" is what a network makes of several together.
        parts: M arrays (n, D_m).
        there: (n, M) which modalities the samples have.
    """

    names: tuple[str, ...]
    parts: tuple[Array, ...]
    there: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> Seen:
        """Return some of the samples, in that order."""
        return Seen(self.names, tuple(part[rows] for part in self.parts), self.there[rows])


def chosen(recipe: Recipe, modalities: Sequence[str], wanted: str = "auto") -> str:
    """Return what drift is measured on: "modal", embeddings of each modality, where the recipe gives them; "embeddings"
    of a network that reads a single modality; and "inputs" otherwise.

    Raises:
        UnknownName: `wanted` is none of them.
        InputError: the recipe does not give what is wanted.
    """
    check_name(wanted, READS, "way to read samples")
    gives = recipe.gives.pool
    have = [
        way for way, signal in ((MODAL, "modal_embeddings"), (FUSED, "embeddings")) if signal in gives
    ] + [INPUTS]
    if wanted != "auto":
        if wanted not in have:
            raise InputError(f"This recipe's models give no {WORDS[wanted]}; take {' or '.join(have)}.")
        return wanted
    return MODAL if MODAL in have else FUSED if FUSED in have and len(modalities) == 1 else INPUTS


def seen_by(
    predictor: Predictor, data: Dataset, ids: Ids, how: str, progress: Progress | None = None
) -> Seen:
    """Return what a network makes of samples.

    Args:
        predictor: that gives what is asked for.
        data: whose samples.
        ids: which.
        how: "modal" or "embeddings".
        progress: told (done, total).
    """
    if how == MODAL:
        told = predictor.infer(data, ids, frozenset({"modal_embeddings", "present"}), progress)
        return Seen(data.modalities, told.modal_embeddings or (), told.need("present"))
    told = predictor.infer(data, ids, frozenset({"embeddings"}), progress)
    names = data.modalities if len(data.modalities) == 1 else ("all",)
    there = np.asarray(_there(data, ids).any(axis=1))[:, None]
    return Seen(names, (told.need("embeddings"),), there)


@dataclass(frozen=True, eq=False)
class Plainly:
    """Reads samples without a network: numbers standardised, words counted, pictures in 8 x 8 blocks.

    Attributes:
        reader: of numbers and texts, measured on old samples.
        pictures: modalities that are pictures or videos.
    """

    reader: Reader
    pictures: frozenset[str]

    @classmethod
    def measure(cls, data: Dataset, ids: Ids) -> Plainly:
        """Return the reader whose statistics are those of these samples."""
        one = data.batch(ids[:1])
        kinds = {name: kind_of(name, one[name]) for name in data.modalities}
        pictures = frozenset(name for name, kind in kinds.items() if kind in (IMAGE, VIDEO))
        texts: dict[str, Any] = {name: Words(_WORDS) for name, kind in kinds.items() if kind == TEXT}
        numbers = [name for name in data.modalities if name not in pictures and name not in texts]
        scales = dict(Reader.measure(data, ids, numbers).scales) if numbers else {}
        return cls(Reader({**scales, **texts}), pictures)

    def read(self, data: Dataset, ids: Ids, progress: Progress | None = None) -> Seen:
        """Return samples as numbers, a block at a time."""
        found: dict[str, list[Array]] = {name: [] for name in data.modalities}
        for start in range(0, len(ids), _BLOCK):
            some = ids[start : start + _BLOCK]
            batch = data.batch(some)
            for name in data.modalities:
                values = batch[name]
                if name in self.pictures:
                    found[name].append(_blocks(values))
                else:
                    found[name].append(self.reader.scales[name].read(name, values, None))
            if progress is not None:
                progress(min(start + _BLOCK, len(ids)), len(ids))
        parts = tuple(np.concatenate(found[name]) for name in data.modalities)
        return Seen(data.modalities, parts, _there(data, ids))


def check_alike(old: Dataset, new: Dataset, ids: Ids) -> None:
    """Raise unless new samples have the modalities of the old ones, of the same shapes.

    Raises:
        InputError: modalities differ.
        ShapeError: samples of one differ in shape or type.
    """
    if tuple(old.modalities) != tuple(new.modalities):
        raise InputError(
            f"New data must have the modalities {', '.join(old.modalities)}, in this order; they have "
            f"{', '.join(new.modalities)}."
        )
    one, other = old.batch(np.arange(1)), new.batch(ids[:1])
    for name in old.modalities:
        kinds = kind_of(name, one[name]), kind_of(name, other[name])
        if kinds[0] != kinds[1] or one[name].shape[1:] != other[name].shape[1:]:
            told = (
                f"{kind} of shape {tuple(side[name].shape[1:])} a sample"
                for kind, side in zip(kinds, (one, other), strict=True)
            )
            raise ShapeError(
                f"Modality {name!r} must be {next(told)}, as in the old data; it is {next(told)}."
            )


def _there(data: Dataset, ids: Ids) -> NDArray[np.bool_]:
    """Return which modalities samples have (n, M), a block at a time: the whole batch may not fit into memory."""
    found = [
        np.asarray(
            data.batch(ids[start : start + _BLOCK]).get(
                "present", np.ones((len(ids[start : start + _BLOCK]), len(data.modalities)), bool)
            ),
            dtype=bool,
        )
        for start in range(0, len(ids), _BLOCK)
    ]
    return np.concatenate(found) if found else np.ones((0, len(data.modalities)), bool)


def _blocks(values: Array) -> NDArray[np.float32]:
    """Return pictures (b, H, W[, channels]) as means of 8 x 8 blocks; videos as those of their mean frame."""
    wide: Array = values.astype(np.float32)
    if wide.ndim == 5:
        wide = wide.mean(axis=1)
    for axis in (1, 2):
        side = wide.shape[axis]
        edges = np.unique(np.linspace(0, side, min(side, _SIDE) + 1).astype(int))[:-1]
        counts = np.diff(np.append(edges, side)).reshape([-1 if a == axis else 1 for a in range(wide.ndim)])
        wide = np.add.reduceat(wide, edges, axis=axis) / counts
    return wide.reshape(len(wide), -1).astype(np.float32)
