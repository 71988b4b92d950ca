"""BASE: balanced picks along boundaries."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import boundaries
from labelwise.functional.batches.boundaries import balanced_boundaries
from labelwise.seeds import generator


def drawn(name, n=60, classes=4, width=5):
    rng = generator(0, "tests", "boundaries", name)
    w, h = rng.normal(size=(classes, width)), rng.normal(size=(n, width))
    return w, h, h @ w.T + rng.normal(size=classes)


def plain(z, w, n):
    """The definition, a loop over samples and classes."""
    m, classes = z.shape
    predicted = z.argmax(axis=1)
    distance = np.full((m, classes), np.inf)
    for i in range(m):
        for c in range(classes):
            if c != predicted[i]:
                distance[i, c] = (z[i, predicted[i]] - z[i, c]) / np.linalg.norm(w[predicted[i]] - w[c])
        distance[i, predicted[i]] = distance[i].min()
    rows = []
    for c in range(classes):
        left = [i for i in np.argsort(distance[:, c], kind="stable") if i not in rows]
        rows += left[: n // classes + (c < n % classes)]
    return rows


@pytest.mark.parametrize("classes", [2, 4, 7])
@pytest.mark.parametrize("n", [1, 6, 25, 60, 99])
def test_plain_loops(classes, n, monkeypatch):
    w, _, z = drawn(f"plain {classes}", classes=classes)
    wanted = plain(z, w, min(n, 60))
    assert_array_equal(balanced_boundaries(z, n, weight=w), wanted)
    monkeypatch.setattr(boundaries, "BLOCK_BYTES", 8 * 3 * classes)
    assert_array_equal(balanced_boundaries(z, n, weight=w), wanted)


def test_a_distance_is_how_far_an_embedding_must_move():
    w, h, z = drawn("moved")
    predicted, own = boundaries._nearest(z, w)
    b = (z - h @ w.T)[0]
    for i in range(10):
        lead = z[i, predicted[i]] - z[i]
        gap = np.linalg.norm(w[predicted[i]] - w, axis=1)
        lead[predicted[i]], gap[predicted[i]] = np.inf, 1
        other = int(np.argmin(lead / gap))
        step = (w[other] - w[predicted[i]]) / gap[other]
        moved = np.sort((h[i] + own[i] * step) @ w.T + b)
        assert_allclose(moved[-1], moved[-2], atol=1e-10)  # there two classes share the lead


def test_picks_by_hand():
    # leads of class 0 over (1, 2): 1, 4; 2, 2; of class 1 over (0, 2): 3, 1. ‖w₀ - w₁‖ = 1, ‖w₀ - w₂‖ = 8, ‖w₁ - w₂‖ = 7
    z, w = np.array([[4.0, 3, 0], [2, 0, 0], [0, 3, 2]]), np.array([[0.0], [1], [8]])
    # class 0: 1/2 (row 0, over class 2), 2/8 (row 1), 3/1 (row 2); class 1 of the others: 3; 1/7 (row 2)
    assert_array_equal(balanced_boundaries(z, 2, weight=w), [1, 2])
    # differences of logits: class 0: 1, 2, 3; class 1: row 1: 2, row 2: 1
    assert_array_equal(balanced_boundaries(z, 2), [0, 2])


def test_classes_get_the_same_number_and_the_rest_is_drawn():
    _, _, z = drawn("rest", classes=5)
    # of 7 rows two classes get two; of 2 rows only two classes get any: all pairs of classes must turn up
    pairs = {tuple(sorted(balanced_boundaries(z, 2, rng=generator(s)))) for s in range(60)}
    assert len(pairs) > 5
    assert_array_equal(balanced_boundaries(z, 7), plain(z, np.eye(5) / 2**0.5, 7))


def test_classes_with_the_same_weights_have_no_boundary():
    z = np.array([[1.0, 0.9, 0], [2.0, 0, 1]])
    w = np.array([[1.0], [1.0], [0.0]])
    assert_allclose(boundaries._nearest(z, w)[1], [1.0, 1.0])  # 0.1 over class 1 is no distance
    assert_array_equal(np.sort(balanced_boundaries(z, 2, weight=np.zeros((3, 1)))), [0, 1])
    assert_array_equal(balanced_boundaries(np.ones((4, 1)), 2), [0, 1])


def test_wrong_arguments_are_refused_in_words():
    w, _, z = drawn("wrong")
    with pytest.raises(ShapeError, match=r"weight must have shape \(C=4, D\)"):
        balanced_boundaries(z, 2, weight=w[:3])
    w[2, 0] = np.nan
    with pytest.raises(InputError, match="weight: row 2 is not finite"):
        balanced_boundaries(z, 2, weight=w)
    z[5, 0] = np.nan
    with pytest.raises(InputError, match="logits: row 5 is not finite"):
        balanced_boundaries(z, 2)
