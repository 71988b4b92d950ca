"""Fisher information of a linear last layer: how uncertain its parameters are, and what each row would change."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray
from scipy.linalg import helmert

from labelwise.functional.backend import like, namespace, to_numpy

BLOCK_BYTES = 4 * 2**20
SAME = (
    1e-9  # gains that differ by this share of the highest are one tie: rounding must not decide between twins
)
FRESH = 1e-3  # share of the trace below which the sums of updates are computed anew, before rounding shows


class FullFisher:
    """All of M⁻¹; each row keeps X = V M⁻¹ Vᵀ and Y = V M⁻¹ F M⁻¹ Vᵀ, (K, K) with K = C - 1, weighted as it is added.

    No sample tells anything of what all classes share. Classes are therefore turned into K orthonormal contrasts,
    matrices are (KD, KD), and λ⁻¹ of the direction left out cannot blow up rounding. By Woodbury's identity adding a row lowers the trace by tr((I + X)⁻¹ Y), removing it raises it by tr((I - X)⁻¹ Y).
    """

    def __init__(self, p: Any, h: Any, known_p: Any, known_h: Any, lam: float, n: int) -> None:
        self.xp = xp = namespace(p, h)
        self.p, self.h = p, h
        known = len(known_p)
        self.rank, self.width = p.shape[1] - 1, h.shape[1]
        self.basis = like(h, helmert(p.shape[1]))  # (K, C)
        self.weight = n / (known + n)
        self.lam, self.seen = lam, (known_p, known_h)
        self.mean = (self._information(p, h) + self._information(known_p, known_h)) / (len(p) + known)
        shape = (len(p), self.rank, self.rank)
        self.x = xp.empty(shape, dtype=xp.float64, device=device(h))
        self.y = xp.empty(shape, dtype=xp.float64, device=device(h))
        self.chosen: list[int] = []
        self._anew()

    def _anew(self) -> None:
        """Compute all that is kept from the rows chosen so far."""
        xp = self.xp
        rows = like(self.h, np.array(self.chosen, dtype=np.int64))
        m = self.weight * self._information(self.p[rows], self.h[rows])
        m += (1 - self.weight) / max(1, len(self.seen[0])) * self._information(*self.seen)
        m += self.lam * xp.eye(m.shape[0], dtype=xp.float64, device=device(self.h))
        self.inverse = xp.linalg.inv(m)
        del m
        self.trace = self.start = float(xp.sum(self.inverse * self.mean))
        self.cross = self.inverse @ self.mean @ self.inverse  # M⁻¹ F M⁻¹
        for part in self._blocks():
            contrasts, z = self._contrasts(part), _rows(self.h, part, xp)
            for matrix, kept in ((self.inverse, self.x), (self.cross, self.y)):
                kept[part] = (
                    self.weight * xp.matrix_transpose(contrasts) @ self._within(matrix, z) @ contrasts
                )

    def best(self, free: NDArray[np.bool_]) -> int:
        gains = np.where(free, self._gains(+1), -np.inf)
        highest = gains.max()
        return int(np.flatnonzero(gains >= highest - SAME * abs(highest))[0])

    def costs(self) -> NDArray[np.float64]:
        return self._gains(-1)

    def keep(self, rows: NDArray[np.int64]) -> None:
        taken = like(self.h, rows)
        self.p, self.h, self.x, self.y = self.p[taken], self.h[taken], self.x[taken], self.y[taken]

    def move(self, row: int, sign: int) -> None:
        self._update(row, sign)
        if sign > 0:
            self.chosen.append(row)
            if self.trace < FRESH * self.start:
                self._anew()

    def _update(self, row: int, sign: int) -> None:
        xp, only = self.xp, slice(row, row + 1)
        contrasts, z = self._contrasts(only)[0], _rows(self.h, only, xp)[0]
        # (I ± X)⁻¹ = R Rᵀ; where rows are all but removed twice, rounding must not turn it around
        values, vectors = xp.linalg.eigh(sign * self.x[row])
        root = vectors / xp.sqrt(xp.clip(1 + values, 1e-12))
        middle = root.T @ self.y[row] @ root
        self.trace -= sign * float(xp.sum(xp.linalg.diagonal(middle)))
        # M⁻¹ and M⁻¹ F M⁻¹ change by ∓ u uᵀ and ∓ (u vᵀ + v uᵀ)
        scale = self.weight**0.5
        u = scale * self._columns(self.inverse, z, contrasts) @ root
        v = scale * self._columns(self.cross, z, contrasts) @ root - (sign / 2) * (u @ middle)
        self.inverse -= sign * (u @ u.T)
        product = u @ v.T
        self.cross -= sign * product
        self.cross -= sign * product.T
        both = xp.reshape(xp.concat([u, v], axis=1), (self.rank, self.width, 2 * self.rank))
        both = xp.reshape(xp.permute_dims(both, (1, 0, 2)), (self.width, 2 * self.rank**2))
        for rows in self._blocks():
            z = _rows(self.h, rows, xp)
            seen = xp.reshape(z @ both, (len(z), self.rank, 2 * self.rank))
            seen = scale * (xp.matrix_transpose(self._contrasts(rows)) @ seen)
            to_u, to_v = seen[:, :, : self.rank], seen[:, :, self.rank :]
            self.x[rows] -= sign * (to_u @ xp.matrix_transpose(to_u))
            product = to_u @ xp.matrix_transpose(to_v)
            self.y[rows] -= sign * (product + xp.matrix_transpose(product))

    def _gains(self, sign: int) -> NDArray[np.float64]:
        xp = self.xp
        gains = np.zeros(len(self.p))
        unit = xp.eye(self.rank, dtype=xp.float64, device=device(self.h))
        for rows in self._blocks():
            solved = xp.linalg.solve(unit + sign * self.x[rows], self.y[rows])
            gains[rows] = to_numpy(xp.sum(xp.linalg.diagonal(solved), axis=-1))
        return gains

    def _blocks(self) -> list[slice]:
        step = max(1, BLOCK_BYTES // (16 * (self.rank + 1) * max(self.rank, self.width)))
        return [slice(start, min(start + step, len(self.p))) for start in range(0, len(self.p), step)]

    def _information(self, p: Any, h: Any) -> Any:
        """Return Σ_x Q (diag p - p pᵀ) Qᵀ ⊗ h hᵀ, (KD, KD) contrast-major."""
        xp, classes, width = self.xp, self.rank + 1, self.width
        total = xp.zeros((classes * width, classes * width), dtype=xp.float64, device=device(h))
        own = xp.reshape(total, (classes, width, classes, width))
        step = max(1, 4 * BLOCK_BYTES // (8 * classes * width))
        for start in range(0, len(p), step):
            rows = slice(start, start + step)
            q, z = _distributions(p, rows, xp), _rows(h, rows, xp)
            spread = xp.reshape(q[:, :, None] * z[:, None, :], (-1, classes * width))
            total -= spread.T @ spread
            for k in range(classes):
                own[k, :, k, :] += z.T @ (q[:, k, None] * z)
        total = self.basis @ xp.reshape(total, (classes, -1))
        total = self.basis @ xp.reshape(total, (self.rank * width, classes, width))
        return xp.reshape(total, (self.rank * width, self.rank * width))

    def _contrasts(self, rows: slice) -> Any:
        """Return Q L with L Lᵀ = diag p - p pᵀ, (r, K, K): column i of L sets class i against all that follow it.

        The Cholesky factor of a multinomial's covariance: Tanabe, Sagae 1992. Sums of tails, never differences, make
        it exact where probabilities are zero.
        """
        xp = self.xp
        q = _distributions(self.p, rows, xp)
        tails = xp.flip(xp.cumulative_sum(xp.flip(q, axis=1), axis=1), axis=1)
        here, after = tails[:, :-1], tails[:, 1:]
        both = here * after
        usable = both > 0
        down = xp.where(
            usable, xp.sqrt(q[:, :-1] / xp.where(usable, both, xp.ones_like(both))), xp.zeros_like(both)
        )
        order = xp.arange(self.rank + 1, device=device(q))
        below = xp.astype(order[:, None] > order[None, :-1], xp.float64)
        contrasts = (-q[:, :, None] * below) * down[:, None, :]
        contrasts[:, order[:-1], order[:-1]] = after * down
        return self.basis @ contrasts

    def _within(self, matrix: Any, z: Any) -> Any:
        """Return hᵀ M_kl h of all pairs of contrasts, (r, K, K)."""
        xp, rank, width = self.xp, self.rank, self.width
        found = xp.empty((len(z), rank, rank), dtype=xp.float64, device=device(z))
        for k in range(rank):  # the matrix is symmetric: half of it tells all
            half = matrix[k * width : (k + 1) * width, k * width :]
            values = (xp.reshape(z @ half, (len(z), rank - k, width)) @ z[:, :, None])[:, :, 0]
            found[:, k, k:] = values
            found[:, k:, k] = values
        return found

    def _columns(self, matrix: Any, z: Any, contrasts: Any) -> Any:
        """Return M Vᵀ of one row, (KD, K)."""
        blocks = self.xp.reshape(matrix, (-1, self.rank, self.width))
        return (blocks @ z) @ contrasts


class DiagonalFisher:
    """The diagonals of all matrices, (C, D): I(x) = p (1 - p) ⊗ h².

    The trace is then a sum of convex functions of sums, hence a row's gain only falls as others are added: gains of
    earlier picks are bounds, and few rows are looked at again.
    """

    def __init__(self, p: Any, h: Any, known_p: Any, known_h: Any, lam: float, n: int) -> None:
        self.xp = namespace(p, h)
        self.p, self.h = p, h
        known = len(known_p)
        self.weight = n / (known + n)
        seen = self._information(known_p, known_h)
        self.mean = (self._information(p, h) + seen) / (len(p) + known)
        self.m = seen / (known + n) + lam
        self.bounds = self._gains(np.arange(len(p)), +1)
        self.stale = np.zeros(len(p), bool)

    @property
    def trace(self) -> float:
        return float(self.xp.sum(self.mean / self.m))

    def best(self, free: NDArray[np.bool_]) -> int:
        looked = 16
        while True:
            bounds = np.where(free, self.bounds, -np.inf)
            highest = bounds.max()
            near = bounds >= highest - SAME * abs(highest)
            if (
                highest == 0 or not self.stale[near].any()
            ):  # no gain is negative: a bound of 0 is the gain itself
                return int(np.flatnonzero(near)[0])
            short = np.argpartition(-bounds, min(looked, bounds.size - 1))[:looked]
            again = np.union1d(short, np.flatnonzero(near))
            again = again[self.stale[again] & free[again]]
            self.bounds[again] = self._gains(again, +1)
            self.stale[again] = False
            looked *= 2

    def costs(self) -> NDArray[np.float64]:
        return self._gains(np.arange(len(self.p)), -1)

    def keep(self, rows: NDArray[np.int64]) -> None:
        taken = like(self.h, rows)
        self.p, self.h = self.p[taken], self.h[taken]

    def move(self, row: int, sign: int) -> None:
        variance, squares = self._parts(slice(row, row + 1))
        self.m = self.m + sign * self.weight * (variance.T @ squares)
        self.stale[:] = True

    def _gains(self, rows: NDArray[np.int64], sign: int) -> NDArray[np.float64]:
        gains = np.empty(rows.size)
        step = max(1, BLOCK_BYTES // (8 * self.p.shape[1] * self.h.shape[1]))
        for start in range(0, rows.size, step):
            variance, squares = self._parts(rows[start : start + step])
            added = self.weight * variance[:, :, None] * squares[:, None, :]
            change = self.mean * added / (self.m * (self.m + sign * added))
            gains[start : start + step] = to_numpy(self.xp.sum(change, axis=(1, 2)))
        return gains

    def _information(self, p: Any, h: Any) -> Any:
        xp = self.xp
        total = xp.zeros((p.shape[1], h.shape[1]), dtype=xp.float64, device=device(h))
        step = max(1, BLOCK_BYTES // (8 * (p.shape[1] + h.shape[1])))
        for start in range(0, len(p), step):
            variance, squares = self._parts(slice(start, start + step), p, h)
            total += variance.T @ squares
        return total

    def _parts(self, rows: Any, p: Any = None, h: Any = None) -> tuple[Any, Any]:
        q = _distributions(self.p if p is None else p, rows, self.xp)
        return q * (1 - q), _rows(self.h if h is None else h, rows, self.xp) ** 2


def _rows(array: Any, rows: Any, xp: Any) -> Any:
    """Return some rows in float64: traces are differences of large numbers."""
    return xp.astype(array[rows if isinstance(rows, slice) else like(array, rows)], xp.float64)


def _distributions(p: Any, rows: Any, xp: Any) -> Any:
    q = _rows(p, rows, xp)
    return q / xp.sum(q, axis=1, keepdims=True)  # short floats sum to one up to their rounding only
