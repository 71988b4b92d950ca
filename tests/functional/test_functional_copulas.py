"""Copulas and calibrated shifts: closed forms, SciPy's integrals and tests, what a shift keeps, bad input."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from labelwise.errors import InputError, UnknownName
from labelwise.functional.ambiguity import budget_risks
from labelwise.functional.copulas import (
    MARGINALS,
    Shift,
    broken,
    copula_uniforms,
    quantiles,
    shift_radius,
    shift_size,
)
from labelwise.functional.tightness import coverage, tightness
from labelwise.seeds import generator

FROZEN = {"gaussian": stats.norm(), "gamma": stats.gamma(2), "t": stats.t(5)}


def draws(n=20_000, k=3, d=1, r=0.6, copula="gaussian"):
    return copula_uniforms(n, k, d, r, generator(0, "tests", "copulas"), copula)


@pytest.mark.parametrize("r", [-0.5, 0.0, 0.6, 1.0])
def test_a_gaussian_copula_has_its_correlation_and_columns_of_a_modality_have_none(r):
    u = draws(d=2, r=r)
    z = stats.norm.ppf(u).reshape(len(u), 6)  # columns (modality, column)
    wanted = np.kron(np.full((3, 3), r) + (1 - r) * np.eye(3), np.eye(2))
    assert_allclose(np.corrcoef(z.T), wanted, atol=0.03)


@pytest.mark.parametrize("copula", ["gaussian", "t"])
def test_uniforms_are_uniform(copula):
    u = draws(n=2000, r=0.3, copula=copula)
    assert min(stats.kstest(u[:, m, 0], "uniform").pvalue for m in range(3)) > 0.01


def test_a_t_copula_has_the_rank_correlation_of_its_r_and_goes_to_extremes_together():
    u = draws(k=2, r=0.6, copula="t")[:, :, 0]
    # Kendall's tau of every elliptical copula: (2/π) asin r
    assert_allclose(
        stats.kendalltau(u[:4000, 0], u[:4000, 1]).statistic, 2 / np.pi * np.arcsin(0.6), atol=0.03
    )
    both, gauss = (np.mean((v > 0.99).all(axis=1)) for v in (u, draws(k=2, r=0.6)[:, :, 0]))
    assert both > 1.3 * gauss


@pytest.mark.parametrize("marginal", MARGINALS)
def test_marginals_are_standard(marginal):
    u = (np.arange(200_000) + 0.5) / 200_000
    x = quantiles(u, marginal)
    assert_allclose([x.mean(), x.std()], [0, 1], atol=0.01)
    frozen = FROZEN[marginal]
    assert_allclose(x[::1000], (frozen.ppf(u[::1000]) - frozen.mean()) / frozen.std(), atol=1e-9)


def integral(marginal, kind, size):
    """Return the χ² radius of a shift by SciPy's densities and the trapezoid rule."""
    p, v = FROZEN[marginal], np.linspace(-12, 12, 4001)
    if marginal == "gamma":  # from where q begins
        x = (size * p.std() if kind == "mean" else 0.0) + np.exp(2 * v.clip(max=2.9))
    else:
        x = np.sinh(v)
    q = p.pdf(x - size * p.std()) if kind == "mean" else p.pdf(x / size) / size
    there = p.pdf(x) > 0
    return np.trapezoid(q[there] ** 2 / p.pdf(x[there]), x[there]) - 1


@pytest.mark.parametrize(
    ("marginal", "kind", "up"),
    [(m, k, up) for m in MARGINALS for k in ("mean", "scale") for up in (True, False)
     if (m, k, up) != ("gamma", "mean", False)],
)  # fmt: skip
@pytest.mark.parametrize("rho", [0.05, 1.0])
def test_a_shift_has_the_radius_asked_for(marginal, kind, up, rho):
    size = shift_size(marginal, Shift(kind, rho, up))
    assert (size > (0 if kind == "mean" else 1)) == up
    assert_allclose(shift_radius(marginal, kind, size), rho, rtol=1e-9)
    assert_allclose(integral(marginal, kind, size), rho, rtol=2e-3)


def test_closed_forms_by_hand():
    assert_allclose(shift_size("gaussian", Shift("mean", exp(0.25) - 1)), 0.5)
    assert_allclose(shift_size("gaussian", Shift("mean", 1.0, up=False)), -sqrt(log(2)))
    # N(0, s²): 1/(s √(2 - s²)) = 1/(1.2 √0.56)
    assert_allclose(shift_size("gaussian", Shift("scale", 1 / (1.2 * sqrt(0.56)) - 1)), 1.2)
    assert_allclose(shift_size("gamma", Shift("scale", (0.5 * 1.5) ** -2 - 1, up=False)), 0.5)
    assert shift_radius("gaussian", "scale", 1.5) == shift_radius("gamma", "scale", 2.0) == inf
    assert shift_radius("gamma", "mean", -0.1) == inf
    for marginal in MARGINALS:
        assert shift_size(marginal, Shift("scale", 0.0)) == 1
        assert shift_size(marginal, Shift("mean", 0.0)) == 0


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("rho", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("marginal", MARGINALS)
def test_a_mixture_changes_the_shares_of_its_parts(marginal, rho, up):
    u = (np.arange(20_000) + 0.5) / 20_000
    shift = Shift("mixture", rho, up)
    pi = shift_size(marginal, shift)
    x, before = quantiles(u, marginal, shift), quantiles(u, marginal)
    border = quantiles(np.array([1 - pi]), marginal)[0]
    share = np.mean(x > border)
    # two parts of shares π and 1 - π: χ² = (π' - π)² / (π (1 - π))
    assert_allclose((share - pi) ** 2 / (pi * (1 - pi)), rho, rtol=1e-3)
    assert (share > pi) == up
    assert (np.diff(x) >= 0).all()
    # inside a part nothing changes
    part = lambda v: v[v > border] if share > 0.01 else v[v <= border]  # noqa: E731
    assert stats.ks_2samp(part(x), part(before)).statistic < 1e-3


@pytest.mark.parametrize("shift", [Shift("mean", 0.5), Shift("scale", 0.5, False), Shift("mixture", 0.5)])
def test_a_shift_keeps_every_rank_and_so_the_copula(shift):
    u = draws(n=500)
    x, moved = (quantiles(u, "gamma", s) for s in (None, shift))
    assert_array_equal(np.argsort(x, axis=0), np.argsort(moved, axis=0))
    assert np.abs(x - moved).max() > 0.1
    assert_array_equal(quantiles(u, "gamma", Shift(shift.kind, 0.0)), x)


def test_breaking_a_copula_keeps_marginals():
    u = draws(k=4)
    rng = generator(0, "tests", "break")
    apart, turned = (broken(u, how, rng) for how in ("independent", "reversed"))
    assert_array_equal(np.sort(apart, axis=0), np.sort(u, axis=0))
    assert np.abs(np.corrcoef(apart[:, :, 0].T) - np.eye(4)).max() < 0.03
    assert_allclose(np.sort(turned[:, 1], axis=0), np.sort(1 - u[:, 1], axis=0))
    corr = np.corrcoef(turned[:, :, 0].T)
    assert corr[0, 1] < -0.5 and corr[0, 2] > 0.5 and corr[1, 3] > 0.5
    assert_array_equal(broken(u[:, :1], "independent", rng), u[:, :1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: copula_uniforms(0, 2, 1, 0.1, r), "n must be"),
        (lambda r: copula_uniforms(5, 3, 1, -0.6, r), "correlation must be a number from -0.5 to 1"),
        (lambda r: copula_uniforms(5, 2, 1, 1.1, r), "correlation must be"),
        (lambda r: copula_uniforms(5, 2, 1, 0.1, r, "clayton"), "copula"),
        (lambda r: broken(np.full((2, 2, 1), 0.5), "half", r), "break a copula"),
        (lambda r: quantiles([0.0, 0.5]), r"u must lie inside \(0, 1\)"),
        (lambda r: quantiles([0.5], "cauchy"), "marginal"),
        (lambda r: quantiles([0.5], "t", Shift("twist", 0.1)), "kind of shift"),
        (lambda r: shift_size("t", Shift("mean", -0.1)), "rho must be"),
        (lambda r: shift_size("t", Shift("mean", 1e9)), "rho must be"),
        (lambda r: shift_size("gamma", Shift("mean", 0.1, False)), "its radius is infinite"),
        (lambda r: shift_radius("t", "scale", 0.0), "scale must be above 0"),
        (lambda r: shift_radius("t", "mixture", 0.5), "ask shift_size"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, UnknownName), match=words):
        call(generator(0, "tests", "bad"))


@pytest.mark.parametrize("r", [0.5, 0.9])
def test_opposite_shifts_of_a_gaussian_copula_break_the_first_order_and_not_the_precision(r):
    # Means move by ±0.2 and the copula stays; the loss is the log density ratio, δᵀΣ⁻¹x, of variance δᵀΣ⁻¹δ.
    rho, delta = exp(0.04) - 1, np.array([0.2, -0.2])
    sigma = np.array([[1, r], [r, 1]])
    u = draws(n=50_000, k=2, r=r)
    x, moved = (
        np.stack([quantiles(u[:, m, 0], "gaussian", s) for m, s in enumerate(shifts)], axis=1)
        for shifts in ((None, None), (Shift("mean", rho, True), Shift("mean", rho, False)))
    )
    losses, worst = (v @ np.linalg.solve(sigma, delta) for v in (x, moved))
    assert_allclose(worst.mean() - losses.mean(), delta @ np.linalg.solve(sigma, delta))
    risks = budget_risks(losses, [rho, rho], sigma)
    assert coverage([worst.mean()], risks.first_order) == 0
    assert coverage([worst.mean()], risks.precision) == 1
    assert tightness(losses.mean(), [worst.mean()], risks.first_order) > 1.1
    assert_allclose(tightness(losses.mean(), [worst.mean()], risks.precision), 0.99, atol=0.02)
