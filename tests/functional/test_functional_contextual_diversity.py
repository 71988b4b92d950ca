"""Contextual diversity: closed forms against all pairs, one by one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labelwise.errors import DistributionError
from labelwise.functional import contextual_diversity as cd
from labelwise.seeds import generator


def drawn(n, classes, seed=0):
    return generator(seed, "tests", "diversity").dirichlet(np.full(classes, 0.5), size=n)


def kl(p, q):
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("classes", [1, 2, 6])
def test_the_mean_divergence_is_that_of_all_pairs(classes):
    p = np.maximum(drawn(9, classes), 1e-9)
    pairs = [0.5 * kl(a, b) + 0.5 * kl(b, a) for a in p for b in p]
    assert_allclose(cd.mean_symmetric_kl(p), np.mean(pairs), rtol=1e-9, atol=1e-12)


def test_a_divergence_by_hand():
    p = np.array([[0.8, 0.2], [0.2, 0.8]])
    # ½ (0.6 · ln 4 + 0.6 · ln 4) = 0.6 ln 4 for either order of two different ones, 0 for one with itself
    assert_allclose(cd.mean_symmetric_kl(p), 0.3 * np.log(4))


def test_zeros_count_as_the_floor_and_copies_as_nothing():
    assert_allclose(cd.mean_symmetric_kl(np.eye(2)), 0.5 * np.log(1e12))
    assert cd.mean_symmetric_kl(np.full((5, 3), 1 / 3)) == 0
    assert cd.mean_symmetric_kl(np.empty((0, 3))) == 0


@pytest.mark.parametrize("block", [None, 3])
def test_squares_to_the_nearest_are_those_of_all_pairs(block, monkeypatch):
    if block:
        monkeypatch.setattr(cd, "rows_per_block", lambda width: block)
    p, chosen = drawn(11, 4), np.array([2, 7, 8])
    wanted = np.mean([min(((a - b) ** 2).sum() for b in p[chosen]) for a in p])
    assert_allclose(cd.mean_square_to_nearest(p, chosen), wanted, rtol=1e-12)


def test_the_reward_weighs_both():
    p, chosen = drawn(11, 4), np.array([2, 7, 8])
    near, apart = cd.mean_square_to_nearest(p, chosen), cd.mean_symmetric_kl(p[chosen])
    assert_allclose(cd.reward(p, chosen), 0.5 * np.exp(-near / 50) + 1.5 * apart)
    assert cd.reward(p, np.empty(0, np.int64)) == 0
    with pytest.raises(DistributionError, match="row 3"):
        cd.reward(np.vstack([p[:3], 2 * p[3:]]), chosen)
