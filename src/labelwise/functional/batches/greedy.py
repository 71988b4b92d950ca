"""Greedy maximisation of set functions: lazy and exact, or on samples with a guarantee; and pools in parts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import ceil, log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_name
from labelwise.errors import InputError
from labelwise.seeds import generator

EXACT_BELOW = 5_000  # rows up to which `method="auto"` is exact: a few seconds
PART = 20_000  # rows of a part, for measures whose work or memory grows faster than n b
FIRST, MOST = 64, 1024  # candidates whose gains are looked at together: at first, and at most


class Objective(Protocol):
    """A monotone submodular set function under construction.

    Attributes:
        slack: gains that differ by this share of the larger count as equal: they may in truth be, as those of two
            samples that are nearest to each other, and rounding must not choose.
    """

    slack: float

    def bounds(self) -> Array:
        """Return (n,) upper bounds of the gains of the empty set."""

    def gains(self, rows: NDArray[np.int64]) -> Array:
        """Return (k,) f(A + row) - f(A) for some rows, A what was added."""

    def add(self, row: int) -> None:
        """Add a row to A."""


class Tabled(Protocol):
    """A set function that keeps all its gains at hand; `slack` is a share of the largest gain of the empty set."""

    slack: float

    def table(self) -> Array:
        """Return (n,) f(A + row) - f(A) for all rows."""

    def add(self, row: int) -> None:
        """Add a row to A."""


def sample_size(pool: int, n: int, method: str, epsilon: float) -> int | None:
    """Return how many candidates each step looks at: None for all.

    Raises:
        UnknownName: the method is not "lazy", "stochastic" or "auto".
        InputError: epsilon is not in (0, 1).
    """
    check_name(method, ("auto", "lazy", "stochastic"), "method")
    if not 0 < epsilon < 1:
        raise InputError(f"epsilon must lie between 0 and 1; it is {epsilon!r}.")
    if method == "lazy" or (method == "auto" and pool <= EXACT_BELOW) or n == 0:
        return None
    return ceil(pool / n * log(1 / epsilon))


def lazy_greedy(
    objective: Objective, n: int, sample: int | None = None, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return n rows, each with the largest gain at its turn; the lowest row of several.

    Gains of a submodular function only fall. So a gain of an earlier step bounds today's, and only candidates whose
    bound exceeds the best gain hopes must be looked at again, in blocks, as matrix products. The result is that of
    looking at all.

    Args:
        objective: monotone and submodular.
        n: how many rows, at most as many as there are.
        sample: candidates that each step looks at, drawn without replacement; None: all.
        rng: draws them; None: a fixed seed.

    Source:
        Minoux 1978, "Accelerated Greedy Algorithms for Maximizing Submodular Set Functions"; Mirzasoleiman, Badanidiyuru,
        Karbasi, Vondrák, Krause 2015, "Lazier Than Lazy Greedy".
    """
    bounds = objective.bounds()
    rng = rng or generator(0, "submodular", "sample")
    left = np.arange(bounds.size)
    picks = np.empty(n, np.int64)
    for turn in range(n):
        play = left
        if sample is not None and sample < left.size:
            play = left[np.sort(rng.choice(left.size, sample, replace=False))]
        best = _best(objective, bounds, play)
        objective.add(best)
        picks[turn] = best
        left = left[left != best]
    return picks


def _best(objective: Objective, bounds: Array, play: NDArray[np.int64]) -> int:
    hopes = bounds[play]
    stale = np.ones(play.size, bool)
    least, count = -np.inf, FIRST  # what a candidate must reach to be among the best
    while True:
        if (highest := hopes.max()) <= 0:  # no gain is negative: a bound of 0 is the gain
            return int(play[np.argmax(hopes == highest)])
        reaches = hopes >= least
        if not (reaches & stale).any():
            return int(play[np.argmax(reaches)])
        old = np.flatnonzero(stale)
        if old.size > count:
            old = np.sort(old[np.argpartition(-hopes[old], count)[:count]])
        hopes[old] = objective.gains(play[old])
        bounds[play[old]] = hopes[old]
        stale[old] = False
        least = hopes[~stale].max() * (1 - objective.slack)
        count = min(2 * count, MOST)


def tabled_greedy(objective: Tabled, n: int) -> NDArray[np.int64]:
    """Return n rows, each with the largest gain at its turn; the lowest row of several.

    Exact for any set function, submodular or not.
    """
    picks = np.empty(n, np.int64)
    slack = objective.slack * float(np.abs(objective.table()).max()) if n else 0.0
    for turn in range(n):
        gains = np.array(objective.table(), np.float64)
        gains[picks[:turn]] = -np.inf
        picks[turn] = np.argmax(gains >= gains.max() - slack)
        if turn + 1 < n:
            objective.add(int(picks[turn]))
    return picks


def in_parts(
    pool: int,
    n: int,
    parts: int,
    pick: Callable[[NDArray[np.int64] | None, int], NDArray[np.int64]],
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows chosen part by part, the first choices of all parts before their second ones.

    Args:
        pool: number of rows.
        n: how many to choose, at most `pool`.
        parts: how many random parts of equal size, to one row; each has its exact share of n.
        pick: (rows of a part, or None for all; its share) -> chosen positions in that part.
        rng: splits the pool; None: a fixed seed.
    """
    if parts <= 1:
        return pick(None, n)
    order = (rng or generator(0, "submodular", "parts")).permutation(pool)
    cuts = [pool * p // parts for p in range(parts + 1)]
    turns, found = [], []
    for low, high in pairwise(cuts):
        rows = np.sort(order[low:high])
        share = n * high // pool - n * low // pool  # the shares add up to n, and none exceeds its part
        found.append(rows[pick(rows, share)])
        turns.append(np.arange(share))
    return np.concatenate(found)[np.argsort(np.concatenate(turns), kind="stable")]


def wanted(n: int, pool: int) -> int:
    """Return how many rows a batch has: n, or all of a smaller pool."""
    return min(check_count(n, "n"), pool)
