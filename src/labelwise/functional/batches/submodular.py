"""Submodular batches: cover the pool, avoid redundancy, span the most volume; and the functions behind the measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.backend import is_tensor, like, namespace, to_numpy
from labelwise.functional.batches.greedy import (
    PART,
    in_parts,
    lazy_greedy,
    sample_size,
    tabled_greedy,
    wanted,
)
from labelwise.functional.batches.similarity import Similarity, similarity_of
from labelwise.functional.blocks import thread_count

COVER_PART = 50_000  # rows of a part where work grows with its square
LEAST_PARTS = 2  # of clients that are worth a thread
MOST_WEIGHT = 1e6  # of eta, nu and lam: what it is added to would be rounding beside more
CHAIN_BYTES = 64 * 2**20  # of Cholesky rows; a pool that would take more is split into more parts


def facility_location(
    points: Any, n: int, *, method: str = "auto", epsilon: float = 0.1, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return n rows that represent the pool: greedy for f(A) = Σ_i max_{j in A} s_ij over all rows i.

    Args:
        points: (n, D), compared by s = (1 + cos) / 2, or a Similarity; NumPy arrays, memory maps, tensors.
        n: how many rows; all of them where there are fewer.
        method: "lazy": exact greedy, f(A) >= (1 - 1/e) of the best possible. "stochastic": each step looks at a sample
            of (pool / n) ln(1/epsilon) rows, f(A) >= 1 - 1/e - epsilon of the best in expectation, in at most
            pool · ln(1/epsilon) looks. "auto": lazy up to 5,000 rows, stochastic above.
        epsilon: of the guarantee, in (0, 1).
        rng: draws the samples, and the parts of a pool above 50,000 rows, each of which represents itself with its
            share of n; None: a fixed seed.

    Returns:
        (min(n, pool),) distinct rows in the order of choice; of gains that are equal but for rounding the lowest row.

    Raises:
        ShapeError, InputError: points are not (n, D), hold NaN, or an argument is out of range.

    Source:
        Nemhauser, Wolsey, Fisher 1978, "An Analysis of Approximations for Maximizing Submodular Set Functions";
        Mirzasoleiman and others 2015, "Lazier Than Lazy Greedy".
    """
    return maximise(similarity_of(points), n, "fl", method=method, epsilon=epsilon, rng=rng)


def graph_cut(points: Any, n: int, *, lam: float = 0.5) -> NDArray[np.int64]:
    """Return n rows like many others and unlike one another: greedy for Σ_{i, j in A} s_ij - lam Σ_{i in A, j in A} s_ij.

    Monotone for lam <= 1/2, where exact greedy has (1 - 1/e) of the best possible; submodular for all lam >= 0.

    Args, Returns, Raises: as `facility_location`; lam >= 0 weighs redundancy.

    Source:
        Iyer, Khargoankar, Bilmes, Asnani 2021, "Submodular Combinatorial Information Measures", section 3.
    """
    return maximise(similarity_of(points), n, "gc", lam=lam)


def log_determinant(
    points: Any, n: int, *, lam: float = 1.0, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return n rows that span the most volume: greedy for ln det(S_A + lam I), a determinantal process's mode.

    Args, Returns, Raises: as `facility_location`.
        lam: > 0; keeps duplicates from having no volume at all. From 1 on f is monotone.
        rng: draws the parts of a pool above 20,000 rows, or of one whose Cholesky rows would take above 64 MiB; each
            part spans its own volume with its share of n. None: a fixed seed.

    Source:
        Chen, Zhang, Zhou 2018, "Fast Greedy MAP Inference for Determinantal Point Process to Improve Recommendation
        Diversity": O(pool · n²) instead of O(pool · n⁴).
    """
    return maximise(similarity_of(points), n, "logdet", lam=lam, rng=rng)


def maximise(
    pool: Similarity,
    n: int,
    measure: str,
    *,
    query: Similarity | None = None,
    private: Similarity | None = None,
    eta: float = 1.0,
    nu: float = 1.0,
    lam: float | None = None,
    method: str = "auto",
    epsilon: float = 0.1,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows by greedy maximisation of any measure; the public functions say what each argument means."""
    count = wanted(n, len(pool))
    weight = check_weights(measure, eta, nu, lam)
    sample_size(len(pool), count, method, epsilon)  # looks at method and epsilon
    if count == 0:
        return np.empty(0, np.int64)
    if measure in ("gc", "gccg", "gcmi"):
        return tabled_greedy(_Cut(pool, measure, query, private, nu, weight), count)

    def volume(rows: NDArray[np.int64] | None, share: int) -> NDArray[np.int64]:
        part = pool if rows is None else pool.take(rows)
        return tabled_greedy(_Volume(part, share, query, private, eta, nu, weight), share)

    def coverage(rows: NDArray[np.int64] | None, share: int) -> NDArray[np.int64]:
        part = pool if rows is None else pool.take(rows)
        objective = _coverage(part, measure, query, private, eta, nu)
        with threadpool_limits(1, user_api="blas"):  # the threads are ours: many small products, each on one
            return lazy_greedy(objective, share, sample_size(len(part), share, method, epsilon), rng)

    from threadpoolctl import threadpool_limits

    if measure.startswith("logdet"):
        return in_parts(len(pool), count, _volume_parts(pool, count, query, private), volume, rng)
    linear = measure in ("fl2mi", "com")  # work grows with the pool times the query set
    return in_parts(len(pool), count, 1 if linear else ceil(len(pool) / COVER_PART), coverage, rng)


def _volume_parts(pool: Similarity, n: int, query: Similarity | None, private: Similarity | None) -> int:
    """Return into how many parts a pool is split so that none is large and the Cholesky rows of none are."""
    known = sum(len(others) for others in (query, private) if others is not None)
    cell = pool.itemsize * (1 if query is None else 2)
    parts = ceil(len(pool) / PART)
    while parts < n and ceil(len(pool) / parts) * (known + ceil(n / parts)) * cell > CHAIN_BYTES:
        parts += 1
    return parts


def check_weights(measure: str, eta: float, nu: float, lam: float | None) -> float:
    """Return lam, or the measure's own where it is None: 1/2 for graph cuts, 1 for log-determinants.

    Raises:
        InputError: eta, nu or lam is out of range.
    """
    volume = measure.startswith("logdet")
    lam = (1.0 if volume else 0.5) if lam is None else lam
    most = 1.0 if volume else MOST_WEIGHT  # above 1 the scaled similarities are those of no points
    for name, value in (("eta", eta), ("nu", nu)):
        if not 0 <= value <= most:
            raise InputError(f"{name} must lie in [0, {most:g}] for {measure}; it is {value!r}.")
    if not 0 <= lam <= MOST_WEIGHT or (volume and lam == 0):
        least = "above 0" if volume else "at least 0"
        raise InputError(f"lam must be {least} and at most {MOST_WEIGHT:g}; it is {lam!r}.")
    return float(lam)


def _coverage(
    pool: Similarity,
    measure: str,
    query: Similarity | None,
    private: Similarity | None,
    eta: float,
    nu: float,
) -> _Coverage:
    """Return one of the monotone submodular functions that are sums over clients of what A is to each."""
    none = pool.take(np.empty(0, np.int64))
    asked, avoided = none if query is None else query, none if private is None else private
    if measure == "com":
        return _Mass(pool, asked, bonus=eta * np.log1p(pool.sums(asked)))
    if measure == "fl2mi":
        return _Coverage(pool, asked, bonus=eta * pool.most(asked))
    cap = eta * pool.most(asked) if measure in ("fl1mi", "flcmi") else None
    floor = nu * pool.most(avoided) if measure in ("flcg", "flcmi") else None
    return _Coverage(pool, pool, floor=floor, cap=cap)


class _Coverage:
    """Σ_i max(min(max_{j in A} s_ij, cap_i) - floor_i, 0) over clients i, plus Σ_{j in A} bonus_j."""

    def __init__(
        self,
        pool: Similarity,
        clients: Similarity,
        floor: Array | None = None,
        cap: Array | None = None,
        bonus: Array | None = None,
    ) -> None:
        self.pool, self.clients, self.bonus, self.slack = pool, clients, bonus, pool.rounding
        one = pool.product(pool.rows(slice(0, 1)), pool.rows(slice(0, 1)))  # tells library, device and type
        self.xp = namespace(one)

        def laid(values: Array) -> Any:
            return self.xp.astype(like(one, values), one.dtype)

        # what every client has, or would have to be given before anything counts
        self.level = laid(np.zeros(len(clients)) if floor is None else floor)
        self.cap = None if cap is None else laid(cap)

    def bounds(self) -> Array:
        # s bounds what it adds; of few clients the sums are cheap, of the whole pool only for some similarities
        whole = self.clients is self.pool
        sums = (
            self.pool.bounds(self.clients) if whole else self.pool.sums(self.clients) * (1 + 10 * self.slack)
        )
        return sums if self.bonus is None else sums + self.bonus

    def gains(self, rows: NDArray[np.int64]) -> Array:
        if len(rows) > (most := self.pool.step):
            return np.concatenate([self.gains(rows[i : i + most]) for i in range(0, len(rows), most)])
        ready, parts = self.pool.rows(rows), self.clients.parts()

        def added(some: list[slice]) -> list[Any]:
            there = ((part, self.clients.at(part)) for part in some)
            return [self.xp.sum(self._added(self.pool.product(c, ready), part), axis=0) for part, c in there]

        workers = 1 if is_tensor(self.level) else max(1, min(thread_count(), len(parts) // LEAST_PARTS))
        cuts = [len(parts) * w // workers for w in range(workers + 1)]
        shares = [parts[low:high] for low, high in pairwise(cuts)]
        if workers == 1:
            sums = added(parts)
        else:
            with ThreadPoolExecutor(workers, thread_name_prefix="labelwise-gains") as threads:
                sums = [one for share in threads.map(added, shares) for one in share]
        # added up in the order of the parts, so that no number of threads changes a gain
        gains = to_numpy(sum(sums[1:], sums[0])).astype(np.float64) if sums else np.zeros(len(rows))
        return gains if self.bonus is None else gains + self.bonus[rows]

    def add(self, row: int) -> None:
        ready = self.pool.rows(np.array([row]))
        for part, there in self.clients.walk():
            self._take(self.pool.product(there, ready)[:, 0], part)

    def _added(self, s: Any, part: slice) -> Any:
        """Return what each row of a block would add at each client, overwriting their similarities (clients, rows)."""
        s -= self.level[part, None]
        # where the cap lies below the level, clip gives the cap's negative distance; it is cut off in turn
        if self.cap is not None:
            s = self.xp.minimum(s, (self.cap[part] - self.level[part])[:, None])
        return self.xp.clip(s, 0, None)

    def _take(self, s: Any, part: slice) -> None:
        if self.cap is not None:
            s = self.xp.minimum(s, self.cap[part])
        self.level[part] = self.xp.maximum(self.level[part], s)


class _Mass(_Coverage):
    """Σ_i ln(1 + Σ_{j in A} s_ij) over clients i, plus Σ_{j in A} bonus_j; `level` is the sum so far."""

    def _added(self, s: Any, part: slice) -> Any:
        return self.xp.log1p(s / (1 + self.level[part, None]))  # ln(1 + l + s) - ln(1 + l)

    def _take(self, s: Any, part: slice) -> None:
        self.level[part] += s


class _Cut:
    """Σ_{j in A} worth_j - lam Σ_{i, j in A} s_ij with all gains at hand."""

    def __init__(
        self, pool: Similarity, measure: str, query: Similarity | None, private: Similarity | None, nu: float, lam: float
    ) -> None:  # fmt: skip
        self.pool, self.slack, self.redundancy = pool, pool.rounding, 0.0 if measure == "gcmi" else lam
        if measure == "gcmi":
            self.gains = 2 * lam * (np.zeros(len(pool)) if query is None else pool.sums(query))
            return
        self.gains = pool.sums(pool) - lam * pool.diagonal()
        if private is not None:
            self.gains -= 2 * lam * nu * pool.sums(private)

    def table(self) -> Array:
        return self.gains

    def add(self, row: int) -> None:
        if self.redundancy:
            column = to_numpy(self.pool.columns(self.pool, np.array([row])))[:, 0]
            self.gains -= 2 * self.redundancy * column.astype(np.float64)


class _Volume:
    """ln det of A given the private set, less that given private and query sets: all log-determinant measures.

    With neither set it is ln det(S_A + lam I); without a query nothing is taken off.
    """

    def __init__(
        self, pool: Similarity, n: int, query: Similarity | None, private: Similarity | None, eta: float, nu: float,
        lam: float,
    ) -> None:  # fmt: skip
        self.pool, self.slack = pool, pool.rounding
        given = [] if private is None else [(private, nu)]
        self.chains = [_Chain(pool, n, given, lam)]
        if query is not None:
            self.chains.append(_Chain(pool, n, [*given, (query, eta)], lam))

    def table(self) -> Array:
        logs = [np.log(to_numpy(chain.left).astype(np.float64)) for chain in self.chains]
        return logs[0] if len(logs) == 1 else logs[0] - logs[1]

    def add(self, row: int) -> None:
        column = self.pool.columns(self.pool, np.array([row]))[:, 0]
        for chain in self.chains:
            chain.add(row, column)


class _Chain:
    """The Cholesky rows of a growing set over a pool, and what is left of every sample's own variance.

    Attributes:
        left: (m,) s_jj + lam - Σ_t row_tj², the Schur complement of sample j.
    """

    def __init__(self, pool: Similarity, n: int, given: list[tuple[Similarity, float]], lam: float) -> None:
        self.lam, sizes = lam, [len(s) for s, _ in given]
        self.size = sum(sizes)
        one = pool.product(pool.rows(slice(0, 1)), pool.rows(slice(0, 1)))  # tells library, device and type
        xp = namespace(one)
        self.rows = xp.zeros((self.size + max(0, n - 1), len(pool)), dtype=one.dtype, device=one.device)
        left = pool.diagonal() + lam
        if self.size:
            among = np.block(
                [[to_numpy(a.columns(b, slice(None))).astype(np.float64) for b, _ in given] for a, _ in given]
            )
            try:
                factor = np.linalg.cholesky(among + lam * np.eye(self.size))
            except np.linalg.LinAlgError:
                raise self._indefinite() from None
            scale = np.repeat([weight for _, weight in given], sizes)[:, None]
            ready = [others.rows(slice(None)) for others, _ in given]
            for part, here in pool.walk():
                cross = [to_numpy(pool.product(rows, here)) for rows in ready]
                solved = np.linalg.solve(factor, np.concatenate(cross).astype(np.float64) * scale)
                self.rows[: self.size, part] = xp.astype(like(one, solved), one.dtype)
                left[part] -= np.square(solved).sum(axis=0)
        self.left = self._positive(xp.astype(like(one, left), one.dtype))

    def add(self, row: int, column: Any) -> None:
        known = self.rows[: self.size]
        fresh = (column - known.T @ known[:, row]) / self.left[row] ** 0.5
        self.rows[self.size] = fresh
        self.size += 1
        self.left = self._positive(self.left - fresh * fresh)

    def _positive(self, left: Any) -> Any:
        if not float(left.min()) > 0:
            raise self._indefinite()
        return left

    def _indefinite(self) -> InputError:
        return InputError(
            f"The similarities are not positive definite with lam = {self.lam:g}; take a larger lam."
        )
