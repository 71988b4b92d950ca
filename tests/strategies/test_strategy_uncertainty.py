"""The four uncertainty strategies and random."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategy_views import view

from labelwise import selection
from labelwise.errors import DistributionError
from labelwise.seeds import generator
from labelwise.strategies import make

FOUR = ["least-confidence", "margin", "largest-margin", "entropy"]


def test_picks_by_hand():
    p = np.array([[0.40, 0.35, 0.25], [0.50, 0.49, 0.01], [0.60, 0.20, 0.20], [0.42, 0.30, 0.28]])
    first = {name: int(selection.select(name, {"probs": p}, 1)[0]) for name in FOUR}
    # lowest maximum .40; smallest lead .01; smallest spread .42 - .28 = .14 (row 0: .15); row 0 is the most even:
    # its entropy is 1.0805, that of row 3 is 1.0819
    assert first == {"least-confidence": 0, "margin": 1, "largest-margin": 3, "entropy": 3}


def test_with_two_classes_all_four_rank_alike():
    p = generator(0, "tests", "two classes").uniform(size=200)
    probs = {"probs": np.column_stack([p, 1 - p])}
    by_hand = np.argsort(np.abs(p - 0.5))
    for name in FOUR:
        assert_array_equal(selection.select(name, probs, 200), by_hand)


@pytest.mark.parametrize("name", FOUR)
def test_ties_are_broken_by_the_seed(name):
    probs = {"probs": np.full((50, 4), 0.25)}
    picks = [tuple(selection.select(name, probs, 5, seed=seed).tolist()) for seed in range(20)]
    assert len(set(picks)) == 20  # 20 of 50·49·48·47·46 orders: all different but for luck of 1 in a million
    assert picks[0] == tuple(selection.select(name, probs, 5, seed=0).tolist())


def test_random_draws_every_row_alike():
    counts = np.zeros(8)
    strategy = make("random")
    for seed in range(4000):
        counts[strategy.propose(view(strategy.needs, 8, 2), 2, generator(seed)).rows] += 1
    # each row is in with 1/4: 1000 of 4000 with a standard deviation of 27; five of them
    assert (np.abs(counts - 1000) < 137).all()


def test_random_gives_no_scores():
    strategy = make("random")
    assert strategy.propose(view(strategy.needs, 8, 2), 2, generator(0)).scores is None


@pytest.mark.parametrize("name", FOUR)
def test_a_wrong_row_is_named(name):
    p = np.full((300, 2), 0.5)
    p[277] = [0.6, 0.5]
    with pytest.raises(DistributionError, match=r"probs: row 277 is no distribution: sums to 1\.1\."):
        selection.select(name, {"probs": p}, 3)
