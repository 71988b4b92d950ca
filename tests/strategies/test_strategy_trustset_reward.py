"""BRAL-T's reward network: forward and backward passes in NumPy, what scaling may change, and what it learns."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError
from labelwise.seeds import generator
from labelwise.strategies.trustset.agent import Lessons, agreement, rank_correlation, rehearse
from labelwise.strategies.trustset.buffer import Buffer
from labelwise.strategies.trustset.cells import Cells, Layout
from labelwise.strategies.trustset.episodes import Episode
from labelwise.strategies.trustset.reward import RewardNetwork

torch = pytest.importorskip("torch")
WIDTH = 3
LAYOUT = Layout(3, 2, 2, "exact", 5, 512, 512, "full")


def rng(*path):
    return generator(0, "tests", "reward", *path)


def seen(draws, clusters=4, cells=3, reward=None):
    """Return an episode with drawn states and actions; `reward` tells what each input is worth."""
    of = np.repeat(np.arange(clusters), cells)
    states = draws.normal(size=(clusters, 4 * WIDTH)).astype(np.float32)
    actions = draws.normal(size=(of.size, 2 * WIDTH)).astype(np.float32)
    every = Cells(of, of, of, np.ones_like(of), states, actions)
    rewarded = np.arange(cells, of.size)  # the first cluster has none of the TrustSet
    inputs = every.inputs(rewarded)
    return Episode(every, rewarded, inputs @ np.arange(6 * WIDTH) if reward is None else reward(inputs), 1)


def told(*path, episodes=3, **kwargs):
    draws = rng(*path)
    return [seen(draws, **kwargs) for _ in range(episodes)]


def held(episodes):
    found = Buffer()
    for one in episodes:
        found.add(one)
    return found


def rows(episodes):
    """Return all inputs and rewards of some episodes."""
    x = np.concatenate([one.cells.inputs(one.rewarded) for one in episodes]).astype(float)
    return x, np.concatenate([one.rewards for one in episodes])


def arrays(network):
    return [w.numpy().astype(float) for w in network.weights]


def forward(weights, x):
    first, a, second, b, last, c = weights
    one = x @ first.T + a
    two = np.maximum(one, 0) @ second.T + b
    return one, two, (np.maximum(two, 0) @ last.T + c)[:, 0]


def scaled(episodes):
    """Return inputs and rewards of mean 0 and deviation 1 over the buffer."""
    x, r = rows(episodes)
    return (x - x.mean(axis=0)) / x.std(axis=0), (r - r.mean()) / r.std()


def step(weights, x, r, lr):
    """Return the weights after one step down the gradient of the mean squared error, and that error."""
    last = weights[4]
    one, two, said = forward(weights, x)
    slope = 2 * (said - r)[:, None] / len(r)
    at_two = slope * last * (two > 0)
    at_one = at_two @ weights[2] * (one > 0)
    slopes = [at_one.T @ x, at_one.sum(axis=0), at_two.T @ np.maximum(one, 0), at_two.sum(axis=0),
              slope.T @ np.maximum(two, 0), slope.sum(axis=0)]  # fmt: skip
    return [w - lr * by for w, by in zip(weights, slopes, strict=True)], np.square(said - r).mean()


def test_a_prediction_is_two_layers_of_relu():
    network = RewardNetwork(6 * WIDTH, 7, rng())
    x = rng("x").normal(size=(11, 6 * WIDTH)).astype(np.float32)
    found = network.predict(x)
    assert found.shape == (11,) and found.dtype == np.float64
    assert_allclose(found, forward(arrays(network), x)[2], rtol=1e-5, atol=1e-6)
    assert len(np.unique(found)) == 11
    for weight, inputs in zip(arrays(network), (18, 18, 7, 7, 7, 7), strict=True):  # as nn.Linear draws
        assert np.abs(weight).max() <= inputs**-0.5
        assert weight.std() > 0.3 * inputs**-0.5 or weight.size == 1


def test_inputs_and_rewards_are_scaled_by_the_buffer():
    """A state counts as often as it has actions; clusters without rewards do not count."""
    episodes, network = told(), RewardNetwork(6 * WIDTH, 4, rng())
    assert len(held(episodes)) == 27
    x, r = rows(episodes)
    network.train(held(episodes), rng(), steps=1, batch=9, lr=0.01)
    assert_allclose(network.scale.mean, x.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert_allclose(network.scale.spread, x.std(axis=0), rtol=1e-5)
    assert (network.scale.reward_mean, network.scale.reward_spread) == pytest.approx((r.mean(), r.std()))
    network.train(held(episodes), rng(), steps=1, batch=9, lr=0.01, standardise=False)
    assert_array_equal(network.scale.mean, 0)
    assert_array_equal(network.scale.spread, 1)
    assert (network.scale.reward_mean, network.scale.reward_spread) == (0, 1)


def test_what_never_varies_has_no_say():
    episodes = told()
    for one in episodes:
        one.cells.states[:, 2] = 1e6
        one.cells.actions[:, 1] = 0
    network = RewardNetwork(6 * WIDTH, 8, rng())
    network.train(held(episodes), rng(), steps=2, batch=10, lr=0.01)
    still = np.isinf(network.scale.spread)
    assert np.flatnonzero(still).tolist() == [2, 13]
    x = rows(episodes)[0].astype(np.float32)
    other = x.copy()
    other[:, [2, 13]] = [-5e6, 40]
    assert_array_equal(network.predict(x), network.predict(other))
    flat = held(told(reward=lambda inputs: np.full(len(inputs), -2.5)))  # equal rewards divide nothing by 0
    assert network.train(flat, rng(), steps=300, batch=20, lr=0.05) < 1e-3
    assert network.scale.reward_spread == 1
    assert_allclose(network.predict(rows(told())[0]), -2.5, atol=0.3)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize(
    "clusters, cells, batch", [(4, 3, 1000), (4, 3, 5), (40, 9, 10), (2, 30, 3), (30, 2, 60)]
)
def test_steps_go_down_the_gradient(standardise, steps, clusters, cells, batch):
    """However they are reckoned: the rows of few drawn batches are many or few beside the width and the units."""
    episodes = told(
        clusters, cells, clusters=clusters, cells=cells, reward=lambda inputs: inputs @ np.linspace(-1, 1, 18)
    )
    for hidden in (5, 60):
        network = RewardNetwork(6 * WIDTH, hidden, rng())
        x, r = scaled(episodes) if standardise else rows(episodes)
        weights, error, draws = arrays(network), 0.0, rng("draws")
        for _ in range(steps):
            drawn = draws.choice(len(r), min(batch, len(r)), replace=False)
            weights, error = step(weights, x[drawn], r[drawn], 0.02)
        found = network.train(
            held(episodes), rng("draws"), steps=steps, batch=batch, lr=0.02, standardise=standardise
        )
        assert found == pytest.approx(error, rel=1e-3)
        for now, wanted in zip(arrays(network), weights, strict=True):
            assert_allclose(now, wanted, rtol=2e-3, atol=2e-5)
        assert all(not weight.requires_grad for weight in network.weights)


def test_six_hundred_steps_are_those_of_the_plain_network():
    """30 rehearsals, 20 steps after each, all in float64: what is left is rounding, not a step that went elsewhere."""
    draws = rng("long")
    network, buffer, episodes = RewardNetwork(6 * WIDTH, 12, rng()), Buffer(), []
    network.weights = [w.double() for w in network.weights]
    network._tensor = lambda values, columns=slice(None): torch.from_numpy(
        (values - network.scale.mean[columns]) / network.scale.spread[columns]
    ).double()
    weights = arrays(network)
    for _ in range(30):
        episodes.append(seen(draws, reward=lambda inputs: inputs @ np.linspace(-1, 1, 18)))
        buffer.add(episodes[-1])
        network.train(buffer, rng("draws", len(buffer)), steps=20, batch=30, lr=0.01)
        scale = network.scale
        x, r = rows(episodes)
        x = ((x.astype(np.float32) - scale.mean) / scale.spread).astype(float)
        r = ((r - scale.reward_mean) / scale.reward_spread).astype(np.float32).astype(float)
        plain = rng("draws", len(buffer))
        for _ in range(20):
            drawn = plain.choice(len(r), min(30, len(r)), replace=False)
            weights, _ = step(weights, x[drawn], r[drawn], 0.01)
    for now, wanted in zip(arrays(network), weights, strict=True):
        assert_allclose(now, wanted, rtol=1e-6, atol=1e-6)


def test_it_learns_a_linear_reward():
    direction = rng("direction").normal(size=6 * WIDTH)
    episodes = told("learn", episodes=40, reward=lambda inputs: 100 * (inputs @ direction) - 7000)
    fresh = seen(rng("fresh"), clusters=60, reward=lambda inputs: 100 * (inputs @ direction) - 7000)
    network = RewardNetwork(6 * WIDTH, 64, rng())
    inputs = fresh.cells.inputs(fresh.rewarded)
    assert np.corrcoef(network.predict(inputs), fresh.rewards)[0, 1] < 0.7
    for _ in range(10):
        error = network.train(held(episodes), rng(), steps=40, batch=100, lr=0.05)
    said = network.predict(inputs)
    assert np.corrcoef(said, fresh.rewards)[0, 1] > 0.9
    assert error < 0.2
    assert abs(said.mean() + 7000) < 100 and said.std() > 0.5 * fresh.rewards.std()  # in units of the rewards
    every, within = agreement(network, fresh)
    assert every > 0.9 and within > 0.8


def test_units_change_no_ranking():
    """Rewards in other units and inputs about another origin train the same network."""

    def trained(change, weigh):
        changed, draws = [], rng("units")
        for _ in range(3):
            one = seen(draws)
            states, actions = change(one.cells.states), change(one.cells.actions)
            cells = Cells(
                *(getattr(one.cells, n) for n in ("cluster", "cell", "cluster_of", "sizes")), states, actions
            )
            changed.append(Episode(cells, one.rewarded, weigh(one.rewards), one.empty))
        network = RewardNetwork(6 * WIDTH, 16, rng())
        network.train(held(changed), rng(), steps=30, batch=20, lr=0.02)
        return network

    x = rng("x").normal(size=(40, 6 * WIDTH)).astype(np.float32)
    same = trained(lambda z: z, lambda r: r).predict(x)
    assert_allclose(
        trained(lambda z: z, lambda r: 1000 * r - 5).predict(x), 1000 * same - 5, rtol=1e-3, atol=1
    )
    assert_allclose(
        trained(lambda z: 16 * z + 2, lambda r: r).predict(16 * x + 2), same, rtol=1e-3, atol=1e-3
    )


def test_its_state_comes_back():
    network = RewardNetwork(6 * WIDTH, 5, rng())
    network.train(held(told()), rng(), steps=3, batch=10, lr=0.01)
    state = network.state_dict()
    assert all(isinstance(value, np.ndarray | float) for value in state.values())
    other = RewardNetwork(6 * WIDTH, 5, rng("other"))
    x = rng("x").normal(size=(11, 6 * WIDTH)).astype(np.float32)
    assert not np.allclose(other.predict(x), network.predict(x))
    other.load_state_dict(state)
    assert_array_equal(other.predict(x), network.predict(x))
    kept = network.predict(x)
    other.train(
        held(told()), rng(), steps=3, batch=10, lr=0.5
    )  # what goes on learning leaves the state alone
    network.train(held(told()), rng(), steps=3, batch=10, lr=0.5)
    again = RewardNetwork(6 * WIDTH, 5, rng("again"))
    again.load_state_dict(state)
    assert_array_equal(again.predict(x), kept)


def test_the_same_draws_make_the_same_network():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, two, other = (RewardNetwork(4, 5, rng(path)) for path in ("a", "a", "b"))
    assert torch.equal(torch.random.get_rng_state(), before)  # torch's own generator is left alone
    x = np.ones((2, 4), np.float32)
    assert_array_equal(one.predict(x), two.predict(x))
    assert (one.predict(x) != other.predict(x)).all()


@pytest.mark.parametrize("device", ["bogus", "cuda:99", None])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(InputError, match=f"device {device!r} cannot be used"):
        RewardNetwork(4, 5, rng(), device)


def test_it_computes_where_it_is_told():
    network = RewardNetwork(4, 5, rng(), "auto")
    assert {w.device for w in network.weights} == {network.device}
    assert network.predict(np.ones((2, 4), np.float32)).shape == (2,)


def test_rank_correlation_equals_scipy():
    from scipy.stats import spearmanr

    a, b = rng().integers(0, 5, (2, 30)).astype(float)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    for x, y in ((a, np.ones(30)), (np.ones(30), a), (a[:1], b[:1]), (a[:0], b[:0])):
        assert np.isnan(rank_correlation(x, y))


def test_agreement_by_hand():
    of = np.array([0, 0, 0, 1, 1, 1])
    actions = np.array([[1.0, 0], [2, 0], [3, 0], [11, 0], [12, 0], [13, 0]], np.float32)
    cells = Cells(of, of, of, np.ones_like(of), np.zeros((2, 4), np.float32), actions)
    network = RewardNetwork(6, 2, rng())
    network.load_state_dict(coordinate(6, 4))  # says the action's mean: ranks 1 to 6
    every, within = agreement(network, Episode(cells, np.arange(6), np.array([1.0, 2, 3, 6, 5, 4]), 0))
    # all: Σd² = 4 + 0 + 4, ρ = 1 - 6 · 8 / (6 · 35); clusters: 1 and -1
    assert every == pytest.approx(1 - 48 / 210) and within == pytest.approx(0)
    # only the rewarded cells count, here those of the last two of three clusters: Σd² = 8 of five cells
    of = np.array([0, 1, 1, 1, 2, 2])
    cells = Cells(of, of, of, np.ones_like(of), np.zeros((3, 4), np.float32), actions)
    every, within = agreement(network, Episode(cells, np.arange(1, 6), np.array([3.0, 2, 1, 4, 5]), 1))
    assert every == pytest.approx(1 - 48 / 120) and within == pytest.approx(0)


def coordinate(width, at, hidden=2):
    """Return the state of a network that predicts one of its inputs: relu(x) - relu(-x)."""
    first, second = np.zeros((hidden, width)), np.eye(hidden)
    first[:2, at] = [1, -1]
    last = np.zeros((1, hidden))
    last[0, :2] = [1, -1]
    weights = (first, np.zeros(hidden), second, np.zeros(hidden), last, np.zeros(1))
    return {
        **{f"weight {i}": w.astype(np.float32) for i, w in enumerate(weights)},
        "mean": np.zeros(width, np.float32),
        "spread": np.ones(width, np.float32),
        "reward mean": 0.0,
        "reward spread": 1.0,
    }


def test_a_rehearsal_tells_how_it_went():
    x = rng("x").normal(size=(40, WIDTH))
    network = RewardNetwork(6 * WIDTH, 8, rng())
    found = rehearse(
        network, x, np.arange(40) < 12, LAYOUT, rng(), share=0.1, pairs=6,
        steps=2, batch=20, lr=0.01, standardise=True,
    )  # fmt: skip
    assert 6 < found.buffer <= 6 * 6 and 0 <= found.empty < 1
    assert -1 <= found.correlation <= 1 and -1 <= found.within <= 1 and found.error > 0
    assert set(found.seconds) == {"rehearsals", "network"} and min(found.seconds.values()) > 0


def test_correlations_are_those_of_rehearsals_that_the_network_had_not_seen(monkeypatch):
    """Each of the last third is predicted before the network learns from it."""
    from labelwise.strategies.trustset import agent

    events = []

    class Watched(RewardNetwork):
        def learn(self, buffer, *args, **kwargs):
            events.append(("train", len(buffer)))
            return super().learn(buffer, *args, **kwargs)

    def watched(network, one):
        events.append(("ask", float(one.rewards.sum())))
        return agreement(network, one)

    monkeypatch.setattr(agent, "agreement", watched)
    x = rng("x").normal(size=(40, WIDTH))
    training = {"steps": 1, "batch": 20, "lr": 0.01}
    rehearse(
        Watched(6 * WIDTH, 8, rng()), x, np.arange(40) < 12, LAYOUT, rng(), share=0.1, pairs=6, **training
    )
    assert [what for what, _ in events] == ["train"] * 4 + ["ask", "train"] * 2
    counts = [n for what, n in events if what == "train"]
    assert counts[0] > 0 and (np.diff(counts) > 0).all()
    one = rehearse(
        Watched(6 * WIDTH, 8, rng()), x, np.arange(40) < 12, LAYOUT, rng(), share=0.1, pairs=1, **training
    )
    assert np.isnan(one.correlation) and np.isnan(one.within)
    assert np.isnan(Lessons().correlation)
