"""Batches that take turns among clusters."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import clustered
from labelwise.functional.batches.clustered import cluster_margin, kmeans_batch, typicality, typiclust
from labelwise.seeds import generator

torch = pytest.importorskip("torch")
MARGIN, TYPI = cases("cluster_margin"), cases("typiclust")


@pytest.mark.parametrize("name", [name for name in MARGIN if name != "hac"])
def test_cluster_margin_equals_the_golden_file(name):
    given_, out = MARGIN[name]["in"], MARGIN[name]["out"]
    margins = out["margins"] if "margins" in out else given_["margins"]
    pool = np.setdiff1d(np.arange(margins.size), given_["labelled"])
    found = cluster_margin(
        margins[pool], given_["clusters"][pool], int(given_["k_t"]), candidates=int(given_["k_m"])
    )
    assert_array_equal(pool[found], out["selected"])


def test_with_a_generator_a_cluster_gives_any_of_its_candidates():
    margins, groups = np.arange(10) / 10, np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    drawn = [
        cluster_margin(margins, groups, 2, candidates=6, rng=generator(seed)).tolist() for seed in range(60)
    ]
    # candidates are rows 0 to 5, three a cluster; a pair misses a given row with (2/3)^60, 3e-11
    assert {rows[0] for rows in drawn} == {0, 1, 2}
    assert {rows[1] for rows in drawn} == {3, 4, 5}


def test_clusters_may_have_any_numbers():
    margins = np.array([0.1, 0.2, 0.3, 0.4])
    assert_array_equal(cluster_margin(margins, [900, -5, 900, 900], 4), [1, 0, 2, 3])


def test_cluster_margin_refuses_what_it_cannot_rank():
    with pytest.raises(InputError, match="margins: row 1 is NaN"):
        cluster_margin([0.1, np.nan], [0, 1], 1)
    with pytest.raises(InputError, match="candidates must be at least n = 2; it is 1"):
        cluster_margin([0.1, 0.2], [0, 1], 2, candidates=1)
    with pytest.raises(ShapeError, match=r"clusters must have shape \(m=2\)"):
        cluster_margin([0.1, 0.2], [0], 1)
    with pytest.raises(ShapeError, match="clusters must be whole numbers"):
        cluster_margin([0.1, 0.2], [0.5, 1], 1)


@pytest.mark.parametrize("kind", ["squared", "euclidean"])
@pytest.mark.parametrize("name", ["typicality", "duplicates", "constant"])
def test_typicality_equals_the_golden_file(name, kind):
    case = TYPI[name]
    found = typicality(case["in"]["features"], int(case["in"]["k"]), squared=kind == "squared")
    assert_allclose(found, case["out"][kind], rtol=1e-9)
    again = typicality(torch.tensor(case["in"]["features"]), int(case["in"]["k"]), squared=kind == "squared")
    assert_allclose(again, found, rtol=1e-9)


@pytest.mark.parametrize("kind", ["squared", "euclidean"])
def test_typiclust_equals_the_golden_file(kind):
    given_, out = TYPI["main"]["in"], TYPI["main"]["out"]
    pool = given_["unlabelled"]
    for x in (given_["features"][pool], torch.tensor(given_["features"][pool])):
        found = typiclust(
            x,
            given_["clusters"][pool],
            int(given_["budget"]),
            labelled_clusters=given_["clusters"][given_["labelled"]],
            squared=kind == "squared",
        )
        assert_array_equal(pool[found], out[f"selected_{kind}"])


def brute_typiclust(x, groups, n, known, least_size):
    """The rule, said plainly: skip clusters that have nothing left, small ones last."""
    free = {c: list(np.flatnonzero(groups == c)) for c in np.unique(groups)}
    count = {c: int((known == c).sum()) for c in free}
    size = {c: len(free[c]) + count[c] for c in free}
    chosen = []
    for part in ([c for c in free if size[c] > least_size], [c for c in free if size[c] <= least_size]):
        order = sorted(part, key=lambda c: (count[c], -size[c], c))
        while any(free[c] for c in order):
            for c in order:
                if not free[c]:
                    continue
                rows = free[c]
                d = np.sqrt(((x[rows][:, None] - x[rows]) ** 2).sum(axis=2))
                k = min(20, len(rows) // 2)
                near = np.sort(d, axis=1)[:, 1 : k + 1].sum(axis=1) / max(k, 1)
                chosen.append(rows.pop(int(near.argmin())))
    return chosen[:n]


@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(1, 90),
    n=st.integers(1, 95),
    k=st.integers(1, 9),
    least=st.integers(0, 8),
    seed=st.integers(0, 99),
)
def test_typiclust_equals_brute_force(m, n, k, least, seed):
    rng = generator(seed, "tests", "typiclust")
    x, groups = rng.normal(size=(m, 3)), 7 * rng.integers(k, size=m) - 3
    known = 7 * rng.integers(k + 2, size=5) - 3
    found = typiclust(x, groups, n, labelled_clusters=known, least_size=least)
    assert_array_equal(found, brute_typiclust(x, groups, n, known, least))


def test_many_picks_from_one_cluster_look_again_where_they_must():
    x = generator(0, "tests", "one cluster").normal(size=(200, 2))
    groups = np.zeros(200, int)
    assert_array_equal(typiclust(x, groups, 60), brute_typiclust(x, groups, 60, np.array([]), 5))


def test_a_huge_cluster_is_thinned(monkeypatch):
    monkeypatch.setattr(clustered, "MOST_NEIGHBOURS", 50)
    x = generator(0, "tests", "thinned").normal(size=(300, 2))
    found = typiclust(x, np.zeros(300, int), 300)
    assert sorted(found) == list(range(300))
    assert np.linalg.norm(x[found[0]]) < 0.7  # near the densest place, the origin: a median row is at 1.18


def test_typiclust_of_unit_length_sees_directions_only():
    rng = generator(0, "tests", "directions")
    x, groups = rng.normal(size=(80, 4)), rng.integers(4, size=80)
    scaled = x * rng.uniform(0.1, 10, size=(80, 1))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert_array_equal(typiclust(scaled, groups, 30, unit=True), typiclust(unit, groups, 30))


def test_typicality_refuses_a_row_without_neighbours():
    with pytest.raises(ShapeError, match="at least two rows"):
        typicality(np.ones((1, 2)))
    with pytest.raises(InputError, match="x: row 1 has no finite norm"):
        typiclust(np.array([[0.0], [np.inf]]), [0, 0], 1)


def test_kmeans_batch_takes_one_row_of_each_island():
    rng = generator(0, "tests", "kmeans batch")
    home = np.arange(90) % 6
    x = 20 * rng.normal(size=(6, 3))[home] + rng.normal(size=(90, 3))
    rows = kmeans_batch(x, 6, generator(0))
    assert sorted(home[rows]) == list(range(6))
    for row in rows:  # the member nearest to the island's mean
        island = np.flatnonzero(home == home[row])
        assert row == island[((x[island] - x[island].mean(axis=0)) ** 2).sum(axis=1).argmin()]
    assert_array_equal(kmeans_batch(torch.tensor(x), 6, generator(0)), rows)


def test_kmeans_batch_of_duplicates_is_distinct():
    assert sorted(kmeans_batch(np.ones((9, 2)), 5, generator(0))) == [0, 1, 2, 3, 4]
    assert sorted(kmeans_batch(np.ones((9, 2)), 20, generator(0))) == list(range(9))
    assert kmeans_batch(np.ones((9, 2)), 0, generator(0)).shape == (0,)
