"""Plackett-Luce, returns and running moments: brute force over all orders, finite differences, laws, bad input."""

import json
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.policy import (
    Moments,
    discounted_returns,
    entropy_of_first_step,
    moving_average,
    plackett_luce,
    plackett_luce_gradient,
    plackett_luce_log_prob,
)
from labelwise.seeds import generator

LOGITS = np.array([0.3, -1.2, 0.9, 0.0])
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=7)


def rng(*path):
    return generator(0, "tests", "policy", *path)


def by_steps(z, order):
    """The probability of an order, one step after another, as the definition has it."""
    left, p = list(range(len(z))), 1.0
    for row in order:
        p *= math.exp(z[row]) / sum(math.exp(z[x]) for x in left)
        left.remove(row)
    return p


def test_probabilities_by_hand():
    # weights 1, 2, 3: first the third, 3/6; then the first of 1 and 2, 1/3
    z = np.log([1.0, 2.0, 3.0])
    assert_allclose(math.exp(plackett_luce_log_prob(z, [2, 0])), 1 / 6)
    # [x drawn] - Σ of its step probabilities: 0 - 2/6 - 2/3 of the second; 1 - 3/6; 1 - 1/6 - 1/3
    assert_allclose(plackett_luce_gradient(z, [2, 0]), [1 / 2, -1, 1 / 2])
    # ln 6 - (2 ln 2 + 3 ln 3) / 6
    assert_allclose(entropy_of_first_step(z), math.log(6) - (2 * math.log(2) + 3 * math.log(3)) / 6)
    assert_allclose(entropy_of_first_step(np.full(8, -3.0)), math.log(8))
    assert entropy_of_first_step([1e4, -1e4]) == 0


@pytest.mark.parametrize("b", range(5))
def test_probabilities_of_all_orders_sum_to_1(b):
    orders = list(permutations(range(4), b))
    p = np.exp([plackett_luce_log_prob(LOGITS, np.array(o, int)) for o in orders])
    assert_allclose(p, [by_steps(LOGITS, o) for o in orders], rtol=1e-13)
    assert_allclose(p.sum(), 1, rtol=1e-13)


@pytest.mark.parametrize("b", [1, 2, 4])
def test_orders_are_drawn_as_often_as_they_are_probable(b):
    """Each count within 5 standard deviations: of at most 24 orders one in 70,000 runs would fail."""
    orders = list(permutations(range(4), b))
    number = {o: i for i, o in enumerate(orders)}
    n, draws = 6_000, rng("frequencies", b)
    counts = np.zeros(len(orders))
    for _ in range(n):
        counts[number[tuple(plackett_luce(LOGITS, b, draws).tolist())]] += 1
    p = np.array([by_steps(LOGITS, o) for o in orders])
    assert (np.abs(counts - n * p) < 5 * np.sqrt(n * p * (1 - p))).all()


@given(logits, st.data())
def test_gradient_equals_finite_differences(values, data):
    z = np.array(values)
    b = data.draw(st.integers(0, z.size))
    order = np.array(data.draw(st.permutations(range(z.size)))[:b], int)
    found = plackett_luce_gradient(z, order)
    h = 1e-5
    for x in range(z.size):
        up, down = (plackett_luce_log_prob(z + s * h * np.eye(z.size)[x], order) for s in (1, -1))
        # h² of the third derivative, and 1e-16 of sums of at most 300 over h
        assert abs(found[x] - (up - down) / (2 * h)) < 1e-8
    assert abs(found.sum()) < 1e-12
    assert_array_equal(found > 1, False)


def test_gradient_equals_autograd():
    draws = rng("autograd")
    z = torch.tensor(3 * draws.normal(size=200), requires_grad=True)
    order = plackett_luce(z, 50, draws)
    left, total = torch.ones(200, dtype=bool), 0.0
    for row in order.tolist():
        total = total + z[row] - torch.logsumexp(z[left], 0)
        left = left.clone()
        left[row] = False
    total.backward()
    assert_allclose(plackett_luce_log_prob(z, order), total.item(), rtol=1e-12)
    assert_allclose(plackett_luce_gradient(z, order), z.grad, rtol=0, atol=1e-12)


@given(logits, st.floats(-1e4, 1e4), st.data())
def test_adding_to_all_logits_changes_nothing(values, shift, data):
    z, order = np.array(values), np.array(data.draw(st.permutations(range(len(values)))))
    # the shifted logits themselves are rounded by 1e-12, once for each of at most 7 steps
    assert_allclose(
        plackett_luce_log_prob(z + shift, order), plackett_luce_log_prob(z, order), rtol=0, atol=1e-10
    )
    assert_allclose(
        plackett_luce_gradient(z + shift, order), plackett_luce_gradient(z, order), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("seed", range(3))
def test_logits_of_any_size_stay_finite(seed):
    draws = rng("far", seed)
    z = draws.choice([-1e4, -1.0, 0, 2.0, 1e4], size=50)
    order = plackett_luce(z, 50, draws)
    assert sorted(order.tolist()) == list(range(50))
    assert (np.diff(np.round(z[order], -3)) <= 0).all()  # nothing overtakes what is 10,000 nats ahead
    assert (
        np.isfinite(plackett_luce_log_prob(z, order)) and np.isfinite(plackett_luce_gradient(z, order)).all()
    )
    back = order[::-1]
    worst = plackett_luce_log_prob(z, back)
    assert -50 * 2.1e4 < worst < -1e4 and np.isfinite(plackett_luce_gradient(z, back)).all()
    assert np.isfinite(entropy_of_first_step(z))
    # by hand: of 1e4 and -1e4 the second first costs 2e4 nats, and all its gradient is ± 1
    assert plackett_luce_log_prob([1e4, -1e4], [1, 0]) == -2e4
    assert_allclose(plackett_luce_gradient([1e4, -1e4], [1, 0]), [-1, 1])


@given(logits)
def test_the_first_step_is_a_softmax(values):
    z = np.array(values)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    assert_allclose([math.exp(plackett_luce_log_prob(z, [x])) for x in range(z.size)], p, rtol=1e-12)
    logs = np.log(np.maximum(p, 1e-300))
    assert_allclose(entropy_of_first_step(z), -(p @ logs), rtol=1e-9, atol=1e-12)
    assert 0 <= entropy_of_first_step(z) <= math.log(z.size) + 1e-12


def test_draws_depend_on_the_generator_alone():
    z = rng("same").normal(size=300)
    a = plackett_luce(z, 40, rng("one"))
    assert_array_equal(a, plackett_luce(z.tolist(), 40, rng("one")))
    assert_array_equal(a[:7], plackett_luce(z, 7, rng("one")))  # a shorter batch is the start of a longer one
    assert a.dtype == np.int64 and len(set(a.tolist())) == 40
    assert (a != plackett_luce(z, 40, rng("other"))).any()
    assert plackett_luce(z, 0, rng("one")).shape == plackett_luce([], 0, rng("one")).shape == (0,)


# -- a bandit: Lemma 1 ----------------------------------------------------------------------------------------------

REWARD = np.array([0.5, 0.2, 0.9, 0.4])


def exact_gradient(z, b, constant=0.0):
    """∇ E[r(a) - c] over all orders; the reward of a batch is the mean of its rows' and a bonus for order."""
    total = np.zeros(z.size)
    for order in permutations(range(z.size), b):
        r = REWARD[list(order)].mean() + 0.1 * (order[0] == 1) - constant
        total += by_steps(z, order) * r * plackett_luce_gradient(z, order)
    return total


def test_the_expected_score_is_zero_so_constants_cancel():
    for constant in (-3.0, 0.55, 100.0):
        assert_allclose(exact_gradient(LOGITS, 2, constant), exact_gradient(LOGITS, 2), rtol=0, atol=1e-13)


def test_a_baseline_leaves_the_gradient_and_lowers_its_noise():
    n, draws = 5_000, rng("bandit")
    plain, with_baseline = np.empty((n, 4)), np.empty((n, 4))
    average = None
    for i in range(n):
        order = plackett_luce(LOGITS, 2, draws)
        r = 5 + REWARD[order].mean() + 0.1 * (order[0] == 1)  # 5: a constant that every batch has
        step = plackett_luce_gradient(LOGITS, order)
        plain[i] = r * step
        # the average of rounds before knows nothing of this round's batch
        with_baseline[i] = (r - (0.0 if average is None else average)) * step
        average = moving_average(average, r, 0.1)
    exact = exact_gradient(LOGITS, 2)
    errors = []
    for found in (plain, with_baseline):
        error = found.std(axis=0) / np.sqrt(n)
        assert (np.abs(found.mean(axis=0) - exact) < 4.5 * error).all()
        errors.append(error)
    assert (errors[1] < errors[0] / 5).all()


def test_ascent_ends_at_the_same_policy_whatever_constant_a_round_has():
    """The expected gradient is followed; constants differ from round to round."""
    ends = []
    for constants in (np.zeros(60), rng("constants").normal(size=60)):
        z = LOGITS.copy()
        for c in constants:
            z = z + 20 * exact_gradient(z, 2, c)
        ends.append(z)
    assert_allclose(ends[0], ends[1], rtol=0, atol=1e-8)
    assert ends[0].argmax() == 2


# -- returns, averages, moments -------------------------------------------------------------------------------------


def test_returns_by_hand():
    # 3; 2 + 0.9 · 3; 1 + 0.9 · 4.7
    assert_allclose(discounted_returns([1.0, 2.0, 3.0], 0.9), [5.23, 4.7, 3.0])
    assert discounted_returns([1.0, 2.0], 0).tolist() == [1, 2]
    assert discounted_returns([1.0, 2.0], 1).tolist() == [3, 2]
    assert discounted_returns([], 0.9).shape == (0,)


@given(st.lists(st.floats(-1, 1), max_size=12), st.floats(0, 1))
def test_returns_are_sums_over_what_follows(rewards, gamma):
    wanted = [sum(gamma**k * r for k, r in enumerate(rewards[t:])) for t in range(len(rewards))]
    assert_allclose(discounted_returns(rewards, gamma), wanted, rtol=0, atol=1e-13)


def test_moving_average_by_hand():
    assert moving_average(None, 0.4, 0.1) == 0.4
    assert_allclose(moving_average(1.0, 0.0, 0.1), 0.9)
    assert moving_average(1.0, 0.25, 1) == 0.25 and moving_average(1.0, 0.25, 0) == 1


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=30))
def test_moments_equal_numpy(rows):
    x = np.array(rows)
    moments = Moments.none(3)
    for row in x:
        moments = moments.seen(row)
    size = np.abs(x).max() + 1
    assert moments.count == len(x)
    assert_allclose(moments.mean, x.mean(axis=0), rtol=0, atol=1e-14 * size)
    assert_allclose(moments.m2 / len(x), x.var(axis=0), rtol=1e-12, atol=1e-14 * size**2)
    assert np.isfinite(moments.standardise(x[0])).all()


def test_moments_keep_digits_far_from_zero():
    """Sums of squares would lose all: 1e9² has no digits left for 1e-3²."""
    x = 1e9 + 1e-3 * rng("welford").integers(-50, 50, size=500)
    moments = Moments.none(1)
    for value in x:
        moments = moments.seen([value])
    assert_allclose(moments.m2 / 500, x.var(), rtol=1e-4)


def test_standardise_by_hand():
    nothing = Moments.none(2)
    assert nothing.standardise([3.0, -1.0]).tolist() == [3, -1]  # mean 0, deviation 1
    once = nothing.seen([1.0, 5.0])
    assert once.standardise([3.0, 5.0]).tolist() == [2, 0]  # deviation 1 until two observations
    twice = once.seen([5.0, 5.0])
    assert twice.standardise([5.0, 7.0]).tolist() == [1, 2]  # (5 - 3) / 2; a constant feature has deviation 1
    assert nothing.count == 0 and nothing.mean.tolist() == [0, 0]  # values, not changed


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=8), st.floats(-1e150, 1e150))
def test_moments_are_finite_whatever_was_seen(values, x):
    moments = Moments.none(1)
    for value in values:
        moments = moments.seen([value])
        assert np.isfinite(moments.standardise([x])).all()
        assert np.isfinite(moments.mean).all() and np.isfinite(moments.m2).all()


def test_features_that_never_change_become_zero():
    moments = Moments.none(1)
    for _ in range(10):
        moments = moments.seen([0.1])
    assert moments.m2[0] == 0 and moments.standardise([0.1])[0] == 0


def test_moments_survive_json_to_the_last_digit():
    moments = Moments.none(3)
    for row in rng("json").normal(size=(5, 3)):
        moments = moments.seen(row)
    back = Moments.from_dict(json.loads(json.dumps(moments.to_dict())))
    assert back.to_dict() == moments.to_dict()
    assert_array_equal(back.seen(np.ones(3)).m2, moments.seen(np.ones(3)).m2)
    with pytest.raises(ValueError, match="read-only"):
        back.mean[0] = 1
    empty = Moments.from_dict(json.loads(json.dumps(Moments.none(0).to_dict())))
    assert empty.seen([]).standardise([]).shape == (0,)


def test_an_array_given_to_moments_stays_writable():
    mean = np.zeros(2)
    Moments(0, mean, np.zeros(2))
    mean[0] = 1


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [plackett_luce_log_prob, plackett_luce_gradient])
@pytest.mark.parametrize(
    ("z", "order", "error", "words"),
    [
        ([[0.0, 1.0]], [0], ShapeError, "logits must have shape"),
        ([0.0, 1.0], [[0]], ShapeError, "order must have shape"),
        ([0.0, 1.0], [0.5], ShapeError, "order must be whole numbers"),
        ([0.0, np.nan], [0], InputError, "number 1 is nan"),
        ([0.0, -np.inf], [0], InputError, "number 1 is -inf"),
        ([0.0, 1.0], [1, 1], InputError, "stands there more than once"),
        ([0.0, 1.0], [2], InputError, "rows from 0 to 1; 2 is none"),
        ([0.0, 1.0], [-1], InputError, "-1 is none"),
    ],
)
def test_orders_that_cannot_be_are_refused(function, z, order, error, words):
    with pytest.raises(error, match=words):
        function(z, order)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: plackett_luce([0.0, 1.0], 3, rng()),
            InputError,
            "at most the number of candidates, 2; it is 3",
        ),
        (lambda: plackett_luce([0.0, 1.0], -1, rng()), InputError, "b must be a whole number"),
        (lambda: plackett_luce([0.0, 1.0], 1.0, rng()), InputError, "b must be a whole number"),
        (lambda: plackett_luce([0.0, np.nan], 1, rng()), InputError, "number 1 is nan"),
        (lambda: plackett_luce([[0.0]], 1, rng()), ShapeError, "logits must have shape"),
        (lambda: entropy_of_first_step([]), ShapeError, "K >= 1"),
        (lambda: entropy_of_first_step([np.inf]), InputError, "number 0 is inf"),
        (lambda: discounted_returns([1.0, np.nan], 0.9), InputError, "number 1 is nan"),
        (lambda: discounted_returns([[1.0]], 0.9), ShapeError, "rewards must have shape"),
        (lambda: discounted_returns([1.0], 1.1), InputError, "gamma must be a number from 0 to 1"),
        (lambda: discounted_returns([1e200], 0.9), InputError, "at most 1e\\+150 in size"),
        (lambda: moving_average(0.1, np.nan, 0.1), InputError, "new must be a number"),
        (lambda: moving_average(np.inf, 0.1, 0.1), InputError, "before must be a number"),
        (lambda: moving_average(0.1, 0.1, 1.5), InputError, "rate must be a number from 0 to 1"),
        (lambda: Moments.none(2).seen([1.0]), ShapeError, "x must have shape"),
        (lambda: Moments.none(1).seen([np.nan]), InputError, "number 0 is nan"),
        (lambda: Moments.none(1).seen([1e200]), InputError, "at most 1e\\+150"),
        (lambda: Moments.none(1).standardise([np.inf]), InputError, "number 0 is inf"),
        (lambda: Moments(1, np.zeros(2), np.zeros(3)), ShapeError, "m2 must have shape"),
        (lambda: Moments(1, np.zeros(2), np.array([0, -1.0])), InputError, "feature 1 is -1"),
        (lambda: Moments(-1, np.zeros(1), np.zeros(1)), InputError, "count must be"),
        (lambda: Moments.from_dict({"count": 1, "mean": [0.0]}), InputError, "m2 is missing"),
        (
            lambda: Moments.from_dict({"count": 1, "mean": [0.0], "m2": [None]}),
            ShapeError,
            "m2 must hold numbers",
        ),
    ],
)
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
