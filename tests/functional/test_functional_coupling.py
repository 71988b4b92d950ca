"""Γ of embeddings: known correlations, dependence that no line sees, limits, laws, bad input."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.ambiguity import modality_budgets
from labelwise.functional.coupling import (
    KINDS,
    canonical_correlation,
    copula_correlation,
    coupling,
    soft_hgr,
)
from labelwise.seeds import generator

FITTED = (canonical_correlation, soft_hgr)


def draw(n=3000, r=0.6, seed=0):
    rng = generator(seed, "tests", "coupling")
    x = rng.standard_normal(n)
    return x, r * x + np.sqrt(1 - r**2) * rng.standard_normal(n), rng


@pytest.mark.parametrize("r", [0.0, -0.6, 0.9])
@pytest.mark.parametrize("of", FITTED)
def test_gaussians_have_the_maximal_correlation_of_their_correlation(of, r):
    # Lancaster 1957: of two Gaussians no functions correlate by more than |r|.
    x, y, rng = draw(r=r)
    if r:
        assert_allclose(of(x[:, None], y[:, None], rng), abs(r), atol=0.05)
    else:
        assert of(x[:, None], y[:, None], rng) < 0.12


def test_canonical_correlation_looks_in_every_direction():
    x, y, rng = draw(r=0.8)
    noise = rng.standard_normal((3, len(x)))
    # x hides in a difference of columns, which each correlate by less than 0.3 with y
    a = np.stack([3 * noise[0] + x, 3 * noise[0], noise[1]], axis=1)
    b = np.stack([noise[2], 100 + 1e-3 * y], axis=1)
    assert_allclose(canonical_correlation(a, b, rng), 0.8, atol=0.06)
    assert abs(copula_correlation(a, b)) < 0.35


def test_only_functions_that_bend_see_a_parabola():
    x, _, rng = draw()
    y = x[:, None] ** 2
    assert canonical_correlation(x[:, None], y, rng) < 0.2
    assert soft_hgr(x[:, None], y, rng) > 0.9  # y is a function of x: the maximal correlation is 1


def test_normal_scores_ignore_the_marginals():
    x, y, _ = draw(r=-0.7)
    wanted = copula_correlation(x[:, None], y[:, None])
    assert_allclose(wanted, -0.7, atol=0.03)
    assert_allclose(copula_correlation(np.exp(3 * x)[:, None], (y**3)[:, None]), wanted)
    assert_allclose(copula_correlation(x[:, None], -y[:, None]), -wanted)
    # by hand: both rank four samples alike but for one exchange; scores ±a, ±b with a = Φ⁻¹(0.8), b = Φ⁻¹(0.6)
    a, b = 0.8416212335729143, 0.2533471031357997
    got = copula_correlation([[1.0], [2], [3], [4]], [[1.0], [3], [2], [4]])
    assert_allclose(got, (2 * a**2 - 2 * b**2) / (2 * a**2 + 2 * b**2))


def test_samples_that_were_fitted_on_do_not_count():
    rng = generator(0, "tests", "noise")
    x, y = rng.standard_normal((2, 60, 25))  # 30 samples, 25 columns: a fit alone would say nearly 1
    assert canonical_correlation(x, y, rng) < 0.6


@pytest.mark.parametrize("kind", KINDS[:3])
def test_gamma_is_a_coupling_and_constants_depend_on_nothing(kind):
    x, y, rng = draw(n=200)
    constant = np.full((200, 2), 7.0)
    gamma = coupling([x[:, None], y[:, None], constant], kind, rng)
    assert_array_equal(gamma, gamma.T)
    assert_array_equal(np.diag(gamma), 1)
    assert_array_equal(gamma[2, :2], 0)
    assert 0.3 < gamma[0, 1] <= 1
    modality_budgets([0.1, 0.1, 0.1], gamma)
    again = coupling([x[:, None], y[:, None], constant], kind, draw(n=200)[2])
    assert_array_equal(gamma, again)
    assert_array_equal(coupling([x[:, None]], kind, rng), [[1.0]])
    assert_allclose(coupling([x[:, None], x[:, None]], kind, rng)[0, 1], 1, atol=0.02)
    assert_allclose(coupling([x[:, None], 1e200 * y[:, None]], kind, draw(n=200)[2])[0, 1], gamma[0, 1])


def test_given_and_one():
    x = np.zeros((1, 2))
    assert_array_equal(coupling([x, x], "one"), [[1, 1], [1, 1]])
    assert_array_equal(coupling([x, x], "given", given=[[1, -0.3], [-0.3, 1]]), [[1, -0.3], [-0.3, 1]])


X = np.arange(10.0)[:, None]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: coupling([X, X], "cca", r), "kind of coupling"),
        (lambda r: coupling([], "one"), "at least one modality"),
        (lambda r: coupling([X, X], "hgr"), "hand in rng"),
        (lambda r: coupling([X, X], "given"), "given=Γ"),
        (lambda r: coupling([X, X], "one", given=np.eye(2)), "given=Γ"),
        (lambda r: coupling([X, X], "given", given=[[1, 2], [2, 1]]), "must be in"),
        (lambda r: coupling([X, X[:5]], "hgr", r), "the same samples; there are 5 and 10"),
        (lambda r: coupling([X[:1], X[:1]], "hgr", r), "at least 4 samples; there are 1"),
        (lambda r: coupling([X, X[:, 0]], "hgr", r), "must have shape"),
        (lambda r: coupling([X, X * np.inf], "gaussian_copula"), "must be finite"),
        (lambda r: canonical_correlation(X, X, r, ridge=-1), "ridge must be"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError, UnknownName), match=words):
        call(generator(0, "tests", "bad"))
