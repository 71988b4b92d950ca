"""Quick k-means: a fixed point of Lloyd's, every number in use, and laws of scale, place, type and memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import backend
from labelwise.functional.clusters import quick
from labelwise.functional.clusters.quick import quick_kmeans
from labelwise.seeds import generator


def rng(*path):
    return generator(0, "tests", "quick", *path)


def islands(sizes, apart=50.0, width=3):
    """Return rows around places that are far apart, shuffled, and the place of each."""
    draws = rng("islands", *sizes)
    home = draws.permutation(np.repeat(np.arange(len(sizes)), sizes))
    places = apart * np.eye(len(sizes), width)
    return places[home] + draws.normal(size=(home.size, width)), home


def same_groups(a, b):
    """Tell whether two numberings group alike."""
    pairs = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    return pairs == len(set(a.tolist())) == len(set(b.tolist()))


def spread_within(x, members):
    return sum(np.square(x[members == c] - x[members == c].mean(axis=0)).sum() for c in np.unique(members))


def test_islands_are_found_by_hand():
    found = quick_kmeans(np.array([[0.0], [0.1], [9.0], [9.1], [9.2]]), 2, rng())
    assert same_groups(found, np.array([0, 0, 1, 1, 1]))


@pytest.mark.parametrize("seed", range(10))
def test_seeds_are_drawn_by_squared_distance(seed):
    """Evenly drawn seeds would nearly always miss the two lone rows."""
    x, home = islands((300, 1, 1), apart=5000)
    assert same_groups(quick_kmeans(x, 3, rng(seed)), home)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 40),
    k=st.integers(1, 12),
    width=st.integers(1, 4),
    whole=st.booleans(),
)
def test_it_ends_at_a_fixed_point_of_lloyds(seed, n, k, width, whole):
    draws = generator(seed, "tests", "fixed")
    x = draws.integers(0, 3, (n, width)).astype(float) if whole else draws.normal(size=(n, width))
    members = quick_kmeans(x, k, draws, iterations=200)
    assert members.dtype == np.int64
    assert_array_equal(np.unique(members), np.arange(members.max() + 1))  # every number is in use
    assert members.max() < min(k, n)
    centres = np.stack([x[members == c].mean(axis=0) for c in range(members.max() + 1)])
    apart = np.linalg.norm(x[:, None] - centres, axis=2)
    assert (apart[np.arange(n), members] <= apart.min(axis=1) + 1e-7).all()
    for place in np.unique(x, axis=0):  # rows in one place are in one cluster
        assert len(set(members[(x == place).all(axis=1)].tolist())) == 1
    if not whole and k >= n:
        assert members.max() == n - 1  # as many clusters as rows


def test_it_is_about_as_good_as_a_thorough_one():
    from sklearn.cluster import KMeans

    x = rng("good").normal(size=(400, 4))
    best = KMeans(8, n_init=5, random_state=0).fit(x).inertia_
    for seed in range(5):
        members = quick_kmeans(x, 8, rng(seed))
        assert members.max() == 7
        assert spread_within(x, members) < 1.15 * best
        assert spread_within(x, quick_kmeans(x, 8, rng(seed), iterations=1)) > spread_within(x, members)


def test_an_iteration_moves_centres_to_means():
    # seeds 0 and 3 give {0}, {3, 10} with means 0 and 6.5, to which 3 is not nearest: all seeds end at {0, 3}, {10}
    x = np.array([[0.0], [3.0], [10.0]])
    ended = {tuple(quick_kmeans(x, 2, rng(seed))) for seed in range(40)}
    started = {tuple(quick_kmeans(x, 2, rng(seed), iterations=0)) for seed in range(40)}
    assert all(a == b != c for a, b, c in ended)
    assert any(b == c != a for a, b, c in started)


def test_rows_in_one_place_are_one_cluster():
    for offset in (0.0, 0.1, 1e6):
        assert_array_equal(quick_kmeans(np.full((30, 4), offset, np.float32), 5, rng()), 0)
    twice = np.repeat(np.array([[0.0, 0.0], [1.0, 1.0]], np.float32) + 7, 20, axis=0)
    for seed in range(5):
        assert same_groups(quick_kmeans(twice, 9, rng(seed)), np.repeat([0, 1], 20))


def test_every_number_is_in_use_though_distances_of_duplicates_round():
    """Rows far out in three places seem apart from one another, beside a crowd a millionth as wide."""
    for seed in range(20):
        draws = rng("duplicates", seed)
        far, crowd = 1000 * draws.normal(size=(3, 7)), 1e-3 * draws.normal(size=(6, 7))
        x = np.concatenate([np.repeat(far, 10, axis=0), crowd]).astype(np.float32)
        members = quick_kmeans(x, 8, draws)
        assert_array_equal(np.unique(members), np.arange(members.max() + 1))


def test_more_clusters_than_rows():
    x = rng("few").normal(size=(4, 2))
    assert sorted(quick_kmeans(x, 9, rng())) == [0, 1, 2, 3]
    assert_array_equal(quick_kmeans(x[:1], 9, rng()), [0])
    assert_array_equal(quick_kmeans(x, 1, rng()), 0)


def test_rows_beyond_those_it_learns_from_find_their_cluster():
    x, home = islands((200, 300, 250))
    for most in (20, 100, 749):
        assert same_groups(quick_kmeans(x, 3, rng(most), most=most), home)
    assert quick_kmeans(x, 30, rng(), most=5).max() > 5  # at least as many as there are centres
    # with everybody or with all but one to learn from the clusters are about as good
    whole, part = (spread_within(x, quick_kmeans(x, 12, rng("part"), most=m)) for m in (750, 400))
    assert part < 1.3 * whole


def test_a_sample_is_drawn_evenly():
    """The rows are in order: learning from the first ones would miss all later islands."""
    x = np.repeat(50.0 * np.arange(5)[:, None], 200, axis=0) + rng("order").normal(size=(1000, 1))
    assert same_groups(quick_kmeans(x, 5, rng(), most=100), np.repeat(np.arange(5), 200))


def test_blocks_change_nothing(monkeypatch):
    x = rng("blocks").normal(size=(500, 3)).astype(np.float32)
    whole = quick_kmeans(x, 7, rng(), most=300)
    monkeypatch.setattr(backend, "BLOCK_BYTES", 600)
    assert same_groups(quick_kmeans(x, 7, rng(), most=300), whole)


@pytest.mark.parametrize("layout", ["torch", "fortran", "memory map", "list", "read-only"])
@pytest.mark.parametrize("most", [1000, 40])
def test_the_kind_of_array_does_not_matter(layout, most, tmp_path):
    x = rng("kind").normal(size=(90, 3)).astype(np.float16).astype(np.float32)
    before = x.copy()
    given_ = x
    if layout == "torch":
        given_ = pytest.importorskip("torch").from_numpy(x)
    elif layout == "fortran":
        given_ = np.asfortranarray(x)
    elif layout == "memory map":
        np.save(tmp_path / "x.npy", x)
        given_ = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif layout == "list":
        given_ = x.astype(float).tolist()
    else:
        given_.flags.writeable = False
    assert same_groups(quick_kmeans(given_, 6, rng(), most=most), quick_kmeans(before, 6, rng(), most=most))
    assert_array_equal(x, before)
    assert_array_equal(
        quick_kmeans(x.astype(np.float16), 6, rng(), most=most), quick_kmeans(x, 6, rng(), most=most)
    )


def test_the_same_draws_give_the_same_clusters():
    x = rng("same").normal(size=(200, 3))
    assert_array_equal(quick_kmeans(x, 9, rng(1), most=150), quick_kmeans(x, 9, rng(1), most=150))
    assert not same_groups(quick_kmeans(x, 9, rng(1)), quick_kmeans(x, 9, rng(2)))


@pytest.mark.parametrize("kind, offset", [("float64", 1e6), ("float32", 8192)])
def test_a_far_origin_changes_nothing(kind, offset):
    x = np.round(rng("far").normal(size=(200, 3)) * 64) / 64  # so that the sum is exact
    near, far = (quick_kmeans((x + o).astype(kind), 9, rng(3)) for o in (0, offset))
    assert spread_within(x, far) < 1.1 * spread_within(x, near)
    rows, home = islands((30, 40, 50))
    assert same_groups(quick_kmeans((rows + offset).astype(kind), 3, rng()), home)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_scale_changes_nothing(scale):
    x = rng("scale").normal(size=(200, 3)).astype(np.float32)
    power = np.float32(2.0 ** round(np.log2(scale)))  # rounds nothing
    assert_array_equal(quick_kmeans(x * power, 9, rng()), quick_kmeans(x, 9, rng()))


def test_memory_is_bounded():
    x = rng("memory").normal(size=(50_000, 64)).astype(np.float32)  # 13 MB
    quick_kmeans(x[:100], 10, rng())  # imports
    tracemalloc.start()
    try:
        quick_kmeans(x, 10, rng())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6


def test_memory_is_bounded_with_thousands_of_clusters():
    x = rng("many").normal(size=(20_000, 4)).astype(np.float32)
    tracemalloc.start()
    try:
        members = quick_kmeans(x, 2000, rng(), iterations=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert members.max() == 1999
    assert peak < 60e6  # (n, k) in float32 would be 160 MB


def test_what_is_wrong_is_said():
    x = np.ones((4, 2))
    with pytest.raises(ShapeError, match="x must have at least one row"):
        quick_kmeans(x[:0], 2, rng())
    with pytest.raises(ShapeError, match=r"x must have shape \(n, D\)"):
        quick_kmeans(np.ones(4), 2, rng())
    with pytest.raises(ShapeError, match="at least one column"):
        quick_kmeans(x[:, :0], 2, rng())
    for bad in (np.nan, np.inf, 1e200):
        x[2, 1] = bad
        with pytest.raises(InputError, match="x: row 2 has no finite norm"):
            quick_kmeans(x, 2, rng())
    x[2, 1] = 0
    for k in (0, -1, 2.0, True, None):
        with pytest.raises(InputError, match="k must be a whole number of at least 1"):
            quick_kmeans(x, k, rng())
    with pytest.raises(InputError, match="iterations must be a whole number"):
        quick_kmeans(x, 2, rng(), iterations=-1)


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("apart", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("k", [2, 7, 60])
def test_rows_that_need_not_be_asked_again_would_have_stayed(offset, apart, kind, k, monkeypatch):
    """Bounds change no cluster; of rows that lie apart few are looked at again."""
    draws = rng("bounds")
    x = (apart * draws.normal(size=(7, 4))[np.arange(600) % 7] + draws.normal(size=(600, 4)) + offset).astype(
        kind
    )
    x[-20:] = x[0]
    plain = [quick_kmeans(x, k, rng(seed)) for seed in range(4)]
    asked = []
    two = quick._nearest_two
    monkeypatch.setattr(quick, "WORTH", 0)
    monkeypatch.setattr(quick, "_nearest_two", lambda *a: asked.append(two(*a)) or asked[-1])
    for seed in range(4):
        assert_array_equal(quick_kmeans(x, k, rng(seed)), plain[seed])
    assert len(asked[0][0]) == 600  # at first all
    if apart == 6 and k == 7 and not offset:
        assert min(len(found) for found, *_ in asked) < 200
