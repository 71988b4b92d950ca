"""Ensembles, committees and forests: their members are the draws."""

import dataclasses
import json

import numpy as np
import pytest
from model_data import NOBODY, digits, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier

from labelwise.bench.spec import read_spec
from labelwise.campaign import Campaign
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.describing import describe
from labelwise.errors import InputError, MissingSignal, UnknownName
from labelwise.events import Plan
from labelwise.models import make
from labelwise.models.base import Predictor, Recipe
from labelwise.models.estimator import EstimatorRecipe
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore
from labelwise.strategies import make as strategy

BOTH = frozenset({"probs", "draws"})
MLP = {"name": "mlp", "width": 4, "epochs": 2, "batch_size": 8, "device": "cpu"}


def fit(recipe, data, y, seed=0, n=40, classes=2, **more):
    return recipe.fit(data, first(n, y), NOBODY, None, classes, generator(seed, "tests"), **more)


def told(predictor, data, names=BOTH, **more):
    return predictor.infer(data, np.arange(len(data)), names, **more)


@pytest.mark.parametrize("name,size", [("forest", 10), ("extra-trees", 7)])
def test_the_draws_of_a_forest_are_its_trees(name, size):
    data, y = digits()
    recipe = EstimatorRecipe(name, {"n_estimators": size, "max_depth": 4})
    gaps = np.where(y > 4, y + 3, y)  # classes 5, 6 and 7 have no sample
    predictor = fit(recipe, data, gaps, n=60, classes=13)
    signals = told(predictor, data)
    assert recipe.gives.pool == recipe.gives.labelled == BOTH
    assert signals.draws.shape == (len(data), size, 13)
    assert_array_equal(signals.draws[:, :, 5:8], 0)
    assert_allclose(signals.draws.sum(2), 1, atol=1e-6)
    assert_allclose(signals.draws.mean(1), signals.probs, atol=1e-6)
    assert np.ptp(signals.draws, axis=1).max() > 0.1
    assert_array_equal(told(predictor, data, frozenset({"draws"})).draws, signals.draws)


def test_a_forest_of_one_class_and_of_text():
    data, _y = halves(20, (6, 6))
    lone = told(fit(EstimatorRecipe("forest", {"n_estimators": 3}), data, np.full(20, 1), n=5), data)
    assert_array_equal(lone.draws, np.tile([0, 1], (20, 3, 1)))
    words = np.array(["good stuff", "bad stuff"] * 20, dtype=np.dtypes.StringDType())
    signals = told(fit(EstimatorRecipe(RandomForestClassifier(5)), ArrayDataset({"text": words}), np.arange(40) % 2),
                   ArrayDataset({"text": words}))  # fmt: skip
    assert_allclose(signals.draws.mean(1), signals.probs, atol=1e-6)


def test_other_estimators_give_no_draws():
    data, y = halves(40, (6, 6))
    assert EstimatorRecipe("logistic").gives.pool == {"probs"}
    with pytest.raises(MissingSignal, match="An estimator gives probs; asked for draws"):
        told(fit(EstimatorRecipe("logistic"), data, y), data)


def test_members_are_the_draws_and_their_mean_the_answer():
    data, y = halves(60, (6, 6))
    recipe = make("ensemble", member=MLP, size=3)
    assert isinstance(recipe, Recipe)
    predictor = fit(recipe, data, y)
    assert isinstance(predictor, Predictor)
    signals = told(predictor, data, BOTH | {"embeddings"})
    for k, member in enumerate(predictor.members):
        alone = told(member, data, frozenset({"probs", "embeddings"}))
        assert_array_equal(signals.draws[:, k], alone.probs)
        if k == 0:
            assert_array_equal(signals.embeddings, alone.embeddings)
    assert_allclose(signals.probs, signals.draws.mean(1), atol=1e-6)
    assert not np.array_equal(signals.draws[:, 0], signals.draws[:, 1])
    assert_allclose(predictor.notes["loss"], np.mean([m.notes["loss"] for m in predictor.members]))


def test_fitting_twice_gives_the_same_bits_and_a_larger_ensemble_the_same_members():
    data, y = halves(40, (6, 6))
    a, b = (told(fit(make("ensemble", member=MLP, size=2), data, y), data).draws for _ in range(2))
    assert_array_equal(a, b)
    assert_array_equal(told(fit(make("ensemble", member=MLP, size=3), data, y), data).draws[:, :2], a)
    assert not np.array_equal(told(fit(make("ensemble", member=MLP, size=2), data, y, seed=1), data).draws, a)


def test_only_what_is_asked_for_is_computed():
    data, y = halves(40, (6, 6))
    predictor = fit(make("ensemble", member=MLP, size=3), data, y)
    heard = []
    signals = told(predictor, data, frozenset({"embeddings"}), progress=lambda *at: heard.append(at))
    assert signals.names == {"embeddings"}
    assert heard == [(40, 40)]  # one member
    heard.clear()
    told(predictor, data, progress=lambda *at: heard.append(at))
    assert heard == [(40, 120), (80, 120), (120, 120)]
    assert told(predictor, data, frozenset()).names == frozenset()


def test_a_recipe_without_randomness_needs_a_share():
    data, y = halves(60, (6, 6))
    alike = told(fit(make("ensemble", member="logistic", size=2), data, y), data).draws
    assert_array_equal(alike[:, 0], alike[:, 1])  # as the docstring says
    apart = told(fit(make("ensemble", member="logistic", size=2, share=0.5), data, y), data).draws
    assert not np.array_equal(apart[:, 0], apart[:, 1])
    few = told(fit(make("ensemble", member="logistic", size=2, share=0.01), data, y), data)
    assert_allclose(
        few.draws.sum(axis=2), 1, atol=1e-6
    )  # of 40 samples one at least, whose class is all there is


def test_a_committee_on_digits_is_as_good_as_its_members():
    data, y = digits()
    order = generator(0, "tests", "digits").permutation(len(y))
    members = [
        "logistic",
        {"name": "forest", "params": {"n_estimators": 50}},
        {**MLP, "width": 32, "epochs": 15},
    ]
    recipe = make("committee", members=members)
    train = Labelled(order[:300], y[order[:300]])
    predictor = recipe.fit(data, train, NOBODY, None, 10, generator(0, "fit"))
    signals = predictor.infer(data, order[300:], BOTH | {"embeddings"})
    assert signals.draws.shape == (1497, 3, 10)
    assert signals.embeddings.shape == (1497, 32)  # of the first that has any: the network
    right = [(signals.draws[:, k].argmax(1) == y[order[300:]]).mean() for k in range(3)]
    assert (signals.probs.argmax(1) == y[order[300:]]).mean() > max(0.88, min(right))


def test_warm_members_go_on_from_their_own_fits():
    data, y = halves(40, (6, 6))
    recipe = make("committee", members=[{**MLP, "warm": True}, {**MLP, "network": "mlp"}])
    assert recipe.warm
    one = fit(recipe, data, y, n=20)
    assert set(one.state_dict()) == {"0", "1"}
    two = fit(recipe, data, y, seed=1, previous=one.state_dict())
    assert [m.notes.get("epochs_in_all") for m in two.members] == [4, None]
    again = fit(recipe, data, y, seed=1, previous=one.state_dict())
    assert_array_equal(told(two, data).draws, told(again, data).draws)
    with pytest.raises(InputError, match="none of 2 warm members; it holds"):
        fit(recipe, data, y, previous={"0": {}})
    cold = make("ensemble", member=MLP, size=2)
    assert not cold.warm
    assert fit(cold, data, y).state_dict() == {}


def test_a_warm_ensemble_survives_a_restart_in_a_campaign():
    data, y = halves(60, (6, 6))
    task = Task("halves", data, ("a", "b"), np.arange(60))
    recipe = make("ensemble", member={**MLP, "warm": True}, size=2)

    def run(fresh):
        store, asks = MemoryStore(), []
        plan = Plan(seed=3, start=6, batch=4, budget=18)
        campaign = Campaign(task, recipe, strategy("entropy"), store, plan)
        while ids := campaign.ask():
            asks.append(ids)
            campaign.tell([(i, int(y[i])) for i in ids])
            if fresh:
                campaign = Campaign(
                    task, make("ensemble", **dataclasses.asdict(recipe)), strategy("entropy"), store
                )
        return asks

    assert run(fresh=False) == run(fresh=True)


@pytest.mark.parametrize(
    "name,params,error,words",
    [
        ("ensemble", {"size": 1}, InputError, "size must be a whole number of at least 2"),
        ("ensemble", {"share": 0}, InputError, "share must lie in"),
        ("ensemble", {"member": "cn"}, UnknownName, "No recipe is named 'cn'. Did you mean 'cnn'"),
        (
            "ensemble",
            {"member": {"width": 3}},
            InputError,
            r"member must say which recipe it is.*\['width'\]",
        ),
        ("ensemble", {"member": {"name": "mlp", "wide": 3}}, InputError, "'wide'"),
        ("ensemble", {"member": 3}, InputError, "member must be a recipe's name or a table"),
        ("committee", {"members": "logistic"}, InputError, "members must be a list"),
        ("committee", {"members": ["logistic"]}, InputError, "the number of members must be .* at least 2"),
        ("committee", {"members": ["logistic", 3]}, InputError, "members, number 2 must be a recipe's name"),
    ],
)
def test_members_that_make_no_sense_are_refused(name, params, error, words):
    with pytest.raises(error, match=words):
        make(name, **params)


def test_signals_that_no_member_gives_are_refused():
    data, y = halves(40, (6, 6))
    predictor = fit(make("committee"), data, y)
    with pytest.raises(MissingSignal, match="These members give draws, probs; asked for embeddings"):
        told(predictor, data, frozenset({"embeddings"}))


@pytest.mark.parametrize(
    "recipe",
    [
        {"name": "ensemble", "size": 3, "member": {"name": "mlp", "width": 8}},
        {"name": "committee", "members": ["logistic", {"name": "forest", "params": {"n_estimators": 9}}]},
        {"name": "ensemble", "size": 2, "member": {"name": "committee", "members": ["logistic", "forest"]}},
    ],
)
def test_a_spec_holds_members_as_nested_tables(recipe):
    spec = read_spec({"task": {"name": "digits"}, "recipe": recipe})
    made = make(spec.recipe.name, **spec.recipe.params)
    again = read_spec(json.loads(json.dumps(spec.values())))
    assert again.id == spec.id
    stored = json.loads(json.dumps(describe(made)))
    assert stored == describe(make(again.recipe.name, **again.recipe.params))
    assert make(recipe["name"], **{k: v for k, v in stored.items() if k != "class"}) == made
