"""Audits: counts, exact intervals, windows, the whole pool, and gains, by hand, by brute force and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import binomtest

from labelwise.errors import InputError
from labelwise.functional.audit import (
    Audited,
    audit_count,
    draws,
    estimate,
    gain,
    pooled,
    whole,
    windows,
)
from labelwise.seeds import generator


@given(st.sampled_from([0.0, 0.05, 0.1, 0.125, 1 / 3, 0.45, 0.5]), st.lists(st.integers(0, 30), max_size=40))
def test_the_running_total_is_the_share_rounded_half_up(share, sizes):
    asked = audited = 0
    for size in sizes:
        k = audit_count(share, asked, audited, size)
        assert 0 <= k <= size
        asked, audited = asked + size, audited + k
        assert abs(audited - share * asked) <= 0.5 + 1e-9


def test_a_tenth_is_a_tenth():
    # floats: 0.1 · 25 + 0.5 = 3.0 only by luck; 0.15 · 10 = 1.5 is rounded up, 0.35 · 10 = 3.5, too
    assert audit_count(0.1, 20, 2, 5) == 1
    assert audit_count(0.15, 0, 0, 10) == 2
    assert audit_count(0.35, 0, 0, 10) == 4
    assert audit_count(0.1, 0, 5, 10) == 0  # more than due already: wait
    with pytest.raises(InputError, match="share"):
        audit_count(1.5, 0, 0, 1)


def test_an_interval_by_hand():
    # none wrong in 30: 1 - 0.025^(1/30) below, the tail of (1 - p)^30
    assert_allclose(estimate(30, 30)[:3], (1.0, 0.025 ** (1 / 30), 1.0))
    assert_allclose(estimate(0, 10)[:3], (0.0, 0.0, 1 - 0.025**0.1))


@pytest.mark.parametrize("right, n", [(1, 2), (9, 10), (88, 100), (3, 7)])
def test_intervals_equal_scipys(right, n):
    exact = binomtest(right, n).proportion_ci(0.95, "exact")
    assert_allclose(estimate(right, n)[1:3], (exact.low, exact.high), rtol=1e-9)


def test_intervals_cover_mixtures_and_finite_pools():
    """Coverage by enumeration: 12 answers of models with other accuracies each, and 12 of a pool of 20."""
    intervals = [estimate(k, 12) for k in range(13)]

    def coverage(mass, truth):
        return sum(m for m, e in zip(mass, intervals, strict=True) if e.low <= truth <= e.high)

    accuracies = np.linspace(0.6, 0.98, 12)
    mass = np.array([1.0])
    for p in accuracies:
        mass = np.convolve(mass, [1 - p, p])
    assert coverage(mass, accuracies.mean()) >= 0.95
    from scipy.stats import hypergeom

    for right in range(21):
        assert coverage(hypergeom.pmf(np.arange(13), 20, right, 12), right / 20) >= 0.95


def rounds(*counts):
    return [Audited(t, 10 * t, n - 1 if n else 0, n, 500 - 10 * t) for t, n in enumerate(counts)]


def test_windows_are_made_from_the_newest_round_backwards():
    made = windows(rounds(4, 5, 0, 6, 3, 8), least=10)
    # backwards: 8 + 3 = 11; 6 + 5 = 11; 4 is too little and joins
    assert [[r.round for r in w] for w in made] == [[0, 1, 3], [4, 5]]
    assert [[r.round for r in w] for w in windows(rounds(2, 3), least=10)] == [[0, 1]]
    assert windows(rounds(0, 0)) == []
    found = pooled(made[-1])
    assert (found.right, found.n) == (9, 11)


def test_the_whole_pool_by_hand():
    # 100 told, 300 left to a model that gets 80 % to 95 % right, 90 % at best guess: (100 + 270) / 400
    left = estimate(9, 10)._replace(low=0.8, high=0.95)
    assert_allclose(whole(left, 100, 300), (370 / 400, 340 / 400, 385 / 400))
    assert whole(left, 50, 0) == (1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="at least 1"):
        whole(left, 0, 0)


def test_draws_are_equal_in_number_and_never_trained_on_what_they_are_tested_on():
    chance, chosen = np.arange(20), np.r_[15:60]  # five of the random ones were chosen, too
    made = draws(chance, chosen, 50, generator(0, "test"))
    for one in made:
        assert len(one.by_chance) == len(one.by_strategy) == 14
        assert len(one.held_out) == 6
        assert set(one.by_chance) | set(one.held_out) == set(range(20))
        assert not set(one.held_out) & (set(one.by_strategy) | set(one.by_chance))
        assert set(one.by_strategy) <= set(range(15, 40))  # its first twenty, and as many as were held out
    assert {i for one in made for i in one.held_out} == set(range(20))


def test_draws_need_labels_on_both_sides():
    with pytest.raises(InputError, match="at least 6 random labels; there are 5"):
        draws(np.arange(5), np.arange(50), 3, generator(0, "test"))
    with pytest.raises(InputError, match="must have 8 labels to compare; it has 3"):
        draws(np.arange(12), np.array([20, 21, 22]), 3, generator(0, "test"))


def test_a_gain_by_hand():
    chance = [np.array([1, 0, 0, 1]), np.array([0, 0, 1, 1])]
    strategy = [np.array([1, 1, 0, 1]), np.array([1, 0, 1, 1])]
    found = gain(chance, strategy, 40, held_out=True)
    assert (found.chance, found.strategy, found.gain) == (0.5, 0.75, 0.25)
    assert found.low == found.high == 0.25  # both draws gain a quarter: s² = 0
    other = gain([np.zeros(4), np.zeros(4)], [np.zeros(4), np.array([1, 1, 0, 0])], 40, held_out=True)
    # gains 0 and 1/2: mean 1/4, s² = 1/8; variance (1/2 + 1/2) / 8; t of one degree of freedom is 12.7062
    assert_allclose(other.high - other.gain, 12.7062 * np.sqrt(1 / 8), rtol=1e-5)
    fixed = gain([np.zeros(4), np.zeros(4)], [np.zeros(4), np.array([1, 1, 0, 0])], 40, held_out=False)
    # and on validation samples the mean gains 1/2, 1/2, 0, 0 of each, variance 1/12, over 4
    assert_allclose(fixed.high - fixed.gain, 12.7062 * np.sqrt(1 / 8 + 1 / 48), rtol=1e-5)


def test_a_gain_needs_two_draws_that_fit():
    with pytest.raises(InputError, match="two draws"):
        gain([np.zeros(3)], [np.zeros(3)], 1, held_out=True)
    with pytest.raises(InputError, match="two draws"):
        gain([np.zeros(3)] * 2, [np.zeros(4)] * 2, 1, held_out=True)
