"""Alarms, diversity and noise among asks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import monitor
from labelwise.seeds import generator


def kinds(alarms):
    return [(a.kind, a.class_index, a.round) for a in alarms]


def test_a_class_that_falls_under_5_percent_for_3_rounds_is_lost():
    fallen = [0.6, 0.04, 0.04, 0.04, 0.04]
    never_good = [0.5, 0.04, 0.04, 0.04, 0.04]  # 50 % is not more than 50 %
    blinks = [0.6, 0.04, 0.04, 0.3, 0.04]
    alarms = monitor.exclusion_alarms(np.transpose([fallen, never_good, blinks]), classes=["9", "8", "7"])
    assert kinds(alarms) == [("lost", 0, 3)]
    assert alarms[0].words == "Class '9' reached 60% and has been under 5% for 3 rounds."


def test_a_second_fall_is_a_second_alarm_and_missing_values_do_not_count():
    curve = [0.6, 0.0, None, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0]
    assert kinds(monitor.exclusion_alarms([[v] for v in curve])) == [("lost", 0, 4), ("lost", 0, 8)]


def test_a_class_without_asks_in_5_batches_is_ignored():
    asked = np.array([[5, 5], [10, 0], [10, 0], [10, 0], [10, 0], [10, 0], [10, 0], [9, 1]])
    assert kinds(monitor.exclusion_alarms(np.ones((1, 2)), asked)) == [("ignored", 1, 5)]


def test_a_class_that_chance_would_miss_raises_no_alarm():
    asked = np.zeros((5, 100), int)
    asked[:, :10] = 1  # 50 asks, 100 classes: an even draw misses a class with 0.99^50 = 61 %
    assert monitor.exclusion_alarms(np.ones((1, 100)), asked) == ()
    assert len(monitor.exclusion_alarms(np.ones((1, 100)), asked, chance=1)) == 90


@pytest.mark.parametrize("samples, alarms", [(6, 0), (7, 1)])  # 0.5^6 = 1.6 %, 0.5^7 = 0.8 %; chance is 1 %
def test_chance_is_what_an_even_draw_would_miss(samples, alarms):
    assert len(monitor.exclusion_alarms(np.ones((1, 2)), [[samples, 0]], batches=1)) == alarms


def test_5_percent_is_not_under_5_percent():
    assert monitor.exclusion_alarms([[0.6], [0.05], [0.05], [0.05]]) == ()
    assert kinds(monitor.exclusion_alarms([[0.6], [0.049], [0.049], [0.049]])) == [("lost", 0, 3)]


def test_failure_signatures_by_hand():
    labelled = np.arange(10, 90, 10)
    strategy = [0.3, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    random = [0.2, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75]
    per_class = np.transpose([[0.5, 0.9, 0, 0, 0, 0, 0, 0], np.ones(8)])
    got = monitor.failure_signatures(labelled, strategy, random=random, per_class=per_class, window=3)
    # class 0 was last right at 20 labels; the lead is 0.05 at 40 and 0 at 50; nothing gained since 30 labels
    assert kinds(got) == [("zero", 0, 2), ("random-catches-up", None, 4), ("no-gain", None, 5)]
    assert [a.words for a in got] == [
        "Class 0 has been at 0 % since 30 labels.",
        "Random catches up for good at 50 labels.",
        "The last 3 rounds gained +0.00% over the best before, 60.0%.",
    ]


@pytest.mark.parametrize(
    "curve, alarms",
    [
        ([0.5] * 5, 0),  # fewer than twice the window: not judged
        ([0.5] * 6, 1),
        ([0.5, 0.5, 0.5, 0.5, 0.75, 0.25], 0),  # the best of the last counts, not the last
        ([0.5, 0.625, 0.5, 0.5, 0.75, 0.5], 1),  # and the best before
        ([0.5, 0.5, 0.5, 0.5, 0.75, 0.5], 0),  # a gain of exactly `gain` is one
    ],
)
def test_no_gain_compares_the_best_of_the_last_with_the_best_before(curve, alarms):
    got = monitor.failure_signatures(np.arange(len(curve)), curve, window=3, gain=0.25)
    assert len(got) == alarms


def test_a_healthy_curve_has_no_signature():
    grows = np.linspace(0.1, 0.9, 30)
    assert (
        monitor.failure_signatures(np.arange(30), grows, random=grows - 0.05, per_class=grows[:, None]) == ()
    )


@pytest.mark.parametrize("block", [None, 1, 3])
def test_mean_pairwise_distance_equals_brute_force(block):
    x = generator(0, "tests", "pairs").normal(size=(11, 4))
    d = [np.linalg.norm(x[i] - x[j]) for i in range(11) for j in range(i)]
    assert_allclose(monitor.mean_pairwise_distance(x, block=block), np.mean(d))
    assert_allclose(monitor.mean_pairwise_distance(x, squared=True), np.mean(np.square(d)))
    assert monitor.mean_pairwise_distance(x[:1]) == 0


def test_images_are_flattened():
    x = np.zeros((2, 2, 2))
    x[1] = 1
    assert monitor.mean_pairwise_distance(x) == 2  # √(4 · 1²)


def test_class_entropy_by_hand():
    assert monitor.class_entropy([1, 1, 1], 3) == 0
    assert_allclose(monitor.class_entropy([0, 1, 2, 0, 1, 2], 3), np.log(3))


@pytest.mark.parametrize("block", [None, 1, 4])
@given(tol=st.floats(0, 2))
def test_near_duplicates_equal_brute_force(block, tol):
    x = generator(0, "tests", "near").integers(0, 3, size=(9, 2)) * 1.0
    wanted = [(i, j) for i in range(9) for j in range(i + 1, 9) if np.linalg.norm(x[i] - x[j]) <= tol]
    got = monitor.near_duplicates(x, tol, block=block)
    assert sorted(map(tuple, got.tolist())) == wanted


def test_near_duplicates_sees_differences_that_a_gram_matrix_loses():
    x = np.array([[1e4, 0.0], [1e4, 1e-5], [1e4, 1.0]])  # |x|² = 1e8: 1e-10 is below its rounding, 1.5e-8
    assert_array_equal(monitor.near_duplicates(x, 2e-5), [[0, 1]])
    assert monitor.near_duplicates(x, 5e-6).shape == (0, 2)


def test_noisy_share_by_hand():
    got = monitor.noisy_share([True] * 10 + [False] * 90, 0.3)
    # Wilson for 10 of 100: (0.0552, 0.1744), from the formula with z = 1.96
    assert_allclose([got.share, got.low, got.high], [0.1, 0.0552, 0.1744], atol=1e-4)
    assert got.differs
    assert not monitor.noisy_share([True, False], 0.4).differs


def test_wilson_interval_equals_scipy():
    from scipy.stats import binomtest

    wanted = binomtest(7, 40).proportion_ci(0.95, method="wilson")
    got = monitor.noisy_share([True] * 7 + [False] * 33, 0.1)
    assert_allclose([got.low, got.high], [wanted.low, wanted.high], rtol=1e-12)


@pytest.mark.parametrize("n", range(1, 60))  # rounding leaves some of them a hair off
def test_the_ends_are_exact_for_any_number(n):
    assert monitor.noisy_share([False] * n, 0.0).low == 0
    assert monitor.noisy_share([True] * n, 1.0).high == 1


def test_shares_of_nothing_and_everything_touch_the_ends():
    assert monitor.noisy_share([False] * 5, 0.0).low == 0
    assert not monitor.noisy_share([False] * 5, 0.0).differs
    assert monitor.noisy_share([True] * 5, 1.0).high == 1


def test_bad_input_is_refused_in_words():
    with pytest.raises(ShapeError, match="classes must hold one name a class, 2; it holds 1"):
        monitor.exclusion_alarms(np.ones((1, 2)), classes=["a"])
    with pytest.raises(ShapeError):
        monitor.exclusion_alarms(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(InputError, match="tol must be a distance of at least 0; it is nan"):
        monitor.near_duplicates(np.ones((2, 2)), float("nan"))
    with pytest.raises(InputError, match="x: row 1 holds a value that is not finite"):
        monitor.mean_pairwise_distance([[0.0], [np.inf]])
    with pytest.raises(InputError, match="nothing was asked"):
        monitor.noisy_share([], 0.1)
    with pytest.raises(InputError, match="it has no entropy"):
        monitor.class_entropy([], 2)
    with pytest.raises(ShapeError):
        monitor.mean_pairwise_distance([1.0, 2.0])
    with pytest.raises(ShapeError, match="it holds single values"):
        monitor.exclusion_alarms([0.1, 0.2])
    with pytest.raises(InputError, match="noisy must be booleans; it holds nan"):
        monitor.noisy_share([1.0, np.nan], 0.1)
    with pytest.raises(InputError, match="accuracy must be finite; it holds nan"):
        monitor.failure_signatures(np.arange(30), [np.nan] * 30)
    with pytest.raises(InputError, match="labelled must grow; 0 is followed by 0"):
        monitor.failure_signatures(np.zeros(30), np.ones(30))
    with pytest.raises(InputError, match="there is no seed to judge"):
        monitor.failure_signatures(np.arange(3), np.ones((0, 3)))
