"""TAILOR: what a class is worth, who may choose, what is learnt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import tailor
from labelwise.functional.batches.bandit import LEAST, class_values, discounted
from labelwise.seeds import generator


def test_class_values_by_hand():
    # 6 of 10 are more than half: one more is worth -1/6; nobody of class 2 is worth as much as one
    assert_allclose(class_values([6, 4, 0]), [-1 / 6, 1 / 4, 1])
    assert_allclose(class_values([5, 5]), [1 / 5, 1 / 5])  # half is not more than half
    assert_allclose(class_values([0, 0]), [1, 1])


def test_discounted_by_hand():
    # arm 0 found class 1 twice, arm 1 class 0 once: 0.9 · 1 + finds
    assert_allclose(discounted(np.ones((2, 2)), [0, 1, 0], [1, 0, 1]), [[0.9, 2.9], [1.9, 0.9]])
    assert_allclose(discounted(np.ones((1, 2)), [], [], discount=0.5), [[0.5, 0.5]])
    alpha = np.ones((1, 2))
    for _ in range(10_000):  # 0.9^10,000 is 0 in float64
        alpha = discounted(alpha, [0], [0])
    assert_allclose(alpha, [[10, LEAST]])  # 1 / (1 - 0.9)


def test_the_arm_that_finds_the_rare_class_asks():
    # arm 0 finds class 0, which has nearly all labels, arm 1 class 1
    alpha = np.array([[1000.0, 1], [1, 1000]])
    rows, arms = tailor([range(20), range(20, 40)], alpha, [99, 1], 12, generator(0))
    assert_array_equal(arms, np.ones(12))
    assert_array_equal(rows, np.arange(20, 32))


def test_arms_that_know_nothing_take_turns_evenly():
    arms = tailor([range(3000), range(3000)], np.ones((2, 3)), [1, 1, 2], 3000, generator(0))[1]
    # each draw is a coin: 1500 with a standard deviation of 27; five of them
    assert abs(arms.sum() - 1500) < 137


def test_the_chance_of_an_arm_is_that_of_its_draw_being_worth_more():
    # Of counts (4, 4, 2) class 2 is worth most: θ · v rises with θ₂, which is Beta(1, 1) for arm 0 and Beta(1, 2) for
    # arm 1 (class 1 has next to no weight). Arm 1 is worth more with ∫ P(θ < x) 2 (1 - x) dx = ∫ 2 x (1 - x) dx = 1/3.
    alpha = [[1, 1e-6, 1], [2, 1e-6, 1]]
    arms = tailor([range(4000), range(4000)], alpha, [4, 4, 2], 4000, generator(2))[1]
    assert abs(arms.sum() - 1333) < 149  # a standard deviation of 30; five of them


@given(data=st.data(), n=st.integers(0, 12), arms=st.integers(1, 4))
def test_rows_are_distinct_and_in_each_arms_order(data, n, arms):
    proposals = [data.draw(st.permutations(range(14))) for _ in range(arms)]
    rows, asked = tailor(proposals, np.ones((arms, 3)), [3, 1, 0], n, generator(0))
    assert len(set(rows.tolist())) == n
    for i in range(n):
        left = [row for row in proposals[asked[i]] if row not in rows[:i]]
        assert rows[i] == left[0]


def test_wrong_arguments_are_refused_in_words():
    with pytest.raises(InputError, match=r"Each arm must propose 3 rows; they propose \[4, 2\]"):
        tailor([range(4), range(2)], np.ones((2, 2)), [1, 1], 3, generator(0))
    with pytest.raises(InputError, match="alpha must hold numbers above 0"):
        tailor([range(4)], [[0.0, 1]], [1, 1], 3, generator(0))
    with pytest.raises(ShapeError, match=r"alpha must have shape \(k=1, C\)"):
        tailor([range(4)], np.ones((2, 2)), [1, 1], 3, generator(0))
    with pytest.raises(ShapeError, match=r"counts must have shape \(n=2\)|counts must have shape \(C=2\)"):
        tailor([range(4)], np.ones((1, 2)), [1, 1, 1], 3, generator(0))
    with pytest.raises(InputError, match=r"proposals\[0\] must be distinct"):
        tailor([[1, 1]], np.ones((1, 2)), [1, 1], 1, generator(0))
