"""Events: JSON and back, a pure fold, and orders that no campaign writes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.errors import BadAnswer, CorruptStore
from labelwise.events import KINDS, Answered, Asked, Fitted, Opened, Plan, from_dict, kind_of, replay, to_dict

OPENED = Opened(Plan(), {"class": "s"}, {"class": "r"}, {"pool": 100, "given": 0}, {"labelwise": "0"})


def test_every_kind_survives_json():
    events = [
        OPENED,
        Fitted(0, 3, 5, {"accuracy": 0.5}, {}, {"loss": 1.0}, {"fit": 0.1}),
        Asked(0, (3, 1), (0.5, 0.25), {"why": [1, 2]}),
        Asked(1, (7,), None),
        Answered(3, None, "ann", 1.5),
    ]
    for event in events:
        assert from_dict(kind_of(event), json.loads(json.dumps(to_dict(event)))) == event
    assert {kind_of(e) for e in events} == set(KINDS)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_folding_in_two_parts_equals_folding_at_once(sizes, data):
    events, top = [OPENED], 0
    for t, size in enumerate(sizes):
        ids = tuple(range(top, top + size))
        top += size
        events.append(Asked(t, ids))
        events += [
            Answered(i, data.draw(st.sampled_from([0, 1, None]))) for i in data.draw(st.permutations(ids))
        ]
        events.append(Fitted(t, top, len(events), {}, {}))
    cut = data.draw(st.integers(0, len(events)))
    part = replay(events[:cut])
    before = (dict(part.answers), part.open_ids)
    assert replay(events[cut:], part) == replay(events)
    assert (dict(part.answers), part.open_ids) == before  # pure: the first state is untouched
    state = replay(events)
    assert set(state.labels) | state.passes == set(range(top))
    assert state.room == max(0, min(500 - len(state.labels), 100 - top))


@pytest.mark.parametrize(
    "events, error, words",
    [
        ([OPENED, OPENED], CorruptStore, "second opening"),
        ([OPENED, Asked(1, (0,))], CorruptStore, "round 1 out of turn"),
        ([OPENED, Asked(0, (0,)), Asked(1, (1,))], CorruptStore, "round 1 out of turn"),
        ([OPENED, Asked(0, (0,)), Answered(4, 1)], BadAnswer, "Sample 4 was never asked for."),
    ],
)
def test_an_impossible_order_is_refused(events, error, words):
    with pytest.raises(error, match=words):
        replay(events)


@pytest.mark.parametrize(
    "kind, body, words",
    [
        ("exploded", {}, "unknown kind 'exploded'"),
        ("asked", {"round": 0, "ids": [1], "colour": 1}, "unknown fields"),
        ("asked", {"ids": [1]}, "cannot be read"),
    ],
)
def test_a_strange_event_is_refused(kind, body, words):
    with pytest.raises(CorruptStore, match=words):
        from_dict(kind, body)


def test_over_means_spent_and_measured():
    plan = Plan(start=1, batch=1, budget=2)
    opened = Opened(plan, {}, {}, {"pool": 5, "given": 0}, {})
    events = [opened, Asked(0, (0,)), Answered(0, 1), Fitted(1, 1, 3, {}, {}), Asked(1, (2,)), Answered(2, 0)]
    assert not replay(events).over  # two labels bought, the second not measured yet
    assert replay([*events, Fitted(2, 2, 6, {}, {})]).over


def test_the_protocol_names_plan_recipe_and_data_but_neither_strategy_nor_seed():
    opened = Opened(Plan(seed=1), {"class": "a"}, {"class": "recipe"}, {"name": "task"}, {})
    same = replace(opened, plan=Plan(seed=2), strategy={"class": "b"}, at="later", notes={"a": 1})
    assert opened.protocol == same.protocol
    for other in (
        replace(opened, plan=Plan(seed=1, budget=501)),
        replace(opened, recipe={"class": "other"}),
        replace(opened, task={"name": "other"}),
    ):
        assert other.protocol != opened.protocol
    stored = from_dict("opened", json.loads(json.dumps(to_dict(opened))))
    assert stored.protocol == opened.protocol
