"""Similarities that know of classes: of last-layer gradients in factored form, and within predicted classes only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_shape
from labelwise.errors import InputError
from labelwise.functional.backend import block, like, namespace, points, to_numpy
from labelwise.functional.batches.similarity import (
    Prepared,
    Similarity,
    as_column,
    row_norms,
    slices,
    some_rows,
    times,
)
from labelwise.functional.scores import check_probs


class GradientSimilarity(Similarity):
    """s = (1 + cos) / 2 of last-layer gradients g = (p - onehot) ⊗ [z, 1], which are never built.

    cos(g, g') = cos(p - onehot, p' - onehot') cos([z, 1], [z', 1]): two short products instead of one of C (D + 1).
    A sample whose probability is all on its label has gradient 0, and cosine 0 with every sample.

    Args:
        probs: (n, C) class probabilities.
        embeddings: (n, D) input of the last layer.
        labels: (n,) class indices; None: the most probable class, the lowest of several.

    Raises:
        ShapeError, InputError: shapes differ, a row is no distribution or holds NaN, a label is out of range.
    """

    def __init__(self, probs: Any, embeddings: Any, labels: Any = None) -> None:
        known = check_probs(probs)
        self.embeddings = points(embeddings, "embeddings")
        self.probs = points(probs, "probs")
        self.xp = namespace(self.embeddings, self.probs)
        self.n, self.classes = known.shape
        check_shape(self.embeddings, "embeddings", ("n", "D"), (self.n, None))
        self.width = self.classes + self.embeddings.shape[1] + 1
        lengths = row_norms(self.embeddings, self.xp, "embeddings")
        self.lengths = np.sqrt(np.square(np.where(np.isfinite(lengths), lengths, 0.0)) + 1)
        if labels is None:
            labels = np.concatenate([known[s].argmax(1) for s in slices(self.n)] or [np.empty(0, np.int64)])
        self.labels = as_labels(labels, self.classes)
        check_shape(self.labels, "labels", ("n",), (self.n,))

    def rows(self, which: Any) -> Prepared:
        xp = self.xp
        z = block(self.embeddings, which, xp)
        inputs = xp.concat([z, xp.ones_like(z[:, :1])], axis=1) / as_column(self.lengths[which], z)
        p = xp.astype(block(self.probs, which, xp), z.dtype)
        hot = like(z, self.labels[which])[:, None] == xp.arange(self.classes, device=z.device)[None, :]
        residual = p - xp.astype(hot, z.dtype)
        norm = xp.sqrt(xp.sum(residual * residual, axis=1))[:, None]
        return residual / xp.where(norm > 0, norm, xp.ones_like(norm)), inputs

    def product(self, a: Prepared, b: Prepared) -> Any:
        alike = times(a[0], b[0])
        alike *= times(a[1], b[1])
        alike += 1
        alike *= 0.5
        return alike

    def diagonal(self) -> Array:
        longest = [to_numpy(self.xp.max(self.xp.abs(r[0]), axis=1)) for _, r in self.walk()]
        return np.where(np.concatenate([np.empty(0), *longest]) > 0, 1.0, 0.5)

    def beside(self, values: Any) -> GradientSimilarity:
        raise InputError(
            "Beside gradients, give the other samples as GradientSimilarity(probs, embeddings, labels) too."
        )

    def take(self, rows: NDArray[np.int64]) -> GradientSimilarity:
        return GradientSimilarity(
            some_rows(self.probs, rows), some_rows(self.embeddings, rows), self.labels[rows]
        )

    def sums(self, others: Similarity) -> Array:
        if min(self.n, others.n) * (self.width) < self.classes * self.embeddings.shape[1]:
            return super().sums(
                others
            )  # fewer samples than the last layer has weights: pairs are the quicker way
        count, total = others.n, None
        for _, (residual, inputs) in others.walk():  # Σ_i g_j·g_i = r_jᵀ (Σ_i r_i z_iᵀ) z_j
            outer = inputs.T @ residual
            total = outer if total is None else total + outer
        if total is None:
            return np.zeros(self.n)
        sums = [to_numpy(self.xp.sum(times(r, total) * z, axis=1)) for _, (r, z) in self.walk()]
        return (np.concatenate(sums).astype(np.float64) + count) / 2

    def bounds(self, others: Similarity) -> Array:
        return self.sums(others) * (1 + 10 * self.rounding)


class ClasswiseSimilarity(Similarity):
    """The similarity of two samples where their classes agree, 0 elsewhere.

    Args:
        inner: the similarity.
        labels: (n,) class indices of its samples, e.g. the most probable ones.

    Raises:
        ShapeError, InputError: labels are not n whole numbers of at least 0.
    """

    def __init__(self, inner: Similarity, labels: Any) -> None:
        self.inner, self.n, self.width = inner, inner.n, inner.width + 1
        self.labels = as_labels(labels, np.iinfo(np.int64).max, "labels")
        check_shape(self.labels, "labels", ("n",), (self.n,))

    def rows(self, which: Any) -> Prepared:
        return self.inner.rows(which), self.labels[which]

    def product(self, a: Prepared, b: Prepared) -> Any:
        s = self.inner.product(a[0], b[0])
        xp = namespace(s)
        return s * xp.astype(like(s, a[1][:, None] == b[1][None, :]), s.dtype)

    def diagonal(self) -> Array:
        return self.inner.diagonal()

    def beside(self, values: Any) -> ClasswiseSimilarity:
        raise InputError(
            "Beside similarities within classes, give the other samples as ClasswiseSimilarity too."
        )

    def take(self, rows: NDArray[np.int64]) -> ClasswiseSimilarity:
        return ClasswiseSimilarity(self.inner.take(rows), self.labels[rows])
