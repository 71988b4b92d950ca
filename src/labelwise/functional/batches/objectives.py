"""What greedy search climbs: the gain of each row, kept up to date as rows are chosen, for every submodular measure."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.backend import is_tensor, like, namespace, to_numpy
from labelwise.functional.batches.similarity import Similarity
from labelwise.functional.blocks import thread_count

LEAST_PARTS = 2  # of clients that are worth a thread


def coverage_of(
    pool: Similarity,
    measure: str,
    query: Similarity | None,
    private: Similarity | None,
    eta: float,
    nu: float,
) -> Coverage:
    """Return one of the monotone submodular functions that are sums over clients of what A is to each."""
    none = pool.take(np.empty(0, np.int64))
    asked, avoided = none if query is None else query, none if private is None else private
    if measure == "com":
        return Mass(pool, asked, bonus=eta * np.log1p(pool.sums(asked)))
    if measure == "fl2mi":
        return Coverage(pool, asked, bonus=eta * pool.most(asked))
    cap = eta * pool.most(asked) if measure in ("fl1mi", "flcmi") else None
    floor = nu * pool.most(avoided) if measure in ("flcg", "flcmi") else None
    return Coverage(pool, pool, floor=floor, cap=cap)


class Coverage:
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


class Mass(Coverage):
    """Σ_i ln(1 + Σ_{j in A} s_ij) over clients i, plus Σ_{j in A} bonus_j; `level` is the sum so far."""

    def _added(self, s: Any, part: slice) -> Any:
        return self.xp.log1p(s / (1 + self.level[part, None]))  # ln(1 + l + s) - ln(1 + l)

    def _take(self, s: Any, part: slice) -> None:
        self.level[part] += s


class Cut:
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


class Volume:
    """ln det of A given the private set, less that given private and query sets: all log-determinant measures.

    With neither set it is ln det(S_A + lam I); without a query nothing is taken off.
    """

    def __init__(
        self, pool: Similarity, n: int, query: Similarity | None, private: Similarity | None, eta: float, nu: float,
        lam: float,
    ) -> None:  # fmt: skip
        self.pool, self.slack = pool, pool.rounding
        given = [] if private is None else [(private, nu)]
        self.chains = [Chain(pool, n, given, lam)]
        if query is not None:
            self.chains.append(Chain(pool, n, [*given, (query, eta)], lam))

    def table(self) -> Array:
        logs = [np.log(to_numpy(chain.left).astype(np.float64)) for chain in self.chains]
        return logs[0] if len(logs) == 1 else logs[0] - logs[1]

    def add(self, row: int) -> None:
        column = self.pool.columns(self.pool, np.array([row]))[:, 0]
        for chain in self.chains:
            chain.add(row, column)


class Chain:
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
