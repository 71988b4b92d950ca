"""A damaged file gives exactly the right events or a StoreError: never wrong ones, no other exception."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise.errors import CorruptStore, StoreError
from labelwise.events import Answered, Asked, Event
from labelwise.seeds import generator
from labelwise.store import sql
from labelwise.store.sql import SqlStore

EVENTS: list[Event] = [Asked(0, tuple(range(100)), None, {"text": "x" * 300})]
EVENTS += [Answered(i, i % 3, f"annotator {i}", 0.25 * i, at="2026-01-01T00:00:00Z") for i in range(60)]
STATE = {"w": np.arange(600.0), "n": 3}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A closed store of several pages; all of it is in the one file."""
    path = tmp_path / "good.db"
    with SqlStore(path) as store:
        store.append(EVENTS[:20], after=0, state=STATE)
        store.append(EVENTS[20:], after=20)
    assert not Path(f"{path}-wal").exists()
    return path


def look(path: Path, data: bytes) -> str:
    """Return what a store made of these bytes gives: "right", "refused" or "WRONG"."""
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    path.write_bytes(data)
    verdicts = []
    try:
        with SqlStore(path, create=False) as store:
            uses = (lambda: store.read() == EVENTS, lambda: store.read(55) == EVENTS[55:])
            for use in (*uses, lambda: right_state(store)):
                try:
                    verdicts.append("right" if use() else "WRONG")
                except StoreError:
                    verdicts.append("refused")
    except StoreError:
        verdicts.append("refused")
    return max(verdicts, key=["right", "refused", "WRONG"].index)


def right_state(store: SqlStore) -> bool:
    state = store.state()
    return set(state) == {"w", "n"} and state["n"] == 3 and np.array_equal(state["w"], STATE["w"])


def flipped(good: Path, n: int, until: str = "") -> Counter[str]:
    """Return the verdicts on n copies with one bit flipped: half anywhere, half in header and schema."""
    data, rng = good.read_bytes(), generator(0, "test", "flips")
    seen: Counter[str] = Counter()
    for k in range(n):
        damaged = bytearray(data)
        damaged[int(rng.integers(len(data) if k % 2 else 4096))] ^= 1 << int(rng.integers(8))
        verdict = look(good.with_name("damaged.db"), bytes(damaged))
        seen[verdict] += 1
        if verdict == until:
            break
    return seen


@pytest.mark.chaos
@pytest.mark.slow
def test_a_flipped_bit_never_gives_wrong_events(good: Path) -> None:
    seen = flipped(good, 1000)
    assert seen["WRONG"] == 0
    assert seen["right"] > 100  # unused bytes do no harm
    assert seen["refused"] > 100


@pytest.mark.chaos
@pytest.mark.slow
def test_without_digests_the_same_flips_give_wrong_events(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Anything(str):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(sql, "digest_of", lambda *parts: Anything())
    assert flipped(good, 1200, until="WRONG")["WRONG"] > 0


@pytest.mark.chaos
def test_a_truncated_file_is_refused_at_every_length(good: Path) -> None:
    data, rng = good.read_bytes(), generator(0, "test", "truncation")
    pages = range(0, len(data), 4096)
    lengths = {*range(0, 110, 7), *pages, *(p + 1 for p in pages), *rng.integers(len(data), size=50).tolist()}
    for length in sorted(lengths):
        assert look(good.with_name("damaged.db"), data[:length]) == "refused", length


@pytest.mark.parametrize("garbage", [b"", b"\0" * 9000, b"SQLite format 3\0" * 300, b"id,label\n1,2\n"])
def test_a_file_of_something_else_is_no_store(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "labels.db"
    path.write_bytes(garbage)
    with pytest.raises(CorruptStore, match=r"labels\.db"):
        SqlStore(path)
    assert path.read_bytes() == garbage  # and it is left alone


@pytest.mark.chaos
def test_a_damaged_write_ahead_log_gives_a_prefix_or_is_refused(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    store = SqlStore(live / "labels.db")
    for k in range(12):
        store.append(EVENTS[5 * k : 5 * k + 5], after=5 * k)
    rng = generator(0, "test", "wal")
    wal = (live / "labels.db-wal").read_bytes()
    lengths = set()
    for k in range(120):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        shutil.copy(live / "labels.db", copy)
        damaged = bytearray(wal)
        if k % 2:
            damaged[int(rng.integers(len(wal)))] ^= 1 << int(rng.integers(8))
        else:
            del damaged[int(rng.integers(len(wal))) :]
        (copy / "labels.db-wal").write_bytes(damaged)
        with SqlStore(copy / "labels.db") as damaged_store:
            events = damaged_store.read()
        assert events == EVENTS[: len(events)]
        assert len(events) % 5 == 0  # never half an append
        lengths.add(len(events))
    store.close()
    assert len(lengths) > 5  # the damage did cut it at different places


def test_a_row_that_was_removed_is_missed(good: Path) -> None:
    for statement in (
        "DELETE FROM labelwise_events WHERE seq = 30",
        "DELETE FROM labelwise_events WHERE seq = 61",
        "DELETE FROM labelwise_events",
        "DELETE FROM labelwise_campaigns",
        "UPDATE labelwise_campaigns SET events = 60",
        "UPDATE labelwise_events SET seq = 62 WHERE seq = 61",
        "UPDATE labelwise_events SET body = replace(body, '2026', '2027') WHERE seq = 30",
        "UPDATE labelwise_events SET kind = 'fitted' WHERE seq = 30",
        "UPDATE labelwise_events SET body = x'00' WHERE seq = 30",
    ):
        path = good.with_name("edited.db")
        shutil.copy(good, path)
        editor = sqlite3.connect(path)
        editor.execute(statement)
        editor.commit()
        editor.close()
        with SqlStore(path) as store, pytest.raises(CorruptStore, match="damaged"):
            store.read()


def test_a_state_that_was_removed_or_changed_is_missed(good: Path) -> None:
    for statement in (
        "DELETE FROM labelwise_states",
        "UPDATE labelwise_states SET seq = 5",
        "UPDATE labelwise_states SET body = x'0011'",
        "UPDATE labelwise_states SET body = 'text'",
        "UPDATE labelwise_campaigns SET state = 0",
    ):
        path = good.with_name("edited.db")
        shutil.copy(good, path)
        editor = sqlite3.connect(path)
        editor.execute(statement)
        editor.commit()
        editor.close()
        with SqlStore(path) as store, pytest.raises(CorruptStore, match="damaged"):
            store.state()


def test_the_undamaged_store_is_right(good: Path) -> None:
    assert look(good.with_name("copy.db"), good.read_bytes()) == "right"
    with SqlStore(good) as store:
        assert_array_equal(store.state()["w"], STATE["w"])
