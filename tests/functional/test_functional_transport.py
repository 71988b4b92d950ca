"""Optimal transport: literals, golden numbers, laws of distances, bad input."""

from math import sqrt

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional import transport
from labelwise.functional.transport import (
    gaussian_wasserstein,
    sinkhorn,
    sinkhorn_plan,
    sliced_wasserstein,
    wasserstein,
)
from labelwise.seeds import generator

EXACT = [
    "equal_uniform",
    "unequal_uniform",
    "weighted",
    "weighted_with_zero",
    "identical",
    "single_point",
    "dirac_dirac",
]


def test_distances_by_hand():
    square = [[0.0, 0.0], [1.0, 0.0]]
    shifted = [[0.0, 3.0], [1.0, 3.0]]
    assert_allclose(wasserstein(square, shifted, 1), 3)
    assert_allclose(wasserstein(square, shifted, 2), 3)
    # half of the mass stays, half goes 2 far: 1 on average, and √(½ · 4) with squares
    assert_allclose(wasserstein([0.0], [0.0, 2.0], 1), 1)
    assert_allclose(wasserstein([0.0], [0.0, 2.0], 2), sqrt(2))
    assert_allclose(wasserstein([0.0], [0.0, 2.0], 1, y_weights=[3, 1]), 0.5)
    assert_allclose(sliced_wasserstein(square, shifted, projections=np.eye(2)), sqrt((0 + 9) / 2))
    assert_allclose(sliced_wasserstein(square, shifted, projections=np.eye(2), worst=True), 3)
    assert_allclose(gaussian_wasserstein([0, 0], [1, 4], [3, 0], [4, 4]), sqrt(9 + (2 - 1) ** 2))


@pytest.mark.parametrize("case", EXACT)
def test_exact_distances_equal_golden_numbers(case):
    numbers = cases("optimal_transport")[case]
    x, y, a, b = (numbers["in"][name] for name in ("X", "Y", "a", "b"))
    assert_allclose(wasserstein(x, y, 1, x_weights=a, y_weights=b), numbers["out"]["w1"], rtol=0, atol=1e-8)
    w2 = wasserstein(x, y, 2, x_weights=a, y_weights=b)
    assert_allclose(w2, numbers["out"]["w2"], rtol=0, atol=1e-8)
    assert_allclose(w2**2, numbers["out"]["w2_squared"], rtol=0, atol=1e-8)


def test_distances_on_a_line_equal_golden_numbers():
    numbers = cases("optimal_transport")["one_d"]
    x, y, a, b = (numbers["in"][name] for name in ("x", "y", "a", "b"))
    assert_allclose(wasserstein(x, y, 1, x_weights=a, y_weights=b), numbers["out"]["w1"], rtol=0, atol=1e-8)
    w2 = wasserstein(x[:, None], y[:, None], 2, x_weights=a, y_weights=b)
    assert_allclose(w2**2, numbers["out"]["w2_squared"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_sinkhorn_equals_golden_numbers(row):
    numbers = cases("optimal_transport")["sinkhorn"]
    x, y, a, b = (numbers["in"][name] for name in ("X", "Y", "a", "b"))
    reg, out, weights = float(numbers["in"]["reg"][row]), numbers["out"], {"x_weights": a, "y_weights": b}
    assert_allclose(sinkhorn_plan(x, y, reg, **weights), out["plan"][row], rtol=0, atol=1e-6)
    for value, name in (("cost", "cost"), ("objective", "entropic_objective"), ("divergence", "divergence")):
        got = sinkhorn(x, y, reg, value=value, **weights)
        assert_allclose(got, out[name][row], rtol=0, atol=1e-6, err_msg=value)
    assert sinkhorn(x, y, reg, **weights) > out["exact_w2_squared"]


@pytest.mark.parametrize("p", [1, 2])
def test_sliced_distances_equal_golden_numbers(p):
    numbers = cases("optimal_transport")["sliced"]
    x, y, lines, out = (*(numbers["in"][name] for name in ("X", "Y", "projections")), numbers["out"])
    assert_allclose(sliced_wasserstein(x, y, p, projections=lines), out[f"sliced_w{p}"], rtol=0, atol=1e-8)
    worst = sliced_wasserstein(x, y, p, projections=lines, worst=True)
    assert_allclose(worst, out[f"max_sliced_w{p}"], rtol=0, atol=1e-8)
    for k in range(lines.shape[1]):
        one = sliced_wasserstein(x, y, p, projections=lines[:, [k]])
        assert_allclose(one**p, out[f"per_projection_w{p}_pow{p}"][k], rtol=0, atol=1e-8)


def test_gaussian_distances_equal_golden_numbers():
    numbers = cases("optimal_transport")["bures_diag"]
    m1, v1, m2, v2 = (numbers["in"][name] for name in ("mean_1", "var_1", "mean_2", "var_2"))
    for i in range(len(m1)):
        got = gaussian_wasserstein(m1[i], v1[i], m2[i], v2[i])
        assert_allclose(got, numbers["out"]["w2"][i], rtol=0, atol=1e-6)
        assert_allclose(got**2, numbers["out"]["w2_squared"][i], rtol=0, atol=1e-6)
        for j in range(len(m2)):
            full = gaussian_wasserstein(m1[i], np.diag(v1[i]), m2[j], np.diag(v2[j]))
            assert_allclose(full**2, numbers["out"]["w2_squared_all_pairs"][i, j], rtol=0, atol=1e-6)


def test_gaussian_distances_of_full_covariances_equal_golden_numbers():
    numbers = cases("optimal_transport")["bures_full"]
    m1, c1, m2, c2 = (numbers["in"][name] for name in ("mean_1", "cov_1", "mean_2", "cov_2"))
    for i, wanted in enumerate(numbers["out"]["w2_squared"]):
        assert_allclose(gaussian_wasserstein(m1[i], c1[i], m2[i], c2[i]) ** 2, wanted, rtol=0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 6), width=st.integers(1, 3), p=st.sampled_from([1, 2]))
def test_it_is_the_best_of_all_matchings(seed, n, width, p):
    from itertools import permutations

    rng = generator(seed, "tests", "transport")
    x, y = rng.normal(size=(n, width)), rng.normal(size=(n, width))
    costs = np.linalg.norm(x[:, None] - y, axis=2) ** p
    best = min(costs[range(n), list(order)].mean() for order in permutations(range(n)))
    assert_allclose(wasserstein(x, y, p), best ** (1 / p), rtol=1e-9, atol=1e-12)
    assert_allclose(wasserstein(y, x, p), wasserstein(x, y, p), rtol=1e-9, atol=1e-12)
    assert sliced_wasserstein(x, y, p, rng=rng) <= wasserstein(x, y, p) + 1e-9


def test_a_sinkhorn_divergence_between_equal_clouds_is_nothing():
    x = generator(0, "tests", "cloud").normal(size=(12, 2))
    assert_allclose(sinkhorn(x, x[::-1], 0.5, value="divergence"), 0, atol=1e-7)


def test_weights_are_scaled_and_zero_weights_leave_points_out():
    x, y = generator(0, "tests", "cloud").normal(size=(2, 6, 2))
    for distance in (wasserstein, lambda *a, **k: sinkhorn(*a, reg=0.5, **k), lambda *a, **k: sinkhorn(*a, reg=0.5, value="divergence", **k), lambda *a, **k: sliced_wasserstein(*a, projections=np.eye(2), **k)):  # fmt: skip
        cut = distance(x[:4], y)
        assert_allclose(distance(x, y, x_weights=[2, 2, 2, 2, 0, 0]), cut, rtol=1e-6)


def test_a_sinkhorn_that_does_not_settle_is_an_error():
    x, y = generator(0, "tests", "cloud").normal(size=(2, 8, 2))
    with pytest.raises(InputError, match="margins are still .* after 3 steps. Take a larger reg than 0.01"):
        sinkhorn(x, y, 0.01, steps=3)
    assert (
        sinkhorn(x[:1], y, 0.5, steps=2) > 0
    )  # to one point there is one plan; the cloud to itself takes longer
    with pytest.raises(InputError, match="after 2 steps"):
        sinkhorn(x[:1], y, 0.5, steps=2, value="divergence")


def test_a_transport_that_is_not_found_is_an_error(monkeypatch):
    monkeypatch.setattr(transport, "_STEPS", 1)
    x, y = generator(0, "tests", "cloud").normal(size=(2, 30, 2))
    with pytest.raises(InputError, match="The transport between x and y was not found"):
        wasserstein(x, y)


def test_what_is_wrong_is_said():
    x = np.ones((3, 2))
    with pytest.raises(ShapeError, match=r"y must have shape \(n, D=2\)"):
        wasserstein(x, np.ones((3, 3)))
    with pytest.raises(InputError, match="y: row 1 is not finite"):
        wasserstein(x, [[1.0, 2.0], [np.nan, 0.0]])
    with pytest.raises(InputError, match="x is empty"):
        wasserstein(x[:0], x)
    with pytest.raises(InputError, match="p must be 1 or 2; it is 3"):
        wasserstein(x, x, 3)
    with pytest.raises(InputError, match="x_weights must not be negative, nor all zero"):
        wasserstein(x, x, x_weights=[1, -1, 1])
    with pytest.raises(InputError, match="x_weights must not be negative, nor all zero"):
        wasserstein(x, x, x_weights=[0, 0, 0])
    with pytest.raises(InputError, match="needs an rng"):
        sliced_wasserstein(x, x)
    with pytest.raises(InputError, match="reg must be finite and above 0"):
        sinkhorn(x, x, 0.0)
    with pytest.raises(UnknownName, match="Did you mean 'divergence'"):
        sinkhorn(x, x, 1.0, value="divergenc")
    with pytest.raises(InputError, match="x_cov must hold variances; it holds -1"):
        gaussian_wasserstein([0, 0], [1, -1], [0, 0], [1, 1])
    with pytest.raises(InputError, match="y_cov must be symmetric and positive semi-definite"):
        gaussian_wasserstein([0, 0], np.eye(2), [0, 0], -np.eye(2))
    with pytest.raises(ShapeError, match=r"y_cov must have shape \(D=2, D=2\)"):
        gaussian_wasserstein([0, 0], np.eye(2), [0, 0], [1, 1])
    for cov in (1.0, np.ones((2, 2, 2))):
        with pytest.raises(ShapeError, match="x_cov must have shape"):
            gaussian_wasserstein([0, 0], cov, [0, 0], cov)
    with pytest.raises(InputError, match="projections: row 1 is not finite"):
        sliced_wasserstein(x, x, projections=[[1.0], [np.nan]])
    for lines in (np.ones((2, 0)), np.eye(2) * 3):
        with pytest.raises(InputError, match="at least one direction, each a column of length 1"):
            sliced_wasserstein(x, x, projections=lines)
