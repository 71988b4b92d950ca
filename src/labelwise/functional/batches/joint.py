"""Batches whose labels tell most together: the joint mutual information of BatchBALD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.backend import is_tensor, like, namespace, to_numpy
from labelwise.functional.blocks import BLOCK_BYTES
from labelwise.functional.draws import as_draws, bald, expected_entropy
from labelwise.functional.mixtures import mixed_entropy, mixtures_a_pass
from labelwise.seeds import generator

Floats = NDArray[np.float64]

_TIE = 1e-9  # nats; gains that differ by less may do so by rounding
_TENSOR_BYTES = 2**28  # a device wants more work at a time than a cache holds


def batch_bald(
    draws: Any, n: int, *, num_samples: int = 1024, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Return n rows, each the one that adds most to I(y_1, …, y_k; predictor), what their labels tell together.

    BALD asks for the n samples that tell most each, though they may tell the same; here what the batch tells already
    counts no more. All C^k label configurations of the batch are looked at while there are at most `num_samples`, and
    as many drawn ones from then on.

    Joint mutual information is submodular: a row never adds more to a larger batch. So a row is looked at again only
    while what it added before is not below the best; the picks are those of looking at all.

    Args:
        draws: (m, S, C) posterior draws, rows sum to 1; draw s from the same predictor for all samples. NumPy arrays,
            memory maps, or torch tensors of any device.
        n: how many rows; all of them where there are fewer.
        num_samples: configurations looked at, at most.
        rng: draws configurations; None: from a fixed seed.

    Returns:
        (min(n, m),) distinct rows in the order of picking. Ties (1e-9 nats): the lowest row. With more than `num_samples`
        configurations gains are estimates, and picks may differ from the exact ones. O(m S C) time for the first row and
        O(num_samples S C) for each row looked at again; O(m + num_samples S) memory beside the draws.

    Raises:
        ShapeError: `draws` is not (m, S, C) with S, C >= 1.
        DistributionError: a draw is no distribution; the message names it.
        InputError: n is negative or `num_samples` below 1.

    Source:
        Kirsch, van Amersfoort, Gal 2019, "BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active
        Learning"; lazy evaluation: Minoux 1978.

    Deviations:
        Sampled configurations are carried on: each is drawn label by label from the joint distribution, where the
        authors draw each step anew. 0 ln 0 = 0, where their code gives NaN.
    """
    gains = bald(draws).copy()  # of one row alone; later what it added when it was looked at last
    known = expected_entropy(draws)
    n = min(check_count(n, "n"), gains.size)
    joint = _Joint(draws, check_count(num_samples, "num_samples", 1), rng)
    rows = np.empty(n, np.int64)
    for k in range(n):
        if k:
            joint.add(int(rows[k - 1]))
            _refresh(gains, lambda some: joint.left(some) - known[some])
        best = gains.max()
        if best < _TIE:  # nothing is left to tell, nor ever will be: a row never adds more to a larger batch
            rows[k:] = np.flatnonzero(gains > -np.inf)[: n - k]
            break
        rows[k] = np.flatnonzero(gains >= best - _TIE)[0]
        gains[rows[k]] = -np.inf
    return rows


def joint_mutual_information(
    draws: Any, rows: Any, *, num_samples: int = 1024, rng: np.random.Generator | None = None
) -> float:
    """Return I(y_1, …, y_k; predictor), the nats that the labels of some rows tell together.

    Args:
        draws, num_samples, rng: as `batch_bald`.
        rows: (k,) row numbers; one that stands twice is asked twice, by annotators who err independently.

    Returns:
        At least 0 and at most ln S; exact while there are at most `num_samples` label configurations.

    Raises: as `batch_bald`; ShapeError where `rows` are no whole numbers on one axis, InputError for a row that is not
        there.

    Source:
        Kirsch, van Amersfoort, Gal 2019, "BatchBALD", equation 8.
    """
    known = expected_entropy(draws)
    joint = _Joint(draws, check_count(num_samples, "num_samples", 1), rng)
    chosen = as_array(rows, "rows")
    check_shape(chosen, "rows", ("k",), (None,))
    if chosen.size and chosen.dtype.kind not in "iu":
        raise ShapeError(f"rows must be whole numbers; they are {chosen.dtype}.")
    told = 0.0
    for row in chosen.tolist():
        if not 0 <= row < known.size:
            raise InputError(f"rows must lie between 0 and {known.size - 1}; {row} does not.")
        told += float(joint.left(np.array([row]))[0] - known[row])
        joint.add(row)
    return max(told, 0.0)


def _refresh(gains: Floats, look: Callable[[NDArray[np.int64]], Floats]) -> None:
    """Look again at rows, the most promising first, until none that was not looked at can be the best."""
    fresh = np.zeros(gains.size, bool)
    turn = 32
    while True:
        best = np.max(gains, where=fresh, initial=-np.inf)
        rows = np.flatnonzero(~fresh & (gains >= best - _TIE) & (gains > -np.inf))
        if not rows.size:
            return
        if rows.size > turn:
            rows = np.sort(rows[np.argpartition(-gains[rows], turn - 1)[:turn]])
        gains[rows] = look(rows)
        fresh[rows] = True
        turn *= 2


class _Joint:
    """The label configurations of a batch that grows: how probable each is, and how it weighs the draws.

    Attributes:
        weights: (J, S) products ω_j w_js as `mixed_entropy` takes them: p(configuration j, draw s).
    """

    def __init__(self, draws: Any, num_samples: int, rng: np.random.Generator | None) -> None:
        self.draws = draws.detach() if is_tensor(draws) else as_draws(draws)
        self.xp = namespace(self.draws)
        self.most = num_samples
        self.rng = rng if rng is not None else generator(0, "batch-bald")
        s = self.draws.shape[1]
        self.weights = np.full((1, s), 1 / s)

    def left(self, rows: NDArray[np.int64]) -> Floats:
        """Return H[y | labels of the batch] of some rows, in nats."""
        classes = self.draws.shape[2]
        room = _TENSOR_BYTES if is_tensor(self.draws) else BLOCK_BYTES
        step = min(
            rows.size, max(1, room // (8 * classes * min(len(self.weights), mixtures_a_pass(classes))))
        )
        measure = mixed_entropy(like(self.draws, self.weights), step, classes, self.xp)
        parts = [to_numpy(measure(self._block(rows[i : i + step]))) for i in range(0, rows.size, step)]
        return np.concatenate(parts)

    def add(self, row: int) -> None:
        """Take a row into the batch: each configuration is carried on by each of its labels, or by a drawn one."""
        p = to_numpy(self._block(np.array([row])))[0]  # (S, C)
        if len(self.weights) * p.shape[1] <= self.most:
            longer = (self.weights[:, None, :] * p.T).reshape(-1, len(p))
            longer = longer[longer.any(axis=1)]
            self.weights = longer / longer.sum()
        else:
            self.weights = self._drawn(p)

    def _drawn(self, p: Floats) -> Floats:
        """Return `most` drawn configurations, all as probable, each carried on by a drawn label."""
        shares = self.weights.sum(axis=1)
        # One in each of `most` slices of the distribution: configurations that are drawn already all stay.
        level = (np.arange(self.most) + 1 - self.rng.random(self.most)) / self.most
        steps = np.cumsum(shares)
        parents = np.searchsorted(steps, level * steps[-1])
        weights = self.weights[parents] / shares[parents, None]  # (J, S), rows sum to 1
        labels = np.empty(self.most, np.int64)
        level = 1 - self.rng.random(self.most)  # in (0, 1], which no label of probability 0 is drawn by
        step = mixtures_a_pass(p.shape[1])
        for first in range(0, self.most, step):
            cut = slice(first, first + step)
            told = np.cumsum(weights[cut] @ p, axis=1)
            labels[cut] = (told < level[cut, None] * told[:, -1:]).sum(axis=1)
        weights *= p[:, labels].T
        return np.asarray(weights / (self.most * weights.sum(axis=1, keepdims=True)))

    def _block(self, rows: NDArray[np.int64]) -> Any:
        if is_tensor(self.draws):
            return self.draws[self.xp.asarray(rows, device=self.draws.device)].to(self.xp.float64)
        return np.ascontiguousarray(self.draws[rows], dtype=np.float64)
