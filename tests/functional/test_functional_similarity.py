"""Similarities, block by block, against whole matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.batches import (
    ClasswiseSimilarity,
    CosineSimilarity,
    GivenSimilarity,
    GradientSimilarity,
    RbfSimilarity,
)
from labelwise.seeds import generator


def made(name, n=30):
    rng = generator(0, "tests", "similarity", name)
    return rng.normal(size=(n, 4)), rng.dirichlet(np.ones(3), n), rng.integers(3, size=n)


def test_cosine_by_hand():
    s = CosineSimilarity([[2.0, 0], [0, 3], [-1, 0], [0, 0]])
    # cosines 1, 0, -1; a row of zeros has cosine 0 with all, itself too
    wanted = [[1, 0.5, 0, 0.5], [0.5, 1, 0.5, 0.5], [0, 0.5, 1, 0.5], [0.5, 0.5, 0.5, 0.5]]
    assert_allclose(s.columns(s, slice(None)), wanted, atol=1e-12)
    assert_allclose(s.diagonal(), [1, 1, 1, 0.5])


def test_gradients_equal_those_that_are_built():
    z, p, y = made("gradients")
    for labels in (None, y):
        hot = np.eye(3)[p.argmax(1) if labels is None else labels]
        whole = np.einsum("nc,nd->ncd", p - hot, np.column_stack([z, np.ones(30)])).reshape(30, -1)
        wanted = (2 - cdist(whole, whole, "cosine")) / 2  # scipy's distance is 1 - cos
        s = GradientSimilarity(p, z, labels)
        assert_allclose(s.columns(s, slice(None)), wanted, atol=1e-12)
        assert_allclose(s.diagonal(), 1)


def test_a_sure_sample_has_no_gradient():
    z, p, _ = made("sure")
    p[3] = [0, 1, 0]
    s = GradientSimilarity(p, z)
    assert_allclose(s.columns(s, np.array([3])), 0.5)
    assert s.diagonal()[3] == 0.5


def test_classwise_is_nought_between_classes():
    z, _, y = made("classwise")
    inner = CosineSimilarity(z)
    s = ClasswiseSimilarity(inner, y)
    wanted = np.where(y[:, None] == y[None, :], inner.columns(inner, slice(None)), 0)
    assert_allclose(s.columns(s, slice(None)), wanted)
    assert_allclose(s.diagonal(), 1)
    some = s.take(np.array([3, 1]))
    assert_allclose(some.columns(s, slice(None)), wanted[[3, 1]])


def test_rbf_by_hand():
    x = np.array([[0.0, 0], [3, 4]])
    s = RbfSimilarity(x, 0.1)
    assert_allclose(s.columns(s, slice(None)), [[1, np.exp(-2.5)], [np.exp(-2.5), 1]])
    # squared distances 0, 0, 25, 25: their mean is 12.5
    assert RbfSimilarity(x).gamma == pytest.approx(1 / 12.5)
    assert RbfSimilarity(np.ones((3, 2))).gamma == 1


@pytest.mark.parametrize("kind", ["cosine", "rbf", "gradients", "given"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n, m", [(2500, 1100), (40, 3)])
def test_sums_and_maxima_equal_those_of_the_whole_matrix(kind, dtype, n, m):
    x, p, _ = made("sums", n + m)
    x, p = x.astype(dtype), p.astype(dtype)

    def part(rows):
        if kind == "cosine":
            return CosineSimilarity(x[rows])
        if kind == "rbf":
            return RbfSimilarity(x[rows], 0.3)
        if kind == "gradients":
            return GradientSimilarity(p[rows], x[rows])
        return GivenSimilarity(matrix, np.arange(n + m)[rows])

    matrix = np.exp(-cdist(x, x)).astype(dtype) if kind == "given" else None
    pool, others = part(slice(0, n)), part(slice(n, None))
    whole = np.asarray(pool.columns(others, slice(None)), np.float64)
    assert whole.shape == (n, m) and whole.std() > 0.05
    assert_allclose(pool.sums(others), whole.sum(1), rtol=1e-5 if dtype == np.float32 else 1e-10)
    assert_allclose(pool.most(others), whole.max(1), rtol=1e-6)
    assert (pool.bounds(others) >= whole.sum(1)).all()
    taken = pool.take(np.array([7, 2]))
    assert_allclose(taken.columns(others, np.array([1])), whole[[7, 2]][:, [1]], rtol=1e-5)
    empty = pool.take(np.empty(0, np.int64))
    assert_array_equal(pool.sums(empty), np.zeros(n))
    assert_array_equal(pool.most(empty), np.zeros(n))
    assert_array_equal(empty.sums(pool), np.zeros(0))


def test_what_is_wrong_is_said():
    z, p, y = made("wrong")
    with pytest.raises(InputError, match="matrix must be symmetric"):
        GivenSimilarity([[1, 0.5], [0.4, 1]])
    with pytest.raises(InputError, match="at least 0"):
        GivenSimilarity([[1, -0.5], [-0.5, 1]])
    with pytest.raises(ShapeError, match="square"):
        GivenSimilarity(np.ones((2, 3)))
    with pytest.raises(InputError, match="rows must lie in 0..1"):
        GivenSimilarity(np.eye(2), [2])
    with pytest.raises(InputError, match="gamma"):
        RbfSimilarity(z, 0)
    with pytest.raises(DistributionError, match="row 4"):
        GradientSimilarity(np.where(np.arange(30)[:, None] == 4, 0.9, p), z)
    with pytest.raises(InputError, match="embeddings: row 2"):
        GradientSimilarity(p, np.where(np.arange(30)[:, None] == 2, np.inf, z))
    with pytest.raises(InputError, match="label 3"):
        GradientSimilarity(p, z, y + 1)
    with pytest.raises(InputError, match="labels: row 0 is label -1"):
        ClasswiseSimilarity(CosineSimilarity(z), y - y - 1)
    with pytest.raises(ShapeError, match="n=30"):
        GradientSimilarity(p, z[:9])
    for similarity, said in (
        (GradientSimilarity(p, z), "GradientSimilarity"),
        (GivenSimilarity(np.eye(2)), "same one"),
    ):
        with pytest.raises(InputError, match=said):
            similarity.beside(z)
