"""BRAL-T's shortcuts give what the long way gives: moments of cells, threads, rows looked up by number, bounds of W1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from labelwise.functional.clouds import euclidean_costs, transport_cost
from labelwise.seeds import generator
from labelwise.strategies.trustset import cells as module
from labelwise.strategies.trustset.agent import _allowed_threads
from labelwise.strategies.trustset.buffer import Stack
from labelwise.strategies.trustset.cells import Layout, cut, members, merged, moments
from labelwise.strategies.trustset.episodes import episode

LAYOUT = Layout(4, 4, 3, "exact", 4, 512, "full")


def rng(*path):
    return generator(0, "tests", "shortcuts", *path)


@pytest.mark.parametrize("offset", [0, 100])
def test_moments_of_clusters_follow_from_those_of_their_cells(offset):
    x = (rng("x").normal(size=(90, 5)) + offset).astype(np.float32)
    x[:, 3] = 0.1  # never varies
    owner = np.array([0, 1, 1, 0, 2, 2, 2])
    cell = np.concatenate([np.arange(7), rng("cell").integers(7, size=83)])
    found = merged(moments(x, cell), np.bincount(cell), owner)
    assert_allclose(found, moments(x, owner[cell]), rtol=1e-4, atol=1e-6)
    assert_array_equal(found[:, [3, 8]], np.float32([[0.1, 0]] * 3))  # to the last digit


def test_threads_change_no_reward():
    x = rng("threads").normal(size=(120, 4)).astype(np.float32)
    one, more = (episode(x, np.arange(120) < 40, 0.2, LAYOUT, rng("episode"), n) for n in (1, 3))
    assert one.rewards.size > 6
    assert_array_equal(one.rewards, more.rewards)
    with threadpool_limits(1):
        assert _allowed_threads() == 1


def test_rows_are_looked_up_across_parts():
    whole = rng("stack").normal(size=(12, 3))
    stack = Stack()
    for part in np.split(whole, [5, 5, 6]):
        stack.append(part)
    assert len(stack) == 12 and stack.width == 3
    for rows in ([0], [11], [4, 5], [5, 5, 6], [0, 3, 5, 7, 11], list(range(12))):
        assert_array_equal(stack.take(np.array(rows)), whole[rows])


@pytest.mark.parametrize("apart", [0.0, 1.0, 30.0])
def test_what_means_rule_out_is_never_the_nearest(apart, monkeypatch):
    """The nearest labelled cluster is that of all transports, whether means decide (far apart) or not."""
    homes, asked = [], []
    quick = module.quick_kmeans
    nearest = module.nearest_cloud
    monkeypatch.setattr(module, "quick_kmeans", lambda *a: homes.append(quick(*a)) or homes[-1])
    monkeypatch.setattr(module, "nearest_cloud", lambda *a: asked.append(1) or nearest(*a))
    places = apart * rng("places").normal(size=(4, 3))
    pool, labelled = (
        (places[np.arange(n) % 4] + rng("near", n).normal(size=(n, 3))).astype(np.float32) for n in (80, 40)
    )
    found = cut(pool, labelled, LAYOUT, rng("cut", int(apart)))
    home = homes[-1]  # the labelled set is clustered last
    groups, described = members(home), moments(labelled, home)
    for c, rows in enumerate(members(found.cluster)):
        values = [transport_cost(euclidean_costs(pool[rows], labelled[group])) for group in groups]
        assert_array_equal(found.states[c, :6], described[np.argmin(values)])
    assert bool(asked) == (apart < 30)
