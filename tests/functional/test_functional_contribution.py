"""Contributions of modalities: literals, golden numbers, axioms, bad input."""

from itertools import permutations

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import gradient_distances
from labelwise.functional.contribution import (
    balancing_scales,
    contribution,
    contribution_shares,
    dispersion,
    shapley,
    shapley_sampled,
)
from labelwise.seeds import generator


def test_values_by_hand():
    # v(none) 0.1, v(1) 0.5, v(2) 0.3, v(both) 0.9: φ_1 = ½ (0.4 + 0.6), φ_2 = ½ (0.2 + 0.4)
    phi = shapley([0.1, 0.5, 0.3, 0.9])
    assert_allclose(phi, [0.5, 0.3])
    assert_allclose(dispersion(phi), 0.2)
    assert_allclose(dispersion([1.0, 2.0, 3.0]), 2 / 3)  # the population's variance
    assert dispersion([0.4]) == 0
    assert_allclose(contribution_shares([-1.0, 3.0]), [0.25, 0.75])
    assert_allclose(contribution_shares([0.0, 0.0]), [0.5, 0.5])
    assert_allclose(balancing_scales([0.25, 0.75]), [0.5, 1])


@pytest.mark.parametrize("case", ["M2", "M3", "M4"])
def test_shapley_equals_golden_numbers(case):
    numbers = cases("shapley")[case]
    values, out = numbers["in"]["values"], numbers["out"]
    phi = shapley(values)
    assert_allclose(phi, out["phi"], rtol=0, atol=1e-12)
    assert_allclose(phi.sum(axis=1), out["efficiency"], rtol=0, atol=1e-12)
    assert_allclose(dispersion(phi), out["dispersion"], rtol=0, atol=1e-12)


def test_bmmals_contributions_equal_golden_numbers():
    numbers = cases("shapley")["bmmal"]
    both, drop1, drop2, none = (numbers["in"][f"probs_{name}"] for name in ("both", "drop1", "drop2", "none"))
    out = numbers["out"]
    delta = shapley(
        np.stack([none, drop2, drop1, both], axis=-1)
    )  # masks 0, 1: only modality 1, 2: only 2, 3
    assert_allclose(delta[..., 0], out["delta_1"], rtol=0, atol=1e-12)
    assert_allclose(delta[..., 1], out["delta_2"], rtol=0, atol=1e-12)
    shares = contribution_shares(delta)
    defined = np.abs(delta).sum(axis=-1) > 0  # theirs is NaN elsewhere
    for m in (0, 1):
        assert_allclose(shares[defined, m], out[f"contribution_{m + 1}"][defined], rtol=0, atol=1e-12)
    at_prediction = shares[np.arange(len(both)), both.argmax(axis=1)]
    scales = balancing_scales(at_prediction)
    for m in (0, 1):
        assert_allclose(at_prediction[:, m], out[f"contribution_{m + 1}_at_prediction"], rtol=0, atol=1e-12)
        assert_allclose(scales[:, m], out[f"scale_{m + 1}"], rtol=0, atol=1e-12)


def test_bmmals_gradient_embedding_equals_golden_numbers():
    data, out = cases("badge")["bmmal"]["in"], cases("badge")["bmmal"]["out"]
    predicted = np.eye(data["mm_probs"].shape[1])[data["mm_probs"].argmax(axis=1)]

    def formed(probs):  # s_m (p_m - onehot) ⊗ z_m, modalities side by side within a class
        parts = [
            (data[f"scale_{m}"] * (probs[m - 1] - predicted))[:, :, None] * data[f"features_{m}"][:, None, :]
            for m in (1, 2)
        ]
        return np.concatenate(parts, axis=2).reshape(len(predicted), -1)

    assert_allclose(formed([data["probs_1"], data["probs_2"]]), out["embedding"], rtol=0, atol=1e-10)
    # BMMAL gives its formula the fused probabilities for each p_m: BADGE on scaled features side by side
    p, g = data["mm_probs"], formed([data["mm_probs"]] * 2)
    z = np.hstack([data[f"scale_{m}"] * data[f"features_{m}"] for m in (1, 2)])
    for row in range(len(p)):
        wanted = ((g - g[row]) ** 2).sum(axis=1)
        assert_allclose(gradient_distances(p, z, np.array([row])), wanted, rtol=0, atol=1e-10)


@given(seed=st.integers(0, 999), m=st.integers(1, 5))
def test_shapley_is_the_mean_over_all_orders(seed, m):
    v = generator(seed, "tests", "shapley").normal(size=2**m)
    wanted = np.zeros(m)
    orders = list(permutations(range(m)))
    for order in orders:
        mask = 0
        for one in order:
            wanted[one] += v[mask | 1 << one] - v[mask]
            mask |= 1 << one
    got = shapley(v)
    assert_allclose(got, wanted / len(orders), atol=1e-12)
    assert_allclose(got.sum(), v[-1] - v[0], atol=1e-12)  # efficiency
    assert_allclose(shapley(np.stack([v, 2 * v])), np.stack([got, 2 * got]), atol=1e-12)


def test_sampled_values_come_close_and_are_efficient_and_ask_each_coalition_once():
    v = generator(0, "tests", "shapley").random(2**5)
    asked = []

    def worth(mask):
        asked.append(mask)
        return v[mask]

    few = shapley_sampled(worth, 5, 3, generator(1))
    assert_allclose(few.sum(), v[-1] - v[0])
    assert len(asked) == len(set(asked)) <= 3 * 6
    many = shapley_sampled(lambda mask: v[mask], 5, 4000, generator(2))
    # a marginal worth has a standard deviation below 0.45: 0.007 for the mean of 4,000; five of them
    assert_allclose(many, shapley(v), atol=0.035)
    assert_allclose(shapley_sampled(lambda mask: v[mask], 5, 3, generator(1)), few)


def test_what_is_wrong_is_said():
    with pytest.raises(
        ShapeError, match=r"values must have shape \(..., 2\^M\) with M >= 1; it has shape \(3,\)"
    ):
        shapley([1.0, 2.0, 3.0])
    for bad in (1.0, [1.0], []):
        with pytest.raises(ShapeError):
            shapley(bad)
    with pytest.raises(InputError, match="values must be finite"):
        shapley([0.0, np.nan])
    with pytest.raises(ShapeError, match="phi must have shape"):
        dispersion([])
    for of_phi, name in ((dispersion, "phi"), (contribution_shares, "phi"), (balancing_scales, "shares")):
        with pytest.raises(InputError, match=f"{name} must be finite; it holds nan"):
            of_phi([np.nan, 1.0])
        with pytest.raises(ShapeError, match=f"{name} must have shape"):
            of_phi([])
    with pytest.raises(InputError, match=r"worth\(\d\) must be finite"):
        shapley_sampled(lambda mask: np.nan, 2, 1, generator(0))
    with pytest.raises(InputError, match="orders must be a whole number of at least 1"):
        shapley_sampled(float, 2, 0, generator(0))


def test_contribution_of_two_modalities_by_hand():
    y = np.array([0, 1])
    sure, wrong = [0.9, 0.1], [0.2, 0.8]
    # none: class 0 always (1 of 2 right); a alone: both right; b alone: none right; both: both right
    coalitions = np.array([[sure, sure, wrong, sure], [sure, wrong, sure, wrong]])
    heads = np.array([[sure, wrong], [wrong, sure]])
    found = contribution(coalitions, heads, y)
    # φ_a = ((1 - 0.5) + (1 - 0)) / 2, φ_b = ((0 - 0.5) + (1 - 1)) / 2
    assert found["shapley"] == pytest.approx([0.75, -0.25])
    assert sum(found["shapley"]) == pytest.approx(1 - 0.5)  # of all less of none
    assert found["dispersion"] == pytest.approx(1.0)  # two modalities: the difference
    assert found["accuracy"] == [1.0, 0.0]
    assert found["by class"] == [[1.0, 0.0], [1.0, 0.0]]


def test_a_head_is_measured_on_the_samples_that_have_its_modality():
    y = np.array([0, 0, 1])
    sure, wrong, nothing = [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]
    heads = np.array([[sure, nothing], [wrong, nothing], [wrong, nothing]])
    coalitions = np.stack([heads[:, 0]] * 4, axis=1)
    there = np.array([[True, False], [False, False], [True, False]])
    found = contribution(coalitions, heads, y, there)
    # the first head is right of samples 0 and 2, and nobody asks it of sample 1; nothing has the second modality
    assert found["accuracy"] == [1.0, 0.5]
    assert found["by class"] == [[1.0, 0.5], [1.0, 0.5]]
    assert contribution(coalitions, heads, y)["accuracy"] == pytest.approx([2 / 3, 2 / 3])
    with pytest.raises(ShapeError, match="present must be bool"):
        contribution(coalitions, heads, y, there.astype(float))


def test_contribution_leaves_out_classes_without_samples_and_refuses_what_does_not_match():
    coalitions = np.full((1, 4, 3), 1 / 3)
    found = contribution(coalitions, np.full((1, 2, 3), 1 / 3), [0])
    assert found["by class"] == [[1.0, 1.0], None, None]
    with pytest.raises(InputError, match="1 samples, 2 labels"):
        contribution(coalitions, np.full((1, 2, 3), 1 / 3), [0, 1])
    with pytest.raises(ShapeError, match="coalitions"):
        contribution(coalitions[:, :3], np.full((1, 2, 3), 1 / 3), [0])
