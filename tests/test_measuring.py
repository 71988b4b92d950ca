"""The stop set: fixed, without labels, kept with every fit, and without any say in what is asked."""

from __future__ import annotations

import json

import numpy as np
from numpy.testing import assert_allclose

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.campaign.measuring import STOP_SET, stop_set, watched, watches
from labelwise.functional.stopping import advice, kappa
from labelwise.oracle import SimulatedOracle
from labelwise.store.memory import MemoryStore
from test_auditing import Learner

PLAN = Plan(seed=3, start=6, batch=5, budget=36, audit=0.2)


def run(fresh=False, strategy="margin"):
    store = MemoryStore()
    campaign = Campaign(fake.task(), Learner(), make(strategy), store, PLAN)
    oracle, predictors = SimulatedOracle(fake.truth(), 3), []
    while ids := campaign.ask():
        predictors.append(campaign.predictor)
        if fresh:
            campaign = Campaign(fake.task(), Learner(), make(strategy), store)
        campaign.tell(oracle.answer(ids))
    return campaign, [*predictors[1:], campaign.predictor]


def test_the_stop_set_is_a_sample_of_the_pool_that_never_changes():
    task = fake.task(n=3000)
    ids = stop_set(task, 7)
    assert ids.size == STOP_SET == len(set(ids.tolist()))
    assert set(ids.tolist()) <= set(task.pool.tolist())
    assert np.array_equal(ids, stop_set(task, 7))
    assert not np.array_equal(ids, stop_set(task, 8))
    assert np.array_equal(stop_set(fake.task(), 7), fake.task().pool)  # a small pool is watched whole


def test_what_is_kept_of_a_fit_is_what_its_predictor_says():
    campaign, predictors = run()
    ids, state = fake.task().pool, campaign.state
    said = [p.infer(fake.task().data, ids, frozenset({"probs"})).probs for p in predictors]
    found = watches(state)
    assert len(found) == len(state.fits) == len(said) == 7
    assert found[0].kappa is None
    assert found[0].changed is None
    labelled = [set() for _ in said]
    for k, fit in enumerate(state.fits):
        for ask in state.asks[: fit.round]:
            labelled[k] |= set(ask.ids)
        left = [i for i in ids.tolist() if i not in labelled[k]]
        top = said[k][left]
        told = fit.analysis["watched"]
        assert told["said"] == said[k].argmax(axis=1).tolist()
        assert told["left"] == len(left) == 200 - fit.n_labelled
        assert_allclose(found[k].confidence, top.max(axis=1).mean())
        assert_allclose(
            found[k].uncertainty, np.mean(-(top * np.log(top)).sum(axis=1)) / np.log(3), rtol=1e-5
        )
        if k:
            one, two = said[k - 1].argmax(axis=1), said[k].argmax(axis=1)
            assert_allclose(found[k].kappa, kappa(one, two))
            assert_allclose(found[k].changed, np.mean(one[left] != two[left]))
    assert len(advice(found)) == 4


def test_what_is_kept_does_not_depend_on_restarts():
    one, two = (run(fresh)[0].state for fresh in (False, True))
    assert [f.analysis for f in one.fits] == [f.analysis for f in two.fits]


def test_watching_changes_no_pick(monkeypatch):
    picks = [a.ids for a in run()[0].state.asks]
    monkeypatch.setattr("labelwise.campaign.campaign.watched", lambda *_: {})
    state = run()[0].state
    assert [a.ids for a in state.asks] == picks
    assert watches(state) == []  # as in runs of older versions
    assert advice(watches(state)) == ()


def test_what_is_kept_is_small():
    told = watched(fake.task(n=3000), Learner(), Fixed(), np.array([1, 2]), None, 0)
    assert len(json.dumps(told)) < 4_000


def test_a_stop_set_that_is_all_labelled_has_nothing_to_be_sure_of():
    before = {"said": [0] * 200}
    told = watched(fake.task(), Learner(), Fixed(), np.arange(200), before, 0)["watched"]
    assert (told["left"], told["uncertainty"], told["confidence"], told["changed"]) == (0, None, None, None)
    assert told["kappa"] == kappa([0] * 200, told["said"])
    other = watched(fake.task(), Learner(), Fixed(), np.arange(2), {"said": [0]}, 0)[
        "watched"
    ]  # another size
    assert other["kappa"] is None


class Stubborn:
    """Says class 1 of everything, whatever it is."""

    def infer(self, data, ids, names, progress=None):
        from labelwise.signals import Signals

        return Signals(np.asarray(ids), probs=np.tile([0.1, 0.8, 0.1], (len(ids), 1)))


def test_a_model_that_says_the_same_of_everything_is_not_called_stable():
    told = None
    for _ in range(5):
        told = watched(fake.task(), Learner(), Stubborn(), np.arange(20), told, 0)["watched"]
    assert (told["kappa"], told["changed"]) == (None, None)  # agreement 1, and nothing learnt


class Fixed:
    """Says class i mod 3 with probability 0.8."""

    def infer(self, data, ids, names, progress=None):
        from labelwise.signals import Signals

        probs = np.full((len(ids), 3), 0.1)
        probs[np.arange(len(ids)), np.asarray(ids) % 3] = 0.8
        return Signals(np.asarray(ids), probs=probs)
