"""Ranks over settings, their tests, wins and ties, and the power of a few seeds: literals, brute force, laws."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError
from labelwise.functional import ranking

# Demšar 2006, table 6: AUC of C4.5 without and with tuning of m, cf, and both, on 14 data sets; the paper
# ranks unrounded numbers, and of the two 0.975 it prints in one row the first ranks above the second.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
)  # fmt: skip


def test_ranks_are_those_of_the_papers_example() -> None:
    found = ranking.ranks(DEMSAR)
    assert_array_equal(found[0], [4, 3, 2, 1])
    assert_array_equal(found[5], [1, 2.5, 4, 2.5])
    assert_array_equal(found[9], [2.5] * 4)
    assert_allclose(found.mean(axis=0), [3.143, 2.000, 2.893, 1.964], atol=5e-4)


def test_ranks_share_the_places_of_equals() -> None:
    for scores in product((0, 1, 2), repeat=3):
        # each of a tied group holds the mean of the places that all orders of the group would give it
        orders = [o for o in permutations(range(3)) if all(scores[a] >= scores[b] for a, b in pairwise(o))]
        mean = [np.mean([o.index(i) + 1 for o in orders]) for i in range(3)]
        assert_allclose(ranking.ranks([scores])[0], mean)


def test_friedman_is_that_of_the_papers_example_without_ties() -> None:
    # N = 4, k = 3, no ties; rank sums 5, 8, 11: chi2 = 12/(4·3·4) (25 + 64 + 121) - 3·4·4 = 4.5, F = 3·4.5/(8 - 4.5)
    scores = [[3, 2, 1], [3, 2, 1], [3, 1, 2], [2, 3, 1]]
    assert_array_equal(ranking.ranks(scores).sum(axis=0), [5, 8, 11])
    found = ranking.friedman(scores)
    assert found.statistic == pytest.approx(3 * 4.5 / 3.5)
    assert found.degrees == (2, 6)
    assert found.p == pytest.approx(
        (1 + 2 * (27 / 7) / 6) ** -3
    )  # P(F > x) for 2 and 6 degrees, in closed form


def test_friedman_corrects_for_ties_as_scipy_does() -> None:
    from scipy.stats import friedmanchisquare

    chi = friedmanchisquare(*DEMSAR.T).statistic
    assert ranking.friedman(DEMSAR).statistic == pytest.approx(13 * chi / (14 * 3 - chi))


def test_friedman_at_its_ends() -> None:
    assert ranking.friedman(np.ones((4, 3))) == ranking.Friedman(0.0, 1.0, (2, 6))
    same = ranking.friedman([[3, 2, 1]] * 3)
    assert same.statistic is None
    orders = [np.sum(o, axis=0) for o in product(permutations((1, 2, 3)), repeat=3)]
    as_uneven = np.mean(
        [sorted(s) == [3, 6, 9] for s in orders]
    )  # brute force over all orders of three settings
    assert same.p == pytest.approx(as_uneven)
    with pytest.raises(InputError, match="2 settings and 2 strategies"):
        ranking.friedman([[1, 2, 3]])
    with pytest.raises(InputError, match="finite"):
        ranking.ranks([[1, np.nan]])


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_the_papers_table(k: int, q: float) -> None:
    # Demšar 2006, table 5(a); √(k(k+1)/6N) = 1 where 6N = k(k+1)
    assert ranking.critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / 84), abs=1e-3)


def test_groups_are_the_bars_of_the_papers_example() -> None:
    assert ranking.critical_difference(4, 14, 0.1) == pytest.approx(1.12, abs=5e-3)
    mean = ranking.ranks(DEMSAR).mean(axis=0)
    # at 1.12: C4.5 (3.143) differs from +m (2.000) and +m+cf (1.964), +cf (2.893) from none
    assert ranking.alike(mean, 1.12) == [(3, 1, 2), (2, 0)]
    assert ranking.alike(mean, 3) == [(3, 1, 2, 0)]
    assert ranking.alike([1, 2, 3], 1.0) == []  # as far apart as the difference: they differ


def test_groups_hold_every_pair_that_does_not_differ_and_no_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mean = rng.uniform(1, 6, size=6)
        groups = ranking.alike(mean, 1.5)
        for i, j in product(range(6), repeat=2):
            together = any(i in g and j in g for g in groups)
            assert i == j or together == (abs(mean[i] - mean[j]) < 1.5)
        assert not any(set(a) < set(b) for a in groups for b in groups)


def test_holm_by_hand() -> None:
    # sorted .01·4, .02·3, .03·2 < .06 so raised, .5·1
    assert_allclose(ranking.holm([0.5, 0.01, 0.03, 0.02]), [0.5, 0.04, 0.06, 0.06])
    assert_allclose(ranking.holm([0.9, 0.8]), [1, 1])
    assert ranking.holm([]).size == 0


def test_wins_and_ties_by_hand() -> None:
    good, bad = [0.9, 0.91, 0.89, 0.9], [0.5, 0.51, 0.49, 0.505]
    noisy = [0.2, 0.95, 0.4, 0.8]
    found = ranking.win_tie_loss([[good, bad, noisy], [bad, good, [0.5, 0.5, np.nan, np.nan]]])
    assert_array_equal(found.wins, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    # the second setting's third strategy has two seeds and is not compared there
    assert_array_equal(found.ties, [[0, 0, 1], [0, 0, 1], [1, 1, 0]])


def test_ties_grow_with_the_pairs_that_are_looked_at() -> None:
    a, b = [0.50, 0.52, 0.54, 0.53], [0.48, 0.515, 0.51, 0.505]  # p = 0.022
    two = ranking.win_tie_loss([[a, b]])
    assert two.wins[0, 1] == 1
    third = [0.1, 0.9, 0.2, 0.8]
    assert ranking.win_tie_loss([[a, b, third]]).wins.sum() == 0  # 3 · 0.022 > 0.05


def test_power_is_that_of_published_tables() -> None:
    # Cohen 1988: 34 pairs find 0.5 deviations with 80 % power, 15 find 0.8, 199 find 0.2; one pair fewer does not
    for effect, pairs in ((0.5, 34), (0.8, 15), (0.2, 199)):
        assert ranking.detectable(1.0, pairs) <= effect < ranking.detectable(1.0, pairs - 1)
    assert ranking.detectable(0.0, 5) == 0
    assert ranking.detectable(3.0, 5) == pytest.approx(3 * ranking.detectable(1.0, 5))
    assert ranking.detectable(1.0, 5, power=0.05) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    "alpha", [0.05, 0.05 / 3, 0.05 / 60]
)  # small levels look where the far tail is nothing
def test_power_is_the_share_of_experiments_that_find_it(alpha: float) -> None:
    from scipy.special import stdtrit

    rng = np.random.default_rng(1)
    d = rng.normal(ranking.detectable(2.0, 5, alpha=alpha), 2.0, size=(20_000, 5))
    t = d.mean(axis=1) / (d.std(axis=1, ddof=1) / np.sqrt(5))
    assert (abs(t) > stdtrit(4, 1 - alpha / 2)).mean() == pytest.approx(
        0.8, abs=0.012
    )  # four standard errors


def test_ratios_are_means_of_logarithms() -> None:
    found = ranking.paired_ratio([50, 100, 200], [100, 100, 100])
    assert found.mean == pytest.approx(1)
    half = 4.302653 * np.log(2) / np.sqrt(3)  # t of 2 degrees; logs -ln 2, 0, ln 2 have deviation ln 2
    assert_allclose([found.low, found.high], [np.exp(-half), np.exp(half)], rtol=1e-6)
    assert ranking.paired_ratio([50], [100]).low is None
    with pytest.raises(InputError, match="above 0"):
        ranking.paired_ratio([0], [1])
