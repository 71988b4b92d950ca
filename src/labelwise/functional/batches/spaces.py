"""Distances as matrix products: how far samples are from centres, with proven error bounds, and exactly for single pairs.

In each space d(i, j) = own_i + own_j - 2 Π_f ⟨left_f(i), right_f(j)⟩. Products are quick and lose digits where
samples are close; `gap` takes differences first and loses none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log as log_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.backend import block, like, namespace, points, rows_per_block, to_numpy
from labelwise.functional.scores import check_probs

FLOOR = 1e-12  # the least probability that a logarithm is taken of
LONGEST = 1e300  # the largest square of a length of which sums and doubles are still float64
PARALLEL = 1e-30  # squared chord below which two float64 directions are one


class Part(NamedTuple):
    """Some samples, ready to be multiplied; `size` says how large the terms are that cancel in a distance."""

    left: tuple[Any, ...]  # factors (k, width)
    right: tuple[Any, ...]
    own: Any  # (k,)
    size: Any  # (k,)

    def rows(self, taken: slice) -> Part:
        """Return some of the samples, without copying."""
        left, right = (tuple(f[taken] for f in side) for side in (self.left, self.right))
        return Part(left, right, self.own[taken], self.size[taken])


class Space(ABC):
    """Samples between which there is a distance; knows arrays, not centres."""

    arrays: tuple[Any, ...]  # each (n, width), of one library and device
    largest: float = 1.0  # the largest square of a row's length: what squares and underflow may grow to

    def __len__(self) -> int:
        return int(self.arrays[0].shape[0])

    @property
    def width(self) -> int:
        """Numbers that a sample takes in a `Part`."""
        return sum(int(array.shape[1]) for array in self.arrays)

    def part(self, rows: Any, *, precise: bool) -> Part:
        """Return some rows for products: in float64 NumPy if precise, else in float32 where the arrays are."""
        if precise:
            return self._part(self.doubles(rows), namespace(np.empty(0)))
        xp = namespace(*self.arrays)
        made = self._part(tuple(block(array, rows, xp) for array in self.arrays), xp)
        left, right, ends = (
            tuple(xp.astype(f, xp.float32, copy=False) for f in side)
            for side in (made.left, made.right, (made.own, made.size))
        )
        return Part(left, right, *ends)

    def doubles(self, rows: Any) -> tuple[Array, ...]:
        """Return the values of some rows in float64 NumPy."""
        return tuple(
            to_numpy(block(array, rows, namespace(array))).astype(np.float64, copy=False)
            for array in self.arrays
        )

    @abstractmethod
    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        """Return the part of values in the type they come in."""

    def products(self, part: Part, centres: Part) -> Any:
        """Return (k, m) inner products of samples with centres: those of all factors, multiplied."""
        first, *rest = (a @ b.T for a, b in zip(part.left, centres.right, strict=True))
        for other in rest:
            first *= other
        return first

    @abstractmethod
    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        """Return the distances of pairs, a and b being `doubles` of as many rows; exactly 0 for copies."""


class Euclidean(Space):
    """Squared Euclidean distances. Products are taken around `origin`, which need only be near the samples."""

    def __init__(self, values: Any, name: str, origin: Array | None = None, width: int | None = None) -> None:
        self.arrays = (points(values, name, width),)
        self.largest = check_rows(self.arrays[0], name)
        self.origin = _near_the_middle(self.arrays[0]) if origin is None else origin

    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        (x,) = values
        x = x - xp.astype(like(x, self.origin), x.dtype)
        own = xp.vecdot(x, x)
        return Part((x,), (x,), own, own)

    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        return _square(a[0] - b[0])


class Cosine(Space):
    """2 (1 - cos), the squared chord between directions; a row of zeros has a direction of its own."""

    def __init__(self, values: Any, name: str, width: int | None = None) -> None:
        self.arrays = (points(values, name, width),)
        check_rows(self.arrays[0], name)

    @property
    def width(self) -> int:
        return super().width + 1

    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        x = _direction(values[0])
        own = xp.vecdot(x, x)
        return Part((x,), (x,), own, own)

    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        found = _square(_direction(a[0]) - _direction(b[0]))
        return np.where(found < PARALLEL, 0.0, found)


class SymmetricKL(Space):
    """½ KL(p‖q) + ½ KL(q‖p) = ½ Σ (p - q)(ln p - ln q) in nats, of probabilities of at least `FLOOR`."""

    def __init__(self, values: Any, name: str, width: int | None = None) -> None:
        self.arrays = (points(values, name, width),)
        check_probs(to_numpy(self.arrays[0]), name)

    @property
    def width(self) -> int:
        return 2 * super().width

    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        p = xp.clip(values[0], FLOOR, None)
        log = xp.log(p)
        own = xp.vecdot(p, log) / 2
        size = xp.full_like(own, -log_(FLOOR))  # what Σ p |ln q| cannot exceed
        return Part((xp.concat([p, log], axis=1),), (xp.concat([log / 4, p / 4], axis=1),), own, size)

    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        p, q = np.maximum(a[0], FLOOR), np.maximum(b[0], FLOOR)
        return np.asarray(((p - q) * (np.log(p) - np.log(q))).sum(axis=1) / 2)


class Gradient(Space):
    """Squared distances of gradient embeddings (p - onehot(argmax p)) ⊗ z, which are never formed."""

    def __init__(self, probs: Any, embeddings: Any, names: tuple[str, str]) -> None:
        self.arrays = (points(probs, names[0]), points(embeddings, names[1]))
        namespace(*self.arrays)
        if len(self.arrays[0]) != len(self.arrays[1]):
            raise InputError(
                f"{names[0]} and {names[1]} must have as many rows; they have {len(self.arrays[0])} and "
                f"{len(self.arrays[1])}."
            )
        check_probs(to_numpy(self.arrays[0]), names[0])
        self.largest = check_rows(self.arrays[1], names[1])

    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        r, z = _residual(values[0]), values[1]
        own = xp.vecdot(r, r) * xp.vecdot(z, z)
        return Part((r, z), (r, z), own, own)

    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        return outer_gap(_residual(a[0]), a[1], _residual(b[0]), b[1])


class Gradients(Space):
    """Squared distances of several heads' gradient embeddings side by side, (p_h - onehot(guess)) ⊗ z_h.

    The guess is the likeliest class of the first head, for all heads.
    """

    def __init__(self, heads: Sequence[tuple[Any, Any]], name: str) -> None:
        if not heads:
            raise InputError(f"{name} must hold at least one pair of probs and embeddings.")
        arrays: list[Any] = []
        for h, (probs, embeddings) in enumerate(heads):
            arrays += [points(probs, f"{name}[{h}] probs"), points(embeddings, f"{name}[{h}] embeddings")]
        self.arrays = tuple(arrays)
        namespace(*self.arrays)
        n, c = (int(size) for size in self.arrays[0].shape)
        self.largest = 0.0
        for h in range(len(heads)):
            p, z = self.arrays[2 * h : 2 * h + 2]
            if tuple(p.shape) != (n, c) or len(z) != n:
                raise InputError(
                    f"{name}: all heads must have probs of shape ({n}, {c}) and as many embeddings, like the first; "
                    f"head {h} has {tuple(p.shape)} and {len(z)}."
                )
            check_probs(to_numpy(p), f"{name}[{h}] probs")
            self.largest += check_rows(z, f"{name}[{h}] embeddings")

    def _part(self, values: tuple[Any, ...], xp: Any) -> Part:
        factors, own = self._factors(values, xp), 0
        for r, z in zip(factors[::2], factors[1::2], strict=True):
            own = own + xp.vecdot(r, r) * xp.vecdot(z, z)
        return Part(factors, factors, own, own)

    def products(self, part: Part, centres: Part) -> Any:
        """Return (k, m) inner products of samples with centres: r times z of each head, added up."""
        each = [a @ b.T for a, b in zip(part.left, centres.right, strict=True)]
        total = each[0] * each[1]
        for r, z in zip(each[2::2], each[3::2], strict=True):
            r *= z
            total += r
        return total

    def gap(self, a: tuple[Array, ...], b: tuple[Array, ...]) -> NDArray[np.float64]:
        xp = namespace(np.empty(0))
        one, other = self._factors(a, xp), self._factors(b, xp)
        found = np.zeros(len(a[0]))
        for h in range(0, len(one), 2):
            found += outer_gap(*one[h : h + 2], *other[h : h + 2])
        return found

    def _factors(self, values: tuple[Any, ...], xp: Any) -> tuple[Any, ...]:
        guess = _guess(values[0])
        return tuple(v if k % 2 else v - xp.astype(guess, v.dtype) for k, v in enumerate(values))


def outer_gap(r: Array, z: Array, s: Array, w: Array) -> NDArray[np.float64]:
    """Return ‖r⊗z - s⊗w‖² of pairs of rows, which vanishes to the last digit where the pair becomes one."""
    dr, dz = r - s, z - w
    # r⊗z - s⊗w = (r - s)⊗z + s⊗(z - w): both terms are small where the pair is close
    cross = 2 * (dr * s).sum(axis=1) * (z * dz).sum(axis=1)
    return np.asarray(np.maximum(_square(dr) * _square(z) + _square(s) * _square(dz) + cross, 0))


def check_rows(array: Any, name: str) -> float:
    """Return the largest squared length of the rows, having seen that all are finite.

    Raises:
        InputError: a row holds NaN or infinity, or is longer than 1e150.
    """
    xp = namespace(array)
    largest = 0.0
    rows = rows_per_block(array.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(array), rows):
            part = block(array, slice(start, start + rows), xp)
            found = float(xp.max(xp.vecdot(part, part)))
            if not found <= LONGEST:  # NaN as well, and what is beyond float32
                squares = _square(to_numpy(part).astype(np.float64))
                wrong = np.flatnonzero(~(squares <= LONGEST))
                if wrong.size:
                    row = to_numpy(part)[wrong[0]]
                    odd = row[~np.isfinite(row)]
                    what = f"holds {odd[0]}" if odd.size else "is longer than 1e150"
                    raise InputError(
                        f"{name}: row {start + int(wrong[0])} {what}; all values must be finite and squarable."
                    )
                found = float(squares.max())
            largest = max(largest, found)
    return largest


def _near_the_middle(array: Any) -> Array:
    """Return the mean of a thousand rows, in float32: distances around it lose fewer digits than around 0."""
    n = len(array)
    if n == 0:
        return np.zeros(array.shape[1], np.float32)
    some = block(array, np.unique(np.linspace(0, n - 1, min(n, 1000)).astype(np.int64)), namespace(array))
    with np.errstate(over="ignore"):
        middle = to_numpy(some).mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.asarray(np.nan_to_num(middle, posinf=0, neginf=0))


def _square(x: Array) -> NDArray[np.float64]:
    return np.asarray((x * x).sum(axis=1))


def _direction(x: Any) -> Any:
    """Return unit rows with one more column, which is 1 for rows of zeros."""
    xp = namespace(x)
    longest = xp.max(xp.abs(x), axis=1, keepdims=True)
    nothing = longest == 0
    x = x / xp.where(nothing, xp.ones_like(longest), longest)  # no square can under- or overflow now
    x = xp.concat([x, xp.astype(nothing, x.dtype)], axis=1)
    return x / xp.sqrt(xp.vecdot(x, x))[:, None]


def _residual(p: Any) -> Any:
    """Return p - onehot(argmax p)."""
    return p - namespace(p).astype(_guess(p), p.dtype)


def _guess(p: Any) -> Any:
    """Return onehot(argmax p) as bool, the lowest class among equals, which torch's argmax does not promise."""
    xp = namespace(p)
    classes = like(p, np.arange(p.shape[1]))[None, :]
    best = xp.max(p, axis=1, keepdims=True)
    first = xp.min(xp.where(p == best, classes, p.shape[1]), axis=1, keepdims=True)
    return classes == first
