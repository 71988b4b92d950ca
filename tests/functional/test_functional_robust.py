"""Risk over χ² balls, CVaR and groups: literals, golden numbers, brute force, laws, bad input."""

from math import inf, sqrt

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog, minimize, minimize_scalar

from labelwise.errors import InputError, ShapeError
from labelwise.functional.groups import group_means, group_step, worst_group
from labelwise.functional.robust import (
    chi2_divergence,
    chi2_dual,
    chi2_worst_risk,
    chi2_worst_weights,
    cvar,
    cvar_weights,
    variance_form_holds,
    variance_risk,
    variance_weights,
)
from labelwise.seeds import generator

SAMPLES = ["main", "tied_max", "constant", "two", "zero_one", "negative"]

# Few distinct values, so that ties are common, and free ones.
losses_of = st.one_of(
    hnp.arrays(float, st.integers(1, 12), elements=st.integers(-2, 3).map(float)),
    hnp.arrays(float, st.integers(1, 12), elements=st.floats(-1e6, 1e6)),
)
radius_of = st.one_of(st.sampled_from([0.0, 1e-12, 0.3, 1.0, 5.0, 1e9, inf]), st.floats(0, 20))


@st.composite
def weighted(draw):
    losses = draw(losses_of)
    weights = draw(hnp.arrays(float, losses.size, elements=st.sampled_from([0.0, 1e-9, 0.5, 1.0, 2.0, 7.0])))
    weights[draw(st.integers(0, losses.size - 1))] = 1.0
    return losses, weights


def test_worst_risk_by_hand():
    # Two samples, Q = (½ - t, ½ + t): D = 4t², so t = √ρ/2, and the risk is ½ + √ρ/2 up to ρ = 1.
    assert_allclose(chi2_worst_risk([0.0, 1.0], 0.25), 0.75)
    assert_allclose(chi2_worst_weights([0.0, 1.0], 0.25), [0.25, 0.75])
    assert chi2_worst_risk([0.0, 1.0], 1) == chi2_worst_risk([0.0, 1.0], inf) == 1
    assert_allclose(chi2_divergence([0.25, 0.75]), 0.25)
    # Four samples, three at the maximum: all weight on them is 1/(3/4) - 1 = 1/3 away.
    assert_allclose(chi2_worst_weights([2.0, 2, 1, 2], 1 / 3 + 1e-9), [1 / 3, 1 / 3, 0, 1 / 3], atol=1e-15)
    assert chi2_worst_risk([2.0, 2, 1, 2], 0.33) < 2
    # P = (3/4, 1/4): ℓ has mean 1/4 and variance 3/16; √(ρ Var) with ρ = 1/3 is 1/4.
    assert_allclose(chi2_worst_risk([0.0, 1.0], 1 / 3, weights=[3, 1]), 0.5)
    assert_allclose(chi2_worst_weights([0.0, 1.0], 1 / 3, weights=[3, 1]), [0.5, 0.5])
    assert chi2_worst_risk([3.0], 7) == 3


def test_closed_form_by_hand():
    # mean 1, variance (1 + 1 + 4)/3 = 2; the least ratio is 1 - √(B/2), which is 0 at B = 2.
    losses = [0.0, 0.0, 3.0]
    assert_allclose(variance_risk(losses, 0.5), 1 + 1)
    assert variance_form_holds(losses, 2.0)
    assert not variance_form_holds(losses, 2.001)
    assert_allclose(variance_weights(losses, 0.5), [1 / 6, 1 / 6, 4 / 6])  # ratios 1 + ½ (l - 1) = ½, ½, 2
    assert_allclose(variance_weights(losses, 8.0), [0, 0, 1])  # ratios -1, -1, 5, clipped
    assert_allclose(variance_risk(losses, 8.0), 5)  # above the greatest loss
    assert variance_risk(losses, inf) == inf
    assert not variance_form_holds(losses, inf)


def test_cvar_and_groups_by_hand():
    losses = [4.0, 1.0, 3.0, 2.0]
    assert_allclose(
        cvar(losses, 0.375), (4 * 0.25 + 3 * 0.125) / 0.375
    )  # the worst sample and half of the next
    assert_allclose(cvar_weights(losses, 0.375), [2 / 3, 0, 1 / 3, 0])
    assert_allclose(cvar([1.0, 5.0], 0.5, weights=[3, 1]), 3)  # a quarter at 5, a quarter at 1
    assert_allclose(group_means([-1.0, -3.0, -4.0], [0, 0, 2], 3), [-2, 0, -4])
    assert worst_group([-1.0, -3.0, -4.0], [0, 0, 2], 3) == 0  # the empty group is not the worst
    assert worst_group([1.0, 1.0], np.array([1, 2], np.uint64), 3) == 1
    assert_allclose(group_step([0.5, 0.5], [0.0, np.log(3)], 1), [0.25, 0.75])
    assert_allclose(group_step([1, 1, 0], [0.0, 1e308, -1e308], 1e300), [0, 1, 0])
    assert_allclose(group_step([1, 3], [-1e308, 1e308], 0), [0.25, 0.75])


@pytest.mark.parametrize("case", SAMPLES)
def test_worst_risk_equals_golden_numbers(case):
    given_, out = (cases("dro")[case][side] for side in ("in", "out"))
    losses = given_["losses"]
    for i, rho in enumerate(given_["rho"].tolist()):
        for ball, radius in (("pearson", rho), ("half", 2 * rho)):
            close = {"rtol": 0, "atol": 1e-12}  # the file asks for 1e-6 and 1e-5
            assert_allclose(chi2_worst_risk(losses, radius), out[f"{ball}_worst_risk"][i], **close)
            assert_allclose(chi2_worst_weights(losses, radius), out[f"{ball}_weights"][i], rtol=0, atol=1e-9)
            assert_allclose(variance_risk(losses, radius), out[f"{ball}_variance_form"][i], **close)
            assert variance_form_holds(losses, radius) == out[f"{ball}_variance_form_exact"][i]


@pytest.mark.parametrize("case", SAMPLES)
def test_cvar_equals_golden_numbers(case):
    given_, out = (cases("dro")[case][side] for side in ("in", "out"))
    for i, alpha in enumerate(given_["cvar_alpha"].tolist()):
        assert_allclose(cvar(given_["losses"], alpha), out["cvar"][i], rtol=0, atol=1e-12)
        assert_allclose(cvar_weights(given_["losses"], alpha), out["cvar_weights"][i], rtol=0, atol=1e-12)


def test_groups_equal_golden_numbers():
    given_, out = (cases("dro")["group"][side] for side in ("in", "out"))
    losses, groups, n = given_["losses"], given_["groups"], int(given_["n_groups"])
    means = group_means(losses, groups, n)
    assert_allclose(means, out["group_mean"], rtol=0, atol=1e-12)
    assert_array_equal(np.bincount(groups, minlength=n), out["group_count"])
    worst = worst_group(losses, groups, n)
    assert worst == out["worst_group"]
    assert_allclose(means[worst], out["worst_group_loss"])
    assert_allclose(chi2_worst_risk(losses, 0), out["erm"])
    q = np.full(n, 1 / n)
    for i in range(int(given_["steps"])):
        q = group_step(q, means, float(given_["step_size"]))
        assert_allclose(q, out["q_after_each_step"][i], rtol=0, atol=1e-12)
        assert_allclose(q @ means, out["robust_loss_each_step"][i], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_worst_risk_equals_a_general_solver(seed):
    rng = generator(seed, "tests", "robust")
    losses = rng.normal(size=6).round(1) * 2 - 1
    p = rng.dirichlet(np.ones(6))
    rho = float(rng.uniform(0.05, 4))
    ball = {"type": "ineq", "fun": lambda q: 1 + rho - np.sum(q**2 / p), "jac": lambda q: -2 * q / p}
    whole = {"type": "eq", "fun": lambda q: q.sum() - 1, "jac": lambda q: np.ones(6)}
    found = minimize(
        lambda q: -q @ losses, p, jac=lambda q: -losses, bounds=[(0, 1)] * 6, constraints=[ball, whole],
        method="SLSQP", options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    assert_allclose(chi2_worst_risk(losses, rho, p), -found.fun, rtol=0, atol=1e-6)  # what SLSQP reaches
    dual = minimize_scalar(
        lambda eta: chi2_dual(losses, rho, eta, p),
        bounds=(losses.min() - 50, losses.max()),
        method="bounded",
        options={"xatol": 1e-10},
    )
    # the search stops short of a bound, where the minimum is if only the maximum counts
    assert_allclose(chi2_worst_risk(losses, rho, p), dual.fun, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_cvar_equals_a_linear_programme(seed):
    rng = generator(seed, "tests", "cvar")
    losses, p, alpha = rng.normal(size=7).round(1), rng.dirichlet(np.ones(7)), float(rng.uniform(0.05, 1))
    found = linprog(-losses, A_eq=np.ones((1, 7)), b_eq=[1], bounds=[(0, w / alpha) for w in p])
    assert_allclose(cvar(losses, alpha, p), -found.fun, rtol=0, atol=1e-9)


@given(weighted(), radius_of)
def test_worst_weights_are_a_distribution_inside_the_ball(sample, rho):
    losses, p = sample
    q = chi2_worst_weights(losses, rho, p)
    scale = np.abs(losses).max()
    assert q.min() >= 0
    assert_allclose(q.sum(), 1)
    assert not q[p == 0].any()
    assert chi2_divergence(q, p) <= rho * (1 + 1e-6) + 1e-9
    assert_allclose(q @ losses, chi2_worst_risk(losses, rho, p), rtol=0, atol=1e-12 * scale)


@given(weighted(), radius_of, radius_of)
def test_worst_risk_grows_from_mean_to_maximum(sample, one, other):
    losses, p = sample
    mean, most, slack = p @ losses / p.sum(), losses[p > 0].max(), 1e-12 * np.abs(losses).max()
    less, more = (chi2_worst_risk(losses, rho, p) for rho in sorted((one, other)))
    assert mean - slack <= less <= more + slack
    assert more <= most
    assert_allclose(chi2_worst_risk(losses, 0, p), mean, rtol=0, atol=slack)
    assert chi2_worst_risk(losses, inf, p) == most
    assert less <= variance_risk(losses, min(one, other), p) + slack


@given(weighted(), st.floats(0, 20), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_worst_risk_follows_shift_and_scale(sample, rho, shift, scale):
    losses, p = sample
    got = chi2_worst_risk(scale * losses + shift, rho, p)
    slack = 1e-9 * (scale * np.abs(losses).max() + abs(shift))
    assert_allclose(got, scale * chi2_worst_risk(losses, rho, p) + shift, rtol=0, atol=slack)


@given(weighted(), st.floats(0, 20), st.floats(-1e6, 1e6))
def test_no_dual_value_is_below_the_worst_risk(sample, rho, eta):
    losses, p = sample
    slack = 1e-9 * max(np.abs(losses).max(), abs(eta))
    assert chi2_worst_risk(losses, rho, p) <= chi2_dual(losses, rho, eta, p) + slack


@given(weighted(), st.floats(0, 3))
def test_closed_form_is_exact_where_it_says_so(sample, rho):
    losses, p = sample
    exact, closed = chi2_worst_risk(losses, rho, p), variance_risk(losses, rho, p)
    if variance_form_holds(losses, rho, p):
        assert_allclose(exact, closed, rtol=0, atol=1e-9 * np.abs(losses).max())
        assert_allclose(variance_weights(losses, rho, p), chi2_worst_weights(losses, rho, p), atol=1e-7)
    q = variance_weights(losses, rho, p)
    assert q.min() >= 0
    assert_allclose(q.sum(), 1)


def test_closed_form_is_too_high_where_weights_would_be_negative():
    losses = generator(0, "tests", "closed").exponential(size=50)
    held = [variance_form_holds(losses, rho) for rho in (0.1, 5.0)]
    assert held == [True, False]
    assert variance_risk(losses, 5) > chi2_worst_risk(losses, 5) + 0.01


@given(
    hnp.arrays(float, 5, elements=st.integers(-2, 3).map(float)),
    hnp.arrays(int, 5, elements=st.integers(0, 4)),
)
def test_whole_weights_are_repeated_samples(losses, times):
    times[2] += 1
    repeated = np.repeat(losses, times)
    for rho in (0.0, 0.2, 1.5, 40.0):
        assert_allclose(chi2_worst_risk(losses, rho, times), chi2_worst_risk(repeated, rho), atol=1e-12)
        assert_allclose(variance_risk(losses, rho, times), variance_risk(repeated, rho), atol=1e-12)
        assert variance_form_holds(losses, rho, times) == variance_form_holds(repeated, rho)
    for alpha in (0.07, 0.5, 1.0):
        assert_allclose(cvar(losses, alpha, times), cvar(repeated, alpha), atol=1e-12)


@given(weighted(), st.floats(1e-6, 1))
def test_cvar_weights_are_a_distribution_below_p_over_alpha(sample, alpha):
    losses, p = sample
    q = cvar_weights(losses, alpha, p)
    assert q.min() >= 0
    assert_allclose(q.sum(), 1)
    assert (q <= p / p.sum() / alpha * (1 + 1e-9) + 1e-12).all()
    assert cvar(losses, alpha, p) <= losses[p > 0].max()


def test_worst_weights_are_the_gradient_of_the_worst_risk():
    losses = generator(0, "tests", "gradient").normal(size=8)
    for rho in (0.1, 2.0):
        step = 1e-6 * np.eye(8)
        slope = [(chi2_worst_risk(losses + e, rho) - chi2_worst_risk(losses - e, rho)) / 2e-6 for e in step]
        assert_allclose(chi2_worst_weights(losses, rho), slope, atol=1e-6)


def test_constant_losses_stay_whatever_the_shift():
    losses = np.full(7, 0.7)
    assert chi2_worst_risk(losses, 3) == variance_risk(losses, inf) == cvar(losses, 0.01) == 0.7
    assert variance_form_holds(losses, inf)
    assert_allclose(chi2_worst_weights(losses, inf), np.full(7, 1 / 7))
    assert_allclose(variance_weights(losses, 3), np.full(7, 1 / 7))


def test_small_and_large_numbers_keep_their_digits():
    # √ρ is 1e-10, far above rounding: 1 ± √ρ are the ratios of two samples.
    assert_allclose(chi2_worst_weights([0.0, 1.0], 1e-20) - 0.5, [-5e-11, 5e-11], rtol=1e-5)
    assert_allclose(chi2_worst_risk([0, 1e300], 0.25), 0.75e300)
    assert_allclose(variance_risk([0, 1e300], 0.25), 0.75e300)
    assert_allclose(chi2_dual([0, 1e300], 0.0, 0.0), sqrt(0.5) * 1e300)
    assert_allclose(chi2_worst_risk([1e9, 1e9 + 1], 0.25), 1e9 + 0.75, rtol=1e-15)
    assert chi2_worst_risk([0.0, 1.0], 1e308) == 1
    assert (
        chi2_worst_risk([0.0, 1.0, 1.0], inf, [0.5, 1.0, 1e-9]) == 1
    )  # weights of the tied sum to 1 - 1e-16
    assert chi2_worst_risk([0.0, 1.0], inf, [1.0, 5e-324]) == 1
    assert_allclose(group_means([1.5e308, 1.5e308], [0, 0], 1), [1.5e308])


@settings(max_examples=30)
@given(
    hnp.arrays(float, 9, elements=st.integers(0, 3).map(float)), st.permutations(range(9)), st.floats(0, 5)
)
def test_order_does_not_matter(losses, order, rho):
    weights = chi2_worst_weights(losses, rho)
    assert_allclose(chi2_worst_weights(losses[list(order)], rho), weights[list(order)], atol=1e-12)


def test_float32_and_torch_give_the_same():
    torch = pytest.importorskip("torch")
    losses = generator(0, "tests", "kinds").exponential(size=40).astype(np.float32)
    wanted = chi2_worst_risk(losses.astype(np.float64), 0.7)
    assert chi2_worst_risk(losses, 0.7) == wanted == chi2_worst_risk(torch.from_numpy(losses), 0.7)


def test_divergence_by_hand():
    assert chi2_divergence([1, 1], [3, 3]) == 0
    assert_allclose(chi2_divergence([0, 0, 1]), 2)
    assert_allclose(chi2_divergence([1, 1], [3, 1]), 1 / 12 + 1 / 4)  # (¼)²/¾ + (¼)²/¼
    assert chi2_divergence([1, 1], [1, 0]) == inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: chi2_worst_risk([], 1), "losses must not be empty"),
        (lambda: chi2_worst_risk([[1.0]], 1), r"losses must have shape \(n\)"),
        (lambda: chi2_worst_risk([1.0, np.nan], 1), "losses: row 1 holds nan"),
        (lambda: chi2_worst_risk([1.0, inf], 1), "losses: row 1 holds inf"),
        (lambda: chi2_worst_risk([1.0, 2.0], -1), "rho must be"),
        (lambda: chi2_worst_risk([1.0, 2.0], np.nan), "rho must be"),
        (lambda: chi2_worst_risk([1.0, 2.0], -inf), "rho must be"),
        (lambda: chi2_worst_risk([1.0, 2.0], 1, [1.0]), r"weights must have shape \(n=2\)"),
        (lambda: chi2_worst_risk([1.0, 2.0], 1, [1.0, -1.0]), "weights: row 1 is -1"),
        (lambda: chi2_worst_risk([1.0, 2.0], 1, [0.0, 0.0]), "weights must not be all 0"),
        (lambda: chi2_worst_risk([-1.7e308, 1.7e308], 1), "losses from .* span more than float64"),
        (lambda: chi2_dual([1.7e308, 0], 1, -1.7e308), "eta is"),
        (lambda: variance_risk([1.0, 2.0], -1), "budget must be"),
        (lambda: variance_weights([1.0, 2.0], inf), "budget must be"),
        (lambda: cvar([1.0], 0), "alpha must be above 0"),
        (lambda: cvar([1.0], 1.5), "alpha must be a number from 0 to 1"),
        (lambda: group_means([1.0], [2], 2), "groups: row 0 is label 2"),
        (lambda: group_means([1.0, 2.0], [1], 2), "groups must have shape"),
        (lambda: group_step([1.0, 1.0], [1.0], 1), "q must have shape"),
        (lambda: group_step([1.0, 1.0], [1.0, 2.0], -1), "step must be"),
        (lambda: chi2_divergence([1.0, 2.0], [1.0]), "p must have shape"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError), match=words):
        call()
