"""Unified score: literals, the law of weighted distances, missing modalities, k-means distances, bad input."""

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional import backend
from labelwise.functional.clusters import centroids, nearest_centroid, rows_of
from labelwise.functional.clusters.centroids import Blocks, centroid_distances, seeds
from labelwise.functional.unified import (
    candidate_rows,
    diversity,
    fused_features,
    min_max,
    simplex,
    unified_score,
)
from labelwise.seeds import generator


def rng(*path):
    return generator(0, "tests", "unified", *path)


def unit(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)


def blocks_of(x, k):
    return Blocks(rows_of(x, "x").about_mean(), k)


# -- score --------------------------------------------------------------------------------------------------------------


def test_min_max_by_hand():
    assert_allclose(min_max([2.0, 4.0, 3.0]), [0, 1, 0.5])
    assert min_max([7.0, 7.0]).tolist() == [0, 0]
    assert_allclose(min_max([[1, 5], [3, 5], [2, 5]]), [[0, 0], [1, 0], [0.5, 0]])  # each column by itself
    assert min_max(np.empty((0, 3))).shape == (0, 3)
    assert_allclose(min_max([-1.7e308, 0.0, 1.7e308]), [0, 0.5, 1])  # a range that float64 does not hold


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_min_max_keeps_order_and_range(values):
    x = np.array(values)
    found = min_max(x)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(x)]) >= 0).all()
    if np.ptp(x / 2) > 0:
        assert found.min() == 0 and found.max() == 1
    else:
        assert not found.any()
    assert x.tolist() == values  # as it was


def test_unified_score_by_hand():
    # columns from 0 to 1: [0, 1, .5] and [1, 0, 1]; diversity [0, 1, .25]
    u, d = [[0.0, 4.0], [2.0, 2.0], [1.0, 4.0]], [3.0, 7.0, 4.0]
    assert_allclose(unified_score(u, d, [0.25, 0.75]), [0.75, 0.25 + 0.5, 0.125 + 0.75 + 0.125])
    assert_allclose(unified_score(u, d, [0.25, 0.75], beta=0), [0.75, 0.25, 0.875])
    assert_allclose(unified_score(u, d, [1, 0], beta=2), [0, 1 + 2, 0.5 + 0.5])
    assert_allclose(unified_score(u, [1.0, 1.0, 1.0], [0, 1]), [1, 0, 1])  # constant diversity says nothing
    assert unified_score(np.empty((0, 2)), np.empty(0), [0.5, 0.5]).shape == (0,)


def test_scale_and_origin_of_what_is_scored_do_not_matter():
    draws = rng("scale")
    u, d, w = draws.random((30, 3)), draws.random(30), [0.2, 0.3, 0.5]
    assert_allclose(unified_score(9 * u - 4, 1e-3 * d + 1, w), unified_score(u, d, w), rtol=0, atol=1e-12)


def test_candidates_by_hand():
    assert candidate_rows([0.2, 0.9, 0.2, 0.5], 3).tolist() == [1, 3, 0]
    assert candidate_rows([0.2, 0.9], 10).tolist() == [1, 0]
    assert candidate_rows([], 3).shape == (0,)


# -- features -----------------------------------------------------------------------------------------------------------


def test_fused_features_by_hand():
    a, b = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[0.0, 2.0], [5.0, 0.0]])
    # 0.25 (0.6, 0.8) + 0.75 (0, 1); zeros stay zeros
    assert_allclose(fused_features([a, b], [0.25, 0.75]), [[0.15, 0.95], [0.75, 0]], rtol=1e-6)
    # √0.25 (0.6, 0.8) beside √0.75 (0, 1)
    r = np.sqrt(0.75)
    assert_allclose(
        fused_features([a, b], [0.25, 0.75], how="concat"), [[0.3, 0.4, 0, r], [0, 0, r, 0]], rtol=1e-6
    )
    assert fused_features([a], [1]).dtype == np.float32
    assert fused_features([a[:0], b[:0]], [0.5, 0.5]).shape == (0, 2)


@given(
    st.integers(0, 99), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(2, 6), st.booleans()
)
def test_squared_distances_of_concat_are_weighted_sums(seed, widths, n, zero):
    draws = generator(seed, "tests", "concat")
    parts = [draws.normal(size=(n, d)) * 10.0 ** draws.integers(-3, 4) for d in widths]
    w = draws.dirichlet(np.ones(len(widths)))
    if zero:
        w = np.eye(len(widths))[-1]
    f = fused_features(parts, w, how="concat").astype(np.float64)
    assert f.shape == (n, sum(widths))
    wanted = sum(
        weight * np.square(unit(x)[:, None] - unit(x)).sum(axis=2) for weight, x in zip(w, parts, strict=True)
    )
    assert_allclose(np.square(f[:, None] - f).sum(axis=2), wanted, rtol=0, atol=2e-6)  # float32


def test_weight_of_a_missing_modality_goes_to_those_present():
    draws = rng("missing")
    parts = [draws.normal(size=(4, 3)) for _ in range(3)]
    present = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    for part, there in zip(parts, present.T, strict=True):
        part[~there] = np.nan  # nothing is read there
    w = np.array([0.2, 0.5, 0.3])
    f = fused_features(parts, w, present=present)
    whole = [unit(np.nan_to_num(x)) for x in parts]
    assert_allclose(f[0], sum(w[m] * whole[m][0] for m in range(3)), rtol=0, atol=1e-6)
    assert_allclose(f[1], 0.4 * whole[0][1] + 0.6 * whole[2][1], rtol=0, atol=1e-6)  # 0.2 : 0.3
    assert_allclose(f[2], whole[1][2], rtol=0, atol=1e-6)
    assert_array_equal(f[3], 0)
    c = fused_features(parts, w, present=present, how="concat")
    assert_allclose(
        c[1], np.r_[np.sqrt(0.4) * whole[0][1], 0, 0, 0, np.sqrt(0.6) * whole[2][1]], rtol=0, atol=1e-6
    )
    assert_allclose(np.linalg.norm(c, axis=1), [1, 1, 1, 0], rtol=1e-6)


def test_present_modalities_of_no_weight_share_evenly():
    parts = [np.eye(2)[:1], np.eye(2)[1:], np.ones((1, 2))]
    present = np.array([[True, True, False]])
    assert_allclose(fused_features(parts, [0, 0, 1], present=present), [[0.5, 0.5]])


def test_all_present_is_as_nothing_said():
    draws = rng("all")
    parts = [draws.normal(size=(50, 4)) for _ in range(2)]
    said = fused_features(parts, [0.3, 0.7], present=np.ones((50, 2), bool))
    assert_allclose(said, fused_features(parts, [0.3, 0.7]), rtol=1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-38, 1e-20, 1.0, 1e20, 1e300])
def test_features_of_any_size_have_length_1(size):
    x = rng("size").normal(size=(5, 7))
    assert_allclose(fused_features([x * size], [1]), unit(x), rtol=1e-5)
    assert_allclose(fused_features([np.array([[size, 0.0]])], [1]), [[1, 0]])


def test_blocks_and_array_kinds_change_nothing(monkeypatch):
    parts = [rng("kinds", m).normal(size=(40, 6)).astype(np.float32) for m in range(2)]
    whole = fused_features(parts, [0.3, 0.7])
    assert_array_equal(fused_features([torch.from_numpy(p) for p in parts], [0.3, 0.7]), whole)
    columns = fused_features([np.asfortranarray(p) for p in parts], [0.3, 0.7])
    assert_allclose(columns, whole, rtol=0, atol=1e-6)
    monkeypatch.setattr(backend, "BLOCK_BYTES", 256)
    assert_allclose(fused_features(parts, [0.3, 0.7]), whole, rtol=0, atol=1e-6)


def test_simplex_returns_weights_that_sum_to_1():
    assert simplex([0.3, 0.7000001], 2).sum() == 1  # float32 weights


# -- diversity ----------------------------------------------------------------------------------------------------------


def test_diversity_by_hand():
    x = np.array([[0.0], [2.0], [10.0], [16.0]])
    for seed in range(5):
        found = diversity(x, 2, rng("hand", seed))
        assert_allclose(found, [1, 1, 3, 3])  # centres 1 and 13, whatever the seeds
    assert diversity(x, 4, rng()).tolist() == diversity(x, 9, rng()).tolist() == [0, 0, 0, 0]
    assert_allclose(diversity(x, 1, rng()), [7, 5, 3, 9])  # from the mean
    assert diversity(x[:0], 3, rng()).shape == (0,)


@given(
    seed=st.integers(0, 999),
    n=st.integers(9, 60),
    k=st.integers(1, 8),
    width=st.integers(1, 3),
    iterations=st.integers(0, 8),
    tolerance=st.sampled_from([0, 0.01, 0.1]),
)
def test_distances_are_those_of_plain_iterations_from_the_same_seeds(
    seed, n, k, width, iterations, tolerance
):
    x = generator(seed, "tests", "lloyd").normal(size=(n, width))
    centres = seeds(blocks_of(x, k), k, generator(seed))[0] + x.mean(axis=0)
    sums = []
    for step in range(iterations):
        far = np.linalg.norm(x[:, None] - centres, axis=2)
        sums.append(np.square(far.min(axis=1)).sum())
        if (
            step > 1 and sums[-2] - sums[-1] < tolerance * sums[-2]
        ):  # what the move from the seeds gains is not asked
            break
        members = far.argmin(axis=1)
        for c in np.unique(members):
            centres[c] = x[members == c].mean(axis=0)
    wanted = np.linalg.norm(x[:, None] - centres, axis=2).min(axis=1)
    found = centroid_distances(x, k, generator(seed), iterations=iterations, tolerance=tolerance)
    assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_iterations_only_improve():
    x = rng("improve").normal(size=(2000, 8)).astype(np.float32)
    spread = [
        np.square(centroid_distances(x, 20, rng("same"), iterations=i, tolerance=0)).mean() for i in range(6)
    ]
    assert (np.diff(spread) < 0).all()


@pytest.mark.parametrize("at_once", [1, 256])
def test_seeds_are_as_if_drawn_one_by_one(monkeypatch, at_once):
    """All ordered triples of six points, against k-means++ by its definition; one run in 1,000 would fail."""
    monkeypatch.setattr(centroids, "AT_ONCE", at_once)
    x = np.array([[0.0, 0], [1, 0], [0, 3], [4, 1], [4, 1.5], [-6, 2]])
    square = np.square(x[:, None] - x).sum(axis=2)
    p = {}
    for a, b, c in permutations(range(6), 3):
        near = np.minimum(square[a], square[b])
        p[a, b, c] = 1 / 6 * square[a, b] / square[a].sum() * near[c] / near.sum()
    number = {order: i for i, order in enumerate(p)}
    blocks, draws, n = blocks_of(x, 3), rng("seeds", at_once), 2000
    counts = np.zeros(len(p))
    for _ in range(n):
        found, _ = seeds(blocks, 3, draws)
        rows = np.square(found[:, None] - blocks.held).sum(axis=2).argmin(axis=1)
        counts[number[tuple(rows.tolist())]] += 1
    wanted = n * np.array(list(p.values()))
    assert (np.square(counts - wanted) / wanted).sum() < chi2.ppf(0.999, len(p) - 1)


def test_seeds_know_whose_nearest_they_are():
    x = rng("members").normal(size=(500, 3))
    blocks = blocks_of(x, 40)
    places, members = seeds(blocks, 40, rng("members", 1))
    assert len(places) == 40 and len(np.unique(members)) == 40
    assert_array_equal(members, nearest_centroid(blocks.held, places)[0])


def test_lone_rows_become_centres():
    """Evenly drawn seeds would miss nearly all of 12 lone rows among 3,000."""
    draws = rng("lone")
    x = np.concatenate([draws.normal(size=(3000, 12)), 1000 * np.eye(12)])
    assert diversity(x, 13, rng("lone", 1))[-12:].max() < 1e-3


def test_copies_of_a_few_rows_are_at_no_distance():
    x = np.repeat(rng("copies").normal(size=(3, 5)), 40, axis=0)
    assert diversity(x, 10, rng("copies", 1)).max() < 1e-6
    assert diversity(np.ones((9, 2)), 4, rng()).tolist() == [0] * 9


def test_distances_far_from_the_origin_keep_their_digits():
    x = rng("far").normal(size=(300, 4))
    near, far = diversity(x, 7, rng("far", 1)), diversity(x + 1e6, 7, rng("far", 1))
    assert_allclose(far, near, rtol=0, atol=1e-8)


def test_diversity_depends_on_the_generator_alone(monkeypatch):
    x = rng("alone").normal(size=(400, 6))
    found = diversity(x, 12, rng("alone", 1))
    assert_array_equal(diversity(x, 12, rng("alone", 1)), found)
    assert_allclose(diversity(torch.from_numpy(x), 12, rng("alone", 1)), found, rtol=0, atol=1e-12)
    assert (diversity(x, 12, rng("alone", 2)) != found).any()
    monkeypatch.setattr(backend, "BLOCK_BYTES", 4096)
    assert_allclose(diversity(x, 12, rng("alone", 1)), found, rtol=0, atol=1e-12)


def test_a_pool_that_is_not_held_is_measured_alike(monkeypatch):
    x = rng("held").normal(size=(500, 6))
    found = diversity(x, 12, rng("held", 1))
    monkeypatch.setattr(centroids, "HELD_BYTES", 0)
    assert_array_equal(diversity(x, 12, rng("held", 1)), found)


def test_memory_is_bounded(monkeypatch):
    """All distances to 300 centres would take 36 MB in float32; a block of them takes 16."""
    monkeypatch.setattr(centroids, "HELD_BYTES", 0)
    x = rng("memory").standard_normal((30_000, 4), np.float32)
    tracemalloc.start()
    try:
        diversity(x, 300, rng("memory", 1), iterations=1)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


# -- bad input ----------------------------------------------------------------------------------------------------------

A = np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: min_max(3.0), ShapeError, "x must have shape"),
        (lambda: min_max([1.0, np.nan]), InputError, "it holds nan"),
        (lambda: fused_features([], []), ShapeError, "at least one modality"),
        (lambda: fused_features([A, np.ones((3, 4))], [0.5, 0.5]), ShapeError, r"equally wide .* \[2, 4\]"),
        (lambda: fused_features([A, A[:2]], [0.5, 0.5]), ShapeError, r"parts\[1\] must have shape \(n=3"),
        (lambda: fused_features([A[0]], [1]), ShapeError, r"parts\[0\] must have shape"),
        (lambda: fused_features([3.0], [1]), ShapeError, r"parts\[0\] must have shape"),
        (lambda: fused_features([A, A * np.inf], [0.5, 0.5]), InputError, r"parts\[1\]: row 0 holds inf"),
        (lambda: fused_features([A, A * np.nan], [1, 0]), InputError, r"parts\[1\]: row 0 holds nan"),
        (lambda: fused_features([A], [1], how="sum"), UnknownName, "sum"),
        (lambda: fused_features([A, A], [0.5, 0.6]), InputError, "sum to 1.1"),
        (lambda: fused_features([A, A], [1.5, -0.5]), InputError, "modality 1 has -0.5"),
        (lambda: fused_features([A, A], [0.5, np.nan]), InputError, "modality 1 has nan"),
        (lambda: fused_features([A, A], [1.0]), ShapeError, "weights must have shape"),
        (
            lambda: fused_features([A, A], [0.5, 0.5], present=np.ones((3, 2))),
            ShapeError,
            "present must be bool",
        ),
        (
            lambda: fused_features([A, A], [0.5, 0.5], present=np.ones((2, 2), bool)),
            ShapeError,
            "present must be bool",
        ),
        (lambda: diversity(A * np.nan, 2, rng()), InputError, "row 0 has no finite norm"),
        (lambda: diversity(A[0], 2, rng()), ShapeError, "x must have shape"),
        (lambda: diversity(A, 0, rng()), InputError, "k must be a whole number"),
        (lambda: diversity(A, 2, rng(), iterations=-1), InputError, "iterations must be"),
        (lambda: centroid_distances(A, 2, rng(), tolerance=2), InputError, "tolerance must be"),
        (lambda: unified_score(A, [1.0, 2.0], [0.5, 0.5]), ShapeError, "diversity must have shape"),
        (lambda: unified_score(A[0], [1.0, 2.0], [0.5, 0.5]), ShapeError, "uncertainty must have shape"),
        (lambda: unified_score(A, [1.0, 2.0, np.inf], [0.5, 0.5]), InputError, "finite"),
        (lambda: unified_score(A * np.nan, [1.0, 2.0, 3.0], [0.5, 0.5]), InputError, "finite"),
        (lambda: unified_score(A, [1.0, 2.0, 3.0], [0.5, 0.4]), InputError, "sum to 0.9"),
        (lambda: unified_score(A, [1.0, 2.0, 3.0], [0.5, 0.5], beta=-1), InputError, "beta must be"),
        (lambda: candidate_rows([1.0, np.nan], 1), InputError, "row 1 is NaN"),
        (lambda: candidate_rows([1.0], 0), InputError, "size must be"),
        (lambda: candidate_rows([[1.0]], 1), ShapeError, "scores must have shape"),
    ],
)
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
