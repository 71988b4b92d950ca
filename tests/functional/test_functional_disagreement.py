"""Contrastive scores and neighbours against loops over all pairs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.clusters import partition as clusters
from labelwise.functional.disagreement import contrastive, k_nearest
from labelwise.seeds import generator


def drawn(n, m, classes=4, width=3, seed=0):
    rng = generator(seed, "tests", "contrastive")
    p, q = (rng.dirichlet(np.full(classes, 0.5), size=size) for size in (n, m))
    return p, rng.normal(size=(n, width)), q, rng.normal(size=(m, width))


def by_loops(p, z, q, w, k):
    found = []
    for row, place in zip(p, z, strict=True):
        near = np.argsort(((w - place) ** 2).sum(axis=1))[:k]
        found.append(np.mean([(q[j] * np.log(q[j] / row)).sum() for j in near]))
    return np.array(found)


@pytest.mark.parametrize("k", [1, 3, 9, 50])
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_as_loops_over_all_pairs(k, classes, monkeypatch):
    arrays = drawn(23, 9, classes)
    p, q = (np.maximum(a, 1e-9) for a in arrays[::2])
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    wanted = by_loops(p, arrays[1], q, arrays[3], k)
    assert_allclose(contrastive(p, arrays[1], q, arrays[3], k), wanted, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(clusters, "rows_per_block", lambda width: 4)
    monkeypatch.setattr("labelwise.functional.disagreement.rows_per_block", lambda width: 4)
    assert_allclose(contrastive(p, arrays[1], q, arrays[3], k), wanted, rtol=1e-9, atol=1e-12)


def test_a_score_by_hand():
    p = np.array([[0.5, 0.5], [0.9, 0.1]])
    near = np.array([[1.0, 0.0]])  # KL = ln 1/0.5 and ln 1/0.9: zeros of the neighbour count as nothing
    z = np.zeros((2, 1))
    assert_allclose(contrastive(p, z, near, z[:1], 5), [np.log(2), np.log(1 / 0.9)])
    sure = np.array([[0.0, 1.0]])  # a zero of the sample counts as 1e-12
    assert_allclose(contrastive(sure, z[:1], near, z[:1]), [np.log(1e12)])


def test_nobody_labelled_is_no_contrast():
    p, z, q, w = drawn(5, 3)
    assert_array_equal(contrastive(p, z, q[:0], w[:0]), np.zeros(5))


def test_neighbours_far_from_zero_and_in_another_type():
    _, z, _, w = drawn(40, 12)
    wanted = np.sort(np.argsort(((z[:, None] - w[None]) ** 2).sum(axis=2), axis=1)[:, :4], axis=1)
    assert_array_equal(np.sort(k_nearest(z, w, 4), axis=1), wanted)
    assert_array_equal(np.sort(k_nearest(z + 1e6, w + 1e6, 4), axis=1), wanted)
    assert_array_equal(np.sort(k_nearest(z.astype(np.float32), w, 4), axis=1), wanted)
    torch = pytest.importorskip("torch")
    found = k_nearest(torch.from_numpy(z).float(), torch.from_numpy(w), 4)
    assert_array_equal(np.sort(found, axis=1), wanted)


def test_what_is_wrong_is_said():
    p, z, q, w = drawn(5, 3)
    with pytest.raises(DistributionError, match="labelled_probs: row 1"):
        contrastive(p, z, q * [[1], [2], [1]], w)
    with pytest.raises(ShapeError, match="one row a sample"):
        contrastive(p, z[:4], q, w)
    with pytest.raises(ShapeError, match="must have 4 classes; it has 3"):
        contrastive(p, z, np.full((3, 3), 1 / 3), w)
    with pytest.raises(ShapeError, match=r"must be \(m, 3\)"):
        contrastive(p, z, q, w[:, :2])
    z[2, 1] = np.nan
    with pytest.raises(InputError, match="embeddings: row 2 has no finite norm"):
        contrastive(p, z, q, w)
