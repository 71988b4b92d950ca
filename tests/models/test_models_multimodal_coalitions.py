"""The signal `coalitions` of multimodal networks, and what a campaign makes of it: an analysis, and nothing else."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from model_data import NOBODY, first
from multimodal_data import RULES, SMALL, fit, holes, some, told
from numpy.testing import assert_allclose, assert_array_equal

from labelwise import Campaign, Plan
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError
from labelwise.functional.contribution import contribution
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Needs
from labelwise.store.memory import MemoryStore
from labelwise.strategies.base import Outcome, Proposal, Strategy

NAMES = frozenset({"coalitions", "probs"})


@pytest.mark.parametrize("fusion", ["head", *RULES])
def test_a_coalition_is_what_is_answered_where_the_others_are_missing(fusion):
    present = holes()
    data, y = some(present=present)
    predictor = fit(MultimodalRecipe(fusion=fusion, **SMALL), data, y)
    s = told(predictor, data, NAMES)
    assert s.coalitions.shape == (40, 8, 3) and s.coalitions.dtype == np.float32
    assert_array_equal(s.coalitions[:, -1], s.probs)
    for number in range(1, 8):
        members = np.array([bool(number >> m & 1) for m in range(3)])
        rows = np.flatnonzero((present & members).any(axis=1))
        apart = told(predictor, ArrayDataset(data.arrays, present & members), NAMES, rows)
        assert_allclose(s.coalitions[rows, number], apart.probs, rtol=1e-5, atol=1e-6)
        nobody = np.setdiff1d(np.arange(40), rows)  # of this coalition they have no modality
        assert_array_equal(s.coalitions[nobody, number], s.coalitions[nobody, 0])
    assert np.ptp(s.coalitions[:, 0], axis=0).max() < 1e-6
    if fusion != "head":
        assert_array_equal(s.coalitions[:, 0], np.float32(1 / 3))


def test_encoders_run_once_for_all_coalitions():
    data, y = some()
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    passes = []
    predictor.network.branches[0].register_forward_hook(lambda *_: passes.append(1))
    told(predictor, data, NAMES)
    assert len(passes) == 1
    assert told(predictor, data, NAMES, NOBODY).coalitions.shape == (0, 8, 3)


def test_more_than_ten_modalities_have_too_many_coalitions_and_are_measured_without():
    rng = generator(0, "tests", "many")
    y = np.arange(24) % 2
    data = ArrayDataset({f"view {m}": rng.normal(size=(24, 2)) + y[:, None] for m in range(11)})
    recipe = MultimodalRecipe(**{**SMALL, "epochs": 1})
    predictor = recipe.fit(data, first(8, y), NOBODY, None, 2, generator(0))
    with pytest.raises(
        InputError, match=r"coalitions of 11 modalities would be 2\^11 answers a sample; at most 10"
    ):
        told(predictor, data, NAMES)
    assert told(predictor, data, frozenset({"probs"})).probs.shape == (24, 2)
    task = Task("many", data, ("a", "b"), np.arange(16), Labelled(np.arange(16, 24), y[16:]))
    campaign = Campaign(task, recipe, Listens(), MemoryStore(), Plan(start=4, batch=4, budget=4))
    run(campaign, y)
    assert campaign.state.fits[-1].validation["accuracy"] >= 0
    assert set(campaign.state.fits[-1].analysis) == {"watched"}  # of the pool, without labels


class Listens(Strategy):
    """Keeps all that a strategy ever gets to see."""

    needs = Needs(pool=frozenset({"probs", "modal_probs"}), validation=frozenset({"probs", "y"}))

    def __init__(self):
        self.heard = []

    def propose(self, view, n, rng):
        self.heard.append(view)
        return Proposal(np.arange(n))

    def learn(self, outcome):
        self.heard.append(outcome)


def run(campaign, y):
    oracle = SimulatedOracle(y, campaign.task.n_classes)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))


@pytest.mark.parametrize("test", [True, False])
def test_a_campaign_keeps_what_each_modality_contributes_away_from_strategies(test):
    data, y = some(60, present=holes(60))
    of_test = Labelled(np.arange(50, 60), y[50:]) if test else None
    task = Task("three", data, ("a", "b", "c"), np.arange(30), Labelled(np.arange(30, 50), y[30:50]), of_test)
    campaign = Campaign(
        task, MultimodalRecipe(**SMALL), Listens(), MemoryStore(), Plan(start=9, batch=6, budget=15)
    )
    run(campaign, y)
    part = of_test or task.validation
    s = campaign.fit().infer(data, part.ids, frozenset({"coalitions", "modal_probs", "present"}))
    fits = campaign.state.fits
    wanted = contribution(s.coalitions, s.modal_probs, part.y, s.present)
    measured = {name: value for name, value in fits[-1].analysis.items() if name != "watched"}
    assert measured == {**wanted, "modalities": ["sound", "shape", "table"]}
    right = (s.coalitions.argmax(2) == part.y[:, None]).mean(axis=0)
    assert_allclose(sum(fits[-1].analysis["shapley"]), right[-1] - right[0], atol=1e-12)
    assert len(fits[-1].analysis["by class"]) == 3
    # nothing of it within a strategy's reach
    words = {"analysis", "watched", "shapley", "dispersion", "coalitions", "by class", "contribution"}
    views = [one for one in campaign.strategy.heard if not isinstance(one, Outcome)]
    outcomes = [one for one in campaign.strategy.heard if isinstance(one, Outcome)]
    assert views and outcomes
    assert not words & {each.name for each in fields(Outcome)}
    for one in outcomes:
        assert not words & {*one.before, *one.after}
    for view in views:
        assert not words & set(view.fit)
        assert view.pool.coalitions is None and view.validation.coalitions is None
