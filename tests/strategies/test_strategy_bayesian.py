"""Strategies on posterior draws: what each ranks by, noise, targets, parameters that are refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategy_views import view

from labelwise import selection
from labelwise.errors import DistributionError, InputError, MissingSignal, UnknownName
from labelwise.functional import draws, scores
from labelwise.functional.batches import batch_bald, joint_mutual_information
from labelwise.seeds import generator
from labelwise.strategies import make

RANKED = {
    "variation-ratio": ({}, draws.variation_ratio),
    "mean-std": ({}, draws.mean_std),
    "bald": ({}, draws.bald),
    "query-by-committee": ({}, draws.vote_entropy),
    "query-by-committee, divergence": ({"disagreement": "consensus-divergence"}, draws.consensus_divergence),
    "mc-least-confidence": ({}, lambda x: scores.least_confidence(x.mean(axis=1))),
    "mc-margin": ({}, lambda x: scores.smallest_margin(x.mean(axis=1))),
    "mc-largest-margin": ({}, lambda x: scores.largest_margin(x.mean(axis=1))),
    "mc-entropy": ({}, lambda x: scores.entropy(x.mean(axis=1))),
}


def some(n=60, s=5, classes=4, seed=0):
    return generator(seed, "tests", "bayesian").dirichlet(np.full(classes, 0.5), (n, s))


def picked(name, x, n, seed=0, **params):
    return selection.select(name, {"draws": x}, n, seed=seed, **params)


@pytest.mark.parametrize("case", RANKED)
def test_the_highest_scores_are_asked_for_first(case):
    params, score = RANKED[case]
    x = some()
    found = selection.proposal(case.partition(",")[0], {"draws": x}, 60, **params)
    assert_allclose(found.scores, score(x), atol=1e-12)
    assert (np.diff(found.scores[found.rows]) <= 0).all()
    assert sorted(found.rows) == list(range(60))


def test_bald_asks_for_disagreement_and_entropy_for_doubt():
    sure = np.eye(2)
    x = np.stack([sure[[0, 1, 0, 1]], np.full((4, 2), 0.5), sure[[0, 0, 0, 0]]])  # torn, a coin, settled
    x[0] = 0.9 * x[0] + 0.05  # not wholly torn: the coin has the higher entropy of the mean
    x[0, 0] = [0.99, 0.01]
    assert picked("bald", x, 1).tolist() == [0]
    assert picked("mc-entropy", x, 1).tolist() == [1]


def test_batch_bald_asks_for_the_batch_of_its_kernel_and_avoids_twins():
    x = some(20)
    assert_array_equal(picked("batch-bald", x, 5), batch_bald(x, 5))
    nearly_sure = generator(0, "tests", "twins").dirichlet(np.full(4, 0.05), (20, 30))
    twins = np.repeat(nearly_sure, 2, axis=0)  # a second label of the same would tell next to nothing
    assert len({row // 2 for row in picked("batch-bald", twins, 3).tolist()}) == 3
    assert len({row // 2 for row in picked("bald", twins, 4).tolist()}) == 2
    several = [tuple(picked("batch-bald", x, 8, seed, num_samples=4).tolist()) for seed in range(5)]
    assert len(set(several)) > 1  # few configurations are drawn by the seed
    assert selection.proposal("batch-bald", {"draws": x}, 3).scores is None


def test_power_bald_draws_in_proportion_to_a_power_of_bald():
    x = some(6)
    gains = draws.bald(x)
    strategy = make("power-bald", beta=2.0)
    counts = np.zeros(6)
    seen = view(strategy.needs, 6, 4)
    seen = type(seen)(type(seen.pool)(np.arange(6), draws=x), seen.labelled, seen.validation, 4)
    for seed in range(3000):
        counts[strategy.propose(seen, 1, generator(seed)).rows] += 1
    share = gains**2 / (gains**2).sum()
    # of 3,000 draws with probability p, p · 3,000 with a standard deviation of √(3,000 p (1 - p)) < 28; five of them
    assert_allclose(counts, 3000 * share, atol=140)


@pytest.mark.parametrize("beta, alike", [(0.0, False), (1e6, True)])
def test_power_bald_lies_between_random_and_bald(beta, alike):
    x = some()
    best = picked("bald", x, 10)
    assert (set(picked("power-bald", x, 10, beta=beta)) == set(best)) == alike


def test_power_bald_asks_for_what_tells_nothing_last_and_in_random_order():
    x = np.repeat(some(1, classes=3)[:, :1], 40, axis=0).repeat(4, axis=1)  # equal draws: nothing to tell
    x[7] = np.eye(3)[[0, 1, 2, 0]]
    orders = [tuple(picked("power-bald", x, 40, seed).tolist()) for seed in range(5)]
    assert {order[0] for order in orders} == {7}
    assert len(set(orders)) == 5
    assert np.isfinite(selection.proposal("power-bald", {"draws": x}, 3).scores).all()


def test_epig_ignores_what_no_target_depends_on():
    rng = generator(0, "tests", "epig strategy")
    # eight predictors; half of the pool asks about their first bit, half about their second, the targets for the first
    first, second = np.arange(8) % 2, np.arange(8) // 2 % 2
    x = np.stack([np.eye(2)[bit] for bit in (first, second)] * 10)
    noise = rng.uniform(0.02, 0.04, (20, 1, 1))
    x = (1 - noise) * x + noise / 2
    known = x[::2][:4]
    rows = selection.select("epig", {"draws": x}, 10, validation={"draws": known}, target="validation")
    assert set(rows.tolist()) == set(range(0, 20, 2))
    assert set(picked("bald", x, 10).tolist()) != set(range(0, 20, 2))


def test_epig_of_the_pool_equals_its_score():
    x = some(30)
    found = selection.proposal("epig", {"draws": x}, 5, targets=30, answers=1000)
    assert_allclose(found.scores, draws.epig(x, x), atol=1e-12)  # all of the pool, all answers
    drawn = [
        selection.proposal("epig", {"draws": x}, 5, seed=s, targets=3, answers=5).scores for s in (0, 0, 1)
    ]
    assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize("name, few, many", [("epig", {"answers": 7}, {"answers": 1000}), ("batch-bald", {"num_samples": 2}, {})])  # fmt: skip
def test_what_is_drawn_is_as_much_as_asked_for(name, few, many):
    x = some(40)
    more = {"targets": 40} if name == "epig" else {}
    for params, drawn in (
        (few, True),
        (many, False),
    ):  # of 4^3 configurations and of 160 answers; or all of them
        batches = {tuple(picked(name, x, 4, seed, **params, **more).tolist()) for seed in range(6)}
        assert (len(batches) > 1) == drawn


def test_targets_of_epig_are_drawn_from_all_of_the_pool():
    x = np.concatenate([np.full((20, 8, 2), 0.5), np.eye(2)[np.arange(8) % 2][None].repeat(20, axis=0)])
    for order in (slice(None), slice(None, None, -1)):
        assert selection.proposal("epig", {"draws": x[order]}, 1, targets=12).scores.max() > 0.1


def test_epig_says_which_part_it_needs():
    x = some(5)
    assert make("epig").needs.validation == frozenset()
    with pytest.raises(MissingSignal, match="epig needs draws of the validation samples"):
        picked("epig", x, 1, target="validation")
    with pytest.raises(InputError, match="no validation sample to be a target of epig"):
        selection.select("epig", {"draws": x}, 1, validation={"draws": x[:0]}, target="validation")


def test_batches_of_batch_bald_tell_more_than_those_of_bald():
    better = [
        joint_mutual_information(x, picked("batch-bald", x, 4))
        - joint_mutual_information(x, picked("bald", x, 4))
        for x in (some(40, 8, 3, seed) for seed in range(8))
    ]
    assert np.mean(better) > 0.02
    assert (
        np.mean(np.array(better) > 0) >= 0.75
    )  # greedy picks are near the best batch, not always above another


@pytest.mark.parametrize(
    "name, params, error, words",
    [
        ("power-bald", {"beta": -1}, InputError, "beta must be a finite number of at least 0; it is -1"),
        ("power-bald", {"beta": float("nan")}, InputError, "beta must be"),
        ("power-bald", {"beta": True}, InputError, "beta must be"),
        ("batch-bald", {"num_samples": 0}, InputError, "num_samples must be a whole number of at least 1"),
        ("epig", {"target": "pol"}, UnknownName, "Did you mean 'pool'"),
        ("epig", {"targets": 0}, InputError, "targets must be"),
        ("epig", {"answers": 0.5}, InputError, "answers must be"),
        ("query-by-committee", {"disagreement": "vote"}, UnknownName, "Did you mean 'vote-entropy'"),
    ],
)
def test_wrong_parameters_are_refused(name, params, error, words):
    with pytest.raises(error, match=words):
        make(name, **params)


@pytest.mark.parametrize("name", [*dict.fromkeys(case.partition(",")[0] for case in RANKED), "batch-bald", "power-bald", "epig"])  # fmt: skip
def test_a_wrong_draw_is_named(name):
    x = some(30)
    x[17, 3] = [0.5, 0.5, 0.5, 0.0]
    with pytest.raises(DistributionError, match="draws: row 17, draw 3 is no distribution: sums to 1.5"):
        picked(name, x, 3, **({"targets": 1} if name == "epig" else {}))
