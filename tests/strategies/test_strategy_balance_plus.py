"""rl-mba-plus: whom it asks for by hand, what its bandit learns, when it does not listen, and what survives."""

import numpy as np
import pytest
from balance_views import part, rng, signals
from numpy.testing import assert_array_equal

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.arms import belief
from labelwise.functional.batches.spreading import side_by_side
from labelwise.signals import Signals, View
from labelwise.strategies import make
from labelwise.strategies.base import Outcome


def view(pool, t=1, needs=None, validation=None):
    needs = needs or make("rl-mba-plus").needs
    m = pool["present"].shape[1]
    held = signals(validation or part(30, modalities=m), needs.validation, first=5000)
    return View(
        signals(pool, needs.pool), Signals(np.empty(0, np.int64)), held, pool["probs"].shape[1], (), t
    )


def pool_of(leads, first, second):
    """Return a pool of two classes with given leads, and where samples lie in two modalities, as angles."""
    leads = np.array(leads)
    circle = [
        np.stack([np.cos(a), np.sin(a)], axis=1).astype(np.float32) for a in map(np.array, (first, second))
    ]
    return {
        "probs": np.stack([(1 + leads) / 2, (1 - leads) / 2], axis=1),
        "modal_probs": np.full((len(leads), 2, 2), 0.5),
        "modal_embeddings": tuple(circle),
        "present": np.ones((len(leads), 2), bool),
    }


def test_the_smallest_leads_that_differ_in_any_modality_are_asked():
    # 0 and 1 are alike in both modalities, 2 differs in the second alone, 3 is sure
    pool = pool_of([0.1, 0.05, 0.2, 0.9], [0.0, 0.01, 0.0, 2.0], [0.0, 0.0, 3.0, 1.0])
    found = make("rl-mba-plus", over=1.5).propose(view(pool), 2, rng("pair"))
    assert found.rows.tolist() == [1, 2]
    assert make("rl-mba-plus", over=1).propose(view(pool), 2, rng("pair")).rows.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [-0.1, -0.05, -0.2, -0.9])


def test_arms_are_played_when_they_explore_and_when_they_stand_out():
    pool = part(40)
    strategy = make("rl-mba-plus", arms=["margin", "random"], explore=0.0)
    needs = strategy.needs
    for t in range(4):
        found = strategy.propose(view(pool, t, needs), 4, rng("arm", t))
        assert found.notes["arm"] == 0 and "own batch" in found.notes["policy"]
        strategy.learn(Outcome(t, 10, {"brier": 0.5}, {"brier": 0.4}))
    assert strategy.rewards == pytest.approx([0.2] * 4)
    strategy.played, strategy.rewards = [0, 1] * 10, [0.1, 0.3] * 10
    found = strategy.propose(view(pool, 5, needs), 4, rng("arm", 5))
    assert found.notes["arm"] == 1 and found.notes["policy"] == "an arm stands out"
    assert_array_equal(
        np.sort(found.rows), np.sort(make("margin").propose(view(pool, 5, needs), 4, rng("arm", 5)).rows)
    )
    kept = make("rl-mba-plus", arms=["margin", "random"], explore=0.0)
    kept.load_state_dict(strategy.state_dict())
    assert kept.played == strategy.played and kept.rewards == strategy.rewards


def test_features_side_by_side_by_hand():
    # the first modality has squares 25 and 0 where it is there: root mean square √(25 / 2); the second 4 and 16: √10
    one, two = np.array([[3.0, 4.0], [9.0, 9.0], [0.0, 0.0]]), np.array([[2.0], [np.nan], [4.0]])
    present = np.array([[True, True], [False, False], [True, True]])
    found = side_by_side([one, two], [0.5, 0.5], present=present)
    first, second = np.sqrt(0.5 * 2 / 25), np.sqrt(0.5 / 10)
    np.testing.assert_allclose(
        found, [[3 * first, 4 * first, 2 * second], [0, 0, 0], [0, 0, 4 * second]], rtol=1e-6
    )
    again = side_by_side([1e200 * one, two], [0.5, 0.5], present=present)  # units do not matter
    np.testing.assert_allclose(again, found, rtol=1e-6)
    assert side_by_side([np.zeros((2, 3))], [1.0]).tolist() == [[0, 0, 0]] * 2
    with pytest.raises(InputError, match=r"parts\[1\]: row 1"):
        side_by_side([one, two], [0.5, 0.5])
    with pytest.raises(ShapeError, match="at least one modality"):
        side_by_side([], [])


def test_belief_by_hand():
    # rewards 1, 1, 0, 0: deviations ±1 from their mean; two of each arm: ±2 / (2 + 1) with variance 1/3
    found = belief([0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0], 3)
    np.testing.assert_allclose(found.mean, [-2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(found.variance, [1 / 3, 1 / 3, 1])
    np.testing.assert_allclose(found.signal(), [0, (4 / 3) / np.sqrt(2 / 3), (2 / 3) / np.sqrt(4 / 3)])
    assert belief([], [], 2).mean.tolist() == [0, 0]
    assert belief([0, 1], [3.0, 3.0], 2).mean.tolist() == [0, 0]  # no deviation, no signal
    with pytest.raises(InputError, match="arms"):
        belief([2], [1.0], 2)
    with pytest.raises(InputError, match="finite"):
        belief([0], [np.nan], 2)


def test_a_head_that_contradicts_the_fusion_is_asked_first_by_gradients_of_all_heads():
    pool = pool_of([0.8] * 6, np.linspace(0, 1, 6), np.linspace(0, 1, 6))
    pool["modal_probs"] = np.tile([0.9, 0.1], (6, 2, 1))
    pool["embeddings"] = np.ones((6, 2), np.float32)
    pool["modal_probs"][3, 1] = [0.1, 0.9]
    strategy = make("rl-mba-plus", batch="gradients")
    assert strategy.propose(view(pool, 1, strategy.needs), 1, rng("head")).rows.tolist() == [3]
    pool["present"][3, 1] = False  # what is missing contradicts nothing
    assert strategy.propose(view(pool, 1, strategy.needs), 1, rng("head")).rows.tolist() != [3]
    fused = make("rl-mba-plus", space="fused", weights="rebalancing")
    found = fused.propose(view(pool, 1, fused.needs), 3, rng("head"))
    assert np.unique(found.rows).size == 3
    assert sum(found.notes["modality weights"].values()) == pytest.approx(1)


def test_bad_parameters_are_refused():
    with pytest.raises(UnknownName, match="equal"):
        make("rl-mba-plus", weights="evn")
    with pytest.raises(InputError, match="over"):
        make("rl-mba-plus", over=0.5)
    with pytest.raises(InputError, match="explore"):
        make("rl-mba-plus", explore=1.5)
