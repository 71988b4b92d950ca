"""How alike samples are, answered a block at a time: what submodular measures read instead of an n x n matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, as_ids, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import block, is_tensor, kind_of, like, namespace, points, to_numpy

# Some rows, made ready to be multiplied with others: an array, a tuple of arrays, or row numbers.
Prepared = Any
HOLD_BYTES = 64 * 2**20  # prepared rows up to this size are kept, for they are asked for again at every pick
STEP = 1024  # rows prepared at a time; products of so many with so many stay in the cache
STEP_NUMBERS = 2**21  # numbers in them at most


class Similarity(ABC):
    """Similarities s_ij >= 0 of n samples with one another and with others, symmetric; never all of them at once.

    Attributes:
        n: how many samples.
        width: numbers in a prepared row.
    """

    n: int
    width: int

    def __len__(self) -> int:
        return self.n

    @property
    def itemsize(self) -> int:
        """Return how many bytes a similarity has: 4 in float32, which short floats are worked on in, or 8."""
        one = self.rows(slice(0, 1))
        return int(self.product(one, one).dtype.itemsize)

    @property
    def rounding(self) -> float:
        """Return the relative difference below which two sums of similarities count as equal."""
        return 1e-5 if self.itemsize <= 4 else 1e-10

    @abstractmethod
    def rows(self, which: Any) -> Prepared:
        """Return some rows, a slice or (k,) row numbers in NumPy, ready for `product`."""

    @abstractmethod
    def product(self, a: Prepared, b: Prepared) -> Any:
        """Return the similarities of prepared rows, (len of a, len of b), a new array."""

    @abstractmethod
    def diagonal(self) -> Array:
        """Return (n,) every sample's similarity with itself."""

    @abstractmethod
    def beside(self, values: Any) -> Similarity:
        """Return other samples under the same similarity, made of the same kind of values."""

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> Similarity:
        """Return some of the samples."""

    def parts(self) -> list[slice]:
        """Return all rows as slices that are prepared and multiplied at a time."""
        return slices(self.n, self.step)

    @property
    def step(self) -> int:
        """Return how many rows are prepared at a time: fewer of very wide ones."""
        return max(64, min(STEP, STEP_NUMBERS // self.width))

    def at(self, part: slice) -> Prepared:
        """Return the prepared rows of one of the parts; they are kept where all of them are small."""
        held = self.__dict__.setdefault("_held", {})
        ready = held.get(part.start)
        if ready is None:
            ready = self.rows(part)
            if self.n * self.width * 8 <= HOLD_BYTES:
                held[part.start] = ready
        return ready

    def walk(self) -> Iterator[tuple[slice, Prepared]]:
        """Yield all parts and their prepared rows."""
        return ((part, self.at(part)) for part in self.parts())

    def columns(self, other: Similarity, which: Any) -> Any:
        """Return (n, k): the similarities of all samples with k rows of `other`."""
        ready = other.rows(which)
        blocks = [self.product(rows, ready) for _, rows in self.walk()]
        return blocks[0] if len(blocks) == 1 else namespace(*blocks).concat(blocks)

    def sums(self, others: Similarity) -> Array:
        """Return (n,) Σ_i s_ji over the other samples, float64."""
        total = np.zeros(self.n)
        for _, there in others.walk():
            for part, here in self.walk():
                total[part] += to_numpy(self.product(here, there)).sum(axis=1, dtype=np.float64)
        return total

    def bounds(self, others: Similarity) -> Array:
        """Return (n,) upper bounds of `sums`, infinite where the sums would take n² products."""
        return np.full(self.n, np.inf)

    def most(self, others: Similarity) -> Array:
        """Return (n,) max_i s_ji over the other samples; 0 where there are none."""
        best = np.zeros(self.n)
        for _, there in others.walk():
            for part, here in self.walk():
                np.maximum(best[part], to_numpy(self.product(here, there)).max(axis=1), out=best[part])
        return best


class CosineSimilarity(Similarity):
    """s = (1 + cos) / 2 in [0, 1]; a row of zeros has cosine 0 with every row.

    Args:
        values: (n, D), an array, memory map or tensor.

    Raises:
        ShapeError, InputError: not (n, D), or a row holds NaN or infinity; the message names it.
    """

    def __init__(self, values: Any) -> None:
        self.points = points(values, "points")
        self.xp = namespace(self.points)
        self.n, self.width = self.points.shape[0], self.points.shape[1] + 1
        self.norms = row_norms(self.points, self.xp, "points")

    def rows(self, which: Any) -> Prepared:
        # (k, D) -> (k, D + 1): the columns (u, 1) / √2 make a plain product of the similarity
        unit = block(self.points, which, self.xp) / as_column(self.norms[which], self.points)
        return self.xp.concat([unit, self.xp.ones_like(unit[:, :1])], axis=1) * 0.5**0.5

    def product(self, a: Prepared, b: Prepared) -> Any:
        return times(a, b)

    def diagonal(self) -> Array:
        return np.where(np.isfinite(self.norms), 1.0, 0.5)

    def beside(self, values: Any) -> CosineSimilarity:
        other = CosineSimilarity(values)
        namespace(self.points, other.points)
        check_shape(other.points, "points", ("n", "D"), (None, self.points.shape[1]))
        return other

    def take(self, rows: NDArray[np.int64]) -> CosineSimilarity:
        return CosineSimilarity(some_rows(self.points, rows))

    def sums(self, others: Similarity) -> Array:
        if not self.n or not others.n:
            return np.zeros(self.n)
        parts = [to_numpy(ready).sum(axis=0, dtype=np.float64) for _, ready in others.walk()]
        # Σ_i x_j·x_i = x_j·(Σ_i x_i): n D work instead of n² D
        total = like(self.points, np.sum(parts, axis=0)[:, None])
        total = self.xp.astype(total, kind_of(self.points, self.xp))
        return np.concatenate([to_numpy(ready @ total)[:, 0] for _, ready in self.walk()]).astype(np.float64)

    def bounds(self, others: Similarity) -> Array:
        return self.sums(others) * (1 + 10 * self.rounding)


class RbfSimilarity(Similarity):
    """s = exp(-gamma ‖x - y‖²) in (0, 1], in float64: distances come from products, which lose digits far from 0.

    Args:
        values: (n, D), an array, memory map or tensor.
        gamma: None: one over the mean squared distance between two of the samples.

    Raises:
        ShapeError, InputError: as `CosineSimilarity`; gamma is not positive.
    """

    def __init__(self, values: Any, gamma: float | None = None) -> None:
        self.points = points(values, "points")
        self.xp = namespace(self.points)
        self.n, self.width = self.points.shape[0], self.points.shape[1] + 1
        row_norms(self.points, self.xp, "points")  # names a row that has none
        if gamma is None:
            # the mean of ‖x - y‖² over all pairs is 2 (mean ‖x‖² - ‖mean x‖²)
            ready = [self.rows(part) for part in slices(self.n)]
            centre = np.sum([to_numpy(self.xp.sum(x, axis=0)) for x, _ in ready], axis=0) / max(1, self.n)
            squares = np.concatenate([np.empty(0), *(to_numpy(own) for _, own in ready)])
            spread = 2 * (squares.mean() - np.square(centre).sum()) if self.n else 0.0
            gamma = 1 / spread if spread > 1e-12 * max(1.0, squares.max(initial=0.0)) else 1.0
        if not (np.isfinite(gamma) and gamma > 0):
            raise InputError(f"gamma must be a positive number; it is {gamma!r}.")
        self.gamma = float(gamma)

    def rows(self, which: Any) -> Prepared:
        x = self.xp.astype(block(self.points, which, self.xp), self.xp.float64)
        return x, self.xp.sum(x * x, axis=1)

    def product(self, a: Prepared, b: Prepared) -> Any:
        squares = a[1][:, None] + b[1][None, :] - 2 * (a[0] @ b[0].T)
        return self.xp.exp(-self.gamma * self.xp.clip(squares, 0, None))

    def diagonal(self) -> Array:
        return np.ones(self.n)

    def beside(self, values: Any) -> RbfSimilarity:
        other = RbfSimilarity(values, self.gamma)
        namespace(self.points, other.points)
        check_shape(other.points, "points", ("n", "D"), (None, self.points.shape[1]))
        return other

    def take(self, rows: NDArray[np.int64]) -> RbfSimilarity:
        return RbfSimilarity(some_rows(self.points, rows), self.gamma)


class GivenSimilarity(Similarity):
    """Similarities that are given as a matrix, for few samples; pool, query and private samples lie in the same one.

    Args:
        matrix: (N, N) of all samples, symmetric, no entry below 0; an array or a tensor.
        rows: which of the N samples these are; None: all.

    Raises:
        ShapeError, InputError: it is not square, not symmetric, or has an entry that is negative or not finite.
    """

    width = 1

    def __init__(self, matrix: Any, rows: Sequence[int] | Array | None = None) -> None:
        self.matrix = points(matrix, "matrix")
        size = self.matrix.shape[0]
        if self.matrix.shape[1] != size:
            raise ShapeError(f"matrix must be square; it has shape {tuple(self.matrix.shape)}.")
        known = to_numpy(self.matrix)
        if not np.isfinite(known).all() or known.min() < 0:
            raise InputError("matrix must hold finite similarities of at least 0.")
        if not np.allclose(known, known.T, rtol=1e-5, atol=1e-6 * max(1.0, float(known.max()))):
            raise InputError("matrix must be symmetric: a sample is as similar to another as that to it.")
        self.xp = namespace(self.matrix)
        self.which = np.arange(size) if rows is None else as_ids(rows, "rows")
        if self.which.size and (self.which.min() < 0 or self.which.max() >= size):
            raise InputError(
                f"rows must lie in 0..{size - 1}; they hold {self.which.min()}..{self.which.max()}."
            )
        self.n = int(self.which.size)

    def rows(self, which: Any) -> Prepared:
        return self.which[which]

    def product(self, a: Prepared, b: Prepared) -> Any:
        kind = kind_of(self.matrix, self.xp)
        if is_tensor(self.matrix):
            a, b = like(self.matrix, a), like(self.matrix, b)
        return self.xp.astype(self.matrix[a][:, b], kind)

    def columns(self, other: Similarity, which: Any) -> Any:
        return self.product(self.which, other.rows(which))

    def diagonal(self) -> Array:
        return to_numpy(self.matrix)[self.which, self.which].astype(np.float64)

    def beside(self, values: Any) -> GivenSimilarity:
        raise InputError(
            "Beside a given matrix, give the other samples as GivenSimilarity(matrix, rows) of the same one."
        )

    def take(self, rows: NDArray[np.int64]) -> GivenSimilarity:
        part = GivenSimilarity.__new__(GivenSimilarity)  # the matrix is known to be sound
        part.matrix, part.xp, part.which, part.n = self.matrix, self.xp, self.which[rows], len(rows)
        return part


def times(a: Any, b: Any) -> Any:
    """Return a bᵀ; of rows of two types in float64, as NumPy does and torch does not."""
    if a.dtype != b.dtype:
        xp = namespace(a, b)
        a, b = xp.astype(a, xp.float64), xp.astype(b, xp.float64)
    return a @ b.T


def similarity_of(values: Any) -> Similarity:
    """Return values as a Similarity: (n, D) points are compared by their cosine."""
    return values if isinstance(values, Similarity) else CosineSimilarity(values)


def slices(n: int, step: int = STEP) -> list[slice]:
    """Return 0..n as slices of some rows each."""
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def row_norms(array: Any, xp: Any, name: str) -> Array:
    """Return (n,) the norms of rows, infinite for rows of zeros, which division then leaves at zero."""
    norms = np.empty(array.shape[0], np.float64)
    for part in slices(norms.size):
        x = block(array, part, xp)
        with np.errstate(over="ignore"):  # such rows are named below
            norms[part] = to_numpy(xp.sqrt(xp.sum(x * x, axis=1)))
    wrong = np.flatnonzero(~np.isfinite(norms))
    if wrong.size:
        raise InputError(f"{name}: row {int(wrong[0])} holds NaN, infinity or values too large to square.")
    norms[norms == 0] = np.inf
    return norms


def as_column(values: Array, array: Any) -> Any:
    """Return NumPy values as a column in the library and computing type of `array`."""
    xp = namespace(array)
    return xp.astype(like(array, as_array(values, "values")), kind_of(array, xp))[:, None]


def some_rows(array: Any, rows: NDArray[np.int64]) -> Any:
    return array[like(array, rows)]
