"""Learning curves: areas, intervals, crossings, penalty matrix."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import curves
from labelwise.functional.curves import aubc, aubc_quota, crossing_point, labels_to_reach
from labelwise.seeds import generator


def test_aubc_by_hand():
    # (0.2 + 0.6)/2 · 10 + (0.6 + 0.8)/2 · 30 = 4 + 21 over the 40 labels bought
    assert_allclose(aubc([10, 20, 50], [0.2, 0.6, 0.8]), 25 / 40)
    assert aubc([10], [0.3]) == 0.3


@pytest.mark.parametrize(
    "case", ["divisible", "not_divisible", "single_step", "constant", "large", "irregular"]
)
def test_aubc_equals_golden_numbers(case):
    numbers = cases("aubc_penalty")[case]
    given_, out = numbers["in"], numbers["out"]
    assert_allclose(aubc(given_["labelled"], given_["accuracy"]), out["aubc_trapezoid"], rtol=0, atol=1e-9)
    if "quota" in given_:
        got = aubc_quota(given_["accuracy"], int(given_["batch"]), int(given_["quota"]))
        assert_allclose(got, out["aubc_deepal_raw"], rtol=0, atol=1e-9)
        if case != "not_divisible":
            assert_allclose(got, out["aubc_trapezoid"], rtol=0, atol=1e-9)


def test_penalty_matrices_equal_golden_numbers():
    numbers = cases("aubc_penalty")["penalty"]
    given_, out = numbers["in"], numbers["out"]
    got = curves.penalty_matrix(
        given_["accuracy"], given_["labelled"], int(given_["n_query"]), int(given_["rand_index"])
    )
    assert_allclose(got, out["matrix"], rtol=0, atol=1e-9)
    assert_allclose(got.mean(axis=0), out["column_average"], rtol=0, atol=1e-9)
    assert_array_equal(curves.win_counts(given_["accuracy"]), out["win_counts_no_test"])


def test_labels_to_reach_by_hand():
    x, y = [10, 20, 40], [0.2, 0.6, 0.5]
    assert labels_to_reach(x, y, 0.1) == 10
    assert_allclose(labels_to_reach(x, y, 0.5), 17.5)  # three quarters of the way from 0.2 to 0.6
    assert labels_to_reach(x, y, 0.7) is None
    assert labels_to_reach([10, 20, 30], [0.25, 0.5, 0.5], 0.5) == 20  # reached is enough
    assert labels_to_reach([10, 20], [0.5, 0.5], 0.5) == 10


@pytest.mark.parametrize(
    "a, b, wanted",
    [
        ([0.5, 0.6, 0.7], [0.4, 0.5, 0.8], 25.0),  # d = .1 .1 -.1: zero half-way from 20 to 30
        ([0.5, 0.4, 0.9], [0.4, 0.5, 0.8], None),  # ahead again at the end: not for good
        ([0.4, 0.4, 0.4], [0.5, 0.5, 0.5], None),  # never ahead
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.5], 20.0),  # caught up and stayed level
        ([0.5, 0.4, 0.8], [0.4, 0.5, 1.0], 15.0),  # d = .1 -.1 -.2
        (
            [[0.6, 0.6, 0.6], [0.4, 0.6, 0.8]],
            [[0.4, 0.5, 0.8], [0.4, 0.5, 0.8]],
            25.0,
        ),  # means as in the first
    ],
)
def test_crossing_point_by_hand(a, b, wanted):
    got = crossing_point([10, 20, 30], a, b)
    assert got is None if wanted is None else got == pytest.approx(wanted)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_after_the_crossing_nobody_is_ahead_again(d):
    x = np.arange(len(d)) * 10.0
    got = crossing_point(x, d, np.zeros(len(d)))
    if got is None:
        assert d[-1] > 0 or max(d) <= 0
    else:
        before = max(i for i in range(len(d)) if x[i] <= got and d[i] > 0)
        assert all(value <= 0 for value in d[before + 1 :])


def test_mean_interval_by_hand():
    got = curves.mean_interval([1.0, 2.0, 3.0])
    # sd 1, t(2, 97.5 %) = 4.302653 from tables, half = 4.302653/√3 = 2.484138
    assert_allclose([got.mean, got.low, got.high], [2, 2 - 2.484138, 2 + 2.484138], atol=1e-6)
    assert curves.mean_interval([5.0]) == curves.Interval(5.0, None, None, 1)


def test_paired_difference_equals_scipy():
    from scipy.stats import ttest_rel

    rng = generator(0, "tests", "paired")
    a = rng.normal(0.8, 0.05, 10)
    b = a - rng.normal(0.02, 0.02, 10)
    got = curves.paired_difference(a, b, seed=1)
    assert_allclose(got.p, ttest_rel(a, b).pvalue)
    assert_allclose(got.mean, (a - b).mean())
    # the bootstrap's spread of a mean is sd·√((n-1)/n)/√n; 1.96 of it either side, within its own noise
    half = 1.96 * (a - b).std() / np.sqrt(10)
    assert_allclose([got.low, got.high], [got.mean - half, got.mean + half], atol=0.25 * half)
    assert got == curves.paired_difference(a, b, seed=1)
    assert got != curves.paired_difference(a, b, seed=2)


def test_the_bootstrap_interval_is_the_middle_95_percent():
    # d is 0 or 1: a resampled mean is Binomial(40, ½)/40, whose 2.5 and 97.5 % points are 14 and 26 of 40;
    # its 5 and 95 % points are 15 and 25
    got = curves.paired_difference(np.arange(40) % 2, np.zeros(40), resamples=100_000)
    assert (got.low, got.high) == (14 / 40, 26 / 40)


def test_penalties_count_the_first_five_seeds_and_need_two():
    labels, ahead = [1, 2], [0.9, 0.8, 0.9, 0.8, 0.9]  # of 0.5: p < 1e-4
    both = np.array([[*ahead, -90.0], [0.5] * 6])  # a sixth seed, disastrous, is not looked at
    accuracy = np.repeat(both[None, :, :, None], 2, axis=3)
    assert_array_equal(curves.penalty_matrix(accuracy, labels, 1, random=1), [[0, 1], [0, 0]])
    assert_array_equal(curves.penalty_matrix(accuracy[:, :, :1], labels, 1, random=1), np.zeros((2, 2)))
    two = np.repeat(np.array([[0.75, 0.5], [0.5, 0.25]])[None, :, :, None], 2, axis=3)
    assert_array_equal(
        curves.penalty_matrix(two, labels, 1, random=1), [[0, 1], [0, 0]]
    )  # equal leads: p = 0


def test_paired_difference_without_spread():
    # 0.9 - 0.8 rounds differently than 0.7 - 0.6; halves and quarters do not
    assert curves.paired_difference([0.75, 0.5], [0.5, 0.25]) == curves.Difference(0.25, 0.25, 0.25, 0.0, 2)
    assert curves.paired_difference([1, 2], [1, 2]) == curves.Difference(0.0, 0.0, 0.0, 1.0, 2)
    assert curves.paired_difference([1], [0]) == curves.Difference(1.0, None, None, None, 1)


def test_bad_curves_are_refused_in_words():
    with pytest.raises(InputError, match="labelled must grow; 20 is followed by 20"):
        aubc([10, 20, 20], [0, 0, 0])
    with pytest.raises(InputError, match="accuracy must be finite; it holds nan"):
        aubc([10, 20], [0, np.nan])
    with pytest.raises(ShapeError):
        aubc([10, 20], [0])
    with pytest.raises(InputError, match="at least one measurement"):
        aubc([], [])
    with pytest.raises(InputError, match="batch is 30, more than quota, 20"):
        aubc_quota([0.1, 0.2], 30, 20)
    with pytest.raises(InputError, match="at least 2 values; it has 1"):
        aubc_quota([0.1], 10, 20)
    with pytest.raises(ShapeError):
        crossing_point([1, 2], [[1, 2]], [[1, 2], [1, 2]])
    with pytest.raises(InputError, match="nothing to average"):
        curves.mean_interval([])
    with pytest.raises(InputError, match="nothing to compare"):
        curves.paired_difference([], [])
    with pytest.raises(ShapeError, match=r"a must have shape \(seeds, r\); it has shape \(1, 1, 2\)"):
        crossing_point([1, 2], [[[1, 2]]], [[[1, 2]]])
    with pytest.raises(InputError, match="a is empty"):
        crossing_point([1, 2], np.ones((0, 2)), np.ones((0, 2)))
    with pytest.raises(InputError, match="random must be one of the 2 strategies, 0 to 1; it is 5"):
        curves.penalty_matrix(np.ones((1, 2, 3, 2)), [1, 2], 1, 5)
    with pytest.raises(InputError, match="labelled must grow; 2 is followed by 1"):
        curves.penalty_matrix(np.ones((1, 2, 3, 2)), [2, 1], 1, 0)
    with pytest.raises(InputError, match="of one all seeds are NaN"):
        curves.penalty_matrix(np.full((1, 2, 3, 2), np.nan), [1, 2], 1, 0)
