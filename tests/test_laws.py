"""The laws of the house that concern a whole campaign: restart, purity, derivation, common numbers, ids, no test leak."""

from __future__ import annotations

import numpy as np
import pytest

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.errors import InputError
from labelwise.events import Asked, Fitted
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore
from labelwise.strategies import TABLE
from labelwise.strategies.base import Proposal, Strategy
from strategies.strategy_views import made

PLAN = Plan(seed=3, start=7, batch=5, budget=32)
SHORT = Plan(seed=3, start=7, batch=5, budget=17)  # for the laws that are tried with every strategy
AUDITED = Plan(seed=3, start=7, batch=5, budget=32, audit=0.3)


def oracle(**kwargs):
    return SimulatedOracle(fake.truth(), 3, **kwargs)


def quick(name):
    """The strategy as the tests use it; one that cheats is told the truth."""
    if name == "grand-oracle":
        return make(name, truth=fake.truth())
    return made(name)


def uninterrupted(strategy, plan=PLAN, warm=False, who=None):
    campaign = Campaign(fake.task(), fake.FakeRecipe(warm), quick(strategy), MemoryStore(), plan)
    who = who or oracle()
    while ids := campaign.ask():
        campaign.tell(who.answer(ids))
    return campaign.state


def asks(state):
    return [(a.round, a.ids, a.scores, a.audit) for a in state.asks]


@pytest.mark.parametrize(
    "name, warm, plan",
    [*((name, False, SHORT) for name in sorted(TABLE)), ("margin", True, SHORT), ("badge", True, AUDITED)],
)
def test_law_r_a_campaign_reopened_at_every_step_asks_the_same(name, warm, plan, tmp_path):
    """A fresh store object, recipe and strategy for every call; answers told one by one in another order."""
    path = tmp_path / "campaign.db"

    def reopened():
        store = SqlStore(path)
        return Campaign(fake.task(), fake.FakeRecipe(warm), quick(name), store, plan), store

    for step in range(1000):
        campaign, store = reopened()
        ids = campaign.ask()
        store.close()
        if not ids:
            break
        # Only part of the batch, in an order of its own, one process an answer.
        for i in generator(step, "tests", "order").permutation(np.array(ids))[:2]:
            campaign, store = reopened()
            assert campaign.ask() == ids if not campaign.state.answers.keys() & set(ids) else True
            campaign.tell(oracle().answer([int(i)]))
            store.close()
    else:
        pytest.fail("the campaign never ended")
    campaign, store = reopened()
    assert asks(campaign.state) == asks(uninterrupted(name, plan, warm=warm))
    store.close()


def test_law_r_bites_when_randomness_is_carried(tmp_path):
    """Bite check: a strategy that draws from a generator of its own does not survive a restart."""

    class Carried(Strategy):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
            return Proposal(self.rng.permutation(len(view.pool))[:n])

    def run(fresh):
        store, strategy, found = MemoryStore(), Carried(), []
        while True:
            strategy = Carried() if fresh else strategy
            campaign = Campaign(fake.task(), fake.FakeRecipe(), strategy, store, PLAN)
            if not (ids := campaign.ask()):
                return found
            found.append(ids)
            campaign.tell(oracle().answer(ids))

    assert run(fresh=True) != run(fresh=False)


class Recorder(Strategy):
    """Keeps what it was shown; `needs` is set by the test."""

    needs = Needs(pool=frozenset({"probs"}), validation=frozenset({"y"}))

    def __init__(self):
        self.views, self.outcomes = [], []

    def propose(self, view, n, rng):
        self.views.append(view)
        return Proposal(np.arange(min(n, len(view.pool))))

    def learn(self, outcome):
        self.outcomes.append(outcome)


def recorded():
    strategy = Recorder()
    campaign = Campaign(fake.task(), fake.FakeRecipe(), strategy, MemoryStore(), PLAN)
    while ids := campaign.ask():
        campaign.tell(oracle().answer(ids))
    return strategy, campaign


def test_law_v_a_strategy_sees_its_declared_needs_and_nothing_else():
    strategy, _ = recorded()
    for view in strategy.views:
        assert view.pool.names == {"probs"}
        assert view.labelled.names == frozenset()
        assert view.validation.names == {"y"}


def test_law_p_views_and_events_never_change():
    strategy, campaign = recorded()
    with pytest.raises(ValueError, match="read-only"):
        strategy.views[0].pool.probs[0, 0] = 1.0
    with pytest.raises(AttributeError):
        campaign.state.asks[0].round = 5
    with pytest.raises(AttributeError):
        strategy.views[0].round = 5


def test_law_p_fitting_twice_gives_the_same_predictor():
    task, recipe = fake.task(), fake.FakeRecipe()
    train = task.validation
    one, two = (recipe.fit(task.data, train, task.pool, None, 3, generator(1, "fit")) for _ in range(2))
    assert one == two


def test_law_d_a_campaign_never_touches_the_global_generator(monkeypatch):
    def poisoned(*args, **kwargs):
        raise AssertionError("np.random's global generator was used")

    for name in ("rand", "randn", "randint", "random", "choice", "shuffle", "permutation", "seed", "normal"):
        monkeypatch.setattr(np.random, name, poisoned)
    for name in TABLE:
        uninterrupted(name, SHORT)


def test_law_c_every_strategy_starts_with_the_same_batch_and_fits_with_the_same_seeds():
    seeds = {}

    class Spy(fake.FakeRecipe):
        def fit(self, *args, **kwargs):
            predictor = super().fit(*args, **kwargs)
            seeds.setdefault(current, []).append(predictor.seed)
            return predictor

    starts = []
    for current in TABLE:
        campaign = Campaign(fake.task(), Spy(), quick(current), MemoryStore(), SHORT)
        starts.append(campaign.ask())
        while ids := campaign.ask():
            campaign.tell(oracle().answer(ids))
    assert len(set(starts)) == 1
    assert len({tuple(s) for s in seeds.values()}) == 1


def test_law_c_noise_does_not_depend_on_the_order_of_asking():
    noisy = SimulatedOracle(fake.truth(), 3, noise=0.4, seed=1)
    forwards = {a.id: a.label for a in noisy.answer(range(100))}
    backwards = {
        a.id: a.label for a in SimulatedOracle(fake.truth(), 3, noise=0.4, seed=1).answer(range(99, -1, -1))
    }
    assert forwards == backwards
    wrong = np.mean([forwards[i] != fake.truth()[i] for i in range(100)])
    assert 0.25 < wrong < 0.55  # 0.4 expected of 100; three standard deviations are 0.15


def test_law_i_ids_never_enter_a_strategy_as_rows():
    """A pool whose ids start at 1,000: rows 0..n-1 must come back as ids 1000..."""
    base = fake.task(n=1200)
    from labelwise.data.task import Task

    task = Task(base.name, base.data, base.classes, base.pool[1000:], base.validation, base.test)
    campaign = Campaign(
        task, fake.FakeRecipe(), Recorder(), MemoryStore(), Plan(seed=0, start=5, batch=5, budget=15)
    )
    first = campaign.ask()
    assert all(1000 <= i < 1200 for i in first)
    campaign.tell([(i, 0) for i in first])
    left = [i for i in range(1000, 1200) if i not in first]
    assert campaign.ask() == tuple(left[:5])  # Recorder proposes rows 0..4


def test_law_t_nothing_that_proposes_or_trains_meets_test_data():
    task = fake.task()
    shown: list[np.ndarray] = []

    class Spy(fake.FakeRecipe):
        def fit(self, data, train, unlabelled, validation, *args, **kwargs):
            shown.extend([train.ids, unlabelled, validation.ids])
            return super().fit(data, train, unlabelled, validation, *args, **kwargs)

    strategy = Recorder()
    campaign = Campaign(task, Spy(), strategy, MemoryStore(), PLAN)
    while ids := campaign.ask():
        campaign.tell(oracle().answer(ids))
    for view in strategy.views:
        shown += [view.pool.ids, view.labelled.ids, view.validation.ids]
        assert view.pool.y is None
    assert not np.isin(np.concatenate(shown), task.test.ids).any()
    for outcome in strategy.outcomes:
        assert (
            outcome.after == next(f for f in campaign.state.fits if f.round == outcome.round + 1).validation
        )
    assert len(strategy.outcomes) == len(campaign.state.fits) - 1
    assert all(f.test and f.test != f.validation for f in campaign.state.fits)


def test_law_t_pool_labels_cannot_be_needed():
    with pytest.raises(InputError, match="pool labels"):
        Needs(pool=frozenset({"y"}))
    with pytest.raises(InputError, match="must not hold y"):
        View(Signals(np.arange(2), y=np.array([0, 1])), Signals(np.arange(0)), Signals(np.arange(0)), 2)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_law_b_a_campaign_ends_when_all_are_labelled(name):
    plan = Plan(seed=0, start=7, batch=9, budget=10_000)
    campaign = Campaign(fake.task(n=20), fake.FakeRecipe(), quick(name), MemoryStore(), plan)
    truth = fake.truth(n=20)
    while ids := campaign.ask():
        campaign.tell([(i, int(truth[i])) for i in ids])
    assert [len(asked.ids) for asked in campaign.state.asks] == [7, 9, 4]
    assert set(campaign.state.answers) == set(range(20))


def test_law_b_every_round_asks_exactly_min_n_pool():
    state = uninterrupted("margin", Plan(seed=0, start=7, batch=50, budget=10_000))
    sizes = [len(a.ids) for a in state.asks]
    assert sizes == [7, 50, 50, 50, 43]  # 200 in the pool, budget larger than the pool
    every = [i for a in state.asks for i in a.ids]
    assert sorted(every) == list(range(200))


@pytest.mark.parametrize("rows", [[0, 1], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5000], [-1, 0, 1, 2, 3]])
def test_law_b_a_strategy_that_breaks_it_is_refused_and_nothing_is_asked(rows):
    class Broken(Strategy):
        def propose(self, view, n, rng):
            return Proposal(np.array(rows))

    campaign = Campaign(fake.task(), fake.FakeRecipe(), Broken(), MemoryStore(), PLAN)
    campaign.tell(oracle().answer(campaign.ask()))
    with pytest.raises(InputError, match="Broken breaks the contract of strategies"):
        campaign.ask()
    assert len(campaign.state.asks) == 1


def test_a_large_ask_is_not_cut_by_the_candidates():
    campaign = Campaign(
        fake.task(), fake.FakeRecipe(), make("margin"), MemoryStore(),
        Plan(seed=0, start=5, batch=5, budget=150, candidates=10),
    )  # fmt: skip
    campaign.tell(oracle().answer(campaign.ask()))
    assert len(campaign.ask(60)) == 60


def test_a_fit_follows_the_last_answer_so_that_the_budget_is_measured():
    state = uninterrupted("margin")
    assert [f.n_labelled for f in state.fits] == [7, 12, 17, 22, 27, 32]
    assert state.over
    kinds = [type(e) for e in (state.fits[-1],)]
    assert kinds == [Fitted]
    assert isinstance(state.asks[-1], Asked)
