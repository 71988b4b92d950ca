"""Samples with one or several modalities, and labels of some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import (
    Array,
    as_array,
    as_flags,
    as_ids,
    check_shape,
    frozen,
)
from labelwise.errors import InputError, ShapeError

Ids = NDArray[np.int64]


@runtime_checkable
class Dataset(Protocol):
    """Samples with named modalities; the id of a sample is its integer in [0, len).

    Modality arrays by kind: images are uint8 (or float in [0, 1]) of shape (b, H, W) or (b, H, W, 3); tables
    and precomputed features are float (b, F); text is NumPy StringDType (b,). "present" -> bool (b, M) when a
    sample may lack a modality; absent otherwise.
    """

    @property
    def modalities(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        """Return modality -> array of the samples with these ids, in that order."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayDataset:
    """A dataset held in memory (or in memory maps), one array a modality.

    Attributes:
        arrays: modality -> (n, ...).
        present: (n, M) which modalities each sample has, True or 1 where it has one; None if it has all.

    Raises:
        ShapeError: modalities have unequal numbers of samples, samples of one have unequal shapes, or `present` is not (n, M).
        InputError: there is no modality, one holds neither numbers nor texts, or `present` holds more than yes and no.
    """

    arrays: Mapping[str, Array]
    present: Array | None = None

    def __post_init__(self) -> None:
        if not self.arrays:
            raise InputError("A dataset must have at least one modality; none was given.")
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ShapeError(f"Every modality must have the same number of samples; got {lengths}.")
        object.__setattr__(self, "arrays", {name: _one_shape(name, a) for name, a in self.arrays.items()})
        if self.present is not None:
            there = as_flags(self.present, "present", self.modalities)
            check_shape(there, "present", ("n", "M"), (len(self), len(self.arrays)))
            object.__setattr__(self, "present", frozen(there))

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.arrays)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        parts = {name: array[ids] for name, array in self.arrays.items()}
        return parts if self.present is None else {**parts, "present": self.present[ids]}


def _odd_one(values: Any) -> str:
    """Return what to say of the first sample whose shape is another than that of sample 0; "" where it cannot be told."""
    try:
        shapes = [np.shape(value) for value in values]
    except ValueError:  # ragged in itself
        return ""
    odd = next((row for row, shape in enumerate(shapes) if shape != shapes[0]), None)
    return "" if odd is None else f"; sample 0 has {shapes[0]} and sample {odd} has {shapes[odd]}"


def _one_shape(name: str, values: Array) -> Array:
    """Return the samples of a modality as one array; texts that came as objects as texts."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(
            f"All samples of modality {name!r} must have one shape{_odd_one(values)}. Resize, cut or fill them up."
        ) from error
    if array.dtype.kind == "O":
        for row, value in enumerate(array.flat):
            if not isinstance(value, str):
                raise InputError(
                    f"Modality {name!r} must hold numbers or texts; row {row} is {value!r}. Where a text is missing write "
                    '"", and say in `present` that it is not there.'
                )
        array = array.astype(np.dtypes.StringDType())
    return frozen(array)


@dataclass(frozen=True, eq=False)
class Over:
    """What datasets share that answer with another dataset's samples, changed; they add `batch`.

    Attributes:
        data: the samples as they are.
    """

    data: Dataset

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.data.modalities

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, eq=False)
class Gathered(Over):
    """A dataset some of whose modalities are rows of larger arrays, looked up batch by batch.

    Attributes:
        data: the samples; of the modalities in `sources` it holds row numbers, (n,).
        sources: modality -> (N, ...).

    Raises:
        InputError: a row number is outside its source.
    """

    sources: Mapping[str, Array]

    def __post_init__(self) -> None:
        rows = self.data.batch(np.arange(len(self.data)))
        for name, source in self.sources.items():
            if rows[name].size and not 0 <= rows[name].min() <= rows[name].max() < len(source):
                raise InputError(
                    f"Rows of {name!r} must be in [0, {len(source)}); they run from {rows[name].min()} to "
                    f"{rows[name].max()}."
                )
        object.__setattr__(self, "sources", {name: frozen(source) for name, source in self.sources.items()})

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        return {
            name: self.sources[name][values] if name in self.sources else values
            for name, values in self.data.batch(ids).items()
        }


@dataclass(frozen=True, eq=False)
class Labelled:
    """Ids with their labels: ids (n,), y (n,) class indices."""

    ids: Ids
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", frozen(as_ids(self.ids)))
        y = as_array(self.y, "y")
        check_shape(y, "y", ("n",), (len(self.ids),))
        if y.size and y.dtype.kind not in "iu":
            raise ShapeError(f"y must be whole numbers; they are {y.dtype}.")
        object.__setattr__(self, "y", frozen(y.astype(np.int64, copy=False)))

    def __len__(self) -> int:
        return len(self.ids)


NOBODY = Labelled(np.empty(0, np.int64), np.empty(0, np.int64))
