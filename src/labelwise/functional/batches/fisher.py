"""Batches that tell most about a linear last layer, measured by its Fisher information: BAIT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count, check_name, check_number, check_shape
from labelwise.errors import InputError
from labelwise.functional.backend import is_tensor, namespace, points, to_numpy
from labelwise.functional.batches.spaces import check_rows
from labelwise.functional.fisher import SAME, DiagonalFisher, FullFisher
from labelwise.functional.scores import check_probs

FORMS = ("auto", "full", "diagonal")
LONGEST = 1e50  # squared length of an embedding: its fourth power by 1 / λ² is still float64
FULL_BYTES = 2**30  # what the full form may hold; beyond it "auto" keeps diagonals only


def bait(
    probs: Any,
    embeddings: Any,
    n: int,
    *,
    labelled_probs: Any = None,
    labelled_embeddings: Any = None,
    lam: float = 1.0,
    oversample: float = 2.0,
    form: str = "auto",
) -> NDArray[np.int64]:
    """Return n rows that leave the last layer's parameters least uncertain: argmin_S tr(M_S⁻¹ F).

    A sample's Fisher information is I(x) = (diag p - p pᵀ) ⊗ h hᵀ, (CD, CD). F is its mean over pool and labelled
    samples, M_S = λ I + N/(N+n) · mean_labelled I + n/(N+n) Σ_S I for N labelled samples. Rows are added greedily up
    to `oversample` · n, then those removed again that are missed least.

    Nothing of size (n, C·D) is made: I(x) = V ᵀV with V = Lᵀ ⊗ hᵀ and L Lᵀ = diag p - p pᵀ of rank C - 1, so that a row's
    gain needs only the (C-1, C-1) matrices V M⁻¹ Vᵀ and V M⁻¹ F M⁻¹ Vᵀ. They are kept for each row and change with a
    pick by what one matrix product, pool · D · C(C-1), tells.

    Args:
        probs: (m, C) of the pool, rows sum to 1; NumPy arrays or torch tensors.
        embeddings: (m, D) inputs of the last layer.
        n: how many rows; all of them where there are fewer.
        labelled_probs: (N, C) of the labelled samples; None: there are none.
        labelled_embeddings: (N, D).
        lam: λ from 1e-50 to 1e50; the larger, the less a lack of labels counts.
        oversample: how many times n rows are added before any is removed, at least 1; never more than there are.
        form: "full"; "diagonal" keeps the diagonals of all matrices only, in O(C·D) memory; "auto": `bait_form`.

    Returns:
        (min(n, m),) distinct rows in the order they were added. Ties: the lowest row.

    Raises:
        ShapeError: shapes do not fit together.
        DistributionError: a row of probabilities is no distribution.
        InputError: an embedding is not finite or longer than 1e25, or λ, `oversample` or `form` breaks its rule.

    Source:
        Ash, Goel, Krishnamurthy, Kakade 2021, "Gone Fishing: Neural Active Learning with Fisher Embeddings", Algorithm 1.
        - The weights N/(N+n) and n/(N+n) are those of the public code (JordanAsh/badge); the paper has 1/N and 1.
        - The public code adds its last row over and over where `oversample` · n exceeds the pool; here it stops.
        - The diagonal form is ours.
    """
    h = points(embeddings, "embeddings")
    p = _probs(probs, "probs", h, None)
    known_h = (
        h[:0]
        if labelled_embeddings is None
        else points(labelled_embeddings, "labelled_embeddings", h.shape[1])
    )
    known_p = p[:0] if labelled_probs is None else labelled_probs
    known_p = _probs(known_p, "labelled_probs", known_h, p.shape[1])
    namespace(p, h, known_p, known_h)
    for array, name in ((h, "embeddings"), (known_h, "labelled_embeddings")):
        if check_rows(array, name) > LONGEST:
            raise InputError(
                f"{name}: a row is longer than 1e25; traces of such would overflow. Scale them down."
            )
    check_bait(lam, oversample, form)
    n = min(check_count(n, "n"), len(p))
    if n == 0:
        return np.empty(0, np.int64)
    if form == "auto":
        form = bait_form(len(p), p.shape[1], h.shape[1])
    # a single class tells nothing, in either form
    kind = FullFisher if form == "full" and p.shape[1] > 1 else DiagonalFisher
    fisher = kind(p, h, known_p, known_h, float(lam), n)
    return search(fisher, len(p), n, min(len(p), int(oversample * n))).rows


def check_bait(lam: float, oversample: float, form: str) -> None:
    """Raise InputError unless these may be parameters of `bait`."""
    check_number(lam, "lam", 1e-50, 1e50)
    check_number(oversample, "oversample", 1)
    check_name(form, FORMS, "form")


def bait_form(n: int, classes: int, width: int) -> str:
    """Return "full" where that form of `bait` holds at most 1 GiB, else "diagonal".

    Args:
        n: rows of the pool.
        classes: C.
        width: D.
    """
    held = 8 * (5 * ((classes - 1) * width) ** 2 + 2 * n * (classes - 1) ** 2)
    return "full" if held <= FULL_BYTES else "diagonal"


class Fisher(Protocol):
    """The state of a search: M⁻¹ of the rows chosen so far, and what each row would change."""

    @property
    def trace(self) -> float: ...  # tr(M⁻¹ F)

    def best(self, free: NDArray[np.bool_]) -> int: ...  # the free row that lowers the trace most
    def costs(self) -> NDArray[np.float64]: ...  # by how much removing a row would raise the trace
    def move(self, row: int, sign: int) -> None: ...  # add (+1) or remove (-1) a row
    def keep(self, rows: NDArray[np.int64]) -> None: ...  # forget all others; rows are counted anew


@dataclass
class Search:
    """What a search did: rows in the order they were added, rows removed, what is left; traces before and after each."""

    forward: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    traces: list[float] = field(default_factory=list)

    @property
    def rows(self) -> NDArray[np.int64]:
        gone = set(self.removed)
        return np.array([row for row in self.forward if row not in gone], dtype=np.int64)


def search(fisher: Fisher, pool: int, n: int, ahead: int) -> Search:
    """Add `ahead` of `pool` rows one by one, each the best, then remove all but n, each the least missed."""
    found = Search(traces=[fisher.trace])
    free = np.ones(pool, bool)
    for _ in range(ahead):
        row = fisher.best(free)
        free[row] = False
        found.forward.append(row)
        fisher.move(row, +1)
        found.traces.append(fisher.trace)
    fisher.keep(np.array(found.forward, dtype=np.int64))
    left = np.ones(ahead, bool)
    for _ in range(ahead - n):
        costs = np.where(left, fisher.costs(), np.inf)
        lowest = costs.min()
        at = int(np.flatnonzero(costs <= lowest + SAME * abs(lowest))[-1])  # of twins the later goes
        left[at] = False
        found.removed.append(found.forward[at])
        fisher.move(at, -1)
        found.traces.append(fisher.trace)
    return found


def _probs(values: Any, name: str, h: Any, classes: int | None) -> Any:
    p = points(values, name, classes)
    check_shape(p, name, ("n", "C"), (len(h), classes))
    check_probs(to_numpy(p) if is_tensor(p) else p, name)
    return p
