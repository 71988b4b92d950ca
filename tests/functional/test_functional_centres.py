"""Farthest-first traversal and k-means++ seeding."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError, UnknownName
from labelwise.functional.batches import k_center, kmeans_pp
from labelwise.functional.batches.nearest import Nearest, race
from labelwise.functional.batches.spaces import Euclidean
from labelwise.seeds import generator

GOLDEN = cases("kcenter")
METRICS = ("euclidean", "cosine", "symmetric_kl")


def distances(x, c, metric="euclidean"):
    """(m, k) distances in float64 as the definitions say, euclidean ones squared, cosine ones doubled."""
    x, c = x.astype(np.float64), c.astype(np.float64)
    if metric == "cosine":
        x, c = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, c))
    if metric == "symmetric_kl":
        x, c = np.maximum(x, 1e-12), np.maximum(c, 1e-12)
        return np.stack([((x - q) * (np.log(x) - np.log(q))).sum(axis=1) / 2 for q in c], axis=1)
    return np.stack([((x - y) ** 2).sum(axis=1) for y in c], axis=1)


def brute_force(x, n, centres=None, metric="euclidean"):
    least = np.full(len(x), np.inf)
    if centres is not None and len(centres):
        least = distances(x, centres, metric).min(axis=1)
    rows = []
    for _ in range(n):
        row = int(np.argmax(least))
        rows.append(row)
        least = np.minimum(least, distances(x, x[[row]], metric)[:, 0])
        least[rows] = -1
    return rows


def clouds(kind, m=400, width=6, seed=0):
    rng = generator(seed, "tests", "clouds", kind)
    normal = rng.normal(size=(m, width))
    middles = rng.normal(size=(10, width))[rng.integers(10, size=m)]
    return {
        "normal": normal,
        "far from 0": normal + 1e5,
        "tight clusters": 100 * middles + 1e-3 * normal,
        "copies": middles,
        "near copies": middles + 1e-9 * normal,
        "grid": rng.integers(0, 3, size=(m, width)),
        "constant": np.ones((m, width)),
        "tiny": 1e-30 * normal,
        "huge": 1e30 * normal,
        "one outlier": np.where(np.arange(m)[:, None] == 7, 1e6, normal),
        "line": np.linspace(0, 1, m)[:, None] * np.ones(width),
    }[kind]


KINDS = ("normal", "far from 0", "tight clusters", "copies", "near copies", "grid", "constant", "tiny", "huge",
         "one outlier", "line")  # fmt: skip


def test_k_center_by_hand():
    # from 0: 10 is farthest; then 4 is 4 from 0, while 7 is 3 from 10; then 7; 2 and its copy are 2 from 0 and from 4
    assert_array_equal(k_center([[0.0], [2], [4], [7], [10], [2]], 6), [0, 4, 2, 3, 1, 5])
    assert_array_equal(k_center([[0.0], [2], [4], [7], [10]], 2, centres=[[10.0], [9]]), [0, 2])


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_k_center_equals_the_golden_picks(case):
    data, out = GOLDEN[case]["in"], GOLDEN[case]["out"]
    x, centres = data["embeddings"], data["embeddings"][data["labelled"]]
    metric = "cosine" if case == "cosine" else "euclidean"
    rows = k_center(x, int(data["budget"]), centres=centres, metric=metric)
    assert_array_equal(rows, out["selected"])
    if "radius_before_pick" in out and len(centres):
        for step, radius in enumerate(out["radius_before_pick"]):
            known = np.concatenate([centres, x[rows[:step]]])
            squared = distances(x[rows[[step]]], known, metric).min()
            assert_allclose(squared / 2 if metric == "cosine" else np.sqrt(squared), radius, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("known", [0, 1, 60])
def test_k_center_equals_brute_force(kind, dtype, known):
    with np.errstate(over="ignore"):
        x = clouds(kind).astype(dtype)
    if not np.isfinite(x).all():
        pytest.skip("float16 does not reach so far")
    rows = k_center(x[known:], 150, centres=x[:known])
    distinct = len(np.unique(x[known:], axis=0))
    wanted = brute_force(x[known:], 150, x[:known])
    assert_array_equal(rows[:distinct], wanted[:distinct])
    assert len(set(rows.tolist())) == 150


@pytest.mark.parametrize("metric", ["cosine", "symmetric_kl"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("known", [0, 60])
def test_other_metrics_equal_brute_force(metric, dtype, known):
    rng = generator(0, "tests", "metrics")
    x = rng.dirichlet(np.full(5, 0.3), size=400) if metric == "symmetric_kl" else rng.normal(size=(400, 5))
    x = x.astype(dtype)
    rows = k_center(x[known:], 150, centres=x[:known], metric=metric)
    assert_array_equal(rows, brute_force(x[known:], 150, x[:known], metric))


def test_symmetric_kl_of_sure_probabilities():
    """Zeros count as 1e-12: one-hot rows are copies or all equally far, farther than anything else."""
    p = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    # between two one-hot rows ½ · 2 · (1 - 1e-12) ln 1e12 = 27.6; row 1 to row 4: more than from one-hot row 0 or 2
    assert_array_equal(k_center(p, 5, metric="symmetric_kl"), [0, 2, 4, 1, 3])


def test_cosine_knows_directions_alone():
    x = generator(0, "tests", "cosine").normal(size=(30, 4))
    longer = np.concatenate([x, 3 * x, 1e-200 * x, 1e140 * x])
    rows = k_center(longer, 60, metric="cosine")
    # which of four parallel rows is a matter of their last digits
    assert_array_equal(rows[:30] % 30, k_center(x, 30, metric="cosine"))
    assert_array_equal(rows[30:], np.setdiff1d(np.arange(120), rows[:30])[:30])  # all 0: the lowest


def test_a_row_of_zeros_has_a_direction_of_its_own():
    x = np.array([[1.0, 0], [0, 0], [1, 1], [0, 0], [-1, 0]])
    # from (1, 0): opposite 2, zeros 1, (1, 1) 0.29; then zeros are at 1 from both, (1, 1) at 0.29 from the first
    assert_array_equal(k_center(x, 5, metric="cosine"), [0, 4, 1, 2, 3])


@settings(max_examples=150, deadline=None)
@given(
    x=hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(-3, 3)),
    n=st.integers(0, 35),
    known=st.integers(0, 4),
    block=st.sampled_from([None, 1, 7]),
)
def test_k_center_on_grids_equals_brute_force_ties_and_all(x, n, known, block):
    centres = x[:known] + 1
    rows = k_center(x, n, centres=centres, block=block)
    n = min(n, len(x))
    assert len(set(rows.tolist())) == rows.size == n
    wanted = brute_force(x, n, centres)
    left = [distances(x[[r]], np.concatenate([centres, x[wanted[:i]]])).min() if i + len(centres) else 1
            for i, r in enumerate(wanted)]  # fmt: skip
    alive = next((i for i, d in enumerate(left) if d == 0), n)
    assert_array_equal(rows[:alive], wanted[:alive])
    rest = np.setdiff1d(np.arange(len(x)), rows[:alive])
    assert_array_equal(rows[alive:], rest[: n - alive])


@pytest.mark.parametrize("kind", ["normal", "tight clusters", "near copies", "grid"])
@pytest.mark.parametrize("metric", METRICS)
def test_blocks_layouts_and_libraries_change_nothing(kind, metric, tmp_path):
    torch = pytest.importorskip("torch")
    x = clouds(kind, m=200, width=5).astype(np.float32)
    if metric == "symmetric_kl":
        x = np.exp(x - x.max(axis=1, keepdims=True))
        x /= x.sum(axis=1, keepdims=True)
    pool, centres = x[50:], x[:50]
    rows = k_center(pool, 60, centres=centres, metric=metric)
    for block in (11, 64):
        assert_array_equal(k_center(pool, 60, centres=centres, metric=metric, block=block), rows)
    tensors = torch.from_numpy(pool), torch.from_numpy(centres)
    assert_array_equal(k_center(tensors[0], 60, centres=tensors[1], metric=metric), rows)
    assert_array_equal(k_center(np.asfortranarray(pool), 60, centres=centres, metric=metric), rows)
    np.save(tmp_path / "pool.npy", pool)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    assert_array_equal(k_center(mapped, 60, centres=centres, metric=metric), rows)


def test_torch_told_to_multiply_roughly_changes_nothing():
    torch = pytest.importorskip("torch")
    x = clouds("tight clusters").astype(np.float32)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        rows = k_center(torch.from_numpy(x[50:]), 60, centres=torch.from_numpy(x[:50]))
    finally:
        torch.set_float32_matmul_precision(before)
    assert_array_equal(rows, k_center(x[50:], 60, centres=x[:50]))


def test_more_centres_than_are_kept_ready_change_nothing(monkeypatch):
    x = clouds("normal").astype(np.float32)
    rows = k_center(x[200:], 80, centres=x[:200])
    monkeypatch.setattr("labelwise.functional.batches.nearest.KEPT_BYTES", 0)
    assert_array_equal(k_center(x[200:], 80, centres=x[:200]), rows)


def test_few_samples_are_measured_again():
    """The point of the bounds: of 20,000 samples in 50 picks, not a million."""
    x = generator(0, "tests", "lazy").normal(size=(20_000, 16)).astype(np.float32)
    nearest = Nearest(Euclidean(x, "points"), 50)
    nearest.add(0)
    for _ in range(49):
        nearest.add(nearest.highest())
    assert nearest.measured < 50 * 2_000
    assert_array_equal(nearest.chosen, brute_force(x, 50))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("known", [0, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_pp_is_won_by_the_race_over_exact_distances(kind, known, weighted):
    """Each row is argmax w D² / E with exponential E, which `test_a_race_is_a_draw` shows to be the right draw."""
    x = clouds(kind).astype(np.float32)
    pool, centres = x[known:], x[:known]
    w = (
        generator(0, "tests", "weights").integers(0, 3, size=len(pool)) * 1.0
        if weighted
        else np.ones(len(pool))
    )
    rows = kmeans_pp(pool, 60, generator(5), centres=centres, weights=w if weighted else None)
    rng, chosen = generator(5), []
    if not known:
        chosen.append(int(np.argmax(race(rng, w))))
    while len(chosen) < 60:
        least = distances(pool, np.concatenate([centres, pool[chosen]])).min(axis=1)
        key = least * race(rng, w)
        if key.max() <= 0:
            rest = np.setdiff1d(np.arange(len(pool)), chosen)
            chosen += rest[: 60 - len(chosen)].tolist()
            break
        chosen.append(int(np.argmax(key)))
    assert_array_equal(rows, chosen)


def test_a_race_is_a_draw():
    rng, w = generator(0, "tests", "race"), np.array([0.0, 1, 2, 5])
    counts = np.bincount([np.argmax(race(rng, w)) for _ in range(8000)], minlength=4)
    # shares 0, 1/8, 2/8, 5/8 of 8,000; standard deviations 30, 39, 43; five of them
    assert counts[0] == 0
    assert (np.abs(counts[1:] - [1000, 2000, 5000]) < 5 * np.array([30, 39, 43])).all()


def test_the_first_of_kmeans_pp():
    x = np.array([[1.0, 1], [2, 1], [1, 2], [9, 9], [-9, -9.5]])
    assert kmeans_pp(x, 1, generator(0), first="norm")[0] == 4  # 81 + 90.25 against 162
    assert kmeans_pp(x, 1, generator(0), first="farthest")[0] == 4  # from the mean (0.8, 0.7)
    shifted = x + 100
    assert kmeans_pp(shifted, 1, generator(0), first="norm")[0] == 3
    assert kmeans_pp(shifted, 1, generator(0), first="farthest")[0] == 4
    firsts = [kmeans_pp(x, 1, generator(s), weights=[0, 1, 0, 1, 0])[0] for s in range(40)]
    assert set(firsts) == {1, 3}


def test_kmeans_pp_is_the_same_on_tensors_and_in_any_block():
    torch = pytest.importorskip("torch")
    x = clouds("tight clusters").astype(np.float32)
    for first in ("random", "farthest", "norm"):
        rows = kmeans_pp(x, 40, generator(1), first=first)
        assert_array_equal(kmeans_pp(torch.from_numpy(x), 40, generator(1), first=first), rows)
        assert_array_equal(kmeans_pp(x, 40, generator(1), first=first, block=9), rows)
    assert (kmeans_pp(x, 40, generator(1)) != kmeans_pp(x, 40, generator(2))).any()


def test_wrong_arguments_are_refused():
    x = np.ones((3, 2))
    with pytest.raises(ShapeError, match="points must have shape"):
        k_center(np.ones(3), 1)
    with pytest.raises(ShapeError, match="centres must have shape"):
        k_center(x, 1, centres=np.ones((2, 5)))
    with pytest.raises(ShapeError, match="centres must have shape"):
        k_center(x / 2, 1, centres=np.ones((2, 5)), metric="symmetric_kl")
    with pytest.raises(UnknownName, match="Did you mean 'cosine'"):
        k_center(x, 1, metric="cosin")
    with pytest.raises(UnknownName, match="first"):
        kmeans_pp(x, 1, generator(0), first="last")
    with pytest.raises(InputError, match="n must be a whole number"):
        k_center(x, -1)
    with pytest.raises(InputError, match="block must be"):
        k_center(x, 1, block=0)
    with pytest.raises(DistributionError, match="points: row 0"):
        k_center(x, 1, metric="symmetric_kl")
    with pytest.raises(InputError, match="weights: row 1 is -1"):
        kmeans_pp(x, 1, generator(0), weights=[1, -1, 1])
    with pytest.raises(ShapeError, match="weights"):
        kmeans_pp(x, 1, generator(0), weights=[1, 1])
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match="all as torch tensors"):
        k_center(torch.ones(3, 2), 1, centres=x)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "holds nan"), (np.inf, "holds inf"), (1e200, "is longer than")]
)
def test_a_bad_row_is_named(metric, value, what):
    x = np.ones((5, 2))
    x[3, 1] = value
    with pytest.raises(InputError, match=f"points: row 3 {what}"):
        k_center(x, 1, metric=metric)
    with pytest.raises(InputError, match=f"centres: row 3 {what}"):
        k_center(np.ones((5, 2)), 1, centres=x, metric=metric)


@pytest.mark.parametrize("scale", [1e80, 1e120, 1e149])
def test_lengths_up_to_1e150_serve(scale):
    x = generator(0, "tests", "centres", "long").uniform(-0.5, 0.5, (40, 3))
    assert_array_equal(k_center(x * scale, 9), brute_force(x * scale, 9))
    rows = kmeans_pp(x, 9, generator(1))
    # as draws of the unscaled, whatever the weights are measured in
    assert_array_equal(kmeans_pp(x * scale, 9, generator(1), weights=np.full(40, 1e300)), rows)
