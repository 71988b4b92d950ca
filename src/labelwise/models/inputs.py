"""How models read a dataset: kinds of modalities, training statistics, what missing values become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_name
from labelwise.data.base import Dataset
from labelwise.errors import InputError, ShapeError
from labelwise.models.texts import Tokens, Words

IMAGE, VIDEO, TABLE, TEXT = "image", "video", "table", "text"
_MOST = float(np.finfo(np.float32).max)
_BLOCK = 1 << 22  # numbers looked at in one go while measuring
# on splits of banking77's training part: 1 to 2 points of accuracy above 2048, at most 1 below 8192
TEXT_FEATURES = 4096


def kind_of(name: str, values: Array) -> str:
    """Return what a modality is by the shape of its batch: image (b, H, W[, channels]), video
    (b, frames, H, W, channels), table (b[, F]) or text (b,).

    Spectrograms, (b, bands, frames), are images.

    Raises:
        ShapeError: it is none of them, or a sample has no number.
    """
    if values.ndim and 0 in values.shape[1:]:
        raise ShapeError(
            f"Modality {name!r} must have at least one number a sample; its batch has shape {values.shape}."
        )
    if values.dtype.kind in "TU" and values.ndim == 1:
        return TEXT
    if values.dtype.kind in "biuf" and values.ndim in (3, 4):
        return IMAGE
    if values.dtype.kind in "biuf" and values.ndim == 5:
        return VIDEO
    if values.dtype.kind in "biuf" and values.ndim in (1, 2):
        return TABLE
    raise ShapeError(
        f"Modality {name!r} must be images (b, H, W) or (b, H, W, channels), videos (b, frames, H, W, channels), a "
        "table (b, F) or text (b,); "
        f"it is {values.dtype} of shape {values.shape}."
    )


def kinds_of(data: Dataset, ids: NDArray[np.int64], wanted: Sequence[str] | None) -> dict[str, str]:
    """Return modality -> kind for the wanted modalities of a dataset (None: all), looking at the first id.

    Raises:
        UnknownName: a wanted modality is not there.
    """
    for name in wanted or ():
        check_name(name, data.modalities, "modality of this dataset")
    one = data.batch(ids[:1])
    return {name: kind_of(name, one[name]) for name in wanted or data.modalities}


def absent_rows(data: Dataset, batch: Mapping[str, Array], name: str) -> NDArray[np.bool_] | None:
    """Return which samples of a batch lack a modality, (b,); None if all have it."""
    present = batch.get("present")
    if present is None:
        return None
    absent = ~np.asarray(present, dtype=bool)[:, data.modalities.index(name)]
    return absent if absent.any() else None


def _with_columns(values: Array) -> Array:
    """Return images as (b, H, W, channels) and tables as (b, F)."""
    return values[..., None] if values.ndim in (1, 3) else values


def _is_bytes(values: Array) -> bool:
    return values.dtype == np.uint8 and values.ndim in (4, 5)


def _moments(values: Array, absent: NDArray[np.bool_] | None) -> tuple[Array, Array]:
    """Return mean and standard deviation along the last axis, (columns,) each; NaN and absent left out."""
    if absent is not None:
        values = values[~absent]
    columns = values.shape[-1]
    flat = values.reshape(-1, columns)
    step = max(1, _BLOCK // columns)
    blocks = [slice(start, start + step) for start in range(0, len(flat), step)]
    if _is_bytes(values):
        return _byte_moments(flat, blocks)
    count, total, squares = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    for block in blocks:
        part = flat[block].astype(np.float64)
        there = ~np.isnan(part)
        count += there.sum(axis=0)
        total += np.where(there, part, 0.0).sum(axis=0)
    mean = total / np.maximum(count, 1)
    for block in blocks:  # a second pass: E[x²] - E[x]² loses everything where the mean is large
        part = flat[block].astype(np.float64) - mean
        squares += np.where(np.isnan(part), 0.0, part**2).sum(axis=0)
    return mean, np.sqrt(squares / np.maximum(count, 1))


def _byte_moments(flat: Array, blocks: Sequence[slice]) -> tuple[Array, Array]:
    """Return the same for the bytes of images, in units of 255, from counts of each byte: exact and in one pass."""
    counts = np.zeros((flat.shape[1], 256))
    for block in blocks:
        for channel, row in enumerate(counts):
            row += np.bincount(flat[block, channel], minlength=256)
    levels, n = np.arange(256) / 255, max(1, len(flat))
    mean = counts @ levels / n
    spread = ((levels - mean[:, None]) ** 2 * counts).sum(axis=1) / n
    return mean, np.sqrt(spread)


@dataclass(frozen=True, eq=False)
class Scale:
    """How one dense modality becomes numbers a model likes: (value - centre) / spread, and `fill` for what
    is missing.

    One number a column of a table, or a channel of an image. The bytes of an image count as byte / 255.

    Attributes:
        shape: of one sample: (F,), (H, W, channels) or (frames, H, W, channels).
        centre: what is subtracted.
        spread: what is divided by; 1 where the training samples do not vary, so that a column that is
            constant among few labels does not explode on the first sample that differs.
        fill: the mean of the training samples, before centre and spread.
    """

    shape: tuple[int, ...]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    fill: NDArray[np.float64]

    @classmethod
    def measure(cls, name: str, values: Array, absent: NDArray[np.bool_] | None, *, plain: bool) -> Scale:
        """Return the scale of these training samples.

        Args:
            name: the modality, for messages.
            values: (b, ...) images or a table.
            absent: (b,) samples that lack the modality; None if all have it.
            plain: only fill what is missing; centre and spread stay 0 and 1.

        Raises:
            InputError: a value is infinite.
        """
        values = _with_columns(values)
        _check_finite(name, values)
        mean, std = _moments(values, absent)
        # what varies by rounding only is constant: a mean of 0.1 three times over is not quite 0.1
        rounding = np.finfo(values.dtype).eps if values.dtype.kind == "f" else np.finfo(np.float64).eps
        flat = std <= 8 * rounding * np.abs(mean)
        spread = np.where(flat, 1.0, std)
        if plain:
            return cls(values.shape[1:], np.zeros_like(mean), np.ones_like(std), mean)
        return cls(values.shape[1:], mean, spread, mean)

    @property
    def width(self) -> int:
        """How many numbers a sample has."""
        return prod(self.shape)

    def read(self, name: str, values: Array, absent: NDArray[np.bool_] | None) -> Array:
        """Return images as (b, H, W, channels), videos with frames before H, tables as (b, F): bytes of images and
        videos as they are, all else as float32.

        Floats are scaled; bytes are left to `factors`, so that they can be held and moved as bytes.

        Raises:
            ShapeError: samples of another shape than at the fit, or text.
            InputError: a value is infinite.
        """
        if values.dtype.kind not in "biuf":
            raise ShapeError(f"Modality {name!r} must be numbers, as at the fit; it is {values.dtype}.")
        values = _with_columns(values)
        if values.shape[1:] != self.shape:
            raise ShapeError(
                f"Modality {name!r} must have samples of shape {self.shape}, as at the fit; they have "
                f"{values.shape[1:]}."
            )
        if _is_bytes(values):
            if absent is None:
                return values
            values = values.copy()
            values[absent] = np.round(self.fill * 255).astype(np.uint8)
            return values
        _check_finite(name, values)
        wide = values.astype(np.float64)
        if absent is not None:
            wide[absent] = np.nan
        wide = np.where(np.isnan(wide), self.fill, wide)
        with np.errstate(over="ignore"):  # looked at below
            scaled = ((wide - self.centre) / self.spread).astype(np.float32)
        if not np.isfinite(scaled).all():
            row = int(np.argwhere(~np.isfinite(scaled))[0][0])
            raise InputError(
                f"Modality {name!r} must hold numbers that float32 can after scaling; sample {row} of the batch "
                f"holds {np.abs(wide[row]).max():.3g}. Scale or clip the data."
            )
        return scaled

    def factors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (a, b) such that byte * a + b is the scaled value, (channels,) each."""
        return (1 / (255 * self.spread)).astype(np.float32), (-self.centre / self.spread).astype(np.float32)


def _check_finite(name: str, values: Array) -> None:
    if values.dtype.kind != "f":
        return
    # wider types hold finite numbers whose squares, or casts to float32, are not
    wrong = np.isinf(values) if values.dtype.itemsize <= 4 else np.abs(values) > _MOST
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise InputError(
            f"Modality {name!r} must hold finite numbers of at most {_MOST:.2g}, or NaN where a value is missing; "
            f"sample {int(at[0])} of the batch holds {values[at]:.3g}."
        )


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads the modalities of a dataset for a network: one by itself, several side by side in one flat row.

    Attributes:
        scales: modality -> its scale, or the words (or tokens) of a text, in the order of reading.
    """

    scales: Mapping[str, Scale | Words | Tokens]

    @classmethod
    def measure(
        cls,
        data: Dataset,
        ids: NDArray[np.int64],
        modalities: Sequence[str],
        text_features: int = TEXT_FEATURES,
    ) -> Reader:
        """Return the reader whose statistics are those of these samples; text gets so many columns."""
        batch = data.batch(ids)
        return cls(
            {
                name: Words(text_features)
                if kind_of(name, batch[name]) == TEXT
                else Scale.measure(name, batch[name], absent_rows(data, batch, name), plain=False)
                for name in modalities
            }
        )

    @property
    def image(self) -> Scale | None:
        """The scale of the images, or of the videos, where nothing else is read; None otherwise."""
        first, *others = self.scales.values()
        return first if isinstance(first, Scale) and len(first.shape) in (3, 4) and not others else None

    def with_constants(self, name: str, mean: Sequence[float], std: Sequence[float]) -> Reader:
        """Return the same reader with given instead of measured centre and spread for one modality."""
        old = self.scales[name]
        assert isinstance(old, Scale)
        sides = old.fill.shape
        centre, spread = (np.broadcast_to(np.asarray(part, np.float64), sides) for part in (mean, std))
        return Reader({**self.scales, name: replace(old, centre=centre.copy(), spread=spread.copy())})

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as a network sees it: (channels, height, width), of a video (channels, frames,
        height, width), or (features,).
        """
        if self.image is not None:
            *sides, channels = self.image.shape
            return channels, *sides
        return (sum(scale.width for scale in self.scales.values()),)

    def read(self, data: Dataset, ids: NDArray[np.int64]) -> Array:
        """Return the samples as held in memory: (b, [frames, ]H, W, channels) bytes or float32, or (b, F) float32."""
        batch = data.batch(ids)
        parts = {
            name: scale.read(name, batch[name], absent_rows(data, batch, name))
            for name, scale in self.scales.items()
        }
        if len(parts) == 1:
            return next(iter(parts.values()))
        flat = []
        for name, part in parts.items():
            scale = self.scales[name]
            if isinstance(scale, Scale) and _is_bytes(part):
                factor, offset = scale.factors()
                part = part * factor + offset
            flat.append(part.reshape(len(part), -1))
        return np.concatenate(flat, axis=1)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return the scales as plain lists and arrays, texts as their number of columns.

        Raises:
            InputError: a text is read by a tokeniser, which is not stored.
        """
        for name, scale in self.scales.items():
            if isinstance(scale, Tokens):
                raise InputError(f"Modality {name!r} is read by a tokeniser, which cannot be stored.")
        return {
            name: {"words": s.columns}
            if isinstance(s, Words)
            else {"shape": list(s.shape), "centre": s.centre, "spread": s.spread, "fill": s.fill}
            for name, s in self.scales.items()
            if not isinstance(s, Tokens)
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, Any]], modalities: Sequence[str]) -> Reader:
        """Return the reader that `state_dict` described, reading in the order of `modalities`."""
        return cls({name: _scale_from(state[name]) for name in modalities})


def _scale_from(state: Mapping[str, Any]) -> Scale | Words:
    if "words" in state:
        return Words(int(state["words"]))
    parts = (np.asarray(state[part], dtype=np.float64) for part in ("centre", "spread", "fill"))
    return Scale(tuple(int(side) for side in state["shape"]), *parts)
