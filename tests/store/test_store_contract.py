"""What every store promises: order, compare-and-swap, all or nothing, copies; what lasting ones add."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise.errors import Conflict, InputError, StoreError
from labelwise.events import Answered, Asked, Fitted, Opened, Plan
from labelwise.store import open_store
from labelwise.store.base import Store
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore

OPENED = Opened(Plan(seed=3), {"name": "margin"}, {"name": "mlp"}, {"print": "ab"}, {"labelwise": "0.1"})
FITTED = Fitted(1, 2, 4, {"accuracy": 0.5}, {}, {"loss": 0.1}, {"fit": 1.5}, "2026-01-01T00:00:00Z")
ASKED = Asked(0, (1007, 1003), (0.25, -1.5), {"why": ["ä\0\ud800", None, True]})


def answers(first: int, n: int) -> list[Answered]:
    return [Answered(i, i % 3, "ann", 0.5, at="now") for i in range(first, first + n)]


def test_a_store_fulfils_the_protocol(store: Store) -> None:
    assert isinstance(store, Store)


def test_an_empty_store_holds_no_events_and_no_state(store: Store) -> None:
    assert store.read() == []
    assert store.state() == {}


def test_events_come_back_equal_and_in_order(store: Store) -> None:
    assert store.append([OPENED, ASKED], after=0) == 2
    assert store.append([*answers(1, 2), FITTED], after=2) == 5
    assert store.read() == [OPENED, ASKED, *answers(1, 2), FITTED]


def test_since_leaves_out_that_many_events(store: Store) -> None:
    store.append(answers(0, 5), after=0)
    assert [e.id for e in store.read(since=3)] == [3, 4]
    assert store.read(since=5) == []
    assert store.read(since=99) == []


@pytest.mark.parametrize("after", [1, 3])
def test_an_append_after_another_event_than_the_newest_is_a_conflict(store: Store, after: int) -> None:
    store.append(answers(0, 2), after=0, state={"a": 1})
    with pytest.raises(Conflict, match=r"holds 2 events.*[rR]ead again"):
        store.append(answers(9, 1), after=after, state={"a": 2})
    assert store.read() == answers(0, 2)
    assert store.state() == {"a": 1}


def test_the_first_append_must_come_after_nothing(store: Store) -> None:
    with pytest.raises(Conflict):
        store.append(answers(0, 1), after=1)
    assert store.read() == []


def test_state_is_kept_until_it_is_replaced(store: Store) -> None:
    store.append(answers(0, 1), after=0, state={"w": np.eye(2), "best": float("-inf")})
    store.append(answers(1, 1), after=1)
    kept = store.state()
    assert_array_equal(kept["w"], np.eye(2))
    assert kept["best"] == float("-inf")
    store.append(answers(2, 1), after=2, state={"step": 2})
    assert store.state() == {"step": 2}
    store.append(answers(3, 1), after=3, state={})
    assert store.state() == {}


@pytest.mark.parametrize(
    ("events", "state", "message"),
    [
        ([Answered(1, 0), Answered(2, 0, seconds=float("nan"))], None, "answered.seconds is nan"),
        (
            [Answered(1, 0), Asked(0, (1,), None, {"a": {"b": [1, object()]}})],
            None,
            r"asked.notes.a.b\[1\] is a",
        ),
        ([Answered(1, 0), Asked(0, (1,), None, {"a": {3: 1}})], None, "asked.notes.a has the key 3"),
        ([Answered(1, 0), Answered("x", 0)], None, "answered.id must be int; it is 'x'"),
        ([Answered(1, 0), "event"], None, "it was given 'event'"),
        ([Answered(1, 0)], {"w": [1, {"v": {1, 2}}]}, r"state.w\[1\].v is a builtins.set"),
        ([], {"w": 1}, "at least one event"),
    ],
)
def test_what_cannot_be_stored_is_refused_whole_and_named(store: Store, events, state, message) -> None:
    with pytest.raises(InputError, match=message):
        store.append(events, after=0, state=state)
    assert store.read() == []
    assert store.state() == {}


def test_numpy_values_in_events_come_back_as_numbers_and_lists(store: Store) -> None:
    notes = {"v": np.float32(0.5), "m": np.arange(4).reshape(2, 2), "t": (1, np.True_), "s": np.str_("x")}
    store.append([Asked(0, (np.int64(7),), np.array([0.5, 2.0]), notes)], after=0)
    assert store.read() == [
        Asked(0, (7,), (0.5, 2.0), {"v": 0.5, "m": [[0, 1], [2, 3]], "t": [1, True], "s": "x"})
    ]


def test_nobody_can_change_what_is_stored(store: Store) -> None:
    notes, weights = {"rewards": [1.0]}, np.zeros(3)
    store.append([Asked(0, (1,), None, notes)], after=0, state={"w": weights})
    notes["rewards"].append(2.0)
    weights[:] = 9
    store.read()[0].notes["rewards"].append(3.0)
    store.state()["w"][:] = 7  # a state that came back may be changed: it is a copy
    assert store.read() == [Asked(0, (1,), None, {"rewards": [1.0]})]
    assert_array_equal(store.state()["w"], np.zeros(3))


def test_closing_twice_is_harmless_and_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    for use in (store.read, store.state, lambda: store.append(answers(0, 1), after=0)):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_threads_that_share_a_store_lose_and_double_nothing(store: Store) -> None:
    def work(first: int) -> None:
        for event in answers(first, 10):
            while True:
                try:
                    store.append([event], after=len(store.read()))
                    break
                except Conflict:
                    continue

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 4 threads x 10 answers: ids 0..9, 100..109, 200..209, 300..309
    assert sorted(e.id for e in store.read()) == [100 * k + i for k in range(4) for i in range(10)]


def test_a_reopened_store_holds_what_was_recorded(lasting: Callable[[], SqlStore]) -> None:
    with lasting() as first:
        first.append([OPENED, ASKED], after=0, state={"w": np.arange(3)})
    second = lasting()
    assert second.read() == [OPENED, ASKED]
    assert_array_equal(second.state()["w"], [0, 1, 2])
    assert second.append(answers(0, 1), after=2) == 3


def test_two_open_stores_see_each_others_events(lasting: Callable[[], SqlStore]) -> None:
    one, two = lasting(), lasting()
    one.append(answers(0, 2), after=0)
    assert two.read() == answers(0, 2)
    two.append(answers(2, 1), after=2, state={"n": 3})
    assert one.read(since=2) == answers(2, 1)
    assert one.state() == {"n": 3}
    with pytest.raises(Conflict):
        one.append(answers(9, 1), after=2)


def test_campaigns_in_one_database_do_not_meet(lasting: Callable[[], SqlStore]) -> None:
    one = lasting()
    place = one.path or one._engine.url.render_as_string(hide_password=False)
    with SqlStore(place, f"{one.campaign} b") as other:
        one.append(answers(0, 1), after=0, state={"a": 1})
        other.append(answers(7, 2), after=0)
        assert one.read() == answers(0, 1)
        assert other.read() == answers(7, 2)
        assert other.state() == {}
        assert {one.campaign: 1, other.campaign: 2}.items() <= one.campaigns().items()


def test_an_append_that_breaks_off_in_the_middle_leaves_nothing(lasting: Callable[[], SqlStore]) -> None:
    store = lasting()
    store.append(answers(0, 1), after=0, state={"a": 1})

    def break_off() -> None:  # what Ctrl-C does inside an append
        with store._writing() as connection:
            store._write_head(connection, store._head(connection, lock=True), 2, 2, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert store.read() == answers(0, 1)
    assert store.append(answers(1, 1), after=1) == 2


def test_open_store_chooses_by_the_place(tmp_path) -> None:
    assert isinstance(open_store(), MemoryStore)
    assert isinstance(open_store(":memory:"), MemoryStore)
    with open_store(tmp_path / "x.db", "second") as made:
        assert isinstance(made, SqlStore)
        assert made.campaign == "second"
    with pytest.raises(StoreError, match="no store at"):
        open_store(tmp_path / "y.db", create=False)
