"""Radii of shifted modalities, Lipschitz constants, and how bounds are judged: closed forms, literals, bad input."""

from math import exp, inf, sqrt

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from labelwise.errors import InputError, ShapeError
from labelwise.functional.ambiguity import (
    additive_weights,
    budget_risks,
    encoder_excess,
    modality_budgets,
    ratio_radius,
    ratio_weights,
)
from labelwise.functional.lipschitz import empirical_lipschitz, spectral_lipschitz
from labelwise.functional.robust import variance_risk
from labelwise.functional.shift import domain_ratios, shift_radii
from labelwise.functional.tightness import coverage, tight_losses, tightness
from labelwise.seeds import generator


def gaussians(delta, n=4000):
    rng = generator(0, "tests", "shift")
    source, target = rng.standard_normal((2, n, 3))
    target[:, 0] += delta
    return source, target, rng


def clipped_radius(delta):
    """Return the χ² radius of w = exp(δ x - δ²/2), x standard normal, cut at its 99th percentile and scaled to mean 1."""
    z = norm.ppf(0.99)
    cut = exp(delta * z - delta**2 / 2)
    mean = norm.cdf(z - delta) + 0.01 * cut
    square = exp(delta**2) * norm.cdf(z - 2 * delta) + 0.01 * cut**2
    return square / mean**2 - 1


@pytest.mark.parametrize("delta", [0.2, 0.5, 0.8])
def test_a_mean_shift_of_gaussians_has_its_radius(delta):
    source, target, rng = gaussians(delta)
    ratios = domain_ratios(source, target, rng)
    exact = np.exp(delta * source[:, 0] - delta**2 / 2)
    assert_allclose(ratios.mean(), 1, atol=0.05)
    assert np.corrcoef(np.log(ratios), np.log(exact))[0, 1] > 0.95
    got = ratio_radius(ratios)
    assert_allclose(got, clipped_radius(delta), rtol=0.2, atol=0.01)
    assert got < exp(delta**2) - 1 + 0.02  # the radius itself; the cut loses some of it


def test_each_modality_has_its_own_radius_and_what_stays_has_nearly_none():
    source, target, rng = gaussians(0.7)
    moved, still = shift_radii([source, source[:, 1:]], [target, target[:, 1:]], rng)
    assert moved > 0.3
    assert still < 0.01


def test_squares_see_a_change_of_scale():
    rng = generator(0, "tests", "scale")
    source, target = rng.standard_normal((4000, 1)), 1.2 * rng.standard_normal((4000, 1))
    # χ² of N(0, s²) to N(0, 1) is 1/(s √(2 - s²)) - 1
    wanted = 1 / (1.2 * sqrt(2 - 1.44)) - 1
    blind, seeing = (shift_radii([source], [target], rng, squares=s)[0] for s in (False, True))
    assert blind < 0.005
    assert 0.5 * wanted < seeing < 1.2 * wanted


def test_weights_move_means_to_the_target():
    source, target, rng = gaussians(0.5)
    q = ratio_weights(domain_ratios(source, target, rng))
    assert_allclose(q.sum(), 1)
    assert_allclose(q @ source, target.mean(axis=0), atol=0.06)
    assert_allclose(ratio_weights([1.0, 3.0] * 100), np.tile([0.25, 0.75], 100) / 100)


def test_domains_that_nothing_has_in_common_stay_finite():
    rng = generator(0, "tests", "apart")
    ratios = domain_ratios(np.zeros((50, 2)), np.full((10, 2), 1e200), rng, strength=1e6)
    assert np.isfinite(ratios).all() and (ratios > 0).all()
    assert ratio_radius(ratios) < 1e-6
    same = np.ones((20, 1))
    assert_allclose(domain_ratios(same, same, rng), 1, atol=1e-6)


def test_lipschitz_by_hand():
    first = np.array([[3.0, 0, 1], [4, 0, 0]])  # columns 0 and 1 of norm 5, column 2 of norm 1
    second = np.array([[0.0, 2]])
    assert_allclose(spectral_lipschitz([first, second], [2, 1], loss=1), [5 * 2, 1 * 2])
    assert_allclose(spectral_lipschitz([first], [2, 1]), [5 * sqrt(2), sqrt(2)])
    assert_allclose(empirical_lipschitz([[1.0, 2], [3, 0]]), [3, 2])


def test_no_step_is_steeper_than_the_spectral_constant():
    rng = generator(0, "tests", "lipschitz")
    a, b = rng.standard_normal((8, 5)), rng.standard_normal((3, 8))
    slopes = spectral_lipschitz([a, b], [2, 3])

    def loss(z):
        logits = b @ np.maximum(a @ z, 0)
        return np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[1]

    for _ in range(200):
        z, step = rng.standard_normal((2, 5))
        for k, part in enumerate((np.r_[1, 1, 0, 0, 0], np.r_[0, 0, 1, 1, 1])):
            assert abs(loss(z + step * part) - loss(z)) <= slopes[k] * np.linalg.norm(step * part) + 1e-9


def test_the_encoder_aware_bound_holds_where_the_encoder_errs():
    # l(z) = 2 |z|, 2-Lipschitz; the encoder answers z + e. Under any Q of radius ρ: E_Q l(ẑ) <= closed form + excess.
    rng = generator(0, "tests", "encoder")
    z, e, rho = rng.standard_normal(500), 0.3 * rng.random(500), 0.2
    bound = variance_risk(2 * np.abs(z), rho) + encoder_excess(e[:, None], [rho], [2.0])
    for _ in range(50):
        q = additive_weights(rng.standard_normal((500, 1)), [rho])
        assert q @ (2 * np.abs(z + e)) <= bound
    assert variance_risk(2 * np.abs(z + e), rho) <= bound


def test_tight_losses_attain_the_first_order_and_nothing_else_exceeds_it():
    rho = [0.02, 0.05]
    phi = np.stack([v.ravel() for v in np.meshgrid([0.0, 1, 3], [1.0, -2, 0, 5])], axis=1)
    losses = tight_losses(phi, rho)
    assert_allclose(losses.mean(), 0, atol=1e-15)
    assert_allclose(losses.var(), 0.07)
    bound = budget_risks(losses, rho, np.eye(2)).first_order
    assert_allclose(additive_weights(phi, rho) @ losses, bound)
    rng = generator(0, "tests", "tight")
    for _ in range(50):  # other functions of each modality by itself
        one, two = rng.standard_normal(3), rng.standard_normal(4)
        other = np.stack([np.tile(one, 4), np.repeat(two, 3)], axis=1)
        assert additive_weights(other, rho) @ losses <= bound + 1e-12


def test_all_risks_are_reported_together():
    losses = [0.0, 1.0, 2.0]
    gamma = [[1, 0.5], [0.5, 1]]
    risks, budgets = budget_risks(losses, [0.1, 0.2], gamma), modality_budgets([0.1, 0.2], gamma)
    assert risks._fields == budgets._fields
    assert_allclose(risks, 1 + np.sqrt(np.array(budgets) * 2 / 3))


def test_coverage_and_tightness_by_hand():
    assert coverage([1.0, 2.0, 3.0, 4.0], 3.0) == 0.75
    assert coverage([1.0, 2.0], [1.0 - 1e-15, inf]) == 1
    assert_allclose(tightness(1.0, [1.5, 2.0], 3.0), 0.5)
    assert_allclose(tightness(1.0, [5.0, 2.0], [3.0, 9.0]), 2)  # the worst shift broke its bound
    assert tightness(1.0, [0.5], 3.0) == 0
    assert tightness(1.0, [2.0], inf) == 0
    assert tightness(1.0, [2.0], 1.0) == inf


X = np.arange(10.0)[:, None]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: domain_ratios(X, X[:, :0], r), "target must not be empty|target must have shape"),
        (lambda r: domain_ratios(X, np.ones((9, 2)), r), r"target must have shape \(m, D=1\)"),
        (lambda r: domain_ratios(X[:1], X, r), "source must have a sample for each of 5 folds; it has 1"),
        (lambda r: domain_ratios(X, X[:4], r), "target must have a sample for each"),
        (lambda r: domain_ratios(X, X, r, folds=1), "folds must be"),
        (lambda r: domain_ratios(X, X, r, strength=0), "strength must be above 0"),
        (lambda r: shift_radii([X], [X, X], r), "the same modalities; they have 1 and 2"),
        (lambda r: shift_radii([], [], r), "at least one modality"),
        (lambda r: spectral_lipschitz([], [1]), "at least one layer"),
        (lambda r: spectral_lipschitz([np.eye(3)], [1, 1]), r"layer 0 must have shape \(out, in=2\)"),
        (lambda r: spectral_lipschitz([np.eye(2), np.eye(3)], [1, 1]), r"layer 1 must have shape"),
        (lambda r: spectral_lipschitz([np.eye(2)], [2], loss=-1), "loss must be"),
        (lambda r: spectral_lipschitz([np.eye(2)], [2, 0]), "a width must be"),
        (lambda r: empirical_lipschitz([[1.0], [-2.0]]), "gradient_norms: row 1 is -2"),
        (lambda r: coverage([1.0, 2.0], [1.0]), r"bounds must have shape \(S=2\)"),
        (lambda r: coverage([1.0], np.nan), "bounds: row 0 is NaN"),
        (lambda r: tightness(np.nan, [1.0], 1.0), "clean: row 0 holds nan"),
        (lambda r: tight_losses([[1.0]], [-1.0]), "rho: row 0 is -1"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError), match=words):
        call(generator(0, "tests", "bad"))
