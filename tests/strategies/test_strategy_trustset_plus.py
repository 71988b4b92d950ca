"""bral-t-plus: who asks when, that candidates are spread, that rare classes are favoured, and what survives a restart."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare

from labelwise.errors import InputError
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import make
from labelwise.strategies.trustset.plus import even_chance, evenness, spread


def round_of(shares, n=120, labelled=60, seed=0, first_shares=None):
    """A view whose pool has (soft) classes in these shares, in well separated places; labels in `first_shares`."""
    rng = generator(seed, "tests", "plus")
    shares = np.asarray(shares, float)
    classes = len(shares)
    centres = 8 * np.eye(classes)

    def part(ids, y, known):
        z = centres[y] + rng.normal(size=(len(y), classes))
        p = np.full((len(y), classes), 0.2 / classes)
        p[np.arange(len(y)), y] += 0.8 * rng.uniform(0.4, 1, len(y))
        p /= p.sum(axis=1, keepdims=True)
        return Signals(ids, probs=p, embeddings=z, **({"y": y} if known else {}))

    pool = rng.permutation(np.repeat(np.arange(classes), np.round(shares * n).astype(int)))
    known = np.repeat(np.arange(classes), np.round(np.asarray(first_shares or shares) * labelled).astype(int))
    empty = Signals(np.empty(0, np.int64))
    return View(part(np.arange(len(pool)) + 1000, pool, False), part(np.arange(len(known)), known, True), empty, classes, ("x",), 1), pool  # fmt: skip


EVEN, LONG = (0.25,) * 4, (0.7, 0.2, 0.07, 0.03)


def test_an_even_pool_is_left_to_the_other_strategy():
    view, _ = round_of(EVEN)
    found = make("bral-t-plus").propose(view, 10, generator(1))
    same = make("cluster-margin").propose(view.only(make("cluster-margin").needs), 10, generator(1))
    assert_array_equal(found.rows, same.rows)
    assert found.notes["evenness"] >= 0.94


def test_an_uneven_pool_is_not_and_rare_classes_come_first():
    view, pool = round_of(LONG)
    strategy = make("bral-t-plus")
    found = strategy.propose(view, 12, generator(1))
    assert found.notes["evenness"] < 0.94
    asked = np.bincount(pool[found.rows], minlength=4) / 12
    plain = (
        np.bincount(pool[make("bral-t-plus", balance=0.0).propose(view, 12, generator(1)).rows], minlength=4)
        / 12
    )
    assert asked[2:].sum() > plain[2:].sum()
    assert asked[0] < plain[0]


def test_uneven_first_labels_are_remembered():
    view, _ = round_of(EVEN, first_shares=LONG)
    strategy = make("bral-t-plus")
    asked = strategy.propose(view, 10, generator(1))
    assert asked.notes["evenness"] >= 0.94  # the pool looks even
    assert asked.notes["even first labels, p"] < 0.01
    assert asked.scores is not None and "class weights" in asked.notes  # yet the other strategy did not ask
    later, _ = round_of(EVEN)
    again = make("bral-t-plus")
    again.load_state_dict(strategy.state_dict())
    assert "class weights" in again.propose(later, 10, generator(2)).notes
    assert "class weights" not in make("bral-t-plus").propose(later, 10, generator(2)).notes


def test_even_chance_is_pearsons_test():
    y = np.repeat([0, 1, 2], [20, 11, 5])
    assert_allclose(even_chance(y, 3), chisquare([20, 11, 5]).pvalue, rtol=1e-10)
    assert even_chance(np.empty(0, np.int64), 3) == 1.0
    assert even_chance(np.zeros(5, np.int64), 1) == 1.0


def test_what_a_few_labels_alone_make_uneven_is_allowed_for():
    shares = (0.5, 0.3, 0.15, 0.05)
    few, many = (
        round_of(shares, labelled=12, first_shares=EVEN)[0],
        round_of(shares, labelled=400, first_shares=EVEN)[0],
    )
    for view, known, otherwise in ((few, 12, True), (many, 400, False)):
        notes = make("bral-t-plus").propose(view, 10, generator(1)).notes
        plain = evenness(view.pool.need("probs"))
        # entropies of l labels of four even classes are (4 - 1) / 2 l too small on average
        assert notes["evenness"] == pytest.approx(min(1, plain * np.exp(3 / (2 * known))), abs=1e-4)
        assert ("class weights" not in notes) == otherwise
        uncorrected = make("bral-t-plus", correction=0.0).propose(view, 10, generator(1)).notes
        assert uncorrected["evenness"] == pytest.approx(plain, abs=1e-4) and "class weights" in uncorrected


def test_evenness_by_hand():
    assert_allclose(evenness(np.array([[1.0, 0.0], [0.0, 1.0]])), 1.0)
    assert_allclose(evenness(np.array([[1.0, 0.0], [1.0, 0.0]])), 0.5)
    assert_allclose(evenness(np.array([[0.9, 0.1]])), np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)) / 2)
    assert evenness(np.empty((0, 3))) == 0.0


def test_spread_takes_the_best_of_each_place_and_then_the_next():
    # two far places: the candidates 0, 1, 2 here and 3, 4, 5 there; row 6 scores too low to be one
    x = np.array([[0.0], [0.1], [0.2], [50.0], [50.1], [50.2], [99.0]])
    scores = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 1.0])
    assert spread(scores, x, 2, 3.0, generator(0)).tolist() == [0, 3]
    assert sorted(spread(scores, x, 3, 2.0, generator(0)).tolist()) != [0, 1, 2]
    assert spread(scores, x, 3, 1.0, generator(0)).tolist() == [0, 1, 2]  # no more candidates than places
    assert spread(scores, x, 20, 3.0, generator(0)).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_spread_with_more_samples_than_cells_gives_each_cell_several():
    rng = generator(0, "tests", "many")
    x, scores = rng.normal(size=(4000, 2)), rng.random(4000)
    rows = spread(scores, x, 1300, 3.0, generator(1))
    assert len(set(rows.tolist())) == 1300
    assert scores[rows].min() >= np.sort(scores)[-3900]


def test_the_learned_reward_needs_a_healthy_correlation():
    view, _ = round_of(LONG, labelled=100)
    quick = {"pairs": 6, "steps": 3, "hidden": 8, "evenness": 2.0}
    without = make("bral-t-plus", evenness=2.0).propose(view, 10, generator(3))
    never = make("bral-t-plus", reward=1.0, least_correlation=1.0, **quick).propose(view, 10, generator(3))
    assert never.notes["reward used"] is False
    assert_allclose(never.scores, without.scores)
    always = make("bral-t-plus", reward=1.0, least_correlation=-1.0, **quick).propose(view, 10, generator(3))
    assert always.notes["reward used"] is True
    assert not np.allclose(always.scores, without.scores)
    assert always.notes["reward correlation"] is not None


@pytest.mark.parametrize(
    "params,words",
    [
        ({"over": 0.5}, "over"),
        ({"balance": -1.0}, "balance"),
        ({"reward": -0.1}, "reward"),
        ({"doubt": 2.0}, "doubt"),
        ({"least_correlation": -2.0}, "least_correlation"),
        ({"otherwise": 3}, "otherwise"),
        ({"otherwise": "marginn"}, "margin"),
    ],
)
def test_wrong_parameters_are_refused(params, words):
    with pytest.raises(InputError, match=words):
        make("bral-t-plus", **params)


def test_it_needs_the_labelled_sets_predictions_only_for_the_reward():
    assert make("bral-t-plus").needs.labelled == {"y"}
    assert make("bral-t-plus", reward=0.1).needs.labelled == {"y", "probs", "embeddings"}
    assert "draws" in make("bral-t-plus", otherwise="bald").needs.pool
