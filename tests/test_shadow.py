"""The campaign that chance would have run: whose labels it has, and gains whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.campaign.auditing import audit_order
from labelwise.campaign.shadow import arms, gain_words, shadow_gain
from labelwise.data.base import NOBODY
from labelwise.errors import InputError
from labelwise.events import State
from labelwise.functional.audit import Gain
from labelwise.oracle import SimulatedOracle
from labelwise.signals import Needs
from labelwise.store.memory import MemoryStore
from labelwise.strategies.base import Proposal, Strategy
from test_auditing import Learner

PLAN = Plan(seed=2, start=6, batch=10, budget=66, audit=0.4)


def run(plan=PLAN, strategy="random", task=None):
    made = make(strategy) if isinstance(strategy, str) else strategy
    campaign = Campaign(task or fake.task(), Learner(), made, MemoryStore(), plan)
    oracle = SimulatedOracle(fake.truth(), 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    return campaign.state


def test_chance_has_every_label_up_to_the_last_random_pick_whoever_asked_for_it():
    task, state = fake.task(), run()
    common, chance, chosen = arms(task, state)
    drawn = {i for ask in state.asks for i in ask.audit}
    assert set(common) == set(state.asks[0].ids)
    order = [i for i in audit_order(2, task.pool).tolist() if i not in set(common)]
    assert chance.tolist() == order[: len(chance)]  # nothing is missing: a campaign of that order alone
    assert drawn <= set(chance)
    assert len(chance) > len(drawn)  # some were asked for by the strategy before their turn
    assert chosen.tolist() == [i for ask in state.asks[1:] for i in ask.ids if i not in drawn]


def test_a_cold_start_belongs_to_the_strategy():
    class First(Strategy):
        needs = Needs(pool=frozenset({"features"}))

        def propose(self, view, n, rng):
            return Proposal(np.argsort(view.pool.features[:, 0])[:n])

    common, _, chosen = arms(fake.task(), run(replace(PLAN, cold=True), First()))
    assert common.size == 0
    assert chosen.size == 6 + 36
    common, _, chosen = arms(
        fake.task(), run(replace(PLAN, cold=True), "margin")
    )  # margin needs labels to start
    assert (common.size, chosen.size) == (6, 36)


def test_random_against_random_gains_nothing_and_its_intervals_cover_that():
    """25 campaigns of the strategy random, whose gain over chance is 0 whatever the model."""
    task = replace(fake.task(), validation=NOBODY)
    found = [shadow_gain(task, Learner(), run(replace(PLAN, seed=s), task=task), count=6) for s in range(25)]
    assert all((one.held_out and one.labels == found[0].labels) or one.labels > 20 for one in found)
    covered = [one.low <= 0 <= one.high for one in found]
    assert np.mean(covered) >= 0.88  # 95 % nominal; of 25 three may miss
    gains = np.array([one.gain for one in found])
    assert abs(gains.mean()) < 3 * gains.std() / 5


def test_a_strategy_that_asks_for_outliers_loses_to_chance():
    class Outliers(Strategy):
        needs = Needs(pool=frozenset({"features"}))

        def propose(self, view, n, rng):
            return Proposal(
                np.argsort(-view.pool.features[:, 0])[:n]
            )  # right of where every class has its mean

    task, truth = fake.task(validation=200, test=0), fake.truth(validation=200, test=0)
    found = []
    for seed in range(4):
        campaign = Campaign(task, Learner(), Outliers(), MemoryStore(), replace(PLAN, seed=seed))
        while ids := campaign.ask():
            campaign.tell([(i, int(truth[i])) for i in ids])
        found.append(shadow_gain(task, Learner(), campaign.state, count=4))
    assert all(not one.held_out for one in found)
    assert np.mean([one.gain for one in found]) < -0.03, [one.gain for one in found]


def test_enough_validation_samples_are_tested_on():
    base = fake.task(validation=60, test=0)
    truth = fake.truth(validation=60, test=0)
    campaign = Campaign(base, Learner(), make("margin"), MemoryStore(), PLAN)
    while ids := campaign.ask():
        campaign.tell([(i, int(truth[i])) for i in ids])
    steps = []
    found = shadow_gain(base, Learner(), campaign.state, count=3, progress=lambda *at: steps.append(at))
    assert (found.held_out, found.samples, found.draws) == (False, 60, 3)
    assert steps == [(k, 6) for k in range(1, 7)]
    again = shadow_gain(base, Learner(), campaign.state, count=3)
    assert again == found


def test_a_campaign_without_random_picks_is_refused_in_words():
    with pytest.raises(InputError, match=r"opened without plan\.audit"):
        arms(fake.task(), run(Plan(seed=0, start=6, batch=5, budget=16)))
    with pytest.raises(InputError, match="no random picks"):
        arms(fake.task(), State())
    with pytest.raises(InputError, match="at least 6 random labels"):
        shadow_gain(fake.task(), Learner(), run(Plan(seed=0, start=6, batch=5, budget=11, audit=0.2)))


def test_a_gain_is_told_with_what_it_holds_for():
    found = Gain(48, 0.795, 0.829, 0.034, -0.014, 0.083, 8, 300, False)
    assert gain_words(found, "least-confidence") == (
        "With 48 labels, those that least-confidence chose reach 82.9% and as many random ones 79.5%: +3.4 points (95 % "
        "interval −1.4 to +8.3, which these labels cannot tell from 0), on 300 validation samples, 8 pairs of fits."
    )
