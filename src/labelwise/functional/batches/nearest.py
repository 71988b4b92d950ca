"""Finds the sample farthest from all centres without measuring every sample against every centre.

Distances to the nearest centre only fall as centres are added, so what was measured once bounds what is true now. Only
the samples with the highest bounds are measured again, many against many centres at a time, until one is proven to be
the highest. Bounds allow for every rounding; where they leave a doubt, the few samples in doubt are measured without
matrix products. The answer is that of measuring all in float64, whatever the blocks and the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count
from labelwise.functional.backend import namespace, rounding, rows_per_block, to_numpy
from labelwise.functional.batches.ranking import top
from labelwise.functional.batches.spaces import Part, Space

CENTRES = 1024  # centres in one product at most
FEW, FIRST, AHEAD, MOST = (
    8,
    32,
    256,
    4096,
)  # samples measured before looking again: draws, farthest, ahead, at most
SAMPLES = 512  # samples in one float64 product at most
NEAR = 32  # samples that missed no more centres than this are measured against as many
KEPT_BYTES = 2**26  # centres stay ready for products while they take no more
SHORT = 1e30  # squares of lengths up to here are multiplied in float32 where bounds are all that is wanted


class Nearest:
    """Bounds on each sample's distance to its nearest centre. Ask only when there is a centre.

    Attributes:
        upper: (n,) the distance is not larger; -1 for samples that are centres themselves.
        measured: how many samples were measured again, one counted as often as it was.
    """

    def __init__(self, space: Space, most: int, given: Space | None = None, block: int | None = None) -> None:
        """Start from centres that are given.

        Args:
            space: the n samples.
            most: how many of them will become centres.
            given: centres that are no samples, (k, width) with k >= 0; None for none.
            block: samples and centres in one product at most; None: as many as fit a few MiB.
        """
        if given is not None:
            namespace(*space.arrays, *given.arrays)  # of one library and device
        self.space, self.given = space, given
        self.block = rows_per_block(space.width) if block is None else check_count(block, "block", 1)
        self.fixed = 0 if given is None else len(given)
        self.chosen: list[int] = []
        n = len(space)
        self.upper = np.full(n, np.inf)
        self.lower = np.full(n, np.inf)  # the distance to the centres seen is not smaller
        self.seen = np.zeros(n, np.int32)  # the first so many centres were measured in float64
        self.measured = 0
        self.ready: Part | None = None
        if (self.fixed + most) * (space.width + 2) * 8 <= KEPT_BYTES and n:
            like_this = space.part(slice(0, 1), precise=True)
            self.ready = Part(
                (), *(_room(self.fixed + most, p) for p in (like_this.right, like_this.own, like_this.size))
            )
            for start, part in self._given(0, precise=True):
                self._keep(start, part)
        self._sweep()

    @property
    def count(self) -> int:
        """How many centres there are."""
        return self.fixed + len(self.chosen)

    def add(self, row: int) -> None:
        """Make a sample a centre."""
        if self.ready is not None:
            self._keep(self.count, self.space.part(np.array([row]), precise=True))
        self.chosen.append(row)
        self.upper[row] = self.lower[row] = -1.0
        if self.count == 1:
            self._sweep()

    def highest(self, factor: NDArray[np.float64] | None = None) -> int | None:
        """Return the sample whose distance times `factor` is the largest, the lowest row among equals.

        Args:
            factor: (n,) finite, none negative; None: 1 for all.

        Returns:
            Its row, no centre's; None where 0 is the largest.
        """
        key = self.upper.copy() if factor is None else self.upper * factor
        key[self.chosen] = -1.0
        look, left = (FIRST if factor is None else FEW), key.size - len(self.chosen)
        rows = known = _leaders(key, min(look, left))
        if factor is None and (self.count - self.seen[rows]).max() > NEAR:
            # the next ones will lead soon, and many at a time are measured against many centres much sooner
            rows = known = _leaders(key, min(AHEAD, left))
        while True:
            self._measure(rows[self.seen[rows] < self.count])
            low, high = self.lower[known], self.upper[known]
            if factor is not None:
                low, high = low * factor[known], high * factor[known]
            key[known] = high
            least = low.max()
            best = int(known[low == least].min())
            rivals = np.flatnonzero(key >= least)
            if rivals.size == 1 and least > 0:
                return best
            if self.lower[best] < self.upper[best]:
                rows = np.array([best])
                self._settle(rows)
                continue
            # best is known to the last digit: what cannot be higher, and stands further down, has lost to it
            rivals = rivals[(key[rivals] > least) | (rivals < best)]
            if not rivals.size:
                return best if least > 0 else None
            stale = rivals[self.seen[rivals] < self.count]
            if stale.size:
                look = min(2 * look, MOST)
                rows = stale[top(key[stale], look)]
                known = np.append(known, rows)
            else:
                rows = rivals[self.lower[rivals] < self.upper[rivals]]
                self._settle(rows)
                known = np.union1d(known, rivals)

    def _measure(self, rows: NDArray[np.int64]) -> None:
        """Tighten the bounds of samples by the centres that they have not seen."""
        self.measured += rows.size
        missed = self.count - self.seen[rows]
        unmet = self.seen[rows] < self.fixed
        for group in (unmet, ~unmet & (missed > NEAR), ~unmet & (missed <= NEAR)):
            for some in self._blocks(rows[group]):
                part = self.space.part(some, precise=True)
                for _, centres in self._centres(int(self.seen[some].min()), precise=True):
                    products = self.space.products(part, centres)
                    for sign, bounds in ((1, self.upper), (-1, self.lower)):
                        found = self._bound(part, centres, products, sign).min(axis=1)
                        bounds[some] = np.minimum(bounds[some], np.maximum(found, 0))
                self.seen[some] = self.count

    def _settle(self, rows: NDArray[np.int64]) -> None:
        """Measure samples that have seen all centres to the last digit, without products."""
        for some in self._blocks(rows):
            part, mine = self.space.part(some, precise=True), self.space.doubles(some)
            exact = np.full(some.size, np.inf)
            for start, centres in self._centres(0, precise=True):
                low = np.maximum(self._bound(part, centres, self.space.products(part, centres), -1), 0)
                near = low.argmin(axis=1)
                theirs = self._doubles(start + near)
                exact = np.minimum(exact, self.space.gap(mine, theirs))
                low[np.arange(some.size), near] = np.inf
                i, j = np.nonzero(low < np.minimum(exact, self.upper[some])[:, None])
                for pairs in self._blocks(np.arange(i.size)):
                    a, b = tuple(v[i[pairs]] for v in mine), self._doubles(start + j[pairs])
                    np.minimum.at(exact, i[pairs], self.space.gap(a, b))
            self.upper[some] = self.lower[some] = exact

    def _sweep(self) -> None:
        """Bound all samples by all centres, in float32 where they lie: quick, and never too low."""
        short = max(self.space.largest, 0.0 if self.given is None else self.given.largest) < SHORT
        for _, centres in self._centres(0, precise=not short):
            per_block = max(1, min(self.block, rows_per_block(len(centres.own))))
            for start in range(0, len(self.space), per_block):
                rows = slice(start, start + per_block)
                part = self.space.part(rows, precise=not short)
                found = self._bound(part, centres, self.space.products(part, centres), 1)
                least = to_numpy(namespace(found).min(found, axis=1))
                self.upper[rows] = np.minimum(self.upper[rows], np.maximum(least, 0))

    def _bound(self, part: Part, centres: Part, products: Any, sign: int) -> Any:
        """Return bounds (k, m) on distances, from above (sign 1) or below (-1).

        A product over w terms in a precision u is off by at most w u |x||y|, the lengths by as much, and shifting,
        dividing and adding up by a few u more: together less than 2 (w + 16) u (size_i + size_j).
        """
        unit, tiny = rounding(products)
        slack = sign * 2 * (self.space.width + 16) * unit
        # what underflows is lost whole, and of two factors the other may make much of it
        under = sign * 4 * self.space.width * tiny * (1 + self.space.largest)
        mine, theirs = (p.own + slack * p.size for p in (part, centres))
        found = products * -2
        found += theirs[None, :]
        found += (mine + under)[:, None]
        return found

    def _centres(self, start: int, *, precise: bool) -> Iterator[tuple[int, Part]]:
        """Yield the centres from `start` on, some at a time, and the number of the first of them."""
        most = min(CENTRES, self.block)
        if precise and self.ready is not None:
            for first in range(start, self.count, most):
                yield first, self.ready.rows(slice(first, min(first + most, self.count)))
            return
        yield from self._given(start, precise=precise)
        for first in range(max(start - self.fixed, 0), len(self.chosen), most):
            rows = np.array(self.chosen[first : first + most])
            yield self.fixed + first, self.space.part(rows, precise=precise)

    def _given(self, start: int, *, precise: bool) -> Iterator[tuple[int, Part]]:
        most = min(CENTRES, self.block)
        for first in range(start, self.fixed, most):
            assert self.given is not None
            yield first, self.given.part(slice(first, min(first + most, self.fixed)), precise=precise)

    def _keep(self, start: int, part: Part) -> None:
        assert self.ready is not None
        kept = self.ready.rows(slice(start, start + len(part.own)))
        for mine, theirs in zip(
            (*kept.right, kept.own, kept.size), (*part.right, part.own, part.size), strict=True
        ):
            mine[...] = theirs

    def _doubles(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        """Return the values of centres by their number."""
        own = numbers >= self.fixed
        rows = np.array(self.chosen, np.int64)[numbers[own] - self.fixed]
        found = self.space.doubles(rows)
        if self.given is None:
            return found
        whole = tuple(np.empty((numbers.size, f.shape[1])) for f in found)
        for into, of_chosen, of_given in zip(whole, found, self.given.doubles(numbers[~own]), strict=True):
            into[own], into[~own] = of_chosen, of_given
        return whole

    def _blocks(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, rows.size, min(SAMPLES, self.block)):
            yield rows[start : start + min(SAMPLES, self.block)]


def race(rng: np.random.Generator, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return factors, 1 at most, that make the highest of distance times factor a draw in proportion to weight times distance.

    Of independent exponential waiting times E_i / w_i the shortest is the i-th with probability w_i / Σ w: a draw that
    needs no sums, and of all distances only the few that bounds leave in the race.
    """
    # E = 0 comes once in 2^63 draws, and its inverse must be finite
    factors = weights / np.maximum(rng.standard_exponential(weights.size), 1e-20)
    factors /= factors.max(initial=0) or 1  # no product with a distance may overflow
    return factors


def farthest_from(space: Space, point: Space) -> int:
    """Return the row that is farthest from one given point, the lowest among equals."""
    return Nearest(space, 0, point).highest() or 0


def filled(chosen: list[int], n: int, m: int) -> NDArray[np.int64]:
    """Return n of m rows: those chosen, then the lowest of the others."""
    others = np.ones(m, bool)
    others[chosen] = False
    missing = np.flatnonzero(others)[: n - len(chosen)]
    return np.append(np.array(chosen, np.int64), missing)


def _leaders(key: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Return the n rows with the highest keys, the lowest among equals, reading all keys only twice.

    The n-th highest of the maxima of short runs is a threshold that at least n keys reach, and few more.
    """
    run = 64
    whole = key.size // run * run
    peaks = np.append(key[:whole].reshape(-1, run).max(axis=1), key[whole:])
    rows = (
        np.flatnonzero(key >= np.partition(peaks, peaks.size - n)[peaks.size - n])
        if peaks.size > n
        else np.arange(key.size)
    )
    return rows[top(key[rows], n)]


def _room(rows: int, like_this: Any) -> Any:
    """Return empty arrays for so many rows of what is given, an array or a tuple of them."""
    if isinstance(like_this, tuple):
        return tuple(_room(rows, array) for array in like_this)
    return np.empty((rows, *like_this.shape[1:]))
