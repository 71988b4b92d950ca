"""k-means, nearest centres and nearest rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.clusters import hierarchy
from labelwise.functional.clusters import partition as clusters
from labelwise.seeds import generator

torch = pytest.importorskip("torch")


def islands(n=60, k=3, width=4, seed=0):
    """Return rows around k far places and the place of each."""
    rng = generator(seed, "tests", "islands")
    home = np.arange(n) % k
    return 10 * rng.normal(size=(k, width))[home] + 0.1 * rng.normal(size=(n, width)), home


def partition(groups):
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


def brute_nearest_rows(x, places):
    free, found = list(range(len(x))), []
    for place in places[: len(x)]:
        best = min(free, key=lambda r: (((x[r] - place) ** 2).sum(), r))
        free.remove(best)
        found.append(best)
    return found


@pytest.mark.parametrize("method", ["auto", "lloyd", "mini-batch"])
def test_kmeans_finds_far_islands(method):
    x, home = islands()
    found = clusters.kmeans(x, 3, generator(0), method=method)
    assert partition(found.members) == partition(home)
    if method != "mini-batch":  # whose centres are running means
        means = np.array([x[found.members == g].mean(axis=0) for g in range(3)])
        assert_allclose(found.centres, means, atol=1e-12)


def test_kmeans_is_settled_by_its_generator():
    x = generator(1).normal(size=(500, 3))
    first, again, other = (clusters.kmeans(x, 20, generator(seed)) for seed in (0, 0, 1))
    assert_array_equal(first.centres, again.centres)
    assert not np.array_equal(first.centres, other.centres)


def test_kmeans_learns_from_a_drawn_share(monkeypatch):
    x, home = islands(6000)
    monkeypatch.setattr(clusters, "TRAINING_ROWS", 300)
    found = clusters.kmeans(x, 3, generator(0))
    assert partition(found.members) == partition(home)  # all rows have a cluster, the 300 or not


def test_weights_move_a_centre():
    x = np.array([[0.0], [1.0], [10.0], [11.0]])
    found = clusters.kmeans(x, 2, generator(0), weights=[3, 1, 1, 1])
    # means: (3·0 + 1·1) / 4 and (10 + 11) / 2
    assert_allclose(np.sort(found.centres[:, 0]), [0.25, 10.5])


def test_weights_of_nothing_count_alike():
    x, home = islands()
    assert partition(clusters.kmeans(x, 3, generator(0), weights=np.zeros(60)).members) == partition(home)


def test_other_rows_shape_the_centres_and_get_no_cluster():
    found = clusters.kmeans([[0.0], [1.0], [9.0]], 2, generator(0), also=[[12.0]])
    assert found.members.shape == (3,)
    assert_allclose(np.sort(found.centres[:, 0]), [0.5, 10.5])  # (9 + 12) / 2


def test_unit_length_sees_directions_only():
    x = np.array([[1.0, 0], [100, 0], [0, 1], [0, 100], [0, 1e-3]])
    found = clusters.kmeans(x, 2, generator(0), unit=True)
    assert partition(found.members) == {frozenset({0, 1}), frozenset({2, 3, 4})}


@pytest.mark.parametrize("n", [1, 3, 40])
def test_kmeans_of_duplicates_and_of_too_few_rows(n):
    found = clusters.kmeans(np.ones((n, 2)), 7, generator(0))
    assert found.centres.shape == (min(n, 7), 2)
    assert len(np.unique(found.members)) == 1


@pytest.mark.parametrize("unit", [False, True])
def test_kmeans_of_tensors_and_float16(unit):
    x = islands()[0].astype(np.float16)
    expected = clusters.kmeans(x.astype(np.float32), 3, generator(0), unit=unit).members
    assert_array_equal(clusters.kmeans(x, 3, generator(0), unit=unit).members, expected)
    assert_array_equal(clusters.kmeans(torch.from_numpy(x), 3, generator(0), unit=unit).members, expected)


def test_nearest_centroid_by_hand_and_by_brute_force():
    members, squared = clusters.nearest_centroid([[0.0], [2.0], [9.0]], [[1.0], [7.0]])
    assert_array_equal(members, [0, 0, 1])
    assert_allclose(squared, [1, 1, 4])
    rng = generator(0, "tests", "nearest centroid")
    x, centres = rng.normal(size=(500, 5)), rng.normal(size=(20, 5))
    distances = ((x[:, None] - centres) ** 2).sum(axis=2)
    members, squared = clusters.nearest_centroid(x, centres)
    assert_array_equal(members, distances.argmin(axis=1))
    assert_allclose(squared, distances.min(axis=1))
    again, _ = clusters.nearest_centroid(torch.tensor(x), torch.tensor(centres))
    assert_array_equal(again, members)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 40), seed=st.integers(0, 999))
def test_nearest_rows_equals_brute_force(n, k, seed):
    rng = generator(seed, "tests", "nearest rows")
    x, places = rng.normal(size=(n, 3)), rng.normal(size=(k, 3))
    places[k // 2 :] = places[0]  # many places want the same rows
    expected = brute_nearest_rows(x, places)
    assert_array_equal(clusters.nearest_rows(x, places), expected)
    assert_array_equal(clusters.nearest_rows(torch.tensor(x), torch.tensor(places)), expected)


def test_nearest_rows_takes_as_many_passes_as_it_needs(monkeypatch):
    monkeypatch.setattr(clusters, "LISTED", 2)
    monkeypatch.setattr(clusters, "rows_per_block", lambda width: 7)
    rng = generator(0, "tests", "passes")
    x, places = rng.normal(size=(50, 3)), np.repeat(rng.normal(size=(3, 3)), 15, axis=0)
    assert_array_equal(clusters.nearest_rows(x, places), brute_nearest_rows(x, places))


def test_of_equally_near_rows_the_lowest_is_taken():
    assert_array_equal(clusters.nearest_rows(np.ones((5, 2)), np.zeros((3, 2))), [0, 1, 2])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: clusters.kmeans(x, 2, generator(0)),
        lambda x: hierarchy.hierarchical(x, n_clusters=2),
        lambda x: hierarchy.sampled_hierarchical(x, generator(0)),
        lambda x: clusters.nearest_centroid(x, [[0.0, 0.0]]),
        lambda x: clusters.nearest_rows(x, [[0.0, 0.0]]),
    ],
)
def test_a_row_that_is_not_finite_is_named(call):
    x = np.ones((9, 2))
    x[4, 1] = np.nan
    with pytest.raises(InputError, match="x: row 4 has no finite norm"):
        call(x)
    with pytest.raises(ShapeError, match=r"x must have shape \(n, D\)"):
        call(np.ones(4))


def test_what_is_out_of_range_is_said():
    x = np.ones((4, 2))
    with pytest.raises(InputError, match="k must be a whole number of at least 1"):
        clusters.kmeans(x, 0, generator(0))
    with pytest.raises(UnknownName, match="No method of k-means is named 'loyd'"):
        clusters.kmeans(x, 2, generator(0), method="loyd")
    with pytest.raises(InputError, match="weights: row 2 is -1; weights must be at least 0"):
        clusters.kmeans(x, 2, generator(0), weights=[0, 1, -1, 0])
    with pytest.raises(ShapeError, match="x must have at least one row"):
        clusters.kmeans(x[:0], 2, generator(0))
    with pytest.raises(InputError, match="n_clusters or height, one of the two"):
        hierarchy.hierarchical(x)
    with pytest.raises(InputError, match="takes 10000 at most"):
        hierarchy.hierarchical(np.ones((10_001, 1)), n_clusters=2)
    with pytest.raises(InputError, match="mean_size must be at least 1"):
        hierarchy.sampled_hierarchical(x, generator(0), mean_size=0.5)
    with pytest.raises(ShapeError, match="centres must have at least one row"):
        clusters.nearest_centroid(x, np.ones((0, 2)))
    with pytest.raises(ShapeError, match="D=2"):
        clusters.nearest_centroid(x, np.ones((1, 3)))


@pytest.mark.parametrize("method", ["lloyd", "mini-batch"])
def test_an_offset_moves_no_row_to_another_cluster(method):
    x = islands(300, 6, width=16)[0].astype(np.float32)
    far = x + np.float32(100_000)  # squares of 1e11 in float32 leave no digit to distances of 1
    groups = [clusters.kmeans(a, 6, generator(0), method=method).members for a in (x, far)]
    assert partition(groups[0]) == partition(groups[1])


def test_nearest_rows_and_centres_are_found_far_from_zero():
    rng = generator(0, "tests", "far")
    x = rng.integers(-50, 50, size=(200, 8)).astype(np.float32) + 2**14  # exact, so are distances
    places = x[rng.permutation(200)[:30]]
    distances = ((x[:, None] - places) ** 2).sum(axis=2)
    members, squared = clusters.nearest_centroid(x, places)
    assert_array_equal(members, distances.argmin(axis=1))
    assert_allclose(squared, distances.min(axis=1), atol=0.2)
    assert_array_equal(clusters.nearest_rows(x, places), brute_nearest_rows(x, places))


def test_rows_whose_distances_overflow_are_named():
    x = np.full((4, 2), 1e18, np.float32)
    x[2] = 4e18  # its square is finite, that of a distance twice as long would not be
    with pytest.raises(InputError, match="x: row 2 has no finite norm"):
        clusters.nearest_centroid(x, x[:1])
