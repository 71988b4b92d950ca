"""BatchBALD: literals, golden numbers, brute force, torch, laws, bad input."""

import tracemalloc
from itertools import product
from math import log

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.batches import batch_bald, joint_mutual_information
from labelwise.functional.draws import bald, expected_entropy
from labelwise.seeds import generator


def reference(x, rows):
    """Σ over all configurations, each the mean over draws of a product: the paper's equation 8."""
    h = 0.0
    for labels in product(range(x.shape[2]), repeat=len(rows)):
        p = np.mean(np.prod([x[row, :, c] for row, c in zip(rows, labels, strict=True)], axis=0))
        h -= p * log(p) if p > 0 else 0
    return h - expected_entropy(x)[list(rows)].sum()


def greedy(x, n):
    """Look at every row in every step."""
    rows = []
    for _ in range(n):
        told = [-1.0 if row in rows else reference(x, [*rows, row]) for row in range(len(x))]
        rows.append(int(np.argmax(np.round(told, 12))))  # rounding must not decide ties
    return rows


def some(seed, n, s, classes, spread=0.5):
    return generator(seed, "tests", "joint").dirichlet(np.full(classes, spread), (n, s))


def test_a_twin_tells_nothing_more():
    # four predictors: rows 0 and 1 tell whether it is one of the first two, row 2 whether its number is even, row 3
    # something weaker: BALD takes the twins first, the joint information never does
    sure = np.eye(2)
    x = np.stack([sure[[0, 0, 1, 1]], sure[[0, 0, 1, 1]], sure[[0, 1, 0, 1]], np.full((4, 2), 0.5)])
    x[3, 0] = [0.9, 0.1]
    assert_array_equal(np.argsort(-bald(x), kind="stable")[:2], [0, 1])
    assert_array_equal(batch_bald(x, 4), [0, 2, 1, 3])  # afterwards nothing is unknown: the lowest rows first
    assert_allclose(joint_mutual_information(x, [0]), log(2))
    assert_allclose(joint_mutual_information(x, [0, 1]), log(2))
    assert_allclose(joint_mutual_information(x, [0, 2]), log(4))


@pytest.mark.parametrize("case", ["main", "c2", "edge"])
def test_joint_information_equals_golden_numbers(case):
    numbers = cases("batchbald")[case]
    x, out = numbers["in"]["probs"], numbers["out"]
    assert_allclose(expected_entropy(x), np.abs(out["conditional_entropy"]), rtol=0, atol=1e-10)
    if case != "edge":
        assert_allclose(bald(x), out["bald"], rtol=0, atol=1e-10)
    for i, batch in enumerate(numbers["in"]["batches"]):
        rows = batch[batch >= 0]  # one batch holds a row twice: two answers that err independently
        told = joint_mutual_information(x, rows)
        assert_allclose(told, out["joint_mi"][i], rtol=0, atol=1e-10)
        entropy = told + expected_entropy(x)[rows].sum()
        assert_allclose(entropy, out["joint_entropy"][i], rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", ["main", "c2"])
def test_greedy_batches_equal_golden_batches(case):
    numbers = cases("batchbald")[case]
    x, out, n = numbers["in"]["probs"], numbers["out"], int(numbers["in"]["batch_size"])
    rows = batch_bald(x, n)
    assert_array_equal(rows, out["greedy"])
    for k in range(n):
        assert_allclose(joint_mutual_information(x, rows[: k + 1]), out["greedy_scores"][k], atol=1e-10)
        for row in range(len(x)):
            wanted = out["greedy_all_scores"][k, row]
            if np.isfinite(wanted):
                told = joint_mutual_information(x, [*rows[:k], row])
                assert_allclose(told, wanted, rtol=0, atol=1e-10)
    topb = np.argsort(-bald(x), kind="stable")[:n]
    assert_array_equal(topb, out["topb_bald"])
    assert_allclose(joint_mutual_information(x, topb), out["topb_joint_mi"], rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 9999),
    n=st.integers(1, 8),
    s=st.integers(1, 4),
    classes=st.integers(1, 3),
    zeros=st.booleans(),
)
def test_batches_equal_those_of_looking_at_every_row(seed, n, s, classes, zeros):
    x = some(seed, n, s, classes)
    if zeros:
        x = np.eye(classes)[x.argmax(axis=2)]
    k = min(n, 4)
    rows = batch_bald(x, k)
    assert_allclose(reference(x, rows), reference(x, greedy(x, k)), atol=1e-9)
    if not zeros:  # no ties
        assert_array_equal(rows, greedy(x, k))


def test_many_rows_are_looked_at_lazily_and_the_batch_is_the_same():
    x = some(3, 400, 6, 3)
    rows = batch_bald(x, 5).tolist()
    for k in range(1, 5):
        told = np.array([joint_mutual_information(x, [*rows[:k], row]) for row in range(400)])
        told[rows[:k]] = -1
        assert rows[k] == told.argmax()


def test_drawn_configurations_come_close_to_all():
    x = some(0, 8, 5, 3)
    exact = joint_mutual_information(x, range(8), num_samples=3**8)
    assert_allclose(exact, reference(x, range(8)), atol=1e-10)
    drawn = np.array(
        [joint_mutual_information(x, range(8), num_samples=50, rng=generator(seed)) for seed in range(60)]
    )
    # one estimate is off by 0.04 (standard deviation), the mean of 60 by 0.005; five of them
    assert abs(drawn.mean() - exact) < 0.03
    assert 0.005 < drawn.std() < 0.1


def test_configurations_are_drawn_from_the_rng_alone():
    x = some(0, 60, 5, 3)
    few = [tuple(batch_bald(x, 10, num_samples=5, rng=generator(seed)).tolist()) for seed in (0, 0, 1, 2, 3)]
    assert few[0] == few[1]
    assert len(set(few)) > 1
    assert_array_equal(batch_bald(x, 10, num_samples=5), batch_bald(x, 10, num_samples=5))


@pytest.mark.parametrize("num_samples", [7, 1024])
def test_tensors_and_arrays_of_any_kind_pick_the_same_rows(num_samples, tmp_path):
    torch = pytest.importorskip("torch")
    x = some(1, 120, 6, 4).astype(np.float32)
    wanted = batch_bald(x, 12, num_samples=num_samples)
    np.save(tmp_path / "x.npy", x)
    kinds = (
        torch.from_numpy(x).requires_grad_(),
        np.asfortranarray(x),
        np.load(tmp_path / "x.npy", mmap_mode="r"),
    )
    for kind in kinds:
        rows = batch_bald(kind, 12, num_samples=num_samples)
        assert rows.dtype == np.int64
        assert_array_equal(rows, wanted)
    assert_allclose(
        joint_mutual_information(kinds[0], wanted, num_samples=num_samples),
        joint_mutual_information(x, wanted, num_samples=num_samples),
        atol=1e-12,
    )


@pytest.mark.parametrize("n", [0, 1, 5, 9])
@pytest.mark.parametrize("kind", ["twins", "sure", "even", "one class", "one draw"])
def test_rows_are_distinct_whatever_the_draws(kind, n):
    x = {
        "twins": np.repeat(some(0, 2, 3, 2), 4, axis=0)[:7],
        "sure": np.eye(3)[np.zeros((7, 4), int)],
        "even": np.full((7, 4, 3), 1 / 3),
        "one class": np.ones((7, 4, 1)),
        "one draw": some(0, 7, 1, 3),
    }[kind]
    rows = batch_bald(x, n, num_samples=4)
    assert len(set(rows.tolist())) == rows.size == min(n, 7)


def test_what_rounding_parts_is_a_tie_and_the_lowest_row_is_first():
    rng = np.random.default_rng(1)
    one = rng.dirichlet(np.ones(7), (1, 9))
    x = np.concatenate(
        [one[..., rng.permutation(7)] for _ in range(12)]
    )  # classes in other orders tell as much
    assert np.ptp(bald(x)) < 1e-12 and bald(x).argmax() != 0
    assert batch_bald(x, 1).tolist() == [0]


def test_an_order_of_rows_does_not_matter():
    x = some(5, 50, 6, 3)
    order = generator(1).permutation(50)
    assert_array_equal(order[batch_bald(x[order], 5)], batch_bald(x, 5))


def test_memory_is_bounded():
    x = np.full((20_000, 5, 10), 0.1, np.float32)
    x[:, 0] = np.eye(10)[np.arange(20_000) % 10]
    batch_bald(x[:10], 2)  # imports
    tracemalloc.start()
    try:
        batch_bald(x, 3, num_samples=500)  # all configurations by rows would be 800 MB
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6


def test_what_is_wrong_is_said():
    x = np.full((3, 2, 2), 0.5)
    with pytest.raises(ShapeError, match=r"draws must have shape \(n, S, C\)"):
        batch_bald(x[0], 1)
    bad = x.copy()
    bad[1, 1] = [np.nan, 0.5]
    with pytest.raises(DistributionError, match="draws: row 1, draw 1 is no distribution: holds nan"):
        batch_bald(bad, 1)
    with pytest.raises(InputError, match="n must be a whole number of at least 0"):
        batch_bald(x, -1)
    with pytest.raises(InputError, match="num_samples must be a whole number of at least 1"):
        batch_bald(x, 1, num_samples=0)
    with pytest.raises(InputError, match="rows must lie between 0 and 2; 3 does not"):
        joint_mutual_information(x, [0, 3])
    for rows in ([0.7], [[0, 1]], [True]):
        with pytest.raises(ShapeError, match="rows must"):
            joint_mutual_information(x, rows)
