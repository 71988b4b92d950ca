"""A share of random, a warm-up and a switch of regime: who proposes, who hears, and what survives a restart."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from strategy_views import view

import fake
from labelwise.campaign import Campaign, Plan
from labelwise.errors import InputError
from labelwise.functional.scores import smallest_margin
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.store.memory import MemoryStore
from labelwise.strategies import make
from labelwise.strategies.base import Outcome, Proposal, Strategy
from labelwise.strategies.mixed import Regime, WarmUp


@dataclass
class Hears(Strategy):
    """Proposes the first rows (or the last), and counts what it hears."""

    reads: tuple[str, ...] = ("features",)
    last: bool = False
    heard: list[int] = field(default_factory=list, init=False)

    @property
    def needs(self):
        return Needs(pool=frozenset(self.reads))

    def propose(self, view, n, rng):
        assert view.pool.names <= set(self.reads), "it sees what it did not ask for"
        rows = np.arange(min(n, len(view.pool)))
        return Proposal(len(view.pool) - 1 - rows if self.last else rows)

    def learn(self, outcome):
        self.heard.append(outcome.round)

    def state_dict(self):
        return {"heard": list(self.heard)}

    def load_state_dict(self, state):
        self.heard = [int(t) for t in state["heard"]]


def seen(n=40, labelled=0, classes=4, round_=1):
    needs = Needs(frozenset({"probs", "features"}))
    v = view(needs, n, classes, labelled=labelled)
    return View(v.pool, v.labelled, v.validation, classes, (), round_)


# -- mixed -------------------------------------------------------------------------------------------------------------


def test_the_share_is_drawn_evenly_and_the_rest_is_by_the_other_strategy():
    v = seen(100)
    found = make("mixed", share=0.3).propose(v, 20, generator(0))
    by_margin = np.argsort(-smallest_margin(v.pool.probs), kind="stable")
    assert_array_equal(found.rows[:14], by_margin[:14])
    assert not set(found.rows[14:]) & set(by_margin[:14])
    assert_array_equal(found.scores, smallest_margin(v.pool.probs))
    assert found.notes["drawn_evenly"] == 6
    other = make("mixed", share=0.3).propose(v, 20, generator(1))
    assert_array_equal(other.rows[:14], found.rows[:14])
    assert set(other.rows[14:]) != set(found.rows[14:])


def test_every_other_row_is_drawn_alike():
    v, counts, strategy = seen(12), np.zeros(12), make("mixed", share=0.5, then=Hears())
    for seed in range(2000):
        rows = strategy.propose(v, 4, generator(seed)).rows
        assert_array_equal(rows[:2], [0, 1])
        counts[rows[2:]] += 1
    # each of ten rows is drawn with 2/10: 400 of 2000, standard deviation 18; five of them
    assert counts[:2].sum() == 0
    assert (np.abs(counts[2:] - 400) < 90).all()


def test_a_share_of_a_small_batch_is_right_on_average():
    v, strategy = seen(), make("mixed", share=0.2)
    drawn = [strategy.propose(v, 1, generator(seed)).notes["drawn_evenly"] for seed in range(2000)]
    assert set(drawn) == {0, 1}
    assert abs(np.mean(drawn) - 0.2) < 0.045  # standard deviation 0.0089; five of them


@pytest.mark.parametrize("share", [0, 1, 0.5])
@pytest.mark.parametrize("n", [1, 39, 40, 99])
def test_shares_of_nothing_and_everything(share, n):
    found = make("mixed", share=share).propose(seen(), n, generator(0))
    found.check(40, n, "mixed")
    if share != 0.5:
        assert found.notes["drawn_evenly"] == share * min(n, 40)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True, "half"])
def test_a_share_is_between_nothing_and_everything(share):
    with pytest.raises(InputError, match="share must be a number from 0 to 1"):
        make("mixed", share=share)


def test_mixed_hears_and_keeps_the_state_of_the_other():
    strategy = make("mixed", then=Hears())
    strategy.learn(Outcome(3, 10, {}, {}))
    assert strategy.state_dict() == {"then": {"heard": [3]}}
    again = make("mixed", then=Hears())
    again.load_state_dict(strategy.state_dict())
    assert again.then.heard == [3]
    assert make("mixed").state_dict() == {}


def test_mixtures_nest():
    v = seen(100)
    strategy = make("mixed", share=0.5, then={"name": "mixed", "share": 0.5})
    found = strategy.propose(v, 20, generator(0))
    found.check(100, 20, "mixed")
    assert strategy.needs == make("margin").needs
    by_margin = np.argsort(-smallest_margin(v.pool.probs), kind="stable")
    assert_array_equal(found.rows[:5], by_margin[:5])


# -- warm-up and regime ------------------------------------------------------------------------------------------------


def turns(strategy, cases):
    return [
        strategy.propose(seen(labelled=labelled, round_=t), 5, generator(0)).notes["proposed_by"]
        for labelled, t in cases
    ]


def test_a_warm_up_ends_at_its_labels_or_rounds_whichever_comes_first():
    assert turns(make("warm-up", labels=30), [(29, 99), (30, 0)]) == ["first", "then"]
    assert turns(make("warm-up", rounds=3), [(999, 2), (0, 3), (1, 3)]) == ["first", "first", "then"]
    both = make("warm-up", labels=30, rounds=3)
    assert turns(both, [(29, 2), (30, 2), (29, 3)]) == ["first", "then", "then"]
    assert turns(make("warm-up"), [(39, 99), (40, 0)]) == ["first", "then"]  # ten a class, four classes


def test_a_regime_is_switched_at_labels_a_class():
    strategy = Regime(make("random"), make("entropy"), per_class=2.5)
    assert turns(strategy, [(9, 3), (10, 3)]) == ["low", "high"]
    v = seen(labelled=10)
    assert_array_equal(
        strategy.propose(v, 5, generator(2)).rows, make("entropy").propose(v, 5, generator(2)).rows
    )


def test_needs_are_those_of_both_and_each_sees_its_own_only():
    strategy = WarmUp(Hears(("features",)), Hears(("probs",), last=True), labels=5)
    assert strategy.needs == Needs(frozenset({"probs", "features"}))
    assert_array_equal(strategy.propose(seen(labelled=4), 2, generator(0)).rows, [0, 1])
    assert_array_equal(strategy.propose(seen(labelled=5), 2, generator(0)).rows, [39, 38])


def test_the_one_that_proposed_hears_what_came_of_it():
    strategy = WarmUp(Hears(), Hears(("probs",)), labels=5)
    strategy.learn(Outcome(0, 3, {}, {}))  # nobody proposed yet
    assert strategy.state_dict() == {"first": {"heard": []}, "then": {"heard": []}}
    for t, labelled in enumerate([3, 4, 5, 6], start=1):
        strategy.propose(seen(labelled=labelled), 2, generator(0))
        state = strategy.state_dict()
        strategy = WarmUp(Hears(), Hears(("probs",)), labels=5)  # the process died in between
        strategy.load_state_dict(state)
        strategy.learn(Outcome(t, labelled + 1, {}, {}))
    assert (strategy.first.heard, strategy.then.heard) == ([1, 2], [3, 4])


def test_a_campaign_takes_its_first_batch_from_a_low_strategy_that_needs_features_only():
    def first_ask(cold, low, high="margin"):
        strategy = make("warm-up", first=low, then=high, labels=8)
        plan = Plan(seed=1, start=4, batch=2, budget=12, cold=cold)
        campaign = Campaign(fake.task(), fake.FakeRecipe(), strategy, MemoryStore(), plan)
        asks = []
        while ids := campaign.ask():
            asks.append(ids)
            campaign.tell([(i, i % 3) for i in ids])
        return asks

    random_start = first_ask(False, Hears())[0]
    assert first_ask(True, Hears())[0] == (0, 1, 2, 3)
    assert first_ask(True, Hears(("probs",)))[0] == random_start  # it needs more: the common random start
    asks = first_ask(True, Hears(), Hears(("probs",), last=True))
    assert [ids[0] < 100 for ids in asks] == [True, True, True, False, False]  # 4, 6 and then 8 labels


def test_a_cold_warm_up_by_rounds_waits_for_the_first_label():
    strategy = make("warm-up", first=Hears(), then="margin", rounds=1)
    plan = Plan(seed=1, start=4, batch=2, budget=12, cold=True)
    campaign = Campaign(fake.task(), fake.FakeRecipe(), strategy, MemoryStore(), plan)
    campaign.tell([(i, None) for i in campaign.ask()])  # passes only: round 1 has no label, either
    campaign.tell([(i, i % 3) for i in campaign.ask()])
    assert strategy.proposer == "first"
    campaign.ask()
    assert strategy.proposer == "then"


def test_a_switch_at_nothing_is_as_cold_as_the_second():
    assert WarmUp(Hears(("probs",)), Hears(), labels=0).cold_needs == Needs(frozenset({"features"}))


@pytest.mark.parametrize("params", [{"labels": -1}, {"rounds": 1.5}, {"labels": True}])
def test_limits_are_whole_numbers(params):
    with pytest.raises(InputError, match="must be a whole number of at least 0"):
        make("warm-up", **params)


@pytest.mark.parametrize("per_class", [-1, float("nan"), "ten"])
def test_labels_a_class_are_a_number(per_class):
    with pytest.raises(InputError, match="per_class must be a number of at least 0"):
        Regime(make("random"), make("margin"), per_class)


def test_names_are_for_make():
    with pytest.raises(
        InputError, match=r"first of WarmUp must be a Strategy; it is 'random'. labelwise.make"
    ):
        WarmUp()


def test_labelled_ids_count_even_where_nothing_is_needed_of_them():
    found = make("warm-up", labels=3)
    v = view(found.needs, 20, 2, labelled=3)
    assert v.labelled.names == frozenset()
    assert found.propose(v, 2, generator(0)).notes["proposed_by"] == "then"
    nobody = View(v.pool, Signals(np.empty(0, np.int64)), v.validation, 2)
    assert found.propose(nobody, 2, generator(0)).notes["proposed_by"] == "first"


def test_a_regime_starts_with_typical_samples_by_default():
    strategy = make("regime")
    assert (strategy.low, strategy.high) == (make("typiclust"), make("margin"))
    cold = make("regime", low={"name": "typiclust", "space": "features"})
    assert cold.cold_needs.pool == {"features"}
    assert "probs" in cold.needs.pool
