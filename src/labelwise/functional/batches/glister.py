"""GLISTER: the batch whose hypothesised labels would do validation samples most good, told by one gradient step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_shape
from labelwise.errors import InputError
from labelwise.functional.backend import block, kind_of, like, namespace, points, rows_per_block, to_numpy
from labelwise.functional.batches.greedy import sample_size, wanted
from labelwise.functional.scores import check_probs
from labelwise.seeds import generator

LEAST = 1e-12  # the smallest probability that a logarithm is taken of


def glister(
    probs: Any,
    embeddings: Any,
    n: int,
    *,
    validation_probs: Any,
    validation_embeddings: Any,
    validation_y: Any,
    eta: float = 0.01,
    method: str = "auto",
    epsilon: float = 0.01,
    rng: np.random.Generator | None = None,
) -> NDArray[np.int64]:
    """Return n rows by greedy maximisation of the validation log-likelihood after a step on them: Σ_v ln p_v(θ - eta Σ g_j).

    θ is the last layer alone; g_j = (p_j - onehot(ŷ_j)) ⊗ [z_j, 1] is the gradient of a sample's loss, were its most
    probable class true. Each pick has the largest first-order gain eta ⟨g_j, Ḡ⟩, Ḡ the mean validation gradient, which is
    recomputed after every pick from the validation logits that the step has moved. No g_j is built.

    Args:
        probs, embeddings: (n, C) and (n, D) of the pool; NumPy arrays, memory maps or tensors.
        n: how many rows; all of them where there are fewer.
        validation_probs, validation_embeddings, validation_y: (m, C), (m, D) and (m,) of the samples to do well on.
        eta: the step's length, > 0, for the sum of the gradients.
        method: "lazy": each pick looks at all; "stochastic": at (pool / n) ln(1/epsilon) drawn ones; "auto": at all of up
            to 5,000 rows.
        epsilon: in (0, 1).
        rng: draws; None: a fixed seed.

    Returns:
        (min(n, pool),) distinct rows in the order of choice, of equal gains the lowest row; with no validation sample
        all gains are 0.

    Raises:
        ShapeError, InputError: shapes differ, a row is no distribution or holds NaN, a label is out of range.

    Source:
        Killamsetty, Sivasubramanian, Ramakrishnan, Iyer 2021, "GLISTER: Generalization based Data Subset Selection for
        Efficient and Robust Learning", section 3 and GLISTER-Active. DISTIL's code first moves the parameters by a
        step on all labelled samples, which they were fitted on; the paper does not, nor does this.
    """
    if not (np.isfinite(eta) and eta > 0):
        raise InputError(f"eta must be a positive number; it is {eta!r}.")
    pool = _Samples(probs, embeddings, None, "")
    held = _Samples(validation_probs, validation_embeddings, validation_y, "validation ")
    namespace(pool.embeddings, held.embeddings)
    if pool.kind != held.kind:
        pool.kind = held.kind = pool.xp.float64
    check_shape(held.probs, "validation probs", ("n", "C"), (None, pool.classes))
    check_shape(held.embeddings, "validation embeddings", ("n", "D"), (None, pool.embeddings.shape[1]))
    count = wanted(n, pool.n)
    sample = sample_size(pool.n, count, method, epsilon)
    rng, xp = rng or generator(0, "glister"), pool.xp
    # logits but for a constant a row, which no softmax sees
    logits = xp.log(xp.clip(held.of(held.probs, slice(None)), LEAST, None))
    inputs = held.inputs(slice(None))
    picks, left = np.empty(count, np.int64), np.arange(pool.n)
    for turn in range(count):
        play = left
        if sample is not None and sample < left.size:
            play = left[np.sort(rng.choice(left.size, sample, replace=False))]
        moved = xp.exp(logits - xp.max(logits, axis=1)[:, None]) if held.n else logits
        moved = moved / xp.sum(moved, axis=1)[:, None]
        gradient = (
            (moved - held.hot(slice(None))).T @ inputs / max(1, held.n)
        )  # (C, D + 1), as the last layer
        gains = _gains(pool, play, gradient)
        if not np.isfinite(gains).all():
            raise InputError(
                f"After {turn} picks the step of length eta = {eta:g} has left all finite numbers."
            )
        pick = int(play[np.argmax(gains >= gains.max() - 1e-6 * abs(gains.max()))])
        picks[turn] = pick
        left = left[left != pick]
        one = np.array([pick])
        logits = logits - eta * (inputs @ pool.inputs(one).T) * pool.residuals(one)
    return picks


class _Samples:
    """Probabilities and last-layer inputs of some samples, with the labels they have or are thought to have."""

    def __init__(self, probs: Any, embeddings: Any, y: Any, what: str) -> None:
        known = check_probs(probs, f"{what}probs")
        self.probs, self.embeddings = points(probs, f"{what}probs"), points(embeddings, f"{what}embeddings")
        self.xp = namespace(self.probs, self.embeddings)
        self.n, self.classes = known.shape
        kinds = {kind_of(array, self.xp) for array in (self.probs, self.embeddings)}
        self.kind = kinds.pop() if len(kinds) == 1 else self.xp.float64
        check_shape(self.embeddings, f"{what}embeddings", ("n", "D"), (self.n, None))
        step = rows_per_block(self.embeddings.shape[1])
        for start in range(0, self.n, step):
            with np.errstate(over="ignore"):  # such rows are named below
                squares = block(self.embeddings, slice(start, start + step), self.xp) ** 2
                wrong = np.flatnonzero(~np.isfinite(to_numpy(self.xp.sum(squares, axis=1))))
            if wrong.size:
                raise InputError(f"{what}embeddings: row {start + int(wrong[0])} has no finite norm.")
        self.labels = as_labels(known.argmax(1) if y is None else y, self.classes, f"{what}y")
        check_shape(self.labels, f"{what}y", ("n",), (self.n,))

    def of(self, array: Any, rows: Any) -> Any:
        return self.xp.astype(block(array, rows, self.xp), self.kind, copy=False)

    def inputs(self, rows: Any) -> Any:
        z = self.of(self.embeddings, rows)
        return self.xp.concat([z, self.xp.ones_like(z[:, :1])], axis=1)

    def hot(self, rows: Any) -> Any:
        p = self.of(self.probs, rows)
        classes = self.xp.arange(self.classes, device=p.device)
        return self.xp.astype(like(p, self.labels[rows])[:, None] == classes[None, :], p.dtype)

    def residuals(self, rows: Any) -> Any:
        return self.of(self.probs, rows) - self.hot(rows)


def _gains(pool: _Samples, rows: NDArray[np.int64], gradient: Any) -> Array:
    """Return (k,) ⟨g_j, Ḡ⟩ = r_j · (Ḡ [z_j, 1])."""
    gains, step = np.empty(rows.size), rows_per_block(sum(gradient.shape))
    for start in range(0, rows.size, step):
        some = rows[start : start + step]
        products = pool.residuals(some) * (pool.inputs(some) @ gradient.T)
        gains[start : start + step] = to_numpy(pool.xp.sum(products, axis=1))
    return gains
