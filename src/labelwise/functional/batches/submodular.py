"""Submodular batches: cover the pool, avoid redundancy, span the most volume; greedy for any measure."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import InputError
from labelwise.functional.batches.greedy import (
    PART,
    in_parts,
    lazy_greedy,
    sample_size,
    tabled_greedy,
    wanted,
)
from labelwise.functional.batches.objectives import Cut, Volume, coverage_of
from labelwise.functional.batches.similarity import Similarity, similarity_of

COVER_PART = 50_000  # rows of a part where work grows with its square
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
        return tabled_greedy(Cut(pool, measure, query, private, nu, weight), count)

    def volume(rows: NDArray[np.int64] | None, share: int) -> NDArray[np.int64]:
        part = pool if rows is None else pool.take(rows)
        return tabled_greedy(Volume(part, share, query, private, eta, nu, weight), share)

    def coverage(rows: NDArray[np.int64] | None, share: int) -> NDArray[np.int64]:
        part = pool if rows is None else pool.take(rows)
        objective = coverage_of(part, measure, query, private, eta, nu)
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
