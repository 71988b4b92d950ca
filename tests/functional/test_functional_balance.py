"""Weights of modalities: literals, limits, laws, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from labelwise.errors import InputError, ShapeError
from labelwise.functional.balance import amcb_weights, modality_gaps
from labelwise.seeds import generator

gaps = st.lists(st.floats(-1, 1), min_size=1, max_size=6)


def test_weights_by_hand():
    # (0.83 - 0.62) / 0.1 = 2.1; 1 / (1 + e^2.1) = 0.109
    assert_allclose(amcb_weights([0.62, 0.83], floor=0), [0.109, 0.891], atol=5e-4)
    assert_allclose(amcb_weights([0.62, 0.83], floor=0, sign=-1), [0.891, 0.109], atol=5e-4)
    # (1 - 2 ε) w + ε at ε = 0.05: 0.9 · 0.109097 + 0.05
    assert_allclose(amcb_weights([0.62, 0.83]), [0.148187, 0.851813], atol=1e-6)
    # τ = 1: 1 / (1 + e^0.21) = 0.447692
    assert_allclose(amcb_weights([0.62, 0.83], temperature=1, floor=0), [0.447692, 0.552308], atol=1e-6)


@pytest.mark.parametrize("floor", [0, 0.3, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_modality_alone_has_all_weight(floor, sign):
    assert amcb_weights([-0.4], floor=floor, sign=sign).tolist() == [1]


@given(gaps)
def test_equal_modalities_weigh_the_same(values):
    m = len(values)
    assert_allclose(amcb_weights([values[0]] * m, floor=1 / (2 * m)), np.full(m, 1 / m), rtol=1e-14)


@pytest.mark.parametrize("m", [2, 3, 5])
def test_one_dominant_modality_takes_all_that_the_floor_leaves(m):
    for best in range(m):
        delta = np.full(m, -0.5)
        delta[best] = 0
        one = np.eye(m)[best]
        assert_allclose(amcb_weights(delta, temperature=1e-3, floor=0), one, atol=1e-200)
        assert_allclose(amcb_weights(delta, temperature=1e-3, floor=0.05), (1 - m * 0.05) * one + 0.05)
    assert_allclose(amcb_weights([0, 1e300, -1e300], temperature=1e-300, floor=0), [0, 1, 0])  # finite, quiet


@given(gaps, st.floats(-1, 1), st.floats(0.01, 10), st.sampled_from([1, -1]))
def test_what_all_gaps_share_changes_nothing(values, shift, temperature, sign):
    """1e-13: rounding of a gap, 1e-16, over the temperature, 0.01, and a margin."""
    floor = 0.5 / len(values)
    a, b = (
        amcb_weights(v, temperature=temperature, floor=floor, sign=sign)
        for v in (values, np.array(values) + shift)
    )
    assert_allclose(a, b, rtol=0, atol=1e-13)


def test_accuracy_of_the_fusion_cancels():
    rng = generator(0, "tests", "amcb")
    heads = rng.dirichlet(np.ones(4), size=(50, 3))
    y = rng.integers(4, size=50)
    good, bad = np.eye(4)[y], np.eye(4)[(y + 1) % 4]
    there = np.ones((50, 3), bool)
    found = [amcb_weights(modality_gaps(heads, fused, y, there)) for fused in (good, bad)]
    assert_allclose(*found, atol=1e-14)


@given(gaps, st.floats(0, 1), st.floats(0.01, 10))
def test_weights_are_a_distribution_in_the_order_of_gaps(values, share, temperature):
    floor = share / len(values)
    w = amcb_weights(values, temperature=temperature, floor=floor)
    assert abs(w.sum() - 1) < 1e-12 and (w >= floor * (1 - 1e-12)).all()
    assert (np.diff(w[np.argsort(values)]) >= -1e-15).all()
    down = amcb_weights(values, temperature=temperature, floor=floor, sign=-1)
    assert (np.diff(down[np.argsort(values)]) <= 1e-15).all()
    assert_allclose(down, amcb_weights(-np.array(values), temperature=temperature, floor=floor))


def test_a_given_array_stays():
    values = np.array([0.1, -0.2])
    amcb_weights(values)
    assert values.tolist() == [0.1, -0.2]


@pytest.mark.parametrize("values", [[], 0.3, [[0.1, 0.2]], [[0.1], [0.2, 0.3]], ["a"]])
def test_wrong_shapes_are_refused(values):
    with pytest.raises(ShapeError, match="gaps must"):
        amcb_weights(values)


@pytest.mark.parametrize(
    ("values", "settings", "words"),
    [
        ([0.1, np.nan], {}, "modality 1 is nan"),
        ([-np.inf, 0.1], {}, "modality 0 is -inf"),
        ([0.1, 0.2], {"temperature": 0}, "temperature must be above 0"),
        ([0.1, 0.2], {"temperature": -0.1}, "temperature must be"),
        ([0.1, 0.2], {"temperature": np.nan}, "temperature must be"),
        ([0.1, 0.2], {"floor": -0.01}, "floor must be a number from 0 to 0.5"),
        ([0.1, 0.2, 0.3], {"floor": 0.34}, "floor must be a number from 0 to 0.33"),
        ([0.1, 0.2], {"sign": 0}, "sign must be 1"),
        ([0.1, 0.2], {"sign": True}, "sign must be 1"),
    ],
)
def test_values_out_of_range_are_refused(values, settings, words):
    with pytest.raises(InputError, match=words):
        amcb_weights(values, **settings)


def test_gaps_measure_a_head_on_the_samples_that_have_its_modality():
    sure, wrong, nothing = [0.9, 0.1], [0.2, 0.8], [0.5, 0.5]
    heads = np.array([[sure, nothing, nothing], [wrong, wrong, nothing], [nothing, wrong, nothing]])
    fused, y = np.array([sure, sure, wrong]), [0, 0, 1]
    there = np.array([[True, False, False], [True, True, False], [False, True, False]])
    # fusion: always right; head 1: right of sample 0, wrong of 1; head 2: wrong of 1, right of 2; nobody has the third: 1 / C
    assert_allclose(modality_gaps(heads, fused, y, there), np.full(3, 0.5) - 1)
    # where all is there, a head that answers nothing guesses the first class
    assert_allclose(modality_gaps(heads, fused, y, np.ones((3, 3), bool)), np.array([1, 2, 2]) / 3 - 1)
    with pytest.raises(ShapeError, match="present must be bool"):
        modality_gaps(heads, fused, y, there.astype(int))
