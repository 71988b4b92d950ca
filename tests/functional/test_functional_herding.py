"""MaxHerding against the plain greedy search, and the width that UHerding takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches.herding import least_distance, max_herding
from labelwise.seeds import generator

torch = pytest.importorskip("torch")


def gains(x, heights, sigma, weights):
    kernel = np.exp(-((x[:, None] - x) ** 2).sum(axis=2) / sigma**2)
    return (weights * np.maximum(kernel - heights, 0)).sum(axis=1), kernel


def is_greedy(rows, x, sigma, weights, labelled):
    """Tell whether each row has the highest gain, to rounding, when it is taken."""
    heights = np.zeros(len(x))
    if len(labelled):
        heights = np.exp(-((x[:, None] - labelled) ** 2).sum(axis=2) / sigma**2).max(axis=1)
    left = np.ones(len(x), bool)
    for row in rows:
        gain, kernel = gains(x, heights, sigma, weights)
        if gain[row] < gain[left].max() - 1e-9:
            return False
        left[row] = False
        heights = np.maximum(heights, kernel[row])
    return len(set(rows.tolist())) == rows.size


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 80),
    n=st.integers(1, 85),
    known=st.integers(0, 4),
    sigma=st.sampled_from([0.05, 0.5, 2.0, 50.0]),
    weighted=st.booleans(),
    copies=st.booleans(),
    seed=st.integers(0, 999),
)
def test_the_lazy_search_is_the_plain_one(m, n, known, sigma, weighted, copies, seed):
    rng = generator(seed, "tests", "herding")
    x, labelled = rng.normal(size=(m, 3)), rng.normal(size=(known, 3))
    if copies:
        x = x[rng.integers(m, size=m)]
    weights = rng.uniform(size=m) if weighted else np.ones(m)
    rows = max_herding(x, n, labelled=labelled, sigma=sigma, weights=weights if weighted else None)
    assert rows.size == min(n, m)
    assert is_greedy(rows, x, sigma, weights, labelled)


def test_by_hand():
    # three rows together and one alone, a narrow kernel: the middle of the three covers three, then the lone one
    x = np.array([[0.0], [9.0], [0.1], [0.2]])
    assert_array_equal(max_herding(x, 2, sigma=1.0), [2, 1])
    assert_array_equal(max_herding(x, 1, sigma=1.0, labelled=[[0.1]]), [1])
    assert_array_equal(max_herding(x, 1, sigma=1.0, weights=[0, 1, 0, 0]), [1])
    assert_array_equal(max_herding(np.ones((4, 2)), 3), [0, 1, 2])


def test_tensors_give_the_same_rows():
    rng = generator(0, "tests", "herding tensors")
    x, labelled, weights = rng.normal(size=(300, 6)), rng.normal(size=(5, 6)), rng.uniform(size=300)
    rows = max_herding(x, 40, labelled=labelled, weights=weights, unit=True)
    again = max_herding(torch.tensor(x), 40, labelled=torch.tensor(labelled), weights=weights, unit=True)
    assert_array_equal(rows, again)
    unit, known = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (x, labelled))
    assert is_greedy(rows, unit, 1.0, weights, known)


@pytest.mark.parametrize("rng", [None, generator(0)])
def test_coverage_may_be_summed_over_a_share(rng):
    home = np.arange(600) % 4
    x = 5 * np.eye(4)[home] + 0.1 * generator(1).normal(size=(600, 4))
    rows = max_herding(x, 4, evaluated=57, rng=rng)
    assert sorted(home[rows]) == [0, 1, 2, 3]


def test_scaling_the_weights_changes_nothing():
    rng = generator(0, "tests", "scale")
    x, weights = rng.normal(size=(50, 3)).astype(np.float32), rng.uniform(size=50)
    assert_array_equal(max_herding(x, 9, weights=weights), max_herding(x, 9, weights=weights * 2.0**200))
    assert max_herding(x, 9, weights=np.zeros(50)).size == 9
    assert max_herding(x, 9, sigma=1e-30).size == 9


def test_the_least_distance_leaves_out_copies():
    assert least_distance([[0.0], [5.0], [5.0], [8.0]]) == pytest.approx(3)
    assert least_distance([[1.0, 0], [7.0, 0], [0, 2]], unit=True) == pytest.approx(2**0.5)
    assert least_distance(np.ones((3, 2))) == np.inf
    assert least_distance(np.ones((1, 2))) == least_distance(np.ones((0, 2))) == np.inf
    assert least_distance(torch.tensor([[0.0], [5.0], [8.0]])) == pytest.approx(3)


def test_what_is_out_of_range_is_said():
    x = np.ones((3, 2))
    with pytest.raises(InputError, match="sigma must be above 0"):
        max_herding(x, 1, sigma=0.0)
    with pytest.raises(InputError, match="weights: row 1 is nan"):
        max_herding(x, 1, weights=[1, np.nan, 1])
    with pytest.raises(ShapeError, match=r"weights must have shape \(m=3\)"):
        max_herding(x, 1, weights=[1])
    with pytest.raises(InputError, match="x: row 2 has no finite norm"):
        max_herding(np.array([[0.0], [1], [np.nan]]), 1)


@pytest.mark.parametrize("sigma", [1e-2, 1e-3, 1e-5])
def test_a_narrow_kernel_is_weighed_by_weights_alone(sigma):
    x = generator(0, "tests", "narrow").normal(size=(100, 8)).astype(np.float32)
    weights = generator(1, "tests", "narrow").random(100)
    # no row is as near to another as 50 sigma: each covers itself, wholly
    rows = max_herding(x, 20, sigma=sigma, weights=weights, unit=True)
    assert_array_equal(rows, np.argsort(-weights)[:20])


def test_a_kernel_narrower_than_rounding_still_covers_its_row():
    x = generator(0, "tests", "narrow").normal(size=(50, 8))
    assert_array_equal(max_herding(x, 9, sigma=1e-300), np.arange(9))


@pytest.mark.parametrize("kinds", [("float32", "float64"), ("float64", "float32")])
def test_tensors_of_two_types_go_together(kinds):
    x, known = generator(0, "tests", "types").normal(size=(60, 4)), generator(1).normal(size=(5, 4))
    a, b = x.astype(kinds[0]), known.astype(kinds[1])
    expected = max_herding(a, 8, labelled=b)
    assert_array_equal(max_herding(torch.from_numpy(a), 8, labelled=torch.from_numpy(b)), expected)
    with pytest.raises(InputError, match="all as torch tensors"):
        max_herding(torch.from_numpy(a), 8, labelled=b)
