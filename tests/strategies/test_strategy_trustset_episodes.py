"""BRAL-T's rehearsals: states, actions and rewards by hand, and how many samples each cell gives."""

from dataclasses import replace
from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError
from labelwise.seeds import generator
from labelwise.strategies.trustset import episodes
from labelwise.strategies.trustset.cells import Layout, begun, cut, distance, members, moments, shares
from labelwise.strategies.trustset.episodes import episode

LAYOUT = Layout(
    clusters=3,
    labelled_clusters=2,
    actions=2,
    distance="exact",
    prefilter=5,
    most_points=512,
    nearest_points=512,
    state="full",
)


def rng(*path):
    return generator(0, "tests", "episodes", *path)


def drawn(*path, n=24, width=2):
    return rng(*path).normal(size=(n, width)).astype(np.float32)


def w1(x, y):
    """W1 by the best matching of copies: even weights on n and on m points are lcm(n, m) points each."""
    from scipy.optimize import linear_sum_assignment

    n, m = len(x), len(y)
    costs = np.linalg.norm(x[:, None].astype(float) - y[None], axis=2)
    many = np.repeat(np.repeat(costs, m // gcd(n, m), axis=0), n // gcd(n, m), axis=1)
    return many[linear_sum_assignment(many)].mean()


def rehearsed(monkeypatch, x, trusted, share, layout, draws):
    """Return an episode, and which rows played the pool and which stayed labelled (rows of x must differ)."""
    seen = {}

    def watched(pool, labelled, *rest):
        seen.update(pool=pool, labelled=labelled)
        return begun(pool, labelled, *rest)

    monkeypatch.setattr(episodes, "begun", watched)
    found = episode(x, trusted, share, layout, draws)
    which = {row.tobytes(): i for i, row in enumerate(x)}
    played, stayed = ([which[row.tobytes()] for row in seen[part]] for part in ("pool", "labelled"))
    return found, np.array(played), np.array(stayed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("state", ["full", "pool"])
def test_rewards_are_distances_to_the_clusters_part_of_the_trust_set(seed, state, monkeypatch):
    x, layout = drawn(seed), replace(LAYOUT, state=state)
    trusted = np.isin(np.arange(24), rng(seed, "trusted").choice(24, 5, replace=False))
    found, played, stayed = rehearsed(monkeypatch, x, trusted, 0.25, layout, rng(seed))
    assert len(stayed) == 6 and not set(stayed) & set(played) and len(set(stayed) | set(played)) == 24
    cells, rewarded, empty = found.cells, {}, 0
    assert len(cells.cluster) == len(played)
    for c in range(cells.cluster.max() + 1):
        here = played[cells.cluster == c]
        target = here[trusted[here]]
        empty += not len(target)
        for a in np.flatnonzero(cells.cluster_of == c):
            if len(target):  # a cluster without any of the TrustSet is left out
                rewarded[a] = -w1(x[played[cells.cell == a]], x[target])
    assert found.empty == empty
    assert found.rewarded.tolist() == list(rewarded)
    assert_allclose(found.rewards, list(rewarded.values()), rtol=1e-6, atol=1e-6)
    assert cells.inputs().shape == (len(cells.sizes), 12 if state == "full" else 8)
    # both labelled clusters are looked at: the nearest is one of them, and no state is left empty
    assert np.isfinite(cells.states).all() and cells.states.any(axis=1).all()


def test_some_clusters_are_left_out_and_others_not(monkeypatch):
    """Bite check: the seeds above see both."""
    empties = []
    for seed in range(6):
        trusted = np.isin(np.arange(24), rng(seed, "trusted").choice(24, 5, replace=False))
        empties.append(rehearsed(monkeypatch, drawn(seed), trusted, 0.25, LAYOUT, rng(seed))[0].empty)
    assert min(empties) == 0 and max(empties) > 0


def test_the_nearest_five_stand_in_where_the_pool_holds_none_of_the_trust_set(monkeypatch):
    x = drawn("lost", n=16)
    trusted = np.isin(np.arange(16), range(7))
    lost = next(s for s in range(10**5) if set(rng(s).permutation(16)[:8].tolist()) >= set(range(7)))
    found, played, stayed = rehearsed(monkeypatch, x, trusted, 0.5, LAYOUT, rng(lost))
    assert set(stayed) >= set(range(7))
    cells = found.cells
    assert found.empty == cells.cluster.max() + 1
    assert_array_equal(found.rewarded, np.arange(len(cells.sizes)))  # every cell has a reward
    for a, reward in enumerate(found.rewards):
        mean = x[played[cells.cluster == cells.cluster_of[a]]].mean(axis=0)
        nearest = sorted(range(7), key=lambda i: np.linalg.norm(x[i] - mean))[:5]
        assert reward == pytest.approx(-w1(x[played[cells.cell == a]], x[nearest]), abs=1e-6)


@pytest.mark.parametrize(
    "n, share, clusters, wanted",
    [
        (40, 0.1, 3, 4),  # ⌊0.1 · 40⌋
        (49, 0.1, 3, 4),
        (40, 0.1, 7, 7),  # as many as there are clusters of the labelled part
        (40, 0.0, 3, 3),
        (40, 0.9, 3, 20),  # no more than half
        (10, 0.1, 30, 5),
        (3, 0.1, 3, 1),
        (2, 0.1, 3, 1),
    ],
)
def test_how_many_stay_labelled(n, share, clusters, wanted, monkeypatch):
    x, layout = drawn(n, n=n), replace(LAYOUT, labelled_clusters=clusters)
    _, played, stayed = rehearsed(monkeypatch, x, np.arange(n) < 1, share, layout, rng())
    assert len(stayed) == wanted and len(played) == n - wanted


def test_every_split_is_another(monkeypatch):
    draws = rng()
    stayed = [
        tuple(sorted(rehearsed(monkeypatch, drawn(), np.arange(24) < 3, 0.2, LAYOUT, draws)[2]))
        for _ in range(5)
    ]
    assert len(set(stayed)) == 5


@pytest.mark.parametrize("kind", ["exact", "sliced", "gaussian"])
def test_the_distance_is_the_one_that_was_chosen(kind, monkeypatch):
    x = drawn("kind", width=1)  # on a line every direction tells the whole distance
    layout = replace(LAYOUT, distance=kind)
    found, played, _ = rehearsed(monkeypatch, x, np.arange(24) % 3 == 0, 0.2, layout, rng())
    cells = found.cells
    assert len(found.rewarded) >= 4
    for a, reward in zip(found.rewarded, found.rewards, strict=True):
        here = played[cells.cluster == cells.cluster_of[a]]
        cell, target = x[played[cells.cell == a]].astype(float), x[here[here % 3 == 0]].astype(float)
        if kind == "gaussian":
            wanted = np.hypot(cell.mean() - target.mean(), cell.std() - target.std())
        else:
            wanted = w1(cell, target)
        assert reward == pytest.approx(-wanted, abs=1e-6)


def test_large_clouds_are_drawn_from(monkeypatch):
    x, layout = drawn("many", n=60), replace(LAYOUT, most_points=1, clusters=2)
    trusted = np.arange(60) % 3 == 0
    found, played, _ = rehearsed(monkeypatch, x, trusted, 0.2, layout, rng())
    for a, reward in zip(found.rewarded, found.rewards, strict=True):
        here = played[found.cells.cluster == found.cells.cluster_of[a]]
        cell, target = x[played[found.cells.cell == a]], x[here[trusted[here]]]
        between = np.linalg.norm(cell[:, None].astype(float) - target[None], axis=2)
        assert np.abs(between + reward).min() < 1e-6  # one point against one point
    sizes = [distance(x, x + 1, kind, rng()) for kind in ("sliced", "gaussian")]
    assert 0.3 < sizes[0] < sizes[1] == pytest.approx(np.sqrt(2))


def test_the_nearest_cluster_is_sought_among_as_many_points_as_told(monkeypatch):
    from labelwise.strategies.trustset import cells

    x, seen = drawn("nearest", n=90), []
    real = cells.nearest_cloud
    monkeypatch.setattr(
        cells, "nearest_cloud", lambda *a: seen.append([len(a[0]), *map(len, a[1])]) or real(*a)
    )
    trusted, rewards = np.arange(90) % 3 == 0, []
    for few in (2, 512):
        found = episode(x, trusted, 0.5, replace(LAYOUT, nearest_points=few, clusters=2), rng("nearest"))
        assert max(map(max, seen)) == 2 if few == 2 else min(map(max, seen)) > 2
        seen.clear()
        rewards.append(found.rewards)
    assert_array_equal(*rewards)  # these look at `most_points`


def test_moments_by_hand():
    x = np.array([[1.0, 5], [3, 5], [10, 5], [7, 0], [7, 1]])
    found = moments(x, np.array([0, 0, 2, 1, 1]))
    assert found.dtype == np.float32
    assert_allclose(found, [[2, 5, 1, 0], [7, 0.5, 0, 0.25], [10, 5, 0, 0]])
    far = moments(x.astype(np.float32) + 4096, np.array([0, 0, 2, 1, 1]))
    assert_allclose(far[:, 2:], found[:, 2:], atol=1e-6)
    assert [rows.tolist() for rows in members(np.array([1, 0, 1, 2]))] == [[1], [0, 2], [3]]
    with pytest.raises(InputError, match="embeddings are too large"):
        moments(np.array([[1e20], [-1e20]]), np.zeros(2, np.int64))


def test_a_state_is_the_nearest_labelled_cluster_and_the_pool_cluster():
    pool, labelled = drawn("pool", n=30), drawn("labelled", n=9)
    one = cut(pool, labelled, replace(LAYOUT, labelled_clusters=1), rng())
    assert one.states.shape == (3, 8) and one.actions.shape == (len(one.sizes), 4)
    assert_allclose(one.states[:, :2], np.tile(labelled.mean(axis=0), (3, 1)), rtol=1e-5, atol=1e-6)
    assert_allclose(one.states[:, 2:4], np.tile(labelled.var(axis=0), (3, 1)), rtol=1e-5)
    for c in range(3):
        rows = pool[one.cluster == c]
        assert_allclose(one.states[c, 4:], [*rows.mean(axis=0), *rows.var(axis=0)], rtol=1e-4, atol=1e-6)
    for a, c in enumerate(one.cluster_of):
        rows = pool[one.cell == a]
        assert (one.cluster[one.cell == a] == c).all() and len(rows) == one.sizes[a] > 0
        assert_allclose(one.actions[a], [*rows.mean(axis=0), *rows.var(axis=0)], rtol=1e-4, atol=1e-6)
        assert_array_equal(one.inputs()[a], [*one.states[c], *one.actions[a]])
    assert_array_equal(one.inputs(np.array([2, 0])), one.inputs()[[2, 0]])
    # as many labelled clusters as labelled samples: each is one sample, and one is nearest on average
    each = cut(pool, labelled, replace(LAYOUT, labelled_clusters=9, prefilter=9), rng())
    for c in range(3):
        apart = np.linalg.norm(pool[each.cluster == c][:, None] - labelled, axis=2).mean(axis=0)
        assert_allclose(each.states[c, :2], labelled[apart.argmin()], rtol=1e-5)
        assert_array_equal(each.states[c, 2:4], 0)


@pytest.mark.parametrize("kind", ["exact", "gaussian", "sliced"])
def test_only_the_nearest_means_are_looked_at(kind):
    # a wall stands 10 to the left of a wall, a point 9 to the right: the point's mean is nearer, but not the point:
    # √(9² + y²) is 11 on average over y from -12 to 12
    wall = np.stack([np.zeros(12), np.linspace(-12, 12, 12)], axis=1)
    labelled = np.concatenate([wall - [10, 0], np.tile([[9.0, 0.0]], (12, 1))])
    layout = replace(LAYOUT, clusters=1, labelled_clusters=2, distance=kind)
    for seed in range(4):
        assert cut(wall, labelled, layout, rng(seed)).states[0, 0] == -10
        assert cut(wall, labelled, replace(layout, prefilter=1), rng(seed)).states[0, 0] == 9


def test_nobody_labelled_leaves_that_part_of_the_state_empty():
    found = cut(drawn(), drawn()[:0], LAYOUT, rng())
    assert_array_equal(found.states[:, :4], 0)
    assert found.states[:, 4:].any()


def test_few_samples_make_few_cells():
    for n in (1, 2, 4):
        found = cut(drawn(n=n), drawn(), replace(LAYOUT, clusters=50, actions=50), rng())
        assert_array_equal(found.sizes, np.ones(n))
        assert sorted(found.cluster) == sorted(found.cell) == list(range(n))
    found = cut(np.ones((9, 2)), np.ones((5, 2)), LAYOUT, rng())  # one place: one cluster, one cell
    assert_array_equal(found.sizes, [9])
    assert_array_equal(found.states, [[1, 1, 0, 0, 1, 1, 0, 0]])


def test_shares_by_hand():
    of, sizes = np.array([0, 0, 1, 1, 2]), np.array([4, 4, 4, 4, 1])
    rewards = [0.1, 0.9, 0.8, 0.2, 0.5]  # cells from high to low: 1, 2, 4, 3, 0; clusters 0, 1, 2
    assert shares(rewards, of, sizes, 3, "per-cluster").tolist() == [0, 1, 1, 0, 1]
    assert shares(rewards, of, sizes, 4, "per-cluster").tolist() == [0, 2, 1, 0, 1]  # one left: cluster 0
    assert shares(rewards, of, sizes, 5, "per-cluster").tolist() == [0, 2, 2, 0, 1]
    # 3 each; cluster 2 lacks 2, and cell 1 has but one left: it and then cell 2 give more
    assert shares(rewards, of, sizes, 9, "per-cluster").tolist() == [0, 4, 4, 0, 1]
    # 4 of 13 each and 5 for cluster 0, which takes 4 and 1; cluster 2 lacks 3, which come from cells 3 and 0
    assert shares(rewards, of, sizes, 13, "per-cluster").tolist() == [1, 4, 4, 3, 1]
    assert shares(rewards, of, sizes, 3, "global").tolist() == [0, 3, 0, 0, 0]
    assert shares(rewards, of, sizes, 10, "global").tolist() == [0, 4, 4, 1, 1]
    for scope in ("per-cluster", "global"):
        assert shares(rewards, of, sizes, 99, scope).tolist() == sizes.tolist()
        assert shares(rewards, of, sizes, 0, scope).tolist() == [0] * 5
        assert shares([0.5, 0.5], np.array([0, 0]), np.array([3, 3]), 4, scope).tolist() == [3, 1]  # ties


@settings(max_examples=100)
@given(
    cells=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(-2, 2)), min_size=1, max_size=12
    ),
    n=st.integers(0, 50),
    scope=st.sampled_from(["per-cluster", "global"]),
)
def test_shares_are_those_of_taking_sample_by_sample(cells, n, scope):
    of, sizes, rewards = (np.array(part) for part in zip(*sorted(cells), strict=True))
    of = np.unique(of, return_inverse=True)[1]
    found = shares(rewards, of, sizes, n, scope)
    order = sorted(range(len(of)), key=lambda a: (-rewards[a], a))
    left, taken = min(n, sizes.sum()), [0] * len(of)
    if scope == "per-cluster":
        best = sorted(set(of.tolist()), key=lambda c: min(order.index(a) for a in np.flatnonzero(of == c)))
        quota = {c: left // len(best) + (i < left % len(best)) for i, c in enumerate(best)}
        for a in order:
            while quota[of[a]] and taken[a] < sizes[a]:
                taken[a] += 1
                quota[of[a]] -= 1
        left -= sum(taken)
    for a in order:
        while left and taken[a] < sizes[a]:
            taken[a] += 1
            left -= 1
    assert found.tolist() == taken
    assert found.sum() == min(n, sizes.sum())
