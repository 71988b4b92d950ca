"""GALAXY, BASE and TAILOR as strategies."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategy_views import view

from labelwise import selection
from labelwise.errors import InputError, MissingSignal
from labelwise.functional.batches import balanced_boundaries, galaxy
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.store.states import decode_state, encode_state
from labelwise.strategies import make
from labelwise.strategies.base import Proposal, Strategy
from labelwise.strategies.imbalance import Tailor


def test_galaxy_goes_on_with_the_class_after_the_last_round():
    strategy = make("galaxy")
    seen = view(strategy.needs, 60, 5, labelled=20)
    given = {"labelled_probs": seen.labelled.probs, "labelled_y": seen.labelled.y}
    for round_, first in ((0, 0), (1, 2), (2, 4), (3, 1)):
        found = strategy.propose(replace(seen, round=round_), 2, generator(0)).rows
        assert_array_equal(found, galaxy(seen.pool.probs, 2, **given, first=first, rng=generator(0)))


def layered(name, kind=np.float64):
    rng = generator(0, "tests", "imbalance", name)
    w, h = rng.normal(size=(4, 6)), rng.normal(size=(80, 6))
    return w, {"logits": (h @ w.T + 0.3).astype(kind), "embeddings": h.astype(kind)}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_base_finds_the_weights_by_itself(kind):
    w, given = layered("weights", kind)
    found = selection.proposal("base", given, 10, seed=0)
    wanted = balanced_boundaries(given["logits"], 10, weight=w, rng=generator(0, "select"))
    assert_array_equal(found.rows, wanted)
    assert found.notes["unexplained by a linear layer"] < 1e-6


def test_base_asks_the_same_of_logarithms_of_probabilities():
    _, given = layered("logarithms")
    z = given["logits"]
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = selection.select("base", given | {"logits": log_p}, 10)
    assert_array_equal(rows, selection.select("base", given, 10))


def test_base_does_not_take_anything_else_for_a_boundary_unless_told():
    _, given = layered("bent")
    bent = given | {"logits": np.maximum(given["logits"], 0)}
    with pytest.raises(InputError, match="logits are not linear in embeddings"):
        selection.select("base", bent, 10)
    with pytest.raises(MissingSignal, match="base needs embeddings"):
        selection.select("base", {"logits": bent["logits"]}, 10)
    rows = selection.select("base", {"logits": bent["logits"]}, 10, distance="margin")
    assert_array_equal(rows, balanced_boundaries(bent["logits"], 10, rng=generator(0, "select")))


class Fixed(Strategy):
    """Asks for rows in an order of its own."""

    def __init__(self, order):
        self.order, self.heard = np.array(order), 0

    def propose(self, view, n, rng):
        return Proposal(self.order[:n])

    def learn(self, outcome):
        self.heard += 1

    def state_dict(self):
        return {"heard": self.heard} if self.heard else {}

    def load_state_dict(self, state):
        self.heard = state.get("heard", 0)


def answered(pool_ids, ids, y, classes=3):
    return View(
        Signals(np.array(pool_ids)),
        Signals(np.array(ids), y=np.array(y, np.int64)),
        Signals(np.empty(0, int)),
        classes,
    )


def test_tailor_counts_what_each_arms_samples_turned_out_to_be():
    tailor = Tailor((Fixed(range(9)), Fixed(range(8, -1, -1))))
    ids = np.arange(100, 109)
    rows = tailor.propose(answered(ids, [1, 2], [0, 1]), 5, generator(3)).rows
    assert_allclose(tailor.alpha, np.ones((2, 3)))
    assert_array_equal(tailor.asked[:, 0], ids[rows])
    arms = tailor.asked[:, 1]
    assert set(arms) == {0, 1}
    # the first is passed on by the annotator, all others are of class 2; labels come in another order than asked
    known = np.concatenate([ids[rows[:0:-1]], [1, 2]])
    y = np.concatenate([np.full(4, 2), [0, 1]])
    tailor.propose(answered(np.setdiff1d(ids, ids[rows]), known, y), 2, generator(4))
    wanted = np.full((2, 3), 0.9)
    np.add.at(wanted, (arms[1:], 2), 1)
    assert_allclose(tailor.alpha, wanted)


def test_tailor_goes_on_after_a_restart_as_if_there_was_none():
    def fresh():
        return Tailor((Fixed(range(9)), Fixed(range(8, -1, -1))))

    first, second = answered(range(9), [20], [0]), answered(range(9), [20, 0, 8], [0, 2, 1])
    one = fresh()
    one.propose(first, 4, generator(1))
    one.learn(None)
    other = fresh()
    other.load_state_dict(decode_state(encode_state(one.state_dict())))
    assert [arm.heard for arm in other.arms] == [1, 1]
    for strategy in (one, other):
        strategy.found = strategy.propose(second, 4, generator(2)).rows
    assert_array_equal(one.found, other.found)
    assert_array_equal(one.alpha, other.alpha)
    assert not np.allclose(one.alpha, 0.9)  # it had something to learn from
    other.load_state_dict(fresh().state_dict())
    assert other.alpha is None and len(other.asked) == 0 and other.arms[0].heard == 0


def test_tailor_comes_to_favour_the_arm_that_finds_the_rare_class():
    # ids below 500 are of class 0, others of class 1; arm 0 asks for the former, arm 1 for the latter
    y = (np.arange(1000) >= 500).astype(np.int64)
    tailor, known = Tailor((Fixed(range(0)), Fixed(range(0)))), list(range(490, 500))
    shares = []
    for t in range(8):
        pool = np.setdiff1d(np.arange(1000), known)
        tailor.arms[0].order, tailor.arms[1].order = np.arange(pool.size), np.arange(pool.size)[::-1]
        found = tailor.propose(answered(pool, known, y[known], 2), 10, generator(t))
        shares.append(found.notes["samples an arm"][1])
        known += pool[found.rows].tolist()
        if (y[known] == 1).mean() > 0.4:
            break
    assert max(shares) >= 8  # of 10


def test_tailor_needs_what_its_arms_need_and_the_labels():
    assert make("tailor", arms=["margin", "random"]).needs == Needs(pool={"probs"}, labelled={"y"})
    every = make("tailor").needs
    assert every.pool == {"probs", "embeddings"} and "y" in every.labelled


def test_tailor_takes_names_tables_and_strategies_and_nothing_else():
    made = make("tailor", arms=["margin", {"name": "bait", "lam": 0.1}, make("entropy")])
    assert [type(arm).__name__ for arm in made.arms] == ["Margin", "Bait", "Entropy"]
    assert Tailor(make("margin")).arms == (make("margin"),)
    with pytest.raises(
        InputError, match="arms of Tailor must be Strategies, at least one; there is 'margin'"
    ):
        Tailor(("margin",))
    with pytest.raises(InputError, match="at least one; there is 'nothing'"):
        make("tailor", arms=[])
