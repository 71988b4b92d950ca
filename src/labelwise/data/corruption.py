"""Datasets around a dataset: some samples are worse in one modality, or lack some; the same at every reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.data.base import Ids, Over
from labelwise.data.distortions import (
    Floats,
    blurred,
    count_words,
    decibel,
    each,
    echoed,
    faded,
    mistyped,
    overdriven,
    recompressed,
    saturated,
    smeared,
    worded,
)
from labelwise.data.kinds import Kind
from labelwise.seeds import generator


def is_text(values: Array) -> bool:
    """Return True for a batch of texts."""
    return values.dtype.kind in "TU"


@dataclass(frozen=True, eq=False)
class Corrupted(Over):
    """A dataset of which some samples are worse in one modality; what happens to a sample depends on (seed, id) only.

    Attributes:
        data: the samples as they were.
        modality: which one suffers.
        kind: what it suffers.
        amount: how much; see `corrupted`.
        seed: of the draws.
        touched: (n,) which samples suffer.
        spread: standard deviation of each column of a table, of each channel of a signal that drifts, or of all
            values, where `amount` is a multiple of it.
    """

    modality: str
    kind: Kind
    amount: float
    seed: int
    touched: NDArray[np.bool_]
    spread: NDArray[np.float64]

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        batch = dict(self.data.batch(ids))
        rows = self.touched[ids]
        if "present" in batch:  # what is not there does not suffer
            rows = rows & batch["present"][:, self.modalities.index(self.modality)]
        if rows.any():
            values = batch[self.modality]
            # a text of fixed width would cut a letter that is written twice
            values = values.astype(np.dtypes.StringDType()) if values.dtype.kind == "U" else values.copy()
            values[rows] = self._worse(values[rows], np.asarray(ids)[rows])
            batch[self.modality] = values
        return batch

    def _worse(self, values: Array, ids: Ids) -> Array:
        a = self.amount
        match self.kind:
            case "noise":
                return self._drawn(values, ids, lambda x, noise: x + a * self.spread * noise)
            case "blur":
                return each(values, lambda x: blurred(x, a))
            case "contrast":
                return each(values, lambda x: faded(x, a))
            case "jpeg":
                return recompressed(values, a)
            case "reverb" if values.ndim == 2:
                return self._drawn(values, ids, lambda x, noise: echoed(x, a, noise))
            case "clip" if values.ndim == 2:
                return each(values, lambda x: overdriven(x, a))
            case "reverb" | "clip":
                change = smeared if self.kind == "reverb" else saturated
                unit = decibel(values, float(self.spread))
                return each(values, lambda x: change(x, a, unit))
            case "drift":
                return each(values, lambda x: x + a * self._direction())
            case "word-dropout" | "typos":
                return self._reworded(values, ids)
            case _:
                return np.full(values.shape, "", values.dtype) if is_text(values) else np.zeros_like(values)

    def _rng(self, *sample: int) -> np.random.Generator:
        return generator(self.seed, "data", "corrupt", self.modality, self.kind, *sample)

    def _drawn(self, values: Array, ids: Ids, change: Callable[[Floats, Floats], Floats]) -> Array:
        """Return samples changed by normal numbers of their own."""
        rngs = iter([self._rng(int(sample)) for sample in ids])
        return each(values, lambda x: change(x, next(rngs).standard_normal(x.shape)))

    def _direction(self) -> Floats:
        """Return where the columns move to, the same for all samples: up or down by a standard deviation."""
        return self.spread * np.where(self._rng().random(self.spread.shape) < 0.5, -1.0, 1.0)

    def _reworded(self, values: Array, ids: Ids) -> Array:
        told = []
        for value, sample in zip(values, ids, strict=True):
            text, rng = str(value), self._rng(int(sample))
            if self.kind == "typos":
                told.append(mistyped(text, self.amount, rng.random((count_words(text), 3))))
            else:
                told.append(worded(text, rng.random(len(text.split())) >= self.amount))
        return np.array(told, dtype=values.dtype)


@dataclass(frozen=True, eq=False)
class Missing(Over):
    """A dataset of which some samples lack modalities; no sample lacks all.

    Attributes:
        data: the samples as they were.
        hold: (n, M) how firmly a sample holds a modality: it is missing where this is below 1, but of a sample
            that would keep none the most firmly held one stays.
    """

    hold: NDArray[np.float64]

    def batch(self, ids: Ids) -> Mapping[str, Array]:
        batch = dict(self.data.batch(ids))
        hold = self.hold[ids]
        there = batch.get("present", np.ones(hold.shape, np.bool_))
        keeps = there & (hold >= 1)
        bare = np.flatnonzero(there.any(axis=1) & ~keeps.any(axis=1))
        keeps[bare, np.where(there[bare], hold[bare], -1).argmax(axis=1)] = True
        for column, name in enumerate(self.modalities):
            gone = there[:, column] & ~keeps[:, column]
            if gone.any():
                values = batch[name].copy()
                values[gone] = "" if is_text(values) else 0
                batch[name] = values
        return {**batch, "present": keeps}
