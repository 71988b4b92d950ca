"""Audits: how many, which, for whom, through restarts; what the model had said; and intervals that cover the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fake
from labelwise import make
from labelwise.campaign import Campaign, Plan
from labelwise.campaign.auditing import NO_PICKS, Picks, audit_order, audited, picks
from labelwise.errors import CorruptStore, InputError
from labelwise.events import Asked, Fitted, Opened, from_dict, kind_of, replay, to_dict
from labelwise.functional.audit import estimate, pooled
from labelwise.oracle import Answer, SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals
from labelwise.store.bodies import decode_event, encode_event
from labelwise.store.memory import MemoryStore
from labelwise.strategies.base import Proposal, Strategy

PLAN = Plan(seed=3, start=6, batch=5, budget=46, audit=0.3)


def run(plan=PLAN, strategy="margin", task=None, recipe=None, who=None):
    campaign = Campaign(
        task or fake.task(),
        recipe or fake.FakeRecipe(),
        make(strategy) if isinstance(strategy, str) else strategy,
        MemoryStore(),
        plan,
    )
    who = who or SimulatedOracle(fake.truth(), 3)
    while ids := campaign.ask():
        campaign.tell(who.answer(ids))
    return campaign


def test_the_running_total_of_random_picks_is_the_share_after_every_round():
    asks = run().state.asks
    assert asks[0].audit == ()  # the start is random anyway
    assert [len(a.ids) for a in asks] == [6] + [5] * 8
    # 0.3 of 5, 10, 15 ... picks: 1.5, 3, 4.5, 6, 7.5, 9, 10.5, 12; rounded half up 2, 3, 5, 6, 8, 9, 11, 12
    assert [len(a.audit) for a in asks[1:]] == [2, 1, 2, 1, 2, 1, 2, 1]
    assert all(set(a.audit) < set(a.ids) for a in asks[1:])


def test_random_picks_are_the_next_in_an_order_that_no_strategy_knows():
    campaign = run()
    order = audit_order(3, campaign.task.pool).tolist()
    asked = set()
    for ask in campaign.state.asks:
        left = [i for i in order if i not in asked]
        assert list(ask.audit) == left[: len(ask.audit)]
        asked |= set(ask.ids)


def test_law_c_start_and_first_random_picks_are_the_same_for_every_strategy():
    one, two = (run(strategy=s).state.asks for s in ("margin", "badge"))
    assert one[0].ids == two[0].ids
    assert one[1].audit == two[1].audit
    assert one[1].ids != two[1].ids
    # of later rounds those that neither strategy has asked for meanwhile
    orders = [[i for a in asks for i in a.audit] for asks in (one, two)]
    strategies = [
        {i for a in asks for i in a.ids} - set(o) for asks, o in zip((one, two), orders, strict=True)
    ]
    shared = [[i for i in order if i not in strategies[0] | strategies[1]] for order in orders]
    least = min(map(len, shared))
    assert least >= 8
    assert shared[0][:least] == shared[1][:least]


def test_an_audit_changes_nothing_but_the_batches():
    """Fits and starts are seeded as without; a share of 0 is no audit at all."""
    bare, none = run(replace(PLAN, audit=0.0)), run(Plan(seed=3, start=6, batch=5, budget=46))
    assert [a.ids for a in bare.state.asks] == [a.ids for a in none.state.asks]
    assert bare.state.asks[0].ids == run().state.asks[0].ids
    first = [c.state.fits[0] for c in (bare, run())]
    assert first[0].validation == first[1].validation
    assert "audit" not in first[0].analysis


class Recorder(Strategy):
    needs = Needs(pool=frozenset({"probs"}))

    def __init__(self):
        self.shown, self.heard = [], []

    def propose(self, view, n, rng):
        self.shown.append((set(view.pool.ids.tolist()), n))
        return Proposal(np.arange(min(n, len(view.pool))), np.arange(len(view.pool), dtype=float))

    def learn(self, outcome):
        self.heard.append(outcome.round)


@pytest.mark.parametrize("candidates", [None, 40])
def test_a_strategy_proposes_the_others_and_never_sees_the_random_picks(candidates):
    strategy = Recorder()
    state = run(replace(PLAN, candidates=candidates), strategy).state
    assert len(strategy.shown) == len(state.asks) - 1
    for ask, (shown, n) in zip(state.asks[1:], strategy.shown, strict=True):
        assert not shown & set(ask.audit)
        assert n == len(ask.ids) - len(ask.audit) == len(ask.scores)
        assert len(shown) == candidates if candidates else True


def test_random_picks_come_from_the_whole_pool_and_not_from_the_candidates():
    one, two = run(), run(replace(PLAN, candidates=5))
    assert one.state.asks[1].audit == two.state.asks[1].audit


def test_a_round_of_random_picks_alone_asks_the_strategy_nothing_and_tells_it_no_outcome():
    strategy = Recorder()
    state = run(Plan(seed=0, start=3, batch=1, budget=9, audit=0.5), strategy).state
    # half of 1, 2, 3 ... picks, rounded half up: 1, 1, 2, 2, 3, 3: every other round
    assert [len(a.audit) for a in state.asks[1:]] == [1, 0, 1, 0, 1, 0]
    assert len(strategy.shown) == 3
    assert strategy.heard == [2, 4, 6]


def test_people_cannot_tell_one_kind_from_the_other_by_its_place():
    """Over many seeds a random pick stands at each of five places as often as at any other."""
    places = np.zeros(5, int)
    for seed in range(400):
        mixed = Picks(np.array([9]), {}).mixed(np.arange(4), generator(seed, "round", 1, "audit"))
        places[mixed.tolist().index(9)] += 1
        assert [i for i in mixed.tolist() if i != 9] == [0, 1, 2, 3]  # the strategy's own order stays
    assert np.all(np.abs(places - 80) < 32)  # binomial(400, 0.2): four standard deviations are 32
    assert_array_equal(NO_PICKS.mixed(np.arange(3), generator(0, "x")), np.arange(3))


def test_what_the_model_said_is_kept_before_anybody_answers_and_counted_when_they_do():
    campaign = Campaign(fake.task(), fake.FakeRecipe(), make("margin"), MemoryStore(), PLAN)
    truth = fake.truth()
    campaign.tell([(i, int(truth[i])) for i in campaign.ask()])
    campaign.ask()
    ask, fit = campaign.state.asks[1], campaign.state.fits[0]
    probs = campaign.predictor.infer(campaign.task.data, np.array(ask.audit), frozenset({"probs"})).probs
    assert fit.analysis["audit"] == {
        "said": probs.argmax(axis=1).tolist(),
        "sure": [round(p, 4) for p in probs.max(axis=1).tolist()],
    }
    assert [(a.n, a.right) for a in audited(campaign.state)] == [(0, 0)]
    first, second = ask.audit
    said = fit.analysis["audit"]["said"]
    campaign.tell([(first, None), (second, said[1])])  # a pass is no answer
    assert [(a.round, a.labels, a.n, a.right, a.left) for a in audited(campaign.state)] == [(1, 6, 1, 1, 194)]
    campaign.tell([(second, (said[1] + 1) % 3)], correct=True)  # the newer counts
    assert audited(campaign.state)[0].right == 0


def test_law_t_no_label_of_the_pool_is_read_before_it_is_told():
    """What is kept of random picks and of the stop set is the same whatever the labels of that round will be."""
    states = [run(who=SimulatedOracle(fake.truth(), 3, noise=noise, seed=1)).state for noise in (0.0, 0.0)]
    assert [f.analysis for f in states[0].fits] == [f.analysis for f in states[1].fits]
    campaign = Campaign(fake.task(), fake.FakeRecipe(), make("margin"), MemoryStore(), PLAN)
    campaign.tell([(i, 0) for i in campaign.ask()])
    campaign.ask()
    fit = campaign.state.fits[0]
    campaign.tell([(i, 2) for i in campaign.ask()])
    campaign.ask()
    assert campaign.state.fits[0] == fit


@dataclass(frozen=True)
class Blind(fake.FakeRecipe):
    """Gives no probabilities of every third sample."""

    def fit(self, *args, **kwargs):
        inner = super().fit(*args, **kwargs)

        class Half:
            notes = inner.notes
            state_dict = inner.state_dict

            def infer(self, data, ids, names, progress=None):
                told = inner.infer(data, ids, names, progress)
                probs = told.probs.copy()
                probs[np.asarray(ids) % 3 == 0] = np.nan
                return replace(told, probs=probs)

        return Half()


def test_a_sample_that_the_model_cannot_read_is_never_drawn():
    task = replace(fake.task(validation=0, test=0))
    state = run(task=task, recipe=Blind(), who=SimulatedOracle(fake.truth(validation=0, test=0), 3)).state
    drawn = [i for a in state.asks for i in a.audit]
    assert len(drawn) == 12
    assert all(i % 3 for i in drawn)
    assert any("unreadable" in f.analysis.get("audit", {}) for f in state.fits)
    said = state.fits[0].analysis["watched"]["said"]
    assert said.count(-1) == 67  # 0, 3 ... 198


def test_partial_answers_and_passes_keep_the_share_of_what_was_asked():
    who = SimulatedOracle(fake.truth(), 3, passes=0.4, seed=2)
    state = run(replace(PLAN, budget=30), who=who).state
    assert len(state.labels) == 30
    totals = np.cumsum([[len(a.ids), len(a.audit)] for a in state.asks[1:]], axis=0)
    assert all(k == int(0.3 * n + 0.5) for n, k in totals)


def test_audits_are_bytes_that_say_nothing_where_there_is_none():
    bare = Asked(1, (3, 4), None, {}, "now")
    assert encode_event(bare)[1] == '{"round":1,"ids":[3,4],"scores":null,"notes":{},"at":"now"}'
    told = Asked(1, (3, 4), None, {}, "now", (4,))
    assert decode_event(*encode_event(told)) == told
    assert from_dict(kind_of(told), to_dict(told)) == told
    assert "audit" not in encode_event(Opened(Plan(), {}, {}, {}, {}))[1]
    audit = Opened(Plan(audit=0.25), {}, {}, {}, {})
    assert decode_event(*encode_event(audit)) == audit
    assert audit.protocol != Opened(Plan(), {}, {}, {}, {}).protocol


def test_a_store_that_audits_what_it_did_not_ask_is_refused():
    opened = Opened(Plan(), {}, {}, {"pool": 9}, {})
    with pytest.raises(CorruptStore, match="audits samples in round 0 that it did not ask"):
        replay([opened, Asked(0, (1, 2), audit=(3,))])


@pytest.mark.parametrize("share, words", [(0.6, "[0, 0.5]; it is 0.6"), (-0.1, "it is -0.1"), (True, "True"),
                                          ("x", "'x'"), (float("nan"), "nan")])  # fmt: skip
def test_a_wrong_share_is_refused(share, words):
    with pytest.raises(InputError, match="plan.audit") as error:
        Plan(audit=share)
    assert words in str(error.value)


def test_intervals_cover_the_accuracy_on_what_is_left_and_the_estimate_is_unbiased():
    """40 campaigns with known truth: each round's random picks against all samples that were left."""
    truth, pool = fake.truth(), fake.task().pool
    errors, covered, windows = [], [], []
    for seed in range(40):
        campaign = Campaign(
            fake.task(test=30), Learner(), make("margin"), MemoryStore(),
            Plan(seed=seed, start=6, batch=10, budget=56, audit=0.4),
        )  # fmt: skip
        truths, asked = [], set()
        while ids := campaign.ask():
            if campaign.predictor is not None:
                left = np.array([i for i in pool.tolist() if i not in asked])
                told = campaign.predictor.infer(campaign.task.data, left, frozenset({"probs"})).probs
                truths.append(float(np.mean(told.argmax(axis=1) == truth[left])))
            asked |= set(ids)
            campaign.tell([(i, int(truth[i])) for i in ids])
        rounds = audited(campaign.state)
        assert [r.left for r in rounds] == [194, 184, 174, 164, 154]
        errors += [r.right / r.n - t for r, t in zip(rounds, truths, strict=True)]
        for r, t in zip(rounds, truths, strict=True):
            found = estimate(r.right, r.n)
            covered.append(found.low <= t <= found.high)
        found = pooled(rounds)
        windows.append(found.low <= np.mean(truths) <= found.high)
    spread = np.std(errors) / np.sqrt(len(errors))
    assert abs(np.mean(errors)) < 3 * spread
    assert spread < 0.02  # 200 rounds of 4 answers: a bias of six points would be seen
    assert np.mean(covered) >= 0.95
    assert np.mean(windows) >= 0.925  # 40 windows: two misses are expected at most, three may be


@dataclass(frozen=True)
class Learner:
    """Nearest class mean: it learns, and it learns better from more labels."""

    warm: bool = False
    gives = Needs(frozenset({"probs"}), frozenset({"probs"}), frozenset({"probs"}))

    def fit(self, data, train, unlabelled, validation, n_classes, rng, *, previous=None, progress=None):
        x = np.asarray(data.batch(train.ids)["table"], dtype=float)
        means = np.array(
            [
                x[train.y == c].mean(axis=0) if (train.y == c).any() else x.mean(axis=0)
                for c in range(n_classes)
            ]
        )

        class Fitted:
            notes: ClassVar = {"loss": 0.0}

            def infer(self, data, ids, names, progress=None):
                points = np.asarray(data.batch(np.asarray(ids))["table"], dtype=float)
                far = ((points[:, None] - means) ** 2).sum(axis=-1)
                e = np.exp(far.min(axis=1, keepdims=True) - far)
                return Signals(ids, probs=e / e.sum(axis=1, keepdims=True))

            def state_dict(self):
                return {}

        return Fitted()


def test_picks_without_probabilities_of_the_pool_are_drawn_and_nothing_is_said_of_them():
    class Mute(fake.FakeRecipe):
        gives = Needs(frozenset({"embeddings"}), frozenset(), frozenset({"probs"}))

    state = run(recipe=Mute(), strategy="random").state
    assert [len(a.audit) for a in state.asks[1:]] == [2, 1, 2, 1, 2, 1, 2, 1]
    assert all(not f.analysis.keys() & {"audit", "watched"} for f in state.fits)
    assert audited(state) == []
    assert isinstance(state.fits[0], Fitted)
    assert picks(fake.task(), Mute(), None, replay([]), np.arange(3), 2) is NO_PICKS
    assert Answer(1, 0).label == 0
