"""The n highest scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import top
from labelwise.seeds import generator


def test_top_by_hand():
    assert_array_equal(top([0.1, 0.9, 0.5, 0.9], 3), [1, 3, 2])  # the lower row first among equals


@given(
    values=hnp.arrays(np.float64, st.integers(0, 60), elements=st.sampled_from([-np.inf, 0, 1, 2, np.inf])),
    n=st.integers(0, 70),
)
def test_top_is_the_head_of_a_stable_sort(values, n):
    assert_array_equal(top(values, n), np.argsort(-values, kind="stable")[:n])


@given(values=hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 3)), n=st.integers(1, 70))
def test_random_ties_change_no_score_and_repeat_no_row(values, n):
    rows = top(values, n, generator(0, "tests"))
    assert len(set(rows.tolist())) == min(n, values.size)
    assert_array_equal(values[rows], np.sort(values)[::-1][:n])


@pytest.mark.parametrize("n", [1, 100, 5_000, 150_000])
@pytest.mark.parametrize("kind", ["distinct", "two values", "constant", "best where no sample looks"])
def test_the_shortlist_of_a_long_array_loses_nothing(n, kind):
    rng = generator(0, "tests", "long")
    values = rng.random(200_000).astype(np.float32)
    if kind == "two values":
        values = (values > 0.999).astype(np.float32)
    if kind == "constant":
        values[:] = 1
    if kind == "best where no sample looks":
        values[1::16] += 1
    assert_array_equal(top(values, n), np.argsort(-values, kind="stable")[:n])


def test_ties_are_broken_evenly():
    counts = np.zeros(6)
    for seed in range(3000):
        counts[top(np.zeros(6), 2, generator(seed))] += 1
    # each row is in with 1/3: 1000 of 3000 with a standard deviation of 26; five of them
    assert (np.abs(counts - 1000) < 130).all()


def test_order_among_equals_is_random_with_a_generator():
    assert len({tuple(top(np.zeros(5), 5, generator(seed)).tolist()) for seed in range(50)}) > 20


def test_order_among_equals_above_the_border_is_random_with_a_generator():
    assert len({tuple(top([1, 1, 1, 1, 0], 5, generator(seed)).tolist()) for seed in range(50)}) > 12  # of 24


def test_a_shortlist_of_one_too_few_is_not_enough():
    values = np.zeros(200_000)
    values[: 16 * 99 : 16] = 1  # the sample sees all 99 of them, and its threshold is 1
    assert_array_equal(top(values, 100), [*range(0, 16 * 99, 16), 1])


def test_whole_numbers_are_told_apart():
    assert_array_equal(top(np.arange(70_000), 2), [69_999, 69_998])  # float16 would end at 2,048


@pytest.mark.parametrize("row", [0, 1, 2])
def test_nan_is_refused_by_row(row):
    values = np.array([0.0, 1.0, 2.0])
    values[row] = np.nan
    with pytest.raises(InputError, match=f"scores: row {row} is NaN"):
        top(values, 1)


def test_wrong_arguments_are_refused():
    with pytest.raises(ShapeError):
        top([[1.0]], 1)
    with pytest.raises(InputError, match="n must be a whole number of at least 0; it is -1"):
        top([1.0], -1)
