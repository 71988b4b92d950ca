"""Hierarchical clusters against the golden file and by hand."""

import numpy as np
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.functional.clusters import hierarchy
from labelwise.seeds import generator


def islands(n=60, k=3, width=4, seed=0):
    """Return rows around k far places and the place of each."""
    rng = generator(seed, "tests", "islands")
    home = np.arange(n) % k
    return 10 * rng.normal(size=(k, width))[home] + 0.1 * rng.normal(size=(n, width)), home


def partition(groups):
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


def test_hierarchical_equals_the_golden_file():
    case = cases("cluster_margin")["hac"]
    x = case["in"]["features"]
    by_number = hierarchy.hierarchical(x, n_clusters=int(case["in"]["n_clusters"]))
    by_height = hierarchy.hierarchical(x, height=float(case["in"]["epsilon"]))
    assert_array_equal(by_number, case["out"]["labels"])
    assert_array_equal(by_height, case["out"]["labels_at_epsilon"])


def test_hierarchical_by_hand():
    x = np.array([[5.0], [0.0], [1.0], [5.5]])  # 5 and 5.5 merge at 0.5, 0 and 1 at 1, the pairs at 4.75
    assert_array_equal(hierarchy.hierarchical(x, n_clusters=2), [0, 1, 1, 0])
    assert_array_equal(hierarchy.hierarchical(x, height=0.7), [0, 1, 2, 0])
    assert_array_equal(hierarchy.hierarchical(x, height=4.7), [0, 1, 1, 0])
    assert_array_equal(hierarchy.hierarchical(x, height=4.8), [0, 0, 0, 0])
    assert_array_equal(hierarchy.hierarchical(x[:1], n_clusters=2), [0])


def test_hierarchical_of_a_sample_gives_every_row_a_cluster():
    x, home = islands(300)
    found = hierarchy.sampled_hierarchical(x, generator(0), sample=60, mean_size=20)  # 60 / 20 = 3 clusters
    assert partition(found.members) == partition(home)
    everything = hierarchy.sampled_hierarchical(x, generator(0), sample=10_000, mean_size=100)
    assert_allclose(everything.centres, [x[home == g].mean(axis=0) for g in range(3)], atol=1e-12)
