"""Datasets around a dataset: some samples are worse in one modality, or lack some; the same at every reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.data.base import Ids, Over
from labelwise.seeds import generator

Kind = Literal["noise", "blur", "word-dropout", "zeros"]


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
        spread: for noise: standard deviation of each column of a table, or of all pixels, that `amount` is a
            multiple of.
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
            values = batch[self.modality].copy()
            values[rows] = self._worse(values[rows], np.asarray(ids)[rows])
            batch[self.modality] = values
        return batch

    def _worse(self, values: Array, ids: Ids) -> Array:
        if self.kind == "noise":
            return self._noisy(values, ids)
        if self.kind == "blur":
            return _blurred(values, self.amount)
        if self.kind == "word-dropout":
            return self._wordless(values, ids)
        return np.full(values.shape, "", values.dtype) if is_text(values) else np.zeros_like(values)

    def _rng(self, sample: int) -> np.random.Generator:
        return generator(self.seed, "data", "corrupt", self.modality, self.kind, int(sample))

    def _noisy(self, values: Array, ids: Ids) -> Array:
        worse = values.copy()
        for row, sample in enumerate(
            ids
        ):  # one by one: the noise of a whole pool would be eight times its bytes
            noise = self._rng(sample).standard_normal(values.shape[1:])
            noisy = values[row] + self.amount * self.spread * noise
            worse[row] = np.rint(np.clip(noisy, 0, 255)) if values.dtype == np.uint8 else noisy
        return worse

    def _wordless(self, values: Array, ids: Ids) -> Array:
        left = []
        for text, sample in zip(values, ids, strict=True):
            words = str(text).split()
            stays = self._rng(sample).random(len(words)) >= self.amount
            left.append(text if stays.all() else " ".join(w for w, s in zip(words, stays, strict=True) if s))
        return np.array(left, dtype=values.dtype)


def _blurred(values: Array, sigma: float) -> Array:
    from scipy.ndimage import gaussian_filter

    widths = (sigma, sigma, *(0.0,) * (values.ndim - 3))  # channels do not mix
    worse = values.copy()
    for row, value in enumerate(values):
        soft = gaussian_filter(value.astype(np.float64), widths, mode="nearest")
        worse[row] = np.rint(soft) if values.dtype == np.uint8 else soft
    return worse


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
