"""BRAL-T's shortcuts give what the long way gives: moments of cells, threads, rows looked up by number, bounds of W1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from labelwise.functional.clouds import euclidean_costs, transport_cost
from labelwise.seeds import generator
from labelwise.strategies.trustset import cells as module
from labelwise.strategies.trustset.agent import rehearse
from labelwise.strategies.trustset.buffer import Stack
from labelwise.strategies.trustset.cells import Layout, cut, members, merged, moments
from labelwise.strategies.trustset.episodes import episode
from labelwise.strategies.trustset.parallel import ahead, allowed_threads, done
from labelwise.strategies.trustset.reward import RewardNetwork, _products

LAYOUT = Layout(4, 4, 3, "exact", 4, 512, 512, "full")


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
        assert allowed_threads() == 1


def test_rows_are_looked_up_across_parts():
    whole = rng("stack").normal(size=(12, 3))
    stack = Stack()
    for part in np.split(whole, [5, 5, 6]):
        stack.append(part)
    assert len(stack) == 12 and stack.width == 3
    for rows in ([0], [11], [4, 5], [5, 5, 6], [0, 3, 5, 7, 11], [11, 0, 7, 3, 5], list(range(12))):
        assert_array_equal(stack.take(np.array(rows)), whole[rows])


@pytest.mark.parametrize("apart", [0.0, 1.0, 30.0])
def test_what_means_rule_out_is_never_the_nearest(apart, monkeypatch):
    """The nearest labelled cluster is that of all transports, whether means decide (far apart) or not."""
    homes, asked = [], []
    quick = module.quick_kmeans
    nearest = module.nearest_cloud
    monkeypatch.setattr(module, "quick_kmeans", lambda *a, **k: homes.append(quick(*a, **k)) or homes[-1])
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


@pytest.mark.parametrize("distance", ["exact", "sliced"])
def test_threads_and_their_timing_change_no_digit_of_an_agent(distance, monkeypatch):
    from time import sleep

    from labelwise.strategies.trustset import agent, episodes

    torch = pytest.importorskip("torch")
    x = rng("agent").normal(size=(90, 5)).astype(np.float32)
    layout = Layout(3, 3, 2, distance, 3, 512, 512, "full")

    def trained(threads, pause=None, slow=0.0):
        with monkeypatch.context() as patch:
            patch.setattr(agent, "allowed_threads", lambda: threads)
            if pause:
                where, name = pause
                real = getattr(where, name)
                patch.setattr(where, name, lambda *a, **k: (sleep(slow), real(*a, **k))[1])
            network, draws = RewardNetwork(30, 16, rng("weights")), rng("rehearse")
            lessons = rehearse(
                network, x, np.arange(90) < 30, layout, draws, share=0.2, pairs=7, steps=4, batch=9, lr=0.05
            )
            return network.weights, lessons, draws.random()

    weights, lessons, after = trained(1)
    assert lessons.buffer > 20 and np.isfinite(lessons.error)
    pauses = [None, (agent, "started"), (agent, "agreement"), (episodes, "Episode")]
    for threads, pause in [(2, pause) for pause in pauses] + [(4, None)]:
        others, told, next_draw = trained(threads, pause, 0.01)
        assert all(torch.equal(one, other) for one, other in zip(weights, others, strict=True))
        assert (told.correlation, told.within, told.error, told.buffer, told.empty) == (
            lessons.correlation, lessons.within, lessons.error, lessons.buffer, lessons.empty
        )  # fmt: skip
        assert next_draw == after  # what comes next draws as ever


def test_threads_change_no_cell():
    pool, labelled = (rng("cells", n).normal(size=(n, 6)).astype(np.float32) for n in (300, 60))
    one, more = (cut(pool, labelled, LAYOUT, rng("cut"), n) for n in (1, 3))
    for name in ("cluster", "cell", "cluster_of", "sizes", "states", "actions"):
        assert_array_equal(getattr(one, name), getattr(more, name))


def test_items_made_ahead_come_in_order_and_errors_where_they_belong():
    made = []

    def items():
        for i in range(6):
            made.append(i)
            yield i
        raise ValueError("after the last")

    found = ahead(items(), 2)
    assert next(found) == 0
    found.close()
    assert len(made) <= 4  # two ahead, and one that had begun
    rest = ahead(items(), 2)
    assert [next(rest) for _ in range(6)] == list(range(6))
    with pytest.raises(ValueError, match="after the last"):
        next(rest)
    assert list(ahead(iter(()), 3)) == []
    for threads in (1, 2, 9):
        assert done(((lambda i=i: i * i) for i in range(7)), threads) == [i * i for i in range(7)]
        assert done([], threads) == []


@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_mirrored_products_are_those_of_all_rows(n):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(rng("products").normal(size=(n, 5)).astype(np.float32))
    found = _products(x).numpy()
    assert_array_equal(found, found.T)
    assert_allclose(found, (x @ x.T).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_comes_after_rehearsals_draws_after_them_and_is_waited_for(threads, monkeypatch):
    from time import sleep

    from labelwise.strategies.trustset import agent

    pytest.importorskip("torch")
    monkeypatch.setattr(agent, "allowed_threads", lambda: threads)
    x = rng("after").normal(size=(60, 4)).astype(np.float32)

    def trained(after, draws):
        return rehearse(
            RewardNetwork(24, 8, rng()), x, np.arange(60) < 20, LAYOUT, draws, share=0.2, pairs=5, steps=2,
            batch=9, lr=0.05, after=after,
        )  # fmt: skip

    plain, beside, told = rng("draws"), rng("draws"), []
    lessons = trained(None, plain)
    assert set(lessons.seconds) == {"rehearsals", "network"}
    again = trained(lambda: (sleep(0.05), told.append(beside.random())), beside)
    assert told == [plain.random()] and again.error == lessons.error
    assert again.seconds["selection"] >= 0

    def broken():
        raise ValueError("of what comes after")

    with pytest.raises(ValueError, match="of what comes after"):
        trained(broken, rng("draws"))
