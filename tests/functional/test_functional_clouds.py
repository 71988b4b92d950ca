"""Distances between small clouds: by hand, against POT, all matchings, and every cloud looked at."""

from itertools import permutations
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError
from labelwise.functional import clouds as module
from labelwise.functional.clouds import (
    euclidean_costs,
    gaussian_distance,
    nearest_cloud,
    short_costs,
    softened_bounds,
    transport_cost,
)
from labelwise.functional.transport import gaussian_wasserstein, wasserstein
from labelwise.seeds import generator


def drawn(*path, n=6, width=2):
    return generator(0, "tests", "clouds", *path).normal(size=(n, width))


def w1(x, y):
    return transport_cost(euclidean_costs(np.asarray(x), np.asarray(y)))


def test_distances_by_hand():
    assert_allclose(euclidean_costs(np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 0]])), [[0], [5]])
    assert w1([[0.0], [1]], [[3.0], [4]]) == pytest.approx(3)  # each moves by 3, however matched
    assert w1([[0.0]], [[0.0], [2], [4]]) == pytest.approx(2)  # one point: the mean of 0, 2 and 4
    # ⅓ stays at 0, of the next third half stays at 0 and half goes to 1, the last third goes from 2 to 1
    assert w1([[0.0], [0], [2]], [[0.0], [1]]) == pytest.approx((0.5 - 1 / 3) * 1 + 1 / 3)
    assert transport_cost(np.array([[1.0, 9, 9], [9, 1, 9], [9, 9, 4]])) == pytest.approx(2)
    assert transport_cost(np.array([[1.0, 9], [0, 5]])) == pytest.approx(
        3
    )  # (1 + 5) / 2 is below (9 + 0) / 2
    # means 1 apart, deviations 1 and 3
    assert gaussian_distance(np.array([[-1.0], [1]]), np.array([[-2.0], [4]])) == pytest.approx(np.sqrt(5))


@settings(max_examples=25)
@given(seed=st.integers(0, 999), n=st.integers(1, 6), width=st.integers(1, 3), whole=st.booleans())
def test_it_is_the_best_of_all_matchings(seed, n, width, whole):
    rng = generator(seed, "tests", "matchings")
    x, y = (rng.integers(-1, 2, (2, n, width)) if whole else rng.normal(size=(2, n, width))).astype(float)
    costs = np.linalg.norm(x[:, None] - y, axis=2)
    best = min(costs[range(n), list(order)].mean() for order in permutations(range(n)))
    assert_allclose(w1(x, y), best, rtol=1e-9, atol=1e-7)
    assert_allclose(transport_cost(costs), best, rtol=1e-9, atol=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 999), n=st.integers(1, 9), m=st.integers(1, 9))
def test_clouds_of_any_sizes_equal_matchings_of_their_copies(seed, n, m):
    """n and m points with even weights are lcm(n, m) points each: an assignment, which SciPy solves."""
    from scipy.optimize import linear_sum_assignment

    costs = generator(seed, "tests", "copies").random((n, m))
    many = np.repeat(np.repeat(costs, m // gcd(n, m), axis=0), n // gcd(n, m), axis=1)
    assert_allclose(transport_cost(costs), many[linear_sum_assignment(many)].mean(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n, m", [(1, 1), (1, 7), (7, 1), (3, 7), (64, 63), (257, 300)])
@pytest.mark.parametrize("kind", ["float64", "float32", "float16"])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_it_equals_wasserstein(n, m, kind, offset):
    x = (drawn(n, m, "x", n=n, width=5) + offset).astype(kind)
    y = (drawn(n, m, "y", n=m, width=5) + offset).astype(kind)
    assert_allclose(w1(x, y), wasserstein(x, y, 1), rtol=1e-7, atol=1e-9)
    assert_allclose(w1(x, y), w1(y, x), rtol=1e-9)
    variances = [np.var(part, axis=0, dtype=np.float64) for part in (x, y)]
    means = [np.mean(part, axis=0, dtype=np.float64) for part in (x, y)]
    wanted = gaussian_wasserstein(means[0], variances[0], means[1], variances[1])
    assert_allclose(gaussian_distance(x, y), wanted, rtol=1e-9)


def test_it_equals_pot():
    from ot import emd2
    from scipy.spatial.distance import cdist

    x, y = drawn("x", n=40, width=3), drawn("y", n=25, width=3) + 1
    assert_allclose(w1(x, y), emd2([], [], cdist(x, y)), rtol=1e-9)


def test_costs_are_as_exact_far_from_the_origin():
    x, y = drawn("x", n=5), drawn("y", n=7)
    wanted = np.linalg.norm(x[:, None] - y, axis=2)
    for kind, offset, error in (("float64", 1e8, 1e-6), ("float32", 1e4, 1e-2)):
        moved = [(part + offset).astype(kind) for part in (x, y)]
        assert_allclose(euclidean_costs(*moved), wanted, atol=error)
        # against the same rounded rows: nothing more is lost
        exact = [part.astype(np.longdouble) for part in moved]
        apart = np.sqrt(np.square(exact[0][:, None] - exact[1]).sum(axis=2)).astype(float)
        assert_allclose(euclidean_costs(*moved), apart, atol=1e-6)
    assert euclidean_costs(x, x).min() >= 0
    assert_allclose(np.diag(euclidean_costs(x + 1e6, x + 1e6)), 0, atol=1e-6)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_short_costs_have_about_five_digits(kind, offset):
    x = (drawn("short", n=40, width=300) + offset).astype(kind)
    y = np.concatenate([x[:5], (drawn("far", n=9, width=300) + offset).astype(kind)])
    for left, right in ((x, y), (y, x), (x[:1], y[:1])):
        found, wanted = short_costs(left, right), euclidean_costs(left, right)
        assert found.dtype == np.float64
        assert_allclose(found, wanted, rtol=1e-5, atol=1e-4 if offset and kind == "float64" else 1e-6)
    assert np.diag(short_costs(x, y)[:5, :5]).max() == 0 or kind == "float64"  # points that coincide
    # beside one point far away all others are close
    x[0] = 60000
    assert_allclose(short_costs(x, y), euclidean_costs(x, y), rtol=1e-5, atol=1e-3)


def test_costs_that_cannot_be_transported_are_refused(monkeypatch):
    costs = generator(0, "tests", "costs").random((30, 30))
    monkeypatch.setattr(module, "_STEPS", 1)
    with pytest.raises(InputError, match="The transport between two clouds was not found"):
        transport_cost(costs)


def found_by_looking_at_all(x, clouds):
    """Return W1 to every cloud, and the first that has the smallest."""
    values = [w1(x, cloud) for cloud in clouds]
    return values, int(np.argmin(values))


@st.composite
def problems(draw):
    """A cloud and some others: duplicates, equal clouds, one point, one axis, far away, float32."""
    rng = generator(draw(st.integers(0, 10_000)), "tests", "nearest")
    width = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["float32", "float64"]))
    offset = draw(st.sampled_from([0.0, 1.0, 1000.0]))

    def cloud():
        n = draw(st.integers(1, 7))
        shape = draw(st.sampled_from(["spread", "spread", "one place", "few places"]))
        if shape == "few places":
            return rng.integers(-1, 2, (n, width)).astype(float)
        distinct = n if shape == "spread" else 1
        return rng.normal(size=(distinct, width))[np.arange(n) % distinct] + rng.normal(size=width)

    others = [cloud() for _ in range(draw(st.integers(1, 6)))]
    if draw(st.booleans()):
        others.append(others[0])
    order = rng.permutation(len(others))
    return (cloud() + offset).astype(kind), [(others[i] + offset).astype(kind) for i in order]


@settings(max_examples=120)
@given(problems())
def test_the_nearest_cloud_is_that_of_looking_at_all(problem):
    x, clouds = problem
    values, _ = found_by_looking_at_all(x, clouds)
    at = nearest_cloud(x, clouds)
    assert values[at] <= min(values) + 1e-6  # rounding of distances about 0, of clouds some units wide
    same = [i for i, cloud in enumerate(clouds) if np.array_equal(cloud, clouds[at])]
    assert at == same[0]  # the first of equals


def test_the_nearest_of_clouds_in_one_place_is_found_though_bounds_round():
    """Where points coincide the bounds equal the distance, and one may be rounded above the other."""
    rng = generator(0, "tests", "one place")
    for _ in range(200):
        n, m, width = rng.integers(1, 9, 3)
        x, near = (
            np.repeat(rng.normal(size=(1, width)), n, axis=0),
            np.repeat(rng.normal(size=(1, width)), m, axis=0),
        )
        far = near + 100 * np.eye(1, width)
        assert nearest_cloud(x, [far, near]) == 1
        assert nearest_cloud(x, [near, far]) == 0


def test_clouds_are_ruled_out_without_changing_the_answer(monkeypatch):
    """Bite check: with many clouds most transports are never computed."""
    count = 0

    def counting(costs):
        nonlocal count
        count += 1
        return transport_cost(costs)

    monkeypatch.setattr(module, "transport_cost", counting)
    for seed in range(20):
        x = drawn(seed, "x", n=8)
        clouds = [drawn(seed, i, n=8) + 3 * i * np.array([1, -1]) for i in (2, 0, 5, 1, 3, 4)]
        assert nearest_cloud(x, clouds) == found_by_looking_at_all(x, clouds)[1] == 1
    assert count <= 40
    # spread out, points cost 30 on average however near the cloud: what was found rules out the others
    count, wide = 0, 20 * drawn("wide", n=8, width=9)
    assert nearest_cloud(wide, [wide + shift for shift in (8.0, 0.1, 9, 7)]) == 1
    assert count == 1
    assert nearest_cloud(x, clouds[2:3]) == 0


def test_an_overlapping_cloud_is_not_taken_for_the_nearest_by_its_bound():
    # every point of x lies on a point of the second cloud, which has most of its mass far away: bound on one side 0
    x = np.array([[0.0], [1.0]])
    scattered = np.array([[0.0], [1.0], [50.0], [60.0], [70.0], [80.0]])
    assert nearest_cloud(x, [scattered, x + 3]) == 1
    assert nearest_cloud(scattered, [x + 40, x]) == 0
    # seen from either side, means of minima are 0: only the transport tells (¾ of the mass has to move)
    left, right = np.array([[0.0]] * 7 + [[9.0]]), np.array([[0.0]] + [[9.0]] * 7)
    assert w1(left, right) == pytest.approx(9 * 6 / 8)
    assert nearest_cloud(left, [right, left + 5]) == 1
    assert nearest_cloud(left, [right, left + 7]) == 0


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    "n, m, offset", [(90, 100, 0.0), (200, 45, 0.3), (1, 9, 2.0), (8, 1, 2.0), (30, 30, None)]
)
def test_softened_bounds_hold_what_the_transport_costs(kind, n, m, offset):
    rng = generator(0, "tests", "clouds", "softened", n)
    x = rng.normal(size=(n, 20))
    y = x if offset is None else rng.normal(size=(m, 20)) + offset
    costs = euclidean_costs(x, y)
    exact = transport_cost(costs)
    low, high = softened_bounds(costs.astype(kind), 1e-4)
    assert low <= exact <= high
    if offset is not None:
        assert high - low < 0.15 * exact  # even plans cost about a third more
    shortened = np.sqrt(np.maximum(np.square(costs) - 0.5, 0)).astype(kind)
    low, high = softened_bounds(shortened, 0.5)
    assert low <= exact <= high


def test_softened_bounds_of_one_place_and_of_outliers_rule_nothing_out():
    for costs in (np.zeros((3, 4)), np.float32([[0, 1e9], [1e9, 1e-3], [3, 1e9]]), np.diag([1e30, 1, 1e-30])):
        low, high = softened_bounds(costs, 0.0)
        exact = transport_cost(costs.astype(np.float64))
        assert not low > exact and not high < exact
