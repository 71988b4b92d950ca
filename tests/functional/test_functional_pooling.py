"""Means over sets: Student's interval by hand, weights, partial pooling worked out, and what must hold of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError
from labelwise.functional.pooling import near_mean, pooled, weighed

NUMBERS = st.lists(st.floats(-1, 1), min_size=2, max_size=8)


def test_equal_weights_give_students_interval():
    # mean 2, s = 1, n = 3, t(2, 0.975) = 4.30265: half 4.30265 / √3 = 2.48414, and √(1 + 1/3) of it 4.96828
    found = weighed([1, 2, 3])
    assert_allclose([found.mean, found.low, found.high], [2, 2 - 2.48414, 2 + 2.48414], atol=1e-5)
    assert_allclose([found.next_low, found.next_high, found.n], [2 - 4.96828, 2 + 4.96828, 3], atol=1e-5)


def test_weights_by_hand():
    # w = (1/2, 1/4, 1/4): mean 0.5; n = 1 / (1/4 + 1/16 + 1/16) = 8/3; s² = 0.75 / (1 - 3/8) = 1.2, with
    # Σ w (x - mean)² = 0.5 · 0.25 + 0.25 · 0.25 + 0.25 · 2.25 = 0.75; half = t(5/3) √(1.2 · 3/8)
    from scipy.stats import t

    found = weighed([0, 0, 2], [2, 1, 1])
    assert_allclose([found.mean, found.n], [0.5, 8 / 3])
    assert_allclose(found.high - found.mean, t.ppf(0.975, 5 / 3) * np.sqrt(1.2 * 3 / 8))


def test_a_higher_level_is_wider_and_one_set_has_no_interval():
    assert weighed([1, 2, 3], level=0.99).high > weighed([1, 2, 3]).high
    lone = weighed([0.3])
    assert (lone.mean, lone.low, lone.next_high, lone.n) == (0.3, None, None, 1)
    assert weighed([1, 2], [1, 0.01]).low is None  # one set's worth of weight, however many sets


@given(NUMBERS)
def test_one_more_set_is_less_sure_than_the_mean_and_a_set_without_weight_says_nothing(values):
    found = weighed(values)
    assert found.next_low <= found.low <= found.mean + 1e-12
    again = weighed([*values, 0.9], [1] * len(values) + [0])
    assert_allclose([again.mean, again.low, again.n], [found.mean, found.low, found.n], atol=1e-9)


def test_partial_pooling_by_hand():
    # plain means 1 (0, 2) and 5 (4, 6): within = (1 + 1 + 1 + 1) / 2 = 2; centre 3; variance of means 8, less 2 / 2: 7;
    # share 7 / (7 + 1) = 0.875: 3 ± 2 · 0.875
    found = pooled([[0, 2], [4, 6]])
    assert (found.centre, found.within, found.between) == (3, 2, 7)
    assert_allclose(found.means, [1.25, 4.75])


def test_who_was_measured_on_fewer_sets_is_drawn_more():
    nan = np.nan
    found = pooled([[0.0, 0.2, -0.2, 0.0], [1.0, nan, nan, nan], [1.0, 1.2, 0.8, 1.0]])
    assert found.means[1] < found.means[2] < 1  # both have the plain mean 1
    assert found.means[0] > 0


def test_methods_that_do_not_differ_more_than_chance_share_one_mean():
    found = pooled([[1.0, -1.0], [-1.0, 1.0]])
    assert found.between == 0
    assert_allclose(found.means, 0)


def test_without_scatter_means_stay_as_they_are():
    assert_allclose(pooled([[1.0, 1.0], [2.0, 2.0]]).means, [1, 2])


def test_the_near_mean_by_hand():
    # (1 · 2 + 0.5 · 4 + 1 · 0) / (1 + 0.5 + 1) = 4 / 2.5
    assert near_mean([2, 4], [1, 0.5], 0.0) == pytest.approx(1.6)
    assert near_mean([], [], 0.7) == 0.7
    assert near_mean([5, 9], [0, 0], 0.7) == 0.7  # nothing is like it


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: weighed([]), "weights must be"),
        (lambda: weighed([1, 2], [0, 0]), "weights must be"),
        (lambda: weighed([1, np.nan]), "values must be finite"),
        (lambda: weighed([1, 2], level=1), "level must lie between 0 and 1"),
        (lambda: pooled([[np.nan, np.nan]]), "one number or more for each method"),
        (lambda: pooled([[np.inf, 1]]), "finite"),
        (lambda: near_mean([1], [2], 0), "likeness must lie in"),
        (lambda: near_mean([1], [1], 0, counts=0), "counts be above 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_shapes_must_match():
    with pytest.raises(ShapeError):
        weighed([1, 2], [1])
    with pytest.raises(ShapeError):
        near_mean([1, 2], [1], 0)
