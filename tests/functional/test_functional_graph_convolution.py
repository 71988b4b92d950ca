"""Graph convolutions without the matrix: as the golden files, as plain loops, and alike on NumPy and torch."""

import numpy as np
import pytest
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import graph_convolution as gcn
from labelwise.functional.batches import k_center
from labelwise.seeds import generator

GOLDEN = cases("seqgcn")


def by_loops(x):
    """A as its definition says, entry by entry."""
    n = len(x)
    s = np.array([[float(x[i] @ x[j]) - (i == j) for j in range(n)] for i in range(n)])
    sums = s.sum(axis=0)
    a = np.array([[s[i, j] / sums[j] if abs(sums[j]) > 1e-12 else 0 for j in range(n)] for i in range(n)])
    return a + np.eye(n)


@pytest.fixture(scope="module")
def graph():
    return GOLDEN["graph"]["in"], GOLDEN["graph"]["out"]


def test_golden_forward_and_loss(graph):
    given, wanted = graph
    units = gcn.unit_rows(given["features"])
    assert_allclose(units, wanted["normalised"], atol=1e-12)
    assert_allclose(gcn.propagate(units, np.eye(len(units))), wanted["adjacency"], atol=1e-12)
    features = gcn.hidden(gcn.propagate(units, units), given["W1"], given["b1"])
    assert_allclose(features, wanted["hidden"], atol=1e-9)
    z = gcn.logits(units, features, given["W3"], given["b3"])
    assert_allclose(gcn.sigmoid(z), wanted["score"], atol=1e-9)
    unlabelled = int(given["n_unlabelled"])
    assert_allclose(gcn.labelled_loss(z, unlabelled, float(given["lam"])), wanted["loss"], atol=1e-9)
    distance = np.abs(gcn.sigmoid(z[:unlabelled]) - given["s_margin"])
    assert_allclose(distance, wanted["uncertain_score"], atol=1e-9)
    order = np.argsort(distance, kind="stable")
    assert_array_equal(order, wanted["uncertain_order"])
    assert_array_equal(order[: int(given["k"])], wanted["uncertain_selected"])


def test_golden_k_center_on_the_hidden_layer(graph):
    given, wanted = graph
    units = gcn.unit_rows(given["features"])
    features = gcn.hidden(gcn.propagate(units, units), given["W1"], given["b1"])
    n = int(given["n_unlabelled"])
    assert_array_equal(k_center(features[:n], int(given["k"]), centres=features[n:]), wanted["core_selected"])


def test_golden_signed_features_have_small_and_negative_column_sums():
    x, wanted = GOLDEN["signed"]["in"]["features"], GOLDEN["signed"]["out"]
    units = gcn.unit_rows(x)
    assert_allclose(gcn.propagate(units, np.eye(8)), wanted["adjacency"], rtol=1e-7, atol=1e-12)
    assert_allclose(units @ units.sum(axis=0) - 1, wanted["column_sums"], rtol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_as_plain_loops(seed):
    rng = generator(seed, "tests", "gcn")
    x, h = np.abs(rng.normal(size=(12, 3))), rng.normal(size=(12, 4))
    units = gcn.unit_rows(x)
    assert_allclose(gcn.propagate(units, h), by_loops(units) @ h, atol=1e-12)


def test_mixing_before_the_weights_is_mixing_after_them():
    rng = generator(0, "tests", "gcn order")
    units, w = gcn.unit_rows(np.abs(rng.normal(size=(9, 3)))), rng.normal(size=(3, 5))
    assert_allclose(gcn.propagate(units, units) @ w, gcn.propagate(units, units @ w), atol=1e-12)


def test_samples_without_neighbours_keep_what_they_have():
    assert_allclose(gcn.propagate(np.eye(3), np.arange(6.0).reshape(3, 2)), np.arange(6.0).reshape(3, 2))
    units = gcn.unit_rows(np.array([[3.0, 4.0]], np.float32))
    assert_allclose(gcn.propagate(units, np.float32([[5.0]])), [[5.0]])


def test_rows_of_zeros_and_of_the_largest_numbers_have_units():
    x = np.array([[0, 0], [3e38, 3e38], [1e-40, 0]], np.float32)
    units = gcn.unit_rows(x)
    assert units.dtype == np.float32
    assert_allclose(units, [[0, 0], [0.5**0.5, 0.5**0.5], [1, 0]], rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named(wrong):
    x = np.ones((9, 2), np.float32)
    x[7, 1] = wrong
    with pytest.raises(InputError, match="embeddings: row 7 holds a NaN or an infinity"):
        gcn.unit_rows(x)
    with pytest.raises(ShapeError, match=r"z must have shape \(n, D\)"):
        gcn.unit_rows(np.ones(3), "z")


def test_a_loss_by_hand():
    z = np.log(np.array([1.0, 3.0, 1.0]))  # s = 1/2, 3/4, 1/2
    wanted = 2 * (np.log(2) + np.log(4)) / 2 + np.log(2)
    assert_allclose(gcn.labelled_loss(z, 2, 2.0), wanted)
    assert_allclose(gcn.labelled_loss(z[:2], 2, 2.0), np.log(8))  # nobody labelled: no part of theirs
    assert np.isfinite(gcn.labelled_loss(np.array([1e4, -1e4]), 1, 1.2))


def test_torch_gives_the_same_and_gradients():
    torch = pytest.importorskip("torch")
    rng = generator(1, "tests", "gcn torch")
    x, w1, w3 = (rng.normal(size=shape) for shape in ((20, 4), (4, 6), (6, 1)))
    x = np.abs(x)
    b1, b3 = rng.normal(size=6), rng.normal(size=1)

    def loss(x, w1, b1, w3, b3):
        units = gcn.unit_rows(x)
        return gcn.labelled_loss(
            gcn.logits(units, gcn.hidden(gcn.propagate(units, units), w1, b1), w3, b3), 15, 1.2
        )

    tensors = [torch.from_numpy(a).requires_grad_(a is not x) for a in (x, w1, b1, w3, b3)]
    found = loss(*tensors)
    assert_allclose(found.item(), loss(x, w1, b1, w3, b3), rtol=1e-12)
    found.backward()
    step = 1e-6
    for tensor, k in ((tensors[1], 1), (tensors[3], 3)):
        arrays = [x, w1, b1, w3, b3]
        moved = arrays[k].copy()
        moved[2, 0] += step
        arrays[k] = moved
        slope = (loss(*arrays) - found.item()) / step
        assert_allclose(tensor.grad[2, 0].item(), slope, rtol=1e-4)
