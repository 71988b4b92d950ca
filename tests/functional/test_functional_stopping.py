"""Stopping criteria: kappa and uncertainty by hand, each rule on series that cross its threshold once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError
from labelwise.functional.stopping import (
    Watch,
    advice,
    certain,
    converged,
    kappa,
    mean_uncertainty,
    stabilised,
    unchanged,
    watch_of,
    worth,
)


def watches(**series):
    """One fit a value, on 10, 20, ... labels; what is not named is None."""
    rows = zip(*series.values(), strict=True)
    blank = {"kappa": None, "changed": None, "uncertainty": None, "confidence": None}
    return [
        Watch(t, 10 * (t + 1), **{**blank, **dict(zip(series, row, strict=True))})
        for t, row in enumerate(rows)
    ]


def test_kappa_by_hand():
    # Cohen's two raters of 50: both yes 20, both no 15, first alone 5, second alone 10:
    # p_o = 35/50 = 0.7, p_e = 25/50 · 30/50 + 25/50 · 20/50 = 0.5, kappa = 0.2 / 0.5
    one = np.repeat([1, 0, 1, 0], [20, 15, 5, 10])
    other = np.repeat([1, 0, 0, 1], [20, 15, 5, 10])
    assert_allclose(kappa(one, other), 0.4, rtol=1e-12)


def test_kappa_at_its_ends():
    assert kappa([2, 1, 2], [2, 1, 2]) == 1.0
    assert np.isnan(kappa([2, 2, 2], [2, 2, 2]))  # 0 / 0: a model that says the same of everything
    assert_allclose(kappa([0, 1], [1, 0]), -1.0)  # p_o = 0, p_e = 1/2
    assert kappa([0, 0, 1, 1], [0, 1, 0, 1]) == 0.0  # p_o = p_e = 1/2
    assert kappa([0, 0], [1, 1]) == 0.0  # neither can agree by chance, nor do they


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30),
    st.permutations(range(4)),
)
def test_kappa_is_symmetric_and_does_not_heed_names(pairs, names):
    one, other = np.array(pairs).T
    assert_allclose(kappa(one, other), kappa(other, one), atol=1e-12)
    assert_allclose(kappa(one, other), kappa(np.array(names)[one], np.array(names)[other]), atol=1e-12)
    if len({*one, *other}) > 1:
        assert -1 - 1e-12 <= kappa(one, other) <= 1
    else:
        assert np.isnan(kappa(one, other))


def test_kappa_needs_samples_of_both():
    with pytest.raises(ShapeError, match="there is none"):
        kappa([], [])
    with pytest.raises(ShapeError):
        kappa([0, 1], [0])


def test_mean_uncertainty_by_hand():
    # ln C / ln C = 1 where all four are equally probable, 0 where one is certain, ln 2 / ln 4 = 1/2 between two
    probs = [[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0]]
    assert_allclose(mean_uncertainty(np.array(probs)), 0.5)


def test_stabilising_predictions_takes_the_mean_of_three_kappas():
    found = stabilised(watches(kappa=[None, 0.99, 0.99, 0.98, 1.0, 0.99, 0.995]))
    # means from the fourth fit: (0.99 + 0.99 + 0.98) / 3 = 0.98667; then 0.99; 0.99; 0.995
    assert_allclose(found.value, 0.995)
    assert (found.stop, found.since, found.first) == (True, 4, 4)
    assert stabilised(watches(kappa=[None, 1.0, 1.0])).stop is None  # two are no three
    early = stabilised(watches(kappa=[None, 1.0, 1.0, 1.0, 0.5]))
    assert (early.stop, early.since, early.first) == (False, None, 3)


def test_overall_uncertainty_stops_below_its_threshold():
    found = certain(watches(uncertainty=[0.5, 0.04, 0.06, 0.049]))
    assert (found.value, found.stop, found.since, found.first) == (0.049, True, 3, 1)
    assert certain(watches(uncertainty=[0.05])).stop is False  # below, not at
    assert certain(watches(uncertainty=[0.01, None])).stop is None  # nothing is left to be uncertain of


def test_classification_change_stops_when_nothing_changes():
    found = unchanged(watches(changed=[None, 0.1, 0.0, 0.0]))
    assert (found.value, found.stop, found.since) == (0.0, True, 2)
    assert unchanged(watches(changed=[None])).stop is None


def test_performance_convergence_compares_medians_of_three():
    # medians: of 3 values from the third; at the sixth (0.9 - 0.7) / 3, at the last two (0.9012 - 0.9) / 3 = 0.0004
    series = [0.6, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9012, 0.9012, 0.9012]
    found = converged(watches(confidence=series))
    assert_allclose(found.value, 0.0004, rtol=1e-9)
    assert (found.stop, found.since) == (True, 7)
    assert converged(watches(confidence=series[:5])).stop is None
    assert converged(watches(confidence=series[:6])).stop is False
    falling = [*series, 0.85, 0.85, 0.85]
    assert converged(watches(confidence=falling)).stop is False


def test_advice_is_one_of_each_and_none_without_a_fit():
    assert advice([]) == ()
    found = advice(watches(kappa=[None], uncertainty=[0.3]))
    assert [a.criterion for a in found] == [
        "stabilising predictions",
        "overall uncertainty",
        "classification change",
        "performance convergence",
    ]
    assert [a.value for a in found] == [None, 0.3, None, None]
    assert all(a.source for a in found)


def test_labels_that_cost_more_than_they_bring_back():
    # 1.2 points worth 100 each for 500 labels at 0.30 each: 120 / 150 = 0.8 back for each unit
    found = worth(1.2, 500, 0.3, 100, since=7)
    assert_allclose(found.value, 0.8)
    assert (found.stop, found.since) == (True, 7)
    even = worth(1.5, 500, 0.3, 100, since=7)
    assert_allclose(even.value, 1.0)
    assert (even.stop, even.since) == (False, None)
    assert worth(-0.5, 10, 1, 10).stop is True
    with pytest.raises(InputError, match="price"):
        worth(1, 500, 0, 100)


def test_what_a_stranger_stored_is_read_or_left():
    assert watch_of({}, 1, 2) is None
    assert watch_of({"kappa": "high"}, 1, 2) is None
    assert watch_of({"kappa": True, "changed": 0.1}, 1, 2) is None
    assert watch_of({"kappa": 1, "changed": 0.5, "said": [1]}, 3, 40) == Watch(3, 40, 1, 0.5, None, None)
