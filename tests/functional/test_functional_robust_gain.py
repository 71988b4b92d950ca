"""Weights of the worst shift that labelled losses tell of: by hand, by brute force, limits, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.robust_gain import ridge_carried, shift_weights
from labelwise.seeds import generator


def some(n=60, pool=200, widths=(3, 5)):
    rng = generator(0, "tests", "robust gain", n)
    known = [rng.normal(size=(n, d)) * 3 + 1 for d in widths]
    new = [rng.normal(size=(pool, d)) * 3 + 1 for d in widths]
    return known[0][:, 0] + known[1][:, 1] ** 2 + rng.exponential(size=n), known, new


def test_ridge_by_hand():
    # z = ±1, Σ z² = 2, penalty 1 · 1: slope 2 / 3 about the mean 1
    assert_allclose(ridge_carried([0, 2], [[-1.0], [1]], [[-1.0], [3], [0]]), [1 / 3, 3, 1], rtol=1e-14)
    # a second column that never changes says nothing, and is not counted
    constant = [[-1.0, 7], [1, 7]]
    assert_allclose(ridge_carried([0, 2], constant, [[3.0, 900]]), [3], rtol=1e-14)


@pytest.mark.parametrize("n", [4, 60])
def test_ridge_equals_the_normal_equations(n):
    losses, (x, _), (new, _) = some(n)
    z, penalty = (x - x.mean(0)) / x.std(0), 0.7 * 3
    slopes = np.linalg.solve(z.T @ z + penalty * np.eye(3), z.T @ (losses - losses.mean()))
    wanted = losses.mean() + (new - x.mean(0)) / x.std(0) @ slopes
    assert_allclose(ridge_carried(losses, x, new, ridge=0.7), wanted, rtol=1e-10)
    assert_allclose(ridge_carried(losses, x * 50 - 3, new * 50 - 3, ridge=0.7), wanted, rtol=1e-9)


def test_weights_by_hand():
    pool = [np.array([[1.0], [1], [0], [0]])]
    known, losses = [np.array([[0.0], [1]])], [0.1, 2.0]
    # h = ±√ρ: half of the pool is as the sample that is lost
    assert_allclose(shift_weights(losses, known, pool, [0.25]), [1.5, 1.5, 0.5, 0.5], rtol=1e-12)
    # ρ = 4: 1 ± 2, clipped at 0 and scaled to mean 1
    assert_allclose(shift_weights(losses, known, pool, [4.0]), [2, 2, 0, 0], rtol=1e-12)
    # one that is not there does not move: √(E h²) = √ρ over all four gives h = √2 √ρ to the two that have it
    there = np.array([[True], [False], [True], [False]])
    got = shift_weights(losses, known, pool, [0.08], pool_there=there)
    assert_allclose(got, [1.4, 1, 0.6, 1], rtol=1e-12)


def test_no_linear_shift_within_the_radii_raises_the_mean_loss_by_more():
    losses, known, _ = some()
    rho = np.array([0.002, 0.001])
    ours = shift_weights(losses, known, known, rho, ridge=1e-9)
    assert ours.min() > 0
    excess = (ours - 1) @ losses
    rng = generator(0, "tests", "other shifts")
    for _ in range(300):
        h = np.zeros(len(losses))
        for x, radius in zip(known, rho, strict=True):
            one = (x - x.mean(0)) @ rng.normal(size=x.shape[1])
            h += np.sqrt(radius) * one / np.sqrt(np.mean(one**2))
        assert h @ losses <= excess * (1 + 1e-9)


def test_weights_have_mean_one_and_obey_the_symmetries():
    losses, known, new = some()
    got = shift_weights(losses, known, new, [0.3, 0.1])
    assert got.min() >= 0
    assert_allclose(got.mean(), 1)
    assert_allclose(shift_weights(losses, known[::-1], new[::-1], [0.1, 0.3]), got)
    assert_allclose(shift_weights(losses * 7 + 2, known, new, [0.3, 0.1]), got)
    alone = shift_weights(losses, known[:1], new[:1], [0.3])
    assert_allclose(shift_weights(losses, known, new, [0.3, 0]), alone)
    assert np.abs(got - alone).max() > 0.1
    there = generator(0, "tests", "there").random((60, 2)) < 0.5
    blind = [np.where(there[:, m, None], x, 1e6) for m, x in enumerate(known)]
    kept = shift_weights(losses, known, new, [0.3, 0.1], labelled_there=there)
    assert_array_equal(shift_weights(losses, blind, new, [0.3, 0.1], labelled_there=there), kept)


def test_what_says_nothing_shifts_nothing():
    losses, known, new = some()
    for changed in (
        (losses, known, new, [0, 0]),
        (np.full(60, 0.1), known, new, [1, 1]),
        (losses, [np.full_like(x, 0.1) for x in known], new, [1, 1]),
        (losses, known, [np.full_like(x, 0.1) for x in new], [1, 1]),
        (losses[:1], [x[:1] for x in known], new, [1, 1]),
        (losses[:0], [x[:0] for x in known], new, [1, 1]),
    ):
        assert_allclose(shift_weights(*changed), np.ones(200), rtol=1e-12)
    nobody = np.zeros((200, 2), bool)
    assert_allclose(shift_weights(losses, known, new, [1, 1], pool_there=nobody), np.ones(200), rtol=1e-12)


def test_float32_rows_and_large_pools_give_the_numbers_of_small_ones():
    losses, known, _ = some()
    rng = generator(0, "tests", "large pool")
    new = [rng.normal(size=(100_000, d)).astype(np.float32) for d in (3, 5)]
    told = ridge_carried(losses, known[0].astype(np.float32), new[0])
    assert told.dtype == np.float64
    assert_allclose(told[-5:], ridge_carried(losses, known[0].astype(np.float32), new[0][-5:]), rtol=1e-12)


def test_bad_input_is_refused():
    losses, known, new = some()
    with pytest.raises(ShapeError, match="as many modalities"):
        shift_weights(losses, known[:1], new, [1, 1])
    with pytest.raises(ShapeError, match="labelled must have shape"):
        shift_weights(losses[:5], known, new, [1, 1])
    with pytest.raises(ShapeError, match="pool must have shape"):
        shift_weights(losses, known, [new[0], new[1][:, :2]], [1, 1])
    with pytest.raises(ShapeError, match="rho must have shape"):
        shift_weights(losses, known, new, [1])
    with pytest.raises(ShapeError, match="true or false"):
        shift_weights(losses, known, new, [1, 1], pool_there=np.ones((200, 2)))
    with pytest.raises(InputError, match="rho: row 1 is -1"):
        shift_weights(losses, known, new, [1, -1])
    for ridge in (0, -1, np.inf):
        with pytest.raises(InputError, match="ridge must be"):
            ridge_carried(losses, known[0], new[0], ridge=ridge)
    new[0][7, 1] = np.nan
    with pytest.raises(InputError, match="pool: row 7"):
        ridge_carried(losses, known[0], new[0])
    with pytest.raises(InputError, match="losses: row 0"):
        ridge_carried([np.nan, 1], [[0.0], [1]], [[0.0]])
