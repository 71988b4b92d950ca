"""prob-cover, max-herding and u-herding by what tells them apart."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError
from labelwise.functional.batches.coverage import prob_cover, purity_radius
from labelwise.functional.batches.herding import max_herding
from labelwise.functional.metrics import ece
from labelwise.seeds import generator
from labelwise.strategies import make

THREE = ["prob-cover", "max-herding", "u-herding"]
RNG = generator(0, "tests", "coverage strategies")
Z, KNOWN = RNG.normal(size=(150, 4)), RNG.normal(size=(6, 4))
P = RNG.dirichlet(np.ones(3), size=150)
POOL = {"embeddings": Z, "probs": P}


def chosen(name, pool=POOL, n=10, known=KNOWN, seed=0, **params):
    return selection.select(name, pool, n, labelled={"embeddings": known}, seed=seed, **params)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_prob_cover_finds_its_radius_and_tells_it():
    found = selection.proposal("prob-cover", POOL, 10, labelled={"embeddings": KNOWN}, seed=3)
    rng = generator(3, "select")
    delta = purity_radius(Z, 3, rng, unit=True)
    assert found.notes["delta"] == delta
    assert_array_equal(found.rows, prob_cover(Z, 10, delta, labelled=KNOWN, unit=True, rng=rng))
    assert found.scores is None


def test_prob_cover_takes_a_radius_too():
    found = selection.proposal("prob-cover", POOL, 10, labelled={"embeddings": KNOWN}, delta=0.4, unit=False)
    assert found.notes["delta"] == 0.4
    assert_array_equal(found.rows, prob_cover(Z, 10, 0.4, labelled=KNOWN, rng=generator(0, "select")))


def test_prob_cover_of_one_cluster_has_no_radius_to_tell():
    found = selection.proposal(
        "prob-cover", {"embeddings": np.ones((9, 2))}, 4, labelled={"embeddings": np.ones((0, 2))}
    )
    assert found.notes["delta"] is None
    assert len(set(found.rows.tolist())) == 4


def test_max_herding_is_its_kernel():
    assert_array_equal(
        chosen("max-herding", sigma=0.7), max_herding(Z, 10, labelled=KNOWN, sigma=0.7, unit=True)
    )


def test_u_herding_weighs_by_the_margin_and_takes_the_least_labelled_distance():
    ordered = np.sort(P, axis=1)
    gaps = np.sqrt(((unit(KNOWN)[:, None] - unit(KNOWN)) ** 2).sum(axis=2))
    sigma = gaps[gaps > 1e-6].min()
    weights = 1 - (ordered[:, -1] - ordered[:, -2])
    found = selection.proposal("u-herding", POOL, 10, labelled={"embeddings": KNOWN})
    assert found.notes["sigma"] == pytest.approx(sigma)
    assert_array_equal(
        found.rows, max_herding(Z, 10, labelled=KNOWN, sigma=sigma, weights=weights, unit=True)
    )


def test_u_herding_without_labels_is_max_herding():
    none = np.empty((0, 4))
    assert_array_equal(chosen("u-herding", known=none), chosen("max-herding", known=none))


def test_a_temperature_softens_what_u_herding_weighs_by():
    p = np.array([[0.9, 0.1]] * 2)
    z = np.array([[1.0, 0], [0, 1]])
    # sqrt(0.9) : sqrt(0.1) = 3 : 1, so that T = 2 makes 0.75 and 0.25 of them
    strategy = make("u-herding", temperature=2.0)
    np.testing.assert_allclose(strategy._weights(p, 2.0), 1 - 0.5)
    rows = selection.select(
        strategy, {"embeddings": z, "probs": p}, 2, labelled={"embeddings": np.array([[1.0, 0.1]])}
    )
    assert_array_equal(rows, [1, 0])


@pytest.mark.parametrize("kind", ["entropy", "least-confidence"])
def test_u_herding_weighs_by_other_measures(kind):
    weights = -(P * np.log(P)).sum(axis=1) if kind == "entropy" else 1 - P.max(axis=1)
    expected = max_herding(Z, 10, labelled=KNOWN, sigma=0.5, weights=weights, unit=True)
    assert_array_equal(chosen("u-herding", uncertainty=kind, sigma=0.5), expected)


def test_u_herding_calibrates_on_validation_samples():
    rng = generator(1, "tests", "calibration")
    truth = rng.dirichlet(np.ones(3), size=3000)
    y = (rng.uniform(size=3000)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    sharp = truth**2.5 / (truth**2.5).sum(axis=1, keepdims=True)  # too sure; T = 2.5 undoes it
    found = selection.proposal(
        make("u-herding", calibrate=True),
        POOL,
        5,
        labelled={"embeddings": KNOWN},
        validation={"probs": sharp, "y": y},
    )
    assert found.notes["temperature"] == pytest.approx(2.5, abs=0.5)  # ECE is a brittle guide
    softened = sharp ** (1 / found.notes["temperature"])
    assert ece(softened / softened.sum(axis=1, keepdims=True), y) <= ece(sharp, y)


@pytest.mark.parametrize("name", THREE)
def test_features_serve_before_any_predictor(name):
    pool = {"features": Z} | ({"probs": P} if name == "u-herding" else {})
    rows = selection.select(name, pool, 5, labelled={"features": np.empty((0, 4))}, space="features")
    assert len(set(rows.tolist())) == 5


@pytest.mark.parametrize(
    "name, params, says",
    [
        ("prob-cover", {"delta": 0}, 'delta must be above 0, or "auto"; it is 0'),
        ("prob-cover", {"delta": "large"}, "delta must be above 0"),
        ("prob-cover", {"purity": 1.5}, "purity must be above 0"),
        ("prob-cover", {"clusters": 0}, "clusters must be a whole number"),
        ("max-herding", {"sigma": -1}, "sigma must be above 0"),
        ("u-herding", {"sigma": "wide"}, "sigma must be above 0"),
        ("u-herding", {"temperature": 0}, "temperature must be above 0"),
        ("u-herding", {"uncertainty": "bald"}, "No uncertainty is named 'bald'"),
    ],
)
def test_parameters_are_checked(name, params, says):
    with pytest.raises(InputError, match=says):
        make(name, **params)
