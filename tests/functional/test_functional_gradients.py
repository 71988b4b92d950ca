"""k-means++ over gradient embeddings that are never formed."""

import tracemalloc

import numpy as np
import pytest
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.batches import gradient_distances, gradient_kmeans_pp, joint_gradient_kmeans_pp
from labelwise.functional.batches.nearest import race
from labelwise.seeds import generator

GOLDEN = {name: case for name, case in cases("badge").items() if name != "bmmal"}


def formed(p, z):
    """(m, C * D) in float64, as BADGE has it."""
    p = p.astype(np.float64)
    r = np.eye(p.shape[1])[p.argmax(axis=1)] - p
    return (r[:, :, None] * z.astype(np.float64)[:, None, :]).reshape(len(p), -1)


def sharp(m=300, classes=4, width=5, kind="normal", seed=0):
    rng = generator(seed, "tests", "sharp", kind)
    p, z = rng.dirichlet(np.full(classes, 0.3), size=m), rng.normal(size=(m, width))
    if kind == "sure":  # most gradients are exactly 0
        p[::2] = np.eye(classes)[rng.integers(classes, size=len(p[::2]))]
    if kind == "nearly sure":
        p = np.full((m, classes), 1e-7)
        p[np.arange(m), rng.integers(classes, size=m)] = 1 - 1e-7 * (classes - 1)
    if kind == "copies":
        rows = rng.integers(7, size=m)
        p, z = p[rows], z[rows]
    if kind == "far from 0":
        z += 1e4
    return p, z


KINDS = ("normal", "sure", "nearly sure", "copies", "far from 0")


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_the_formed_embeddings_of_these_tests_are_the_golden_ones(case):
    data, out = GOLDEN[case]["in"], GOLDEN[case]["out"]
    g = formed(data["probs"], data["features"])
    assert_allclose(g, out["embedding"], atol=1e-10)
    assert_allclose(np.linalg.norm(g, axis=1), out["norms"], atol=1e-10)


@pytest.mark.parametrize("case", sorted(GOLDEN))
@pytest.mark.parametrize("prefix", ["greedy_list", "random_list"])
def test_the_distribution_after_a_prefix_is_the_golden_one(case, prefix):
    data, out = GOLDEN[case]["in"], GOLDEN[case]["out"]
    rows = data[prefix]
    for t in range(1, len(rows)):
        found = gradient_distances(data["probs"], data["features"], rows[:t])
        assert_allclose(found, out[f"{prefix}_D2"][t - 1], atol=1e-10)
        assert (found[rows[:t]] == 0).all()
        if found.sum() > 0:
            assert_allclose(found / found.sum(), out[f"{prefix}_probs"][t - 1], atol=1e-6)


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_the_first_is_the_golden_longest(case):
    data, out = GOLDEN[case]["in"], GOLDEN[case]["out"]
    assert gradient_kmeans_pp(data["probs"], data["features"], 1, generator(0))[0] == out["first"]


def test_the_next_row_is_drawn_from_the_golden_distribution():
    data, out = GOLDEN["main"]["in"], GOLDEN["main"]["out"]
    draws = 600
    found = [
        gradient_kmeans_pp(data["probs"], data["features"], 1, generator(s), chosen=data["random_list"][:3])[
            0
        ]
        for s in range(draws)
    ]
    p = out["random_list_probs"][2]
    counts, some = np.bincount(found, minlength=len(p)), p > 0
    assert (counts[~some] == 0).all()
    chi = ((counts[some] - draws * p[some]) ** 2 / (draws * p[some])).sum()
    assert chi < 2 * some.sum()  # 26 degrees of freedom: 54 is their 99.9 % quantile


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_won_by_the_race_over_exact_distances(kind, dtype):
    """argmax D² / E with exponential E is a draw by D²: see `test_a_race_is_a_draw`."""
    p, z = sharp(kind=kind)
    if kind == "nearly sure" and dtype == np.float32:
        pytest.skip("float32 rounds these to one-hot rows; formed and factored differ in the last digit then")
    p, z = p.astype(dtype), z.astype(dtype)
    rows = gradient_kmeans_pp(p, z, 60, generator(5))
    g, rng = formed(p, z), generator(5)
    chosen = [int(np.argmax((g * g).sum(axis=1)))]
    ones = np.ones(len(p))
    while len(chosen) < 60:
        least = gradient_distances(p, z, chosen)
        direct = ((g[:, None] - g[None, chosen]) ** 2).sum(axis=2).min(axis=1)
        assert_allclose(least, direct, rtol=1e-9, atol=1e-12 * (g * g).sum(axis=1).max())
        key = least * race(rng, ones)
        if key.max() == 0:
            chosen += np.setdiff1d(np.arange(len(p)), chosen)[: 60 - len(chosen)].tolist()
            break
        chosen.append(int(np.argmax(key)))
    assert_array_equal(rows, chosen)


def test_gradients_that_are_all_zero_give_the_lowest_rows():
    p = np.eye(3)[[0, 1, 2, 0, 1]]
    assert_array_equal(gradient_kmeans_pp(p, np.ones((5, 2)), 4, generator(0)), [0, 1, 2, 3])


def test_one_class_is_no_obstacle():
    rows = gradient_kmeans_pp(np.ones((6, 1)), np.ones((6, 2)), 9, generator(0))
    assert_array_equal(rows, range(6))


def test_copies_are_drawn_only_when_nothing_else_is_left():
    p, z = sharp(kind="copies")
    rows = gradient_kmeans_pp(p, z, 12, generator(3))
    assert len(np.unique(formed(p, z)[rows[:7]], axis=0)) == 7
    assert_array_equal(rows[7:], np.setdiff1d(np.arange(300), rows[:7])[:5])


def test_chosen_rows_are_centres_and_not_returned():
    p, z = sharp()
    before = [4, 17, 250]
    rows = gradient_kmeans_pp(p, z, 400, generator(0), chosen=before)
    assert_array_equal(np.sort(rows), np.setdiff1d(np.arange(300), before))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_layouts_and_libraries_change_nothing(kind):
    torch = pytest.importorskip("torch")
    p, z = (a.astype(np.float32) for a in sharp(kind=kind))
    rows = gradient_kmeans_pp(p, z, 50, generator(1))
    assert_array_equal(gradient_kmeans_pp(p, z, 50, generator(1), block=17), rows)
    assert_array_equal(gradient_kmeans_pp(torch.from_numpy(p), torch.from_numpy(z), 50, generator(1)), rows)
    assert_array_equal(gradient_kmeans_pp(np.asfortranarray(p), np.asfortranarray(z), 50, generator(1)), rows)


@pytest.mark.slow
def test_memory_does_not_grow_with_classes_times_width():
    rng = generator(0, "tests", "memory")
    p, z = rng.dirichlet(np.ones(100), size=20_000), rng.normal(size=(20_000, 256))
    tracemalloc.start()
    try:
        gradient_kmeans_pp(p, z, 30, rng)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # formed, they are 4 GB


def test_wrong_arguments_are_refused():
    p, z = sharp(m=5)
    with pytest.raises(InputError, match="as many rows; they have 5 and 4"):
        gradient_kmeans_pp(p, z[:4], 1, generator(0))
    with pytest.raises(DistributionError, match="probs: row 0"):
        gradient_kmeans_pp(p * 2, z, 1, generator(0))
    with pytest.raises(ShapeError, match="embeddings must have shape"):
        gradient_kmeans_pp(p, z[:, 0], 1, generator(0))
    with pytest.raises(InputError, match="chosen must be rows from 0 to 4; 5 is none"):
        gradient_distances(p, z, [0, 5])
    with pytest.raises(InputError, match="chosen must hold at least one row"):
        gradient_distances(p, z, [])
    z[2, 0] = np.nan
    with pytest.raises(InputError, match="embeddings: row 2 holds nan"):
        gradient_kmeans_pp(p, z, 1, generator(0))
    with pytest.raises(InputError, match="embeddings: row 2 holds nan"):
        gradient_distances(p, z, [0])


# -- several heads side by side ----------------------------------------------------------------------------------------


def heads_of(m=200, kind="normal"):
    """Three heads of unequal widths; the first two sharp, the third far from sure."""
    p, z = sharp(m, kind=kind)
    q, w = sharp(m, width=3, kind=kind, seed=1)
    third = generator(2, "tests", "heads").dirichlet(np.ones(4), size=m)
    return [(p, z), (q, w), (third, z[:, :2].copy())]


def formed_heads(heads):
    guess = np.eye(4)[heads[0][0].argmax(axis=1)]
    parts = [((p - guess)[:, :, None] * z[:, None, :]).reshape(len(p), -1) for p, z in heads]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_several_heads_are_drawn_as_their_gradients_side_by_side(kind):
    heads = heads_of(kind=kind)
    g = formed_heads(heads)
    found = joint_gradient_kmeans_pp(heads, 9, generator(3, "tests"))
    again = joint_gradient_kmeans_pp(heads, 9, generator(3, "tests"), block=7)
    assert_array_equal(found, again)
    draws = generator(3, "tests")  # the race, in float64 over gradients that are formed
    rows = [int((g * g).sum(axis=1).argmax())]
    while len(rows) < 9:
        nearest = np.square(g[:, None] - g[rows]).sum(axis=2).min(axis=1) * race(draws, np.ones(len(g)))
        nearest[rows] = -1
        rows.append(int(nearest.argmax()))
    if kind in ("normal", "copies"):  # elsewhere the formed gradients lose the digits that decide
        assert_array_equal(found, rows)
    assert np.unique(found).size == 9


def test_one_head_is_badge_and_a_head_of_zeros_is_none():
    (p, z), (q, w), _ = heads_of()
    alone = gradient_kmeans_pp(p, z, 20, generator(0, "tests"))
    assert_array_equal(joint_gradient_kmeans_pp([(p, z)], 20, generator(0, "tests")), alone)
    silent = [(p, z), (q, np.zeros_like(w))]
    assert_array_equal(joint_gradient_kmeans_pp(silent, 20, generator(0, "tests")), alone)
    first = joint_gradient_kmeans_pp(silent, 12, generator(1, "tests"))
    rest = joint_gradient_kmeans_pp(silent, 300, generator(1, "tests"), chosen=first)
    assert np.array_equal(np.sort(np.append(first, rest)), np.arange(200))


def test_a_head_that_disagrees_is_longer_than_one_that_agrees():
    sure, other = np.tile([0.9, 0.1], (10, 1)), np.tile([0.9, 0.1], (10, 1))
    other[7] = [0.1, 0.9]  # ‖p - onehot(ŷ)‖² = 2 · 0.9² in place of 2 · 0.1²
    z = np.ones((10, 1))
    assert joint_gradient_kmeans_pp([(sure, z), (other, z)], 1, generator(0))[0] == 7


def test_heads_that_do_not_fit_are_named():
    (p, z), (q, w), _ = heads_of()
    with pytest.raises(InputError, match="heads must hold at least one pair"):
        joint_gradient_kmeans_pp([], 3, generator(0))
    with pytest.raises(InputError, match="head 1 has"):
        joint_gradient_kmeans_pp([(p, z), (q[:-1], w[:-1])], 3, generator(0))
    w[5, 0] = np.nan
    with pytest.raises(InputError, match=r"heads\[1\] embeddings: row 5"):
        joint_gradient_kmeans_pp([(p, z), (q, w)], 3, generator(0))
