"""Submodular information: batches like a query set, unlike a private set, or both; and the value of any measure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_ids, check_name
from labelwise.errors import InputError
from labelwise.functional.backend import to_numpy
from labelwise.functional.batches.similarity import Similarity, similarity_of
from labelwise.functional.batches.submodular import check_weights, maximise

PLAIN = ("fl", "gc", "logdet")
INFORMATION = ("fl1mi", "fl2mi", "gcmi", "logdetmi", "com")
GAIN = ("flcg", "gccg", "logdetcg")
CONDITIONAL = ("flcmi", "logdetcmi")


def submodular_mutual_information(
    points: Any,
    query: Any,
    n: int,
    *,
    measure: str = "fl2mi",
    eta: float = 1.0,
    lam: float | None = None,
    method: str = "auto",
    epsilon: float = 0.1,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows that tell most about a query set Q: greedy for I_f(A; Q).

    - "fl1mi" (FLVMI): Σ_i min(max_{j in A} s_ij, eta max_{q in Q} s_iq) over the pool: covers what lies near Q.
    - "fl2mi" (FLQMI): Σ_{q in Q} max_{j in A} s_jq + eta Σ_{j in A} max_{q in Q} s_jq: like Q; as quick as n · |Q|.
    - "gcmi": 2 lam Σ_{j in A, q in Q} s_jq: like Q and nothing else, as duplicates are.
    - "logdetmi": ln det S_A - ln det(S_A - eta² S_AQ S_Q⁻¹ S_QA), lam on both diagonals.
    - "com": eta Σ_{j in A} ln(1 + Σ_q s_jq) + Σ_q ln(1 + Σ_{j in A} s_jq), concave over modular.

    All but "logdetmi" are monotone and submodular in A; "logdetmi" is not submodular, its greedy is the naive one, exact
    at each step and without a guarantee. With an empty Q all are 0 for every A: the lowest rows are returned.

    Args:
        points: (n, D), compared by s = (1 + cos) / 2, or a Similarity (gradients, rbf, a given matrix).
        query: (q, D), or a Similarity of the same kind.
        n: how many rows; all of them where there are fewer.
        measure: one of the above.
        eta: weight of what Q has; in [0, 1] for "logdetmi".
        lam: "gcmi": scale, None: 1/2. "logdetmi": ridge, None: 1.
        method, epsilon: as `facility_location`, for "fl1mi", "fl2mi" and "com".
        rng: as `facility_location` and `log_determinant`.

    Returns:
        (min(n, pool),) distinct rows in the order of choice; of equal gains the lowest row.

    Raises:
        UnknownName: no such measure.
        ShapeError, InputError: points or query are not of one width, hold NaN, or an argument is out of range.

    Source:
        Kothawade, Beck, Killamsetty, Iyer 2021, "SIMILAR: Submodular Information Measures Based Active Learning in
        Realistic Scenarios", table 1. Deviations from submodlib, which is compared with: "gcmi" has the paper's factor
        2 lam, which submodlib leaves out (same order). Where gains tie, submodlib's choice is arbitrary, and its lazy
        greedy takes "logdetmi" for submodular.
    """
    check_name(measure, INFORMATION, "measure of mutual information")
    pool, asked, _ = _sets(points, query, None)
    return maximise(pool, n, measure, query=asked, eta=eta, lam=lam, method=method, epsilon=epsilon, rng=rng)


def conditional_gain(
    points: Any,
    private: Any,
    n: int,
    *,
    measure: str = "flcg",
    nu: float = 1.0,
    lam: float | None = None,
    method: str = "auto",
    epsilon: float = 0.1,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows that add most to a private set P: greedy for f(A | P) = f(A ∪ P) - f(P).

    - "flcg": Σ_i max(max_{j in A} s_ij - nu max_{p in P} s_ip, 0) over the pool.
    - "gccg": graph cut of A less 2 lam nu Σ_{j in A, p in P} s_jp.
    - "logdetcg": ln det of A ∪ P less that of P, similarities between A and P scaled by nu.

    All are submodular; "flcg" is monotone, so is "logdetcg" for lam >= 1. With an empty P each is its plain function.

    Args:
        points, n, method, epsilon, rng: as `submodular_mutual_information`.
        private: (p, D) samples to stay away from, or a Similarity of the same kind.
        measure: one of the above.
        nu: weight of what P has; in [0, 1] for "logdetcg".
        lam: "gccg": weight of redundancy, None: 1/2. "logdetcg": ridge, None: 1.

    Returns, Raises: as `submodular_mutual_information`.

    Source:
        Kothawade and others 2021, "SIMILAR", table 1.
    """
    check_name(measure, GAIN, "measure of conditional gain")
    pool, _, avoided = _sets(points, None, private)
    return maximise(
        pool, n, measure, private=avoided, nu=nu, lam=lam, method=method, epsilon=epsilon, rng=rng
    )


def conditional_mutual_information(
    points: Any,
    query: Any,
    private: Any,
    n: int,
    *,
    measure: str = "flcmi",
    eta: float = 1.0,
    nu: float = 1.0,
    lam: float | None = None,
    method: str = "auto",
    epsilon: float = 0.1,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows that tell about a query set Q what a private set P does not: greedy for I_f(A; Q | P).

    - "flcmi": Σ_i max(min(max_{j in A} s_ij, eta max_{q in Q} s_iq) - nu max_{p in P} s_ip, 0) over the pool.
    - "logdetcmi": ln det(A ∪ P) + ln det(Q ∪ P) - ln det(A ∪ Q ∪ P) - ln det P, similarities of A with Q scaled by eta,
      with P by nu, those of Q with P not, as submodlib has it.

    "flcmi" is monotone and submodular; "logdetcmi" is not submodular, its greedy is the naive one. With an empty P each
    is its mutual information, with an empty Q it is 0.

    Args: as `submodular_mutual_information` and `conditional_gain`.

    Returns, Raises: as `submodular_mutual_information`.

    Source:
        Kothawade and others 2021, "SIMILAR", table 1.
    """
    check_name(measure, CONDITIONAL, "measure of conditional mutual information")
    pool, asked, avoided = _sets(points, query, private)
    return maximise(
        pool, n, measure, query=asked, private=avoided, eta=eta, nu=nu, lam=lam, method=method, epsilon=epsilon,
        rng=rng,
    )  # fmt: skip


def submodular_value(
    points: Any,
    rows: Any,
    measure: str,
    *,
    query: Any = None,
    private: Any = None,
    eta: float = 1.0,
    nu: float = 1.0,
    lam: float | None = None,
) -> float:
    """Return the value of a set of rows under a measure, from its definition: what the greedy functions maximise.

    Args:
        points, query, private, eta, nu, lam: as the greedy functions.
        rows: (k,) distinct rows of points.
        measure: "fl", "gc", "logdet" or one of the information measures.

    Returns:
        The value, 0 for no rows. Logarithms are natural.

    Raises:
        UnknownName, ShapeError, InputError: as the greedy functions; a row is not of the pool.
    """
    check_name(measure, (*PLAIN, *INFORMATION, *GAIN, *CONDITIONAL), "measure")
    lam = check_weights(measure, eta, nu, lam)
    pool, asked, avoided = _sets(points, query, private)
    chosen = as_ids(rows, "rows")
    if chosen.size == 0:
        return 0.0
    if chosen.min() < 0 or chosen.max() >= len(pool):
        raise InputError(f"rows must lie in 0..{len(pool) - 1}; they hold {chosen.min()}..{chosen.max()}.")
    a = pool.take(chosen)
    q = pool.take(chosen[:0]) if asked is None else asked
    p = pool.take(chosen[:0]) if avoided is None else avoided
    if measure.startswith("logdet"):
        return _volume(measure, a, q, p, eta, nu, lam)
    if measure == "gcmi":
        return float(2 * lam * a.sums(q).sum())
    if measure in ("gc", "gccg"):
        worth = a.sums(pool) - 2 * lam * nu * a.sums(p) if measure == "gccg" else a.sums(pool)
        return float(worth.sum() - lam * a.sums(a).sum())
    if measure == "com":
        return float(eta * np.log1p(a.sums(q)).sum() + np.log1p(q.sums(a)).sum())
    if measure == "fl2mi":
        return float(q.most(a).sum() + eta * a.most(q).sum())
    reached = pool.most(a)
    if measure in ("fl1mi", "flcmi"):
        reached = np.minimum(reached, eta * pool.most(q))
    if measure in ("flcg", "flcmi"):
        reached = np.maximum(reached - nu * pool.most(p), 0)
    return float(reached.sum())


def _volume(
    measure: str, a: Similarity, q: Similarity, p: Similarity, eta: float, nu: float, lam: float
) -> float:
    weights = {(0, 1): eta, (0, 2): nu}  # of the similarities between A, Q and P; 1 elsewhere
    sets = [a, q, p]

    def matrix(some: tuple[int, ...]) -> Array:
        blocks = [
            [to_numpy(sets[i].columns(sets[j], slice(None))) * weights.get((min(i, j), max(i, j)), 1.0) for j in some]
            for i in some
        ]  # fmt: skip
        return np.block(blocks).astype(np.float64)

    def log_volume(*some: int) -> float:
        some = tuple(i for i in some if len(sets[i]))
        if not some:
            return 0.0
        whole = matrix(some)
        sign, logarithm = np.linalg.slogdet(whole + lam * np.eye(len(whole)))
        if sign <= 0:
            raise InputError(
                f"The similarities are not positive definite with lam = {lam:g}; take a larger lam."
            )
        return float(logarithm)

    if measure == "logdet":
        return log_volume(0)
    if measure == "logdetmi":
        return log_volume(0) + log_volume(1) - log_volume(0, 1)
    if measure == "logdetcg":
        return log_volume(0, 2) - log_volume(2)
    return log_volume(0, 2) + log_volume(1, 2) - log_volume(0, 1, 2) - log_volume(2)


def _sets(points: Any, query: Any, private: Any) -> tuple[Similarity, Similarity | None, Similarity | None]:
    """Return the similarities of the pool and of the sets beside it; an absent or empty set is None."""
    pool = similarity_of(points)
    beside: list[Similarity | None] = []
    for values in (query, private):
        others = values if values is None or isinstance(values, Similarity) else pool.beside(values)
        if others is not None and type(others) is not type(pool):
            raise InputError(
                f"points are {type(pool).__name__} similarities, what lies beside them {type(others).__name__}."
            )
        beside.append(others if others is not None and len(others) else None)
    return pool, beside[0], beside[1]
