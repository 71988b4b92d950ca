"""robust-gain: weights times uncertainty, whose losses it reads, radii by name, draws that differ, and a campaign."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from strategy_views import view

from labelwise import Campaign, Plan, data, make, models, select
from labelwise.errors import InputError, MissingSignal, UnknownName
from labelwise.functional import scores
from labelwise.functional.robust_gain import shift_weights
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.store.memory import MemoryStore
from labelwise.strategies.robust import RobustGain


def seen(strategy, pool=60, classes=4, **parts):
    return view(strategy.needs, pool, classes, labelled=40, **parts)


def drifting(n=200, seed=0):
    """A view whose losses are high where the first modality's first number is; the second modality is noise."""
    rng = generator(seed, "tests", "drifting")

    def part(size, first, y=None):
        a, b = (rng.normal(size=(size, 2)) for _ in range(2))
        sure = np.where(a[:, 0] > 0, 0.55, 0.9)  # of the class that is right
        told = np.stack([sure, 1 - sure], axis=1)
        known = {} if y is None else {"y": np.zeros(size, np.int64)}
        present = np.ones((size, 2), bool)
        return Signals(first + np.arange(size), probs=told, modal_embeddings=(a, b), present=present, **known)

    return View(part(n, 1000), part(80, 5000, 1), Signals(np.empty(0, np.int64)), 2, ("cam", "mic"), 1)


def test_scores_are_weights_times_uncertainty():
    strategy = RobustGain(rho=0.5, uncertainty="entropy", ridge=2.0)
    given = seen(strategy)
    pool, known = given.pool, given.labelled
    losses = -np.log(np.maximum(known.probs[np.arange(40), known.y], 1e-6))
    weights = shift_weights(losses, known.modal_embeddings, pool.modal_embeddings, [0.5, 0.5], ridge=2.0)
    found = strategy.propose(given, 7, generator(0))
    assert_allclose(found.scores, weights * scores.entropy(pool.probs))
    assert_array_equal(found.rows, np.argsort(-found.scores, kind="stable")[:7])
    assert found.notes["most weight"] == weights.max()
    margin = RobustGain(rho=0.5).propose(given, 7, generator(0))
    top = np.sort(pool.probs, axis=1)
    plain = shift_weights(losses, known.modal_embeddings, pool.modal_embeddings, [0.5, 0.5])
    assert_allclose(margin.scores, plain * (1 - top[:, -1] + top[:, -2]), rtol=1e-6, atol=1e-12)


def test_without_a_radius_or_labels_it_is_margin_sampling():
    for strategy, labelled in ((RobustGain(rho=0), 40), (RobustGain(rho=1), 0)):
        given = view(strategy.needs, 60, 4, labelled=labelled)
        wanted = make("margin").propose(given, 9, generator(0)).rows
        assert_array_equal(strategy.propose(given, 9, generator(0)).rows, wanted)


def test_it_asks_where_the_modality_that_may_move_makes_losses_high():
    given = drifting()
    first = given.pool.modal_embeddings[0][:, 0]

    def chosen(rho):
        return first[RobustGain(rho=rho).propose(given, 20, generator(0)).rows].mean()

    assert chosen({"cam": 0.5, "mic": 0}) > 1.2  # the upper tenth of a normal: 1.75; half of it: 0.8
    assert chosen({"cam": 0.5, "mic": 0}) > chosen({"cam": 0, "mic": 0.5}) + 0.3


def test_it_may_read_validation_losses_and_then_no_labelled_sample():
    strategy = RobustGain(teacher="validation")
    assert strategy.needs.labelled == frozenset()
    given = seen(strategy)
    assert_array_equal(
        strategy.propose(given, 9, generator(0)).rows,
        RobustGain()
        .propose(View(given.pool, given.validation, given.labelled, 4, given.modalities, 1), 9, generator(0))
        .rows,
    )


def test_diverse_draws_are_of_high_score_and_apart():
    rng = generator(0, "tests", "apart")
    places = np.repeat([[0.0, 0], [50, 0], [0, 50]], 30, axis=0) + rng.normal(size=(90, 2))
    sure = np.tile([0.5, 0.999], 45)  # every second one is sure
    pool = Signals(
        np.arange(90),
        probs=np.stack([sure, 1 - sure], axis=1),
        modal_embeddings=(places, places),
        present=np.ones((90, 2), bool),
    )
    nobody = Signals(np.empty(0, np.int64))
    found = [
        RobustGain(diverse=True).propose(View(pool, nobody, nobody, 2, ("a", "b"), 1), 3, generator(s))
        for s in range(5)
    ]
    for one in found:
        assert set((one.rows // 30).tolist()) == {0, 1, 2}
        assert one.scores is None
    assert sum((one.rows % 2).sum() for one in found) <= 1


def test_arrays_are_enough():
    rng = generator(0, "tests", "arrays")

    def some(n):
        return {
            "probs": rng.dirichlet(np.ones(3), n),
            "modal_embeddings": [rng.normal(size=(n, 4)), rng.normal(size=(n, 2))],
            "present": rng.random((n, 2)) < 0.8,
        }

    rows = select("robust-gain", some(50), 5, labelled={**some(30), "y": rng.integers(3, size=30)}, rho=0.4)
    assert len(set(rows.tolist())) == 5


def test_what_makes_no_sense_is_refused():
    for params, words in (
        ({"rho": -1}, "rho must be a number of at least 0"),
        ({"rho": {}}, "empty table"),
        ({"rho": {"cam": "x"}}, "rho of 'cam'"),
        ({"uncertainty": "entropi"}, "Did you mean 'entropy'"),
        ({"teacher": "pool"}, "No teacher"),
        ({"diverse": 1}, "true or false"),
        ({"ridge": 0}, "ridge must be above 0"),
    ):
        with pytest.raises(InputError, match=words):
            make("robust-gain", **params)
    with pytest.raises(InputError, match="rho must name every modality"):
        RobustGain(rho={"cam": 1}).propose(drifting(), 3, generator(0))
    with pytest.raises(UnknownName, match="No modality of this campaign is named 'came'"):
        RobustGain(rho={"came": 1, "mic": 1}).propose(drifting(), 3, generator(0))


def test_a_campaign_runs_with_it_and_a_robust_objective_and_other_recipes_are_refused():
    simulation = data.make("digit-halves", seed=0)
    plan = Plan(start=12, batch=6, budget=24, candidates=60)
    objective = {"name": "variational", "rho": 0.2}
    small = {"width": 4, "projection": 4, "epochs": 1, "device": "cpu", "objective": objective}
    strategy = make("robust-gain", rho=dict.fromkeys(simulation.task.data.modalities, 0.3), diverse=True)
    campaign = Campaign(simulation.task, models.make("multimodal", **small), strategy, MemoryStore(), plan)
    oracle = SimulatedOracle(simulation.truth, simulation.task.n_classes)
    asked = []
    while ids := campaign.ask():
        asked += ids
        campaign.tell(oracle.answer(ids))
    assert len(set(asked)) == 24
    with pytest.raises(MissingSignal, match="modal_embeddings"):
        Campaign(simulation.task, models.make("mlp"), make("robust-gain"), MemoryStore(), plan)
