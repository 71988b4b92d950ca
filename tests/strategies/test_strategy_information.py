"""SIMILAR and its measures: which labelled samples they look at, and that they do what the functions do."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError, UnknownName
from labelwise.functional import batches
from labelwise.functional.batches import CosineSimilarity, GradientSimilarity
from labelwise.functional.batches.submodular_information import CONDITIONAL, GAIN, INFORMATION
from labelwise.seeds import generator
from labelwise.strategies import TABLE, make
from labelwise.strategies.information import rare

MEASURES = (*INFORMATION, *GAIN, *CONDITIONAL)
Y = np.array([0, 0, 0, 0, 1, 2, 2, 2, 1, 0])  # counts 5, 2, 3, 0: the mean of four classes is 2.5


def data(n=60):
    rng = generator(0, "tests", "information")
    pool, labelled = (
        {"probs": rng.dirichlet(np.ones(4), k), "embeddings": rng.normal(size=(k, 5))} for k in (n, 10)
    )
    return pool, labelled | {"y": Y}


def test_rare_are_the_classes_below_the_mean_count():
    assert_array_equal(np.flatnonzero(rare(Y, 4)), [4, 8])
    assert_array_equal(np.flatnonzero(rare(Y, 3)), [4, 5, 6, 7, 8])  # the mean of three classes is 3.33
    assert_array_equal(rare(np.array([0, 0, 0, 1, 1, 2]), 3), [0, 0, 0, 0, 0, 1])  # 1 has as many as the mean
    assert rare(np.array([0, 1, 1, 0]), 2).all()  # as many of each: none is below
    assert rare(np.empty(0, np.int64), 2).size == 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("space", ["gradients", "embeddings"])
def test_the_strategy_is_the_function_on_its_sets(measure, space):
    pool, labelled = data()
    asked = np.array([4, 8])
    private = np.setdiff1d(np.arange(10), asked) if measure in CONDITIONAL else np.arange(10)
    if space == "gradients":
        v = GradientSimilarity(pool["probs"], pool["embeddings"])
        q, p = (
            GradientSimilarity(labelled["probs"][r], labelled["embeddings"][r], Y[r])
            for r in (asked, private)
        )
    else:
        v, q, p = (
            CosineSimilarity(z)
            for z in (pool["embeddings"], labelled["embeddings"][asked], labelled["embeddings"][private])
        )
        pool, labelled = {"embeddings": pool["embeddings"]}, {"embeddings": labelled["embeddings"], "y": Y}
    if measure in INFORMATION:
        wanted = batches.submodular_mutual_information(v, q, 8, measure=measure)
    elif measure in GAIN:
        wanted = batches.conditional_gain(v, p, 8, measure=measure)
    else:
        wanted = batches.conditional_mutual_information(v, q, p, 8, measure=measure)
    classes = np.zeros((1, 4)) + 0.25
    known = (
        {"probs": np.repeat(classes, 10, 0)} if space == "embeddings" else {}
    )  # tells that there are four classes
    for name, params in ((measure, {}), ("similar", {"measure": measure})):
        found = selection.select(name, pool, 8, labelled=labelled | known, space=space, **params)
        assert_array_equal(found, wanted)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_a_strategy(measure):
    assert measure in TABLE
    assert make(measure).measure == measure


def test_weights_reach_the_measure():
    pool, labelled = data()
    z, q = CosineSimilarity(pool["embeddings"]), CosineSimilarity(labelled["embeddings"][[4, 8]])
    arrays = {"embeddings": pool["embeddings"]}
    known = {"embeddings": labelled["embeddings"], "y": Y, "probs": labelled["probs"]}
    found = selection.select("fl2mi", arrays, 8, labelled=known, space="embeddings", eta=0.1)
    assert_array_equal(found, batches.submodular_mutual_information(z, q, 8, measure="fl2mi", eta=0.1))
    found = selection.select("gccg", arrays, 8, labelled=known, space="embeddings", nu=5.0, lam=2.0)
    p = CosineSimilarity(labelled["embeddings"])
    assert_array_equal(found, batches.conditional_gain(z, p, 8, measure="gccg", nu=5.0, lam=2.0))


def test_information_asks_for_the_rare_class():
    rng = generator(0, "tests", "rare")
    group = np.repeat(np.arange(3), [150, 140, 10])
    z = np.eye(3)[group] * 3 + rng.normal(size=(300, 3)) * 0.3
    known = np.array([0, 0, 0, 1, 1, 1, 2])
    z_known = np.eye(3)[known] * 3
    for name in ("fl2mi", "gcmi", "com", "logdetmi", "logdetcmi"):
        rows = selection.select(
            name, {"embeddings": z}, 5, labelled={"embeddings": z_known, "y": known}, space="embeddings"
        )
        assert (group[rows] == 2).mean() >= 0.8, name


@pytest.mark.parametrize("measure", [m for m in MEASURES if m not in GAIN])
def test_without_labels_information_is_random(measure):
    pool, labelled = data()
    none = {name: values[:0] for name, values in labelled.items()}
    picks = {tuple(selection.select(measure, pool, 9, labelled=none, seed=seed)) for seed in range(5)}
    assert len(picks) == 5


def test_the_sets_are_bounded():
    pool, labelled = data()
    found = selection.proposal("flcmi", pool, 5, labelled=labelled, most=1)
    assert found.notes == {"query samples": 1, "private samples": 1}
    found = selection.proposal("flcmi", pool, 5, labelled=labelled)
    assert found.notes == {"query samples": 2, "private samples": 8}


@pytest.mark.parametrize("params, error, said", [
    ({"measure": "fl3mi"}, UnknownName, "measure"),
    ({"space": "probs"}, UnknownName, "space"),
    ({"measure": "logdetmi", "eta": 2.0}, InputError, "eta"),
    ({"most": 0}, InputError, "most"),
    ({"lam": -1.0}, InputError, "lam"),
])  # fmt: skip
def test_wrong_parameters_are_refused(params, error, said):
    with pytest.raises(error, match=said):
        make("similar", **params)
