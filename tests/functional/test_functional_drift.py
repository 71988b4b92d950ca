"""What is drift and what is chance: known shifts, exact tests, weights, labels to buy; bad input."""

from math import e, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm

from labelwise.errors import InputError, ShapeError
from labelwise.functional.drift import (
    allocated,
    as_steps,
    basis,
    holm,
    labels_for,
    moved_radius,
    usual_width,
    weighted_risk,
    width_of,
)
from labelwise.seeds import generator


def test_a_known_shift_of_the_mean_is_estimated_and_found():
    rng = generator(0, "tests", "drift", "mean")
    old, new = rng.standard_normal((2, 500, 3))
    new[:, 0] += 0.5
    told = moved_radius(old, new, rng, draws=19)
    assert_allclose(told.rho, exp(0.25) - 1, rtol=0.25)  # χ² of N(m, 1) from N(0, 1): e^(m²) - 1
    assert told.p == 1 / 20  # above every one of 19 draws
    assert told.measured > told.chance(1.0) == told.null.max()
    assert (np.diff(told.null) >= 0).all()


def test_a_change_of_spread_is_found_by_squares_only():
    rng = generator(0, "tests", "drift", "spread")
    old, new = rng.standard_normal((2, 300, 2))
    new[:, 0] *= 1.5
    assert moved_radius(old, new, rng, draws=19).p > 0.05
    assert moved_radius(old, new, rng, draws=19, squares=True).p == 0.05


def test_what_has_not_moved_rarely_alarms_though_no_radius_is_zero():
    alarms, blind = 0, 0
    for seed in range(40):
        rng = generator(seed, "tests", "drift", "null")
        old, new = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
        told = moved_radius(old, new, rng, draws=9)
        alarms += told.p <= 0.1
        blind += told.measured > 0.05  # as if chance had no radius of its own
    assert 1 <= alarms <= 9  # of 40 tests at 10 %: outside with probability 2 %
    assert blind >= 36


def test_a_radius_takes_off_what_chance_shows_and_is_never_negative():
    rng = generator(0, "tests", "drift", "same")
    told = [moved_radius(*rng.standard_normal((2, 20, 2)), rng, draws=4) for _ in range(8)]
    assert all(one.rho == max(0, one.measured - np.median(one.null)) for one in told)
    assert min(one.rho for one in told) == 0
    ticks = []
    moved_radius(*rng.standard_normal((2, 10, 1)), rng, draws=3, progress=lambda: ticks.append(1))
    assert len(ticks) == 4


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never falling: 0.04, 0.06, 0.06, 0.06
    assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    assert_allclose(holm([0.6, 0.7]), [1, 1])
    assert_allclose(holm([0.2]), [0.2])


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    rng = generator(0, "tests", "drift", "basis")
    for n, d in ((50, 8), (6, 30)):
        x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        right = np.linalg.svd(z, full_matrices=False)[2][:3]
        assert_allclose(np.abs(basis(x, 3).of(x)), np.abs(z @ right.T), atol=1e-8)
    few = basis(x[:, :2], 3).of(x[:, :2])
    assert_allclose(few, z[:, :2], atol=1e-12)  # all columns, in their order
    flat = np.column_stack([np.full(9, 7.0), np.arange(9)])
    assert_allclose(basis(flat, 5).of(flat)[:, 0], 0)
    assert [usual_width(9, 500), usual_width(200, 500), usual_width(900, 500)] == [1, 20, 32]


def test_a_weighted_risk_by_hand():
    told = weighted_risk([0.0, 1, 0, 1], [1.0, 3, 1, 3])  # weights 1/8, 3/8, 1/8, 3/8
    assert_allclose(told.risk, 0.75)
    assert_allclose(told.effective, 64 / 20)
    assert_allclose(told.low, 0.75 - 1.96 * np.sqrt((2 * 0.75**2 + 18 * 0.25**2) / 64))
    assert told.high == 1
    same = weighted_risk([0.0, 1, 0, 1], np.full(4, 5.0))
    assert_allclose([same.risk, same.effective], [0.5, 4])


def test_weights_find_the_risk_of_a_shifted_mean():
    # the loss is [x > 0], P = N(0, 1), Q = N(0.5, 1): ratios e^(x/2 - 1/8), risk Φ(0.5) = 0.6915
    x = norm.ppf((np.arange(4000) + 0.5) / 4000)
    told = weighted_risk(x > 0, np.exp(x / 2 - 1 / 8))
    assert told.low < norm.cdf(0.5) < told.high
    assert_allclose(told.risk, norm.cdf(0.5), atol=0.005)  # clipped at the 99th percentile, a little is lost
    # Σw² n - 1 estimates ρ = e^0.25 - 1, but for the clip
    assert_allclose(4000 / told.effective - 1, exp(0.25) - 1, rtol=0.15)


def test_labels_for_a_width_by_hand():
    assert labels_for(0.05) == 738  # ln 40 / 0.005 = 737.8
    assert labels_for(1, 2 / e**2) == 1  # ln e² / 2 = 1
    assert labels_for(0.1, 0.05, 2) == 738
    assert_allclose(width_of(738), 0.05, atol=1e-4)
    assert_allclose(width_of(8, 2 * exp(-4), 3), 1.5)
    assert labels_for(width_of(100)) in (100, 101)  # rounding


def test_labels_go_where_they_are_many_and_unsure():
    assert allocated([100, 100], [0.1, 0.3], 40).tolist() == [10, 30]
    assert allocated([300, 100], [0.2, 0.2], 40).tolist() == [30, 10]
    assert allocated([100, 5], [0.1, 9], 40).tolist() == [35, 5]  # a full stratum's go to the others
    assert allocated([10, 20], [0, 0], 3).tolist() == [1, 2]
    assert allocated([10, 2], [0, 1], 5).tolist() == [3, 2]
    assert allocated([3, 2], [1, 1], 99).tolist() == [3, 2]
    assert allocated([53, 47], [1, 1], 10).tolist() == [5, 5]  # 5.3 and 4.7
    assert allocated([4, 0], [1, 1], 0).tolist() == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=6), st.integers(0, 400))
def test_no_label_is_lost_and_no_stratum_overdrawn(strata, n):
    sizes, deviations = zip(*strata, strict=True)
    given_out = allocated(sizes, deviations, n)
    assert given_out.sum() == min(n, sum(sizes))
    assert (given_out >= 0).all() and (given_out <= sizes).all()


def test_a_radius_in_steps():
    assert as_steps(0) == 0
    assert_allclose(as_steps(exp(0.5**2) - 1), 0.5)
    assert_allclose(as_steps(1), np.sqrt(log(2)))


X = np.arange(20.0)[:, None]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: moved_radius(X, np.ones((20, 2)), r), r"new must have shape \(m, D=1\)"),
        (lambda r: moved_radius(X[:3], X, r), "a sample for each of 5 folds; it has 3"),
        (lambda r: moved_radius(np.where(X == 4, np.nan, X), X, r), "old: row 4 holds nan"),
        (lambda r: moved_radius(X, X, r, draws=0), "draws must be a whole number of at least 1"),
        (lambda r: holm([0.1, 1.2]), "p: row 1 is 1.2"),
        (lambda r: holm([]), "p must not be empty"),
        (lambda r: basis(X, 0), "width must be"),
        (lambda r: basis(X, 2).of(np.ones((3, 2))), r"values must have shape \(n, D=1\)"),
        (lambda r: weighted_risk([0.0, 1], [1.0]), r"ratios must have shape \(n=2\)"),
        (lambda r: weighted_risk([0.0, 1], [1.0, -1]), "row 1 is -1"),
        (lambda r: labels_for(0), "width must be above 0"),
        (lambda r: labels_for(0.1, 1.0), r"delta must be inside \(0, 1\)"),
        (lambda r: width_of(0), "n must be a whole number of at least 1"),
        (lambda r: allocated([1], [1, 2], 3), r"deviations must have shape \(S=1\)"),
        (lambda r: allocated([-1], [1], 3), "sizes: row 0 is -1"),
        (lambda r: allocated([1], [1], -3), "n must be a whole number of at least 0"),
        (lambda r: as_steps(-1), "rho must be a number of at least 0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError), match=words):
        call(generator(0, "tests", "bad"))
