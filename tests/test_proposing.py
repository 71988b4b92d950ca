"""Bad samples: refused on arrays, left out in campaigns, never asked for, and said so."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fake
from labelwise import make, select
from labelwise.campaign import Campaign, Plan
from labelwise.errors import InputError
from labelwise.proposing import not_finite
from labelwise.selection import proposal
from labelwise.signals import Needs, Signals
from labelwise.store.memory import MemoryStore
from labelwise.strategies import TABLE
from labelwise.strategies.base import Proposal, Strategy
from strategies.strategy_views import made, signals

P = np.array([[0.5, 0.5], [np.nan, 0.5], [0.9, 0.1], [0.6, 0.4]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50_000, 3), (7, 2, 3), (9,)])
def test_rows_that_are_not_finite_are_found(dtype, shape):
    array = np.full(shape, np.finfo(dtype).max, dtype)  # finite, though its sum overflows
    assert not_finite(array).size == 0
    flat = array.reshape(len(array), -1)
    flat[2, -1], flat[5, 0], flat[6, 0] = np.nan, -np.inf, np.inf
    assert_array_equal(not_finite(array), [2, 5, 6])
    assert not_finite(np.ones(3, np.int64)).size == 0
    assert not_finite(np.empty((0, 4))).size == 0


def test_a_bad_row_is_refused_by_name():
    with pytest.raises(InputError, match=r"probs of the pool samples: row 1 \(id 1\) holds a NaN.*margin"):
        select("margin", {"probs": P}, 2)
    with pytest.raises(InputError, match="No value of on_bad_sample|No on_bad_sample is named 'drop'"):
        select("margin", {"probs": P}, 2, on_bad_sample="drop")


def test_a_bad_row_is_left_out_on_request_and_named():
    found = proposal("margin", {"probs": P}, 10, on_bad_sample="quarantine")
    assert_array_equal(found.rows, [0, 3, 2])
    assert found.scores[1] == -np.inf
    assert found.notes["quarantined, pool"] == 1 and found.notes["quarantined ids, pool"] == [1]
    with pytest.raises(InputError, match="No sample of the pool is left to margin"):
        select("margin", {"probs": P[1:2]}, 1, on_bad_sample="quarantine")


def test_signals_that_nobody_reads_may_hold_anything():
    assert select("margin", {"probs": P[2:], "embeddings": np.full((2, 3), np.nan)}, 1).tolist() == [1]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_no_strategy_ever_proposes_a_bad_row(name):
    strategy = made(name)
    needs = strategy.needs
    if not needs.pool:
        return
    parts = {part: signals(getattr(needs, part), 30, 3) for part in ("pool", "labelled", "validation")}
    for signal in sorted(needs.pool - {"modal_embeddings", "present"}):
        values = np.array(parts["pool"].need(signal))
        values[4] = np.nan
        others = {s: parts["pool"].need(s) for s in needs.pool - {signal}}
        arrays = others | {signal: values, "ids": parts["pool"].ids}
        rest = {part: parts[part] for part in ("labelled", "validation")}
        with pytest.raises(InputError, match=f"{signal} of the pool samples: row 4"):
            select(strategy, arrays, 29, **rest)
        rows = select(strategy, arrays, 30, on_bad_sample="quarantine", **rest)
        assert sorted(rows.tolist()) == [row for row in range(30) if row != 4]


@dataclass(frozen=True)
class Broken(fake.FakeRecipe):
    """Its predictor answers every fifth id with NaN."""

    def fit(self, *args, **kwargs):
        inner = super().fit(*args, **kwargs)

        class Predictor:
            notes = inner.notes

            def infer(self, data, ids, names, progress=None):
                told = inner.infer(data, ids, names)
                bad = (np.asarray(ids) % 5 == 0) & (np.asarray(ids) < 200)
                probs = np.where(bad[:, None], np.nan, told.probs)
                return Signals(ids, probs=probs)

            def state_dict(self):
                return {}

        return Predictor()


def test_a_campaign_never_asks_for_a_bad_sample_and_goes_on():
    plan = Plan(seed=0, start=10, batch=20, budget=90)
    campaign = Campaign(fake.task(validation=0, test=0), Broken(), make("margin"), MemoryStore(), plan)
    truth = fake.truth(validation=0, test=0)
    while ids := campaign.ask():
        campaign.tell([(i, int(truth[i])) for i in ids])
    state = campaign.state
    assert len(state.answers) == 90
    for asked in state.asks[1:]:
        assert all(i % 5 for i in asked.ids)
        assert asked.notes["quarantined, pool"] > 0


class Whole(Strategy):
    """Scores in whole numbers."""

    needs = Needs(pool=frozenset({"features"}))

    def propose(self, view, n, rng):
        return Proposal(np.arange(min(n, len(view.pool))), np.arange(len(view.pool)))


def test_a_bad_row_has_the_lowest_score_in_whole_numbers_too():
    x = np.array([[0.0], [np.nan], [2.0]])
    found = proposal(Whole(), {"features": x}, 1, on_bad_sample="quarantine")
    assert found.scores.tolist() == [0, -np.inf, 1]


class Lazy(Whole):
    """Proposes one row, however many are asked for."""

    def propose(self, view, n, rng):
        return Proposal(np.arange(1))


def test_the_contract_holds_where_bad_rows_are_left_out():
    with pytest.raises(InputError, match="of 2 pool rows it must propose 2; it proposed 1"):
        proposal(Lazy(), {"features": [[0.0], [np.nan], [2.0]]}, 3, on_bad_sample="quarantine")
