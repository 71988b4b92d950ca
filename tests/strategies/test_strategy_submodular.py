"""Facility location, graph cut, log-determinant and FASS as strategies."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError, UnknownName
from labelwise.functional import batches, scores
from labelwise.seeds import generator
from labelwise.strategies import make


def data(n=200):
    rng = generator(0, "tests", "submodular strategies")
    return {
        "embeddings": rng.normal(size=(n, 5)),
        "features": rng.normal(size=(n, 3)),
        "probs": rng.dirichlet(np.ones(4), n),
    }


@pytest.mark.parametrize("name, function", [
    ("facility-location", batches.facility_location),
    ("graph-cut", batches.graph_cut),
    ("log-determinant", batches.log_determinant),
])  # fmt: skip
@pytest.mark.parametrize("space", ["embeddings", "features"])
def test_the_strategy_is_the_function(name, function, space):
    arrays = data()
    assert make(name, space=space).needs.pool == {space}
    rows = selection.select(name, {space: arrays[space]}, 12, space=space)
    assert_array_equal(rows, function(arrays[space], 12))


def test_facility_location_asks_for_one_of_each_group():
    rng = generator(0, "tests", "groups")
    centres = np.eye(6)[np.repeat(np.arange(6), [100, 50, 20, 10, 8, 5])]
    points = centres + 0.01 * rng.normal(size=centres.shape)
    rows = selection.select("facility-location", {"embeddings": points}, 6)
    assert_array_equal(points[rows].argmax(axis=1), np.arange(6))  # the largest group first


def test_facility_location_may_be_sampled():
    arrays = {"embeddings": data()["embeddings"]}
    picks = {
        tuple(selection.select("facility-location", arrays, 9, method="stochastic", epsilon=0.5, seed=seed))
        for seed in range(4)
    }
    assert len(picks) == 4


def test_fass_represents_the_most_uncertain():
    arrays = data()
    rows = selection.select("fass", {k: arrays[k] for k in ("probs", "embeddings")}, 10, beta=3)
    few = np.sort(np.argsort(-scores.entropy(arrays["probs"]))[:30])
    assert set(rows.tolist()) <= set(few.tolist())
    # by brute force: s where the predicted classes agree, 0 elsewhere
    z, y = arrays["embeddings"][few], arrays["probs"][few].argmax(1)
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    s, level, wanted = (1 + u @ u.T) / 2 * (y[:, None] == y), np.zeros(30), []
    for _ in range(10):
        wanted.append(int(np.maximum(s - level[:, None], 0).sum(axis=0).argmax()))
        level = np.maximum(level, s[:, wanted[-1]])
    assert_array_equal(rows, few[wanted])


@pytest.mark.parametrize(
    "uncertainty, score", [("margin", scores.smallest_margin), ("least-confidence", scores.least_confidence)]
)
def test_fass_filters_by_the_uncertainty_named(uncertainty, score):
    arrays = data()
    given = {k: arrays[k] for k in ("probs", "features")}
    rows = selection.select("fass", given, 10, beta=1, uncertainty=uncertainty, space="features")
    assert set(rows.tolist()) == set(np.argsort(-score(arrays["probs"]))[:10].tolist())


@pytest.mark.parametrize("name, params, error, said", [
    ("facility-location", {"method": "lasy"}, UnknownName, "lazy"),
    ("facility-location", {"space": "probs"}, UnknownName, "space"),
    ("facility-location", {"epsilon": 0}, InputError, "epsilon"),
    ("graph-cut", {"lam": -1}, InputError, "lam must be at least 0"),
    ("log-determinant", {"lam": 0}, InputError, "lam must be above 0"),
    ("fass", {"beta": 0.5}, InputError, "beta must be at least 1"),
    ("fass", {"uncertainty": "entrpy"}, UnknownName, "entropy"),
])  # fmt: skip
def test_wrong_parameters_are_refused(name, params, error, said):
    with pytest.raises(error, match=said):
        make(name, **params)
