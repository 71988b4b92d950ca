"""kmeans, clue, cluster-margin and typiclust by what tells them apart."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError
from labelwise.functional.batches.clustered import kmeans_batch
from labelwise.seeds import generator
from labelwise.strategies import make

torch = pytest.importorskip("torch")
FOUR = ["kmeans", "clue", "cluster-margin", "typiclust"]


def islands(sizes, seed=0, width=3):
    rng = generator(seed, "tests", "islands")
    home = np.repeat(np.arange(len(sizes)), sizes)
    return 20 * np.eye(len(sizes), width)[home] + 0.5 * rng.normal(size=(home.size, width)), home


def chosen(name, pool, n, known=None, seed=0, **params):
    arrays = {"embeddings": known if known is not None else np.empty((0, pool["embeddings"].shape[1]))}
    return selection.select(name, pool, n, labelled=arrays, seed=seed, **params)


def test_kmeans_takes_one_of_each_island():
    z, home = islands([30, 5, 12])
    assert sorted(home[chosen("kmeans", {"embeddings": z}, 3)]) == [0, 1, 2]


def test_clue_goes_where_samples_are_unsure():
    z, home = islands([30, 30, 30])
    p = np.where((home == 1)[:, None], [0.5, 0.5], [1.0, 0.0])  # all but one island are sure: weight 0
    assert set(home[chosen("clue", {"embeddings": z, "probs": p}, 4)]) == {1}
    weightless = chosen("clue", {"embeddings": z, "probs": np.tile([1.0, 0.0], (90, 1))}, 3)
    assert sorted(home[weightless]) == [0, 1, 2]


def test_cluster_margin_shares_small_margins_out_over_clusters():
    z, home = islands([40, 40])
    margin = np.where(home == 0, 0.01, 0.02) + 1e-5 * np.arange(80)
    margin[[3, 50]] = 0.9  # sure ones
    p = np.column_stack([0.5 + margin / 2, 0.5 - margin / 2])
    rows = chosen("cluster-margin", {"embeddings": z, "probs": p}, 10, candidates=5.0, mean_size=40)
    # 50 candidates: 39 of the first island, 11 of the second, which is first in turn
    assert_array_equal(home[rows], [1, 0] * 5)
    assert not {3, 50} & set(rows.tolist())


def test_typiclust_leaves_out_covered_clusters_and_begins_with_the_largest():
    z, home = islands([30, 50, 40])
    rows = chosen("typiclust", {"embeddings": z}, 2, known=z[home == 1][:1] + 0.1, unit=False)
    assert_array_equal(home[rows], [2, 0])
    for row in rows:
        island = z[home == home[row]]
        assert ((z[row] - island.mean(axis=0)) ** 2).sum() < np.median(
            ((island - island.mean(axis=0)) ** 2).sum(axis=1)
        )


def test_typiclust_makes_no_more_clusters_than_asked():
    z, home = islands([30, 20])
    rows = chosen("typiclust", {"embeddings": z}, 6, most_clusters=2, unit=False)
    assert_array_equal(home[rows], [0, 1] * 3)


@pytest.mark.parametrize("name", FOUR)
def test_features_serve_before_any_predictor(name):
    z, _ = islands([20, 20])
    pool = {"features": z} | ({"probs": np.full((40, 2), 0.5)} if name in ("clue", "cluster-margin") else {})
    rows = selection.select(name, pool, 5, labelled={"features": np.empty((0, 3))}, space="features")
    assert len(set(rows.tolist())) == 5
    assert make(name, space="features").needs.pool == set(pool)


@pytest.mark.parametrize("name", ["kmeans", "clue"])
def test_the_strategy_is_its_kernel(name):
    z = generator(0, "tests", "kernel").normal(size=(80, 4))
    p = generator(1, "tests", "kernel").dirichlet(np.ones(3), size=80)
    weights = -(p * np.log(p)).sum(axis=1) if name == "clue" else None
    rows = selection.select(name, {"embeddings": z, "probs": p}, 8, seed=5)
    assert_array_equal(rows, kmeans_batch(z, 8, generator(5, "select"), weights=weights))


@pytest.mark.parametrize("name", FOUR)
def test_the_seed_settles_the_batch(name):
    z = generator(0, "tests", "seeds").normal(size=(200, 3))
    pool = {"embeddings": z, "probs": generator(1).dirichlet(np.ones(3), size=200)}
    few = (
        {"mean_size": 50} if name == "cluster-margin" else {}
    )  # where a cluster has but one sample to give, it does
    first, again, other = (chosen(name, pool, 12, seed=seed, **few).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_parameters_are_checked():
    with pytest.raises(InputError, match="candidates must be at least 1"):
        make("cluster-margin", candidates=0.5)
    with pytest.raises(InputError, match="most_clusters must be a whole number of at least 1"):
        make("typiclust", most_clusters=0)
    with pytest.raises(InputError, match="No space is named 'pixels'"):
        make("kmeans", space="pixels")
