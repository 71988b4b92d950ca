"""Budgets of shifting modalities and the certificate: literals, golden numbers, where a budget fails, bad input."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.ambiguity import (
    additive_weights,
    certificate,
    encoder_excess,
    modality_budget,
    modality_budgets,
    ratio_radius,
)
from labelwise.functional.robust import (
    chi2_divergence,
    chi2_worst_risk,
    chi2_worst_weights,
    variance_form_holds,
    variance_risk,
)
from labelwise.seeds import generator


def coupled(gamma: float) -> list[list[float]]:
    return [[1.0, gamma], [gamma, 1.0]]


def test_budgets_by_hand():
    budgets = modality_budgets([0.25, 0.16], coupled(-0.5))
    assert_allclose(budgets.first_order, 0.41 + 2 * 0.5 * 0.5 * 0.4)
    assert_allclose(budgets.product_exact, 1.25 * 1.16 - 1)
    assert_allclose(budgets.precision, (0.41 + 2 * 0.5 * 0.2) / 0.75)  # Γ⁻¹ = [[1, ½], [½, 1]] / ¾
    assert_allclose(budgets.perfect, (0.5 + 0.4) ** 2)


@pytest.mark.parametrize("case", ["budget_K1", "budget_K2", "budget_K3"])
def test_budgets_equal_golden_numbers(case):
    given_, out = (cases("dro")[case][side] for side in ("in", "out"))
    rho, gamma, losses = given_["rho"], given_["gamma"], given_["losses"]
    budgets = modality_budgets(rho, gamma)
    close = {"rtol": 0, "atol": 1e-12}
    assert_allclose(budgets.first_order, out["B"], **close)
    assert_allclose(modality_budget(rho, np.eye(rho.size)), out["B_independent"], **close)
    assert_allclose(budgets.perfect, out["B_comonotone"], **close)
    assert_allclose(modality_budget(rho, gamma, "product_exact"), out["B_product"], **close)
    assert_allclose(variance_risk(losses, budgets.first_order), out["risk_closed_form"], **close)
    assert_allclose(chi2_worst_risk(losses, budgets.first_order), out["risk_exact_single_ball"], **close)


@given(hnp.arrays(float, st.integers(1, 4), elements=st.floats(0, 1e6)), st.floats(-1, 1))
def test_budgets_have_their_limits(rho, gamma):
    k = rho.size
    apart, one = modality_budgets(rho, np.eye(k)), modality_budgets(rho, np.ones((k, k)))
    assert_allclose([apart.first_order, apart.precision], rho.sum())
    assert_allclose(one.first_order, one.perfect)
    between = modality_budgets(rho, np.where(np.eye(k) > 0, 1.0, gamma))
    assert apart.first_order * (1 - 1e-12) <= between.first_order <= one.first_order * (1 + 1e-12)
    if k == 1:
        assert_allclose(apart, rho[0])
        assert_allclose(one, rho[0])


def test_precision_knows_what_no_correlation_bounds():
    assert modality_budgets([0.1, 0.1], coupled(1.0)).precision == inf
    assert modality_budgets([0.0, 0.0], coupled(1.0)).precision == 0
    twins = [[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert_allclose(modality_budgets([0, 0, 0.3], twins).precision, 0.3)  # the third is apart from the twins
    assert modality_budgets([0, 0.1, 0.3], twins).precision == inf
    impossible = [[1, 0.9, 0.9], [0.9, 1, 0], [0.9, 0, 1]]  # its determinant is 1 - 2 · 0.81 < 0
    assert modality_budgets([0.1] * 3, impossible).precision == inf
    assert np.isfinite(modality_budget([0.1] * 3, impossible))
    assert modality_budgets([1e300, 1e300], coupled(0)).product_exact == inf


def test_the_first_order_fails_for_product_shifts_and_the_product_is_exact():
    # Two independent coins, each heads more often by h = ±√0.3: a shift of each of χ² 0.3.
    h = sqrt(0.3) * np.array([-1.0, 1.0])
    q = np.multiply.outer(1 + h, 1 + h).ravel() / 4
    losses = 4 * q  # the loss such a shift hurts most
    assert_allclose(chi2_divergence(q), 1.3 * 1.3 - 1)
    budgets = modality_budgets([0.3, 0.3], np.eye(2))
    excess, deviation = q @ losses - losses.mean(), losses.std()
    assert_allclose(excess / (sqrt(budgets.first_order) * deviation), 1.0724, atol=5e-5)
    assert_allclose(excess / (sqrt(budgets.product_exact) * deviation), 1)


@pytest.mark.parametrize(
    ("r", "excess", "first", "perfect", "precision"),
    [(0.9, 0.800, 0.352, 0.361, 0.808), (0.5, 0.160, 0.140, None, 0.162)],
)
def test_a_correlation_is_no_safe_coupling_for_a_gaussian_copula(r, excess, first, perfect, precision):
    # Means move by ±0.2 and correlations stay: each marginal's χ² is exp(0.2²) - 1. The loss is the log density
    # ratio without its constant, δᵀΣ⁻¹x with δ = (0.2, -0.2): under Q its mean moves by δᵀΣ⁻¹δ, its variance under P.
    moved = 2 * 0.2**2 / (1 - r)
    assert_allclose(moved, excess, atol=5e-4)
    budgets = modality_budgets([exp(0.04) - 1] * 2, coupled(r))
    deviation = sqrt(moved)
    assert_allclose(sqrt(budgets.first_order) * deviation, first, atol=5e-4)
    assert_allclose(sqrt(budgets.precision) * deviation, precision, atol=5e-4)
    assert sqrt(budgets.first_order) * deviation < moved < sqrt(budgets.precision) * deviation
    if perfect is not None:
        assert_allclose(sqrt(budgets.perfect) * deviation, perfect, atol=5e-4)


def test_independent_modalities_attain_the_first_order():
    # A loss Σ a_k φ_k with a_k σ_k ∝ √ρ_k on a grid, where modalities are independent, and adversaries φ_k.
    rng = generator(0, "tests", "tightness")
    rho = np.array([0.02, 0.05, 0.01])
    phi = np.stack([v.ravel() for v in np.meshgrid(*(rng.uniform(size=n) for n in (4, 5, 6)))], axis=1)
    losses = (phi / phi.std(axis=0)) @ np.sqrt(rho)
    budget = modality_budget(rho, np.eye(3))
    assert variance_form_holds(losses, budget)
    q = additive_weights(phi, rho)
    assert_allclose(q @ losses, variance_risk(losses, budget))
    assert_allclose(q, chi2_worst_weights(losses, budget))
    assert_allclose(chi2_divergence(q), rho.sum())


def test_additive_weights_by_hand():
    assert_allclose(additive_weights([[0.0], [4.0]], [0.25]), [0.25, 0.75])  # h = ±½
    assert_allclose(additive_weights([[0.0], [4.0]], [4]), [0, 1])  # 1 - 2 is clipped
    assert_allclose(
        additive_weights([[0.0, 7], [4.0, 7]], [0.25, 9]), [0.25, 0.75]
    )  # a constant shifts nothing
    assert_allclose(additive_weights([[-1.7e308], [1.7e308]], [0.25]), [0.25, 0.75])
    assert_allclose(additive_weights([[3.0]], [2]), [1])


@given(
    hnp.arrays(float, (7, 2), elements=st.floats(-10, 10)), hnp.arrays(float, 2, elements=st.floats(0, 5)),
    st.floats(-5, 5),
)  # fmt: skip
def test_additive_weights_are_a_distribution_and_ignore_a_shift(directions, rho, shift):
    q = additive_weights(directions, rho)
    assert q.min() >= 0
    assert_allclose(q.sum(), 1)
    if np.ptp(directions, axis=0).min() > 1e-3:  # else rounding makes a direction of a constant
        assert_allclose(additive_weights(3 * directions + shift, rho), q, atol=1e-9)


def test_radius_of_ratios():
    assert ratio_radius([2.0, 2.0, 2.0]) == 0
    ratios = np.r_[np.full(99, 1.0), np.full(101, 3.0)]  # nothing to clip
    w = ratios / ratios.mean()
    assert_allclose(ratio_radius(ratios), np.mean((w - 1) ** 2))
    outlier = np.r_[ratios, 1e9]
    assert_allclose(ratio_radius(outlier), ratio_radius(np.r_[ratios, 3.0]))
    # Ratios of the worst Q at radius ρ have ρ.
    q = chi2_worst_weights(np.repeat(np.arange(4.0), 50), 0.3)
    assert_allclose(ratio_radius(q), 0.3)


def test_encoder_excess_by_hand():
    # modality 0: mean 1, deviation 1, √¼ · 1 = ½; modality 1: mean 2, deviation 0.
    assert_allclose(encoder_excess([[0.0, 2], [2.0, 2]], [0.25, 9], [2, 3]), 2 * 1.5 + 3 * 2)
    assert encoder_excess(np.zeros((3, 2)), [1, 1], [5, 5]) == 0


def test_certificate_by_hand():
    # n = 3, l̄ = 1, s² = (1 + 0 + 1)/2 = 1, ln(2/δ) = 2
    delta = 2 * exp(-2)
    wanted = 1 + 0.5 * 1 + 4 * sqrt(2 / 6) + 0.5 * 4 * sqrt(2 * 2 / 2)
    assert_allclose(certificate([0.0, 1, 2], 0.25, 4.0, delta), wanted)
    assert_allclose(certificate([0.0, 1, 2], 0, 4.0, delta), 1 + 4 * sqrt(2 / 6))
    assert_allclose(certificate([1.0], 0, 1.0, delta), 1 + 1)
    assert certificate([1.0], 0.1, 1.0, delta) == inf
    assert certificate([1.0, 1.0], inf, 1.0, delta) == inf
    assert_allclose(certificate([0.0, 2e307], 0, 2e307, delta), 2e307 * (0.5 + sqrt(0.5)))


def test_certificate_holds_about_as_often_as_it_says():
    rng = generator(0, "tests", "certificate")
    # Bernoulli(0.3) losses: the true closed form is 0.3 + √B √0.21.
    budget, delta = 0.5, 0.2
    truth = 0.3 + sqrt(budget * 0.21)
    found = np.array([certificate(rng.random(60) < 0.3, budget, 1.0, delta) for _ in range(300)])
    assert np.mean(found < truth) <= delta
    assert np.ptp(found) > 0
    sure, doubtful = (certificate([0.0, 1.0, 0.5], budget, 1.0, d) for d in (0.01, 0.5))
    assert sure > doubtful


def test_certificate_narrows_to_the_closed_form():
    losses = np.tile([0.0, 1.0], 500_000)
    slack = sqrt(log(40) / 2e6) + sqrt(0.5) * sqrt(2 * log(40) / (1e6 - 1))
    assert_allclose(certificate(losses, 0.5, 1.0, 0.05), variance_risk(losses, 0.5) + slack, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: modality_budgets([], np.zeros((0, 0))), "rho must not be empty"),
        (lambda: modality_budgets([-0.1], [[1.0]]), "rho: row 0 is -0.1"),
        (lambda: modality_budgets([inf], [[1.0]]), "rho: row 0 holds inf"),
        (lambda: modality_budgets([0.1, 0.1], [[1.0]]), r"gamma must have shape \(K=2, K=2\)"),
        (lambda: modality_budgets([0.1, 0.1], coupled(1.2)), r"gamma: entry \(0, 1\) is 1.2; it must be in"),
        (lambda: modality_budgets([0.1, 0.1], [[1, 0.2], [0.3, 1]]), r"entry \(0, 1\) is 0.2; .* mirror"),
        (lambda: modality_budgets([0.1, 0.1], [[1, 0], [0, 0.5]]), r"entry \(1, 1\) is 0.5; .* diagonal"),
        (lambda: modality_budgets([0.1, 0.1], coupled(np.nan)), "gamma: row 0 holds nan"),
        (lambda: modality_budget([0.1], [[1.0]], "perfekt"), "Did you mean 'perfect'"),
        (lambda: ratio_radius([1.0, -1.0]), "ratios: row 1 is -1"),
        (lambda: ratio_radius(np.r_[np.zeros(999), 1.0]), "ratios must not be 0 in 99 of 100"),
        (lambda: additive_weights([[1.0, 2.0]], [1.0]), r"rho must have shape \(K=2\)"),
        (lambda: additive_weights([[1.0], [np.nan]], [1.0]), "directions: row 1 holds nan"),
        (lambda: encoder_excess([[1.0], [-1.0]], [1.0], [1.0]), "errors: row 1 is -1"),
        (lambda: encoder_excess([[1.0]], [1.0], [-1.0]), "lipschitz: row 0 is -1"),
        (
            lambda: certificate([0.5, 1.5], 1, 1.0, 0.1),
            "losses: row 1 is 1.5; it must be from 0 to the bound, 1",
        ),
        (lambda: certificate([-0.5], 1, 1.0, 0.1), "losses: row 0 is -0.5"),
        (lambda: certificate([0.5], 1, 1.0, 0), "delta inside"),
        (lambda: certificate([0.5], 1, 1.0, 1), "delta inside"),
        (lambda: certificate([0.0], 1, 0, 0.1), "bound must be above 0"),
        (lambda: certificate([0.5], -1, 1.0, 0.1), "budget must be"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError, UnknownName), match=words):
        call()
