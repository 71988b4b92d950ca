"""A whole campaign on each lasting store, every call by a new process's worth of objects: the asks stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.errors import InputError
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Needs, View
from labelwise.store.base import Store
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore
from labelwise.strategies.base import Outcome, Proposal, Strategy

PLAN = Plan(seed=5, start=6, batch=5, budget=26)


class Policy(Strategy):
    """A learned policy: what it asks for next depends on arrays and numbers that it must not forget."""

    needs = Needs(pool=frozenset({"probs"}))

    def __init__(self) -> None:
        self.weights, self.heard = np.zeros(3), 0

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        scores = view.pool.need("probs") @ (self.weights + 1)
        return Proposal(np.argsort(-scores, kind="stable")[:n], scores)

    def learn(self, outcome: Outcome) -> None:
        self.heard += 1
        self.weights[outcome.n_labelled % 3] += outcome.after["accuracy"] - outcome.before["accuracy"] + 0.1

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights.copy(), "heard": self.heard} if self.heard else {}

    def load_state_dict(self, state: Any) -> None:
        self.weights = np.array(state.get("weights", np.zeros(3)))
        self.heard = int(state.get("heard", 0))


def campaign_on(store: Store, strategy: str, plan: Plan | None = None) -> Campaign:
    chosen = Policy() if strategy == "policy" else make(strategy)
    return Campaign(fake.task(), fake.FakeRecipe(warm=True), chosen, store, plan)


def asks(campaign: Campaign) -> list[Any]:
    return [(a.round, a.ids, a.scores) for a in campaign.state.asks]


@pytest.mark.parametrize("strategy", ["margin", "policy"])
def test_a_campaign_reopened_at_every_step_asks_the_same(
    lasting: Callable[[], SqlStore], strategy: str
) -> None:
    oracle = SimulatedOracle(fake.truth(), 3, noise=0.2, passes=0.1, seed=1)
    calm = campaign_on(MemoryStore(), strategy, PLAN)
    while ids := calm.ask():
        calm.tell(oracle.answer(ids))
    with lasting() as store:
        campaign_on(store, strategy, PLAN)
    for step in range(200):
        with lasting() as store:
            ids = campaign_on(store, strategy).ask()
        if not ids:
            break
        some = generator(step, "tests", "some").permutation(np.array(ids))[:3]
        with lasting() as store:
            campaign_on(store, strategy).tell(oracle.answer(some.tolist()))
        with lasting() as store:
            assert set(campaign_on(store, strategy).state.open_ids) == set(ids) - set(some.tolist())
    with lasting() as store:
        again = campaign_on(store, strategy)
        assert again.over
        assert asks(again) == asks(calm)
        assert [f.fit for f in again.state.fits] == [f.fit for f in calm.state.fits]
        assert {i: a.label for i, a in again.state.answers.items()} == {
            i: a.label for i, a in calm.state.answers.items()
        }
        assert repr(store.state()) == repr(calm.store.state())


def test_two_campaigns_share_a_database_and_keep_apart(lasting: Callable[[], SqlStore]) -> None:
    with lasting() as one:
        where, name = (str(one.path) if one.path else one._engine.url), one.campaign
        first = campaign_on(one, "margin", PLAN)
        url = where if isinstance(where, str) else where.render_as_string(hide_password=False)
        with SqlStore(url, f"{name} other") as two:
            second = campaign_on(two, "entropy", Plan(seed=6, start=6, batch=5, budget=26))
            ids, others = first.ask(), second.ask()
            first.tell([(ids[0], 0)])
            assert second.ask() == others
            assert first.ask() == ids[1:]
        with pytest.raises(InputError, match="another strategy"):
            campaign_on(one, "entropy")
