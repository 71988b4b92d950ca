"""What the child processes of the chaos tests do; imported by them, so it imports no test framework."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from labelwise.errors import Conflict, StoreError
from labelwise.events import Answered, Event
from labelwise.store.sql import SqlStore

MILLION = 1_000_000


class CountThenInsert:
    """A known-bad store: it counts, then inserts, with no transaction around both and no primary key."""

    def __init__(self, where: str, campaign: str = "main") -> None:
        self._connection = sqlite3.connect(where, timeout=60, isolation_level=None)
        self._connection.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER)")

    def append(self, events: Sequence[Event], *, after: int, state: Any = None) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM events").fetchone()
        if count != after:
            raise Conflict("too late")
        time.sleep(
            0.01
        )  # so that the other racers count, too, before this one inserts, however busy the cores
        self._connection.executemany("INSERT INTO events VALUES (?)", [(e.id,) for e in events])
        return after + len(events)

    def read(self, since: int = 0) -> list[Event]:
        rows = self._connection.execute(
            "SELECT id FROM events ORDER BY rowid LIMIT -1 OFFSET ?", (since,)
        ).fetchall()
        return [answer(i) for (i,) in rows]

    def close(self) -> None:
        self._connection.close()


STORES = {"SqlStore": SqlStore, "CountThenInsert": CountThenInsert}


def answer(token: int) -> Answered:
    """Return an event whose every field follows from its token."""
    return Answered(token, token % 7, f"annotator {token % 3}", token / 4, at=str(token))


def append_for_ever(where: str, life: int, pipe: Connection, ack_too_early: bool) -> None:
    """Append tokens life * 1,000,000 + 0, 1, 2, … and say each one's token once it is recorded."""
    store = SqlStore(where)
    n = len(store.read())
    token = life * MILLION
    while True:
        if ack_too_early:
            pipe.send(token)
        n = store.append([answer(token)], after=n, state={"n": n} if token % 4 == 0 else None)
        if not ack_too_early:
            pipe.send(token)
        token += 1


def append_all(kind: str, where: str, campaign: str, life: int, n: int, barrier: Barrier) -> None:
    """Append n tokens, one at a time, reading again after each conflict."""
    with closing(STORES[kind](where, campaign)) as store:
        barrier.wait()
        seen = 0
        for token in range(life * MILLION, life * MILLION + n):
            while True:
                seen += len(store.read(since=seen))
                try:
                    seen = store.append([answer(token)], after=seen)
                    break
                except Conflict:
                    continue


def race(
    kind: str, where: str, campaign: str, life: int, rounds: int, barrier: Barrier, pipe: Connection
) -> None:
    """In every round append one token after the same event as everybody else; send the rounds won."""
    won = []
    with closing(STORES[kind](where, campaign)) as store:
        for k in range(rounds):
            after = len(store.read())
            barrier.wait()
            try:
                store.append([answer(life * MILLION + k)], after=after)
                won.append(k)
            except Conflict:
                pass
            barrier.wait()
    pipe.send(won)


def append_until_it_fails(where: str, limit: int, pipe: Connection) -> None:
    """Append under a limit on the size of files, then without it; send what was said and recorded."""
    store = SqlStore(where)
    n = len(store.read())
    said = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        while True:
            n = store.append([answer(n)], after=n)
    except StoreError as error:
        said.append(f"{type(error).__name__}: {error}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        store.append([answer(n)], after=n)
    except StoreError as error:
        said.append(f"{type(error).__name__}: {error}")
    store.close()
    with SqlStore(where) as again:
        there = len(again.read())
        again.append([answer(there)], after=there)
    pipe.send((n, there, said))
