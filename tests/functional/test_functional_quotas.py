"""Shares of a batch for each class: golden numbers, laws, bad input."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import class_quotas, proportional_quotas, top_per_class

GOLDEN = cases("quota_misc")


def unpadded(rows):
    return rows[rows >= 0]


def test_the_best_of_each_class_equal_golden_rows():
    case = GOLDEN["per_class"]
    for n in (1, 3, 8):
        rows = top_per_class(case["in"]["scores"], case["in"]["labels"], int(case["in"]["num_classes"]), n)
        assert_array_equal(rows, unpadded(case["out"][f"selected_N{n}"]))


@pytest.mark.parametrize("name", ["missing_class", "one_class_all_ties"])
def test_missing_classes_and_ties_equal_golden_rows(name):
    case = GOLDEN[name]
    given_ = case["in"]
    rows = top_per_class(
        given_["scores"], given_["labels"], int(given_["num_classes"]), int(given_["n_per_class"])
    )
    assert_array_equal(rows, unpadded(case["out"]["selected"]))


def test_quotas_of_a_budget_equal_golden_numbers():
    case = GOLDEN["budget"]
    scores, y, classes = case["in"]["scores"], case["in"]["labels"], int(case["in"]["num_classes"])
    for budget in case["in"]["budgets"]:
        quotas = class_quotas(scores, y, classes, int(budget))
        assert_array_equal(quotas, case["out"][f"quota_b{budget}"])
        assert_array_equal(
            top_per_class(scores, y, classes, quotas), unpadded(case["out"][f"selected_b{budget}"])
        )


def test_proportional_quotas_equal_golden_numbers():
    case = GOLDEN["proportional"]
    for weights, budget, quota in zip(
        case["in"]["weights"], case["in"]["budgets"], case["out"]["quota"], strict=True
    ):
        assert_array_equal(proportional_quotas(weights, int(budget)), quota)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(lambda w: sum(w) > 0), st.integers(0, 10_000)
)
def test_proportional_quotas_share_all_and_differ_from_exact_shares_by_less_than_one(weights, budget):
    shares = proportional_quotas(weights, budget)
    assert shares.sum() == budget
    assert (np.abs(shares - budget * np.array(weights) / sum(weights)) < 1 + 1e-6).all()


def test_ties_are_broken_by_the_generator_where_one_is_given():
    found = {tuple(top_per_class(np.zeros(6), [0] * 6, 1, 2, np.random.default_rng(s))) for s in range(20)}
    assert len(found) > 5


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="y must have shape"):
        top_per_class(np.zeros(3), [0, 1], 2, 1)
    with pytest.raises(InputError, match="n must hold whole numbers"):
        top_per_class(np.zeros(2), [0, 1], 2, np.array([1, -1]))
    with pytest.raises(InputError, match="weights must be finite"):
        proportional_quotas([0.0, 0.0], 3)
