"""The TrustSet in expectation, and the weights of classes: by hand, by brute force, by their laws."""

from math import e, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.trust import balancing_weights, expected_trust, trust_scores
from labelwise.seeds import generator


def simplex(n, classes, seed=0):
    return generator(seed, "tests", "expected trust").dirichlet(np.ones(classes), size=n)


def test_two_samples_by_hand_without_curriculum():
    # (1/2, 1/2): either label is wrong by ‖(1/2, -1/2)‖ = √½; a sure sample is right by 0 and wrong with chance 0
    assert_allclose(expected_trust([[0.5, 0.5], [1.0, 0.0]], lam=None), [sqrt(0.5), 0], atol=1e-15)


def test_the_weight_of_the_superloss_by_hand():
    # τ = ln 2, λ = 1: at p = 1/2 the loss is τ and the weight 1
    assert_allclose(expected_trust([[0.5, 0.5]]), [sqrt(0.5)], rtol=1e-12)
    # λ = 0.01: losses up to τ - 0.02 / e have weight e; p = 0.9 has, and at p = 0.1, β = (ln 10 - ln 2) / 0.01 = 161
    likely = 0.9 * e * sqrt(2) * 0.1
    found = expected_trust([[0.9, 0.1]], lam=0.01)[0]
    assert likely < found < likely + 0.1 * 0.05 * sqrt(2) * 0.9  # exp(-W(80)) is 0.041


@given(seed=st.integers(0, 500), classes=st.integers(1, 6), lam=st.sampled_from([None, 0.25, 1.0, 4.0]))
def test_it_is_the_mean_of_trust_scores_over_labels(seed, classes, lam):
    p = simplex(5, classes, seed)
    w = generator(seed, "tests", "weights").uniform(0, 3, classes)
    brute = sum(p[:, y] * w[y] * trust_scores(p, np.full(5, y), lam=lam) for y in range(classes))
    assert_allclose(expected_trust(p, class_weights=w, lam=lam), brute, rtol=1e-10, atol=1e-13)


def test_likely_members_of_a_heavy_class_come_first():
    p = np.array([[0.6, 0.4, 0.0], [0.6, 0.0, 0.4]])
    found = expected_trust(p, class_weights=[1.0, 1.0, 5.0])
    assert found[1] > found[0]
    even = expected_trust(p)
    assert_allclose(even[0], even[1], rtol=1e-12)


def test_nearly_sure_samples_keep_their_digits():
    off = 1e-9  # p_y ‖p - onehot(y)‖ over both labels: (1 - off) √2 off + off √2 (1 - off)
    assert_allclose(expected_trust([[1 - off, off]], lam=None), [2 * sqrt(2) * off * (1 - off)], rtol=1e-6)


def test_blocks_and_memory_maps_change_nothing(tmp_path):
    p = simplex(70_000, 7).astype(np.float32)
    np.save(tmp_path / "p.npy", p)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    whole = expected_trust(mapped)
    assert_array_equal(whole[60_000:60_003], expected_trust(p[60_000:60_003]))


def test_what_is_wrong_is_said():
    with pytest.raises(DistributionError, match="row 1"):
        expected_trust([[0.5, 0.5], [0.5, 0.6]])
    with pytest.raises(ShapeError, match="class_weights"):
        expected_trust([[0.5, 0.5]], class_weights=[1.0])
    with pytest.raises(InputError, match="class_weights must be finite"):
        expected_trust([[0.5, 0.5]], class_weights=[1.0, -1.0])
    with pytest.raises(InputError, match="lam"):
        expected_trust([[0.5, 0.5]], lam=0.0)


def test_weights_of_classes_by_hand():
    # counts 4, 1, 0 (as 1): 1/4, 1, 1 with mean 3/4
    assert_allclose(balancing_weights([0, 0, 0, 0, 1], 3), [1 / 3, 4 / 3, 4 / 3])
    assert_allclose(balancing_weights([0, 0, 0, 0, 1], 3, 0.0), [1, 1, 1])
    assert_allclose(balancing_weights([0, 0, 0, 0, 1], 3, 0.5), np.array([0.5, 1, 1]) * 3 / 2.5)
    assert_allclose(balancing_weights([], 2), [1, 1])


def test_a_loss_of_guessing_is_where_the_weight_is_one():
    p = np.full((1, 10), 0.1)
    assert_allclose(expected_trust(p, tau=log(10)), expected_trust(p, lam=None), rtol=1e-12)
