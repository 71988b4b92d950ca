"""The store that lasts: one SQLite file by default, a PostgreSQL database for a team; one code for both."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from filelock import FileLock
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from labelwise.checks import check_count
from labelwise.errors import Conflict, CorruptStore, InputError, StoreError
from labelwise.events import Event
from labelwise.store.bodies import decode_event, digest_of, encode_event
from labelwise.store.engines import (
    WRITES,
    check_path,
    create_file,
    create_in_postgres,
    place,
    postgres_engine,
    sqlite_engine,
)
from labelwise.store.failures import PATIENCE, BrokenDevice, translate
from labelwise.store.schema import CAMPAIGNS, EVENTS, STATES, check_tables
from labelwise.store.states import decode_state, encode_state

# UnicodeDecodeError: sqlite3 meets a damaged name while it words its own error message.
_FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, MemoryError, OverflowError, UnicodeDecodeError)


class _Head(NamedTuple):
    """What a campaign's row says: how many events, after which one the state was stored (0: none)."""

    events: int
    state: int
    is_new: bool


class SqlStore:
    """A store in an SQLite file or in PostgreSQL.

    What is guaranteed once `append` has returned: the events and the state are there after a kill -9, and in
    SQLite after a power cut too (write-ahead log with synchronous=FULL; both are checked on every
    connection). Before it
    returned: all or nothing. Every row carries a digest and every read checks it, and that no event is
        missing: a
    damaged file raises CorruptStore and never gives wrong answers. (A damaged write-ahead log, `…-wal`, is
    cut by SQLite at the damage: its newest events are then missing.)

    Any number of processes and threads may read and append. In a file, everything that writes (opening,
    appending, closing) is serialised between processes by the lock file `….lock`, for two reasons. SQLite
    3.7.0 to 3.51.2 (fixed also in 3.44.6 and 3.50.7) can lose pages when two connections write and checkpoint
    a write-ahead log at the same moment, and most Pythons carry such a version (`describe()` names it); with
    the lock there is never more than one. And SQLite's own waiting is unfair: under load one process can
    starve for seconds. Programs that do not take the lock (the sqlite3 shell, backup tools) should only read
    while a labelwise process writes. Readers never wait and never make a writer fail. Keep the file on a
    local disk: network drives break SQLite's locks.

    One object belongs to one process: open the store again after a fork.
    """

    def __init__(
        self,
        where: str | os.PathLike[str],
        campaign: str = "main",
        *,
        create: bool = True,
        readonly: bool = False,
    ) -> None:
        """Open a store, making it if it is missing.

        Args:
            where: a path, or a URL: "sqlite:///relative.db",
                "postgresql+psycopg://user:password@host/database".
            campaign: which campaign of the database; it comes into being with its first event.
            create: False raises StoreError where there is no store yet.
            readonly: never write, not even the lock file; append is refused.

        Raises:
            CorruptStore: the file is damaged, empty, or something else.
            NewerStore: a newer labelwise made it.
            StoreFull: no space to make it.
            StoreError: anything else, in words.
            InputError: the URL or the campaign's name breaks a rule.
        """
        if not isinstance(campaign, str) or not re.fullmatch(
            r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}", campaign
        ):
            raise InputError(
                f"campaign must be a name of 1 to 200 characters without control characters; it is "
                f"{campaign!r}."
            )
        self.campaign = campaign
        self.path, url = place(where)
        self.where = str(self.path) if url is None else url.render_as_string(hide_password=True)
        self.readonly = readonly
        self._mutex = threading.RLock()
        self._process = os.getpid()
        self._closed = False
        self._broken: str | None = None
        self._reads: dict[str, Any] = {}
        self._lock: FileLock | None = None
        with self._speaking():
            if url is not None:
                self._engine = postgres_engine(url)
                # Two SELECTs must see the same moment.
                self._reads = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
                self._open(
                    lambda: create_in_postgres(self._engine, self.where, create=create and not readonly)
                )
            else:
                self._open_file(create and not readonly)
        self._finalizer = weakref.finalize(self, _let_go, self._engine, self._process)

    def append(self, events: Sequence[Event], *, after: int, state: Mapping[str, Any] | None = None) -> int:
        bodies = [encode_event(event) for event in events]
        if not bodies:
            raise InputError("append needs at least one event; it got none.")
        after = check_count(after, "after")
        blob = None if state is None else encode_state(state)
        rows = [
            {
                "campaign": self.campaign,
                "seq": seq,
                "kind": kind,
                "body": body,
                "digest": digest_of(self.campaign, seq, kind, body),
            }
            for seq, (kind, body) in enumerate(bodies, start=after + 1)
        ]
        with self._writing() as connection:
            head = self._head(connection, lock=True)
            if head.events != after:
                raise self._conflict(head.events, after)
            total = after + len(rows)
            self._write_head(connection, head, total, total if blob is not None else head.state, after)
            connection.execute(insert(EVENTS), rows)
            if blob is not None:
                connection.execute(delete(STATES).where(STATES.c.campaign == self.campaign))
                digest = digest_of(self.campaign, total, blob)
                values = {"campaign": self.campaign, "seq": total, "body": blob, "digest": digest}
                connection.execute(insert(STATES), values)
        return total

    def read(self, since: int = 0) -> list[Event]:
        since = check_count(since, "since")
        query = (
            select(EVENTS.c.seq, EVENTS.c.kind, EVENTS.c.body, EVENTS.c.digest)
            .where(EVENTS.c.campaign == self.campaign, EVENTS.c.seq > since)
            .order_by(EVENTS.c.seq)
        )
        with self._reading() as connection:
            head = self._head(connection)
            rows = connection.execute(query).all()
        if len(rows) != max(head.events - since, 0):
            raise self._damaged(f"{len(rows)} of {max(head.events - since, 0)} events are there")
        events = []
        for expected, (seq, kind, body, digest) in enumerate(rows, start=since + 1):
            if not (type(seq) is int and type(kind) is str and type(body) is str) or seq != expected:
                raise self._damaged(f"event {expected} is missing or unreadable")
            if digest_of(self.campaign, seq, kind, body) != digest:
                raise self._damaged(f"event {seq} differs from its digest")
            events.append(decode_event(kind, body))
        return events

    def state(self) -> dict[str, Any]:
        query = select(STATES.c.seq, STATES.c.body, STATES.c.digest).where(STATES.c.campaign == self.campaign)
        with self._reading() as connection:
            head = self._head(connection)
            rows = connection.execute(query).all()
        if head.state == 0 and not rows:
            return {}
        if len(rows) != 1 or rows[0].seq != head.state or type(rows[0].body) is not bytes:
            raise self._damaged("its state is missing or unreadable")
        if digest_of(self.campaign, head.state, rows[0].body) != rows[0].digest:
            raise self._damaged("its state differs from its digest")
        return decode_state(rows[0].body)

    def campaigns(self) -> dict[str, int]:
        """Return how many events each campaign of this database has, by name."""
        with self._reading() as connection:
            rows = connection.execute(
                select(CAMPAIGNS.c.name, CAMPAIGNS.c.events).order_by(CAMPAIGNS.c.name)
            ).all()
        return {str(name): int(events) for name, events in rows}

    def describe(self) -> str:
        """Return one line for a report: where, which campaign, and which database in which version."""
        if self.path is not None:
            engine = f"SQLite {sqlite3.sqlite_version} (write-ahead log, synchronous=FULL)"
        else:
            with self._reading() as connection:
                engine = f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"
        return f"{self.where}, campaign {self.campaign!r}, {engine}"

    def close(self) -> None:
        with self._mutex:
            if self._closed or os.getpid() != self._process:
                return
            with self._speaking(), self._locked():
                self._engine.dispose()
            self._finalizer.detach()
            self._closed = True

    def __enter__(self) -> SqlStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Opening

    def _open_file(self, create: bool) -> None:
        path = self.path
        assert path is not None
        check_path(path, create=create)
        if not self.readonly:
            self._lock = FileLock(f"{path}.lock", timeout=PATIENCE)
        with self._locked():
            if not path.exists():
                create_file(path)
            self._engine = sqlite_engine(path, mode="ro" if self.readonly else "rw")
            self._open(lambda: None)

    def _open(self, prepare: Any) -> None:
        try:
            prepare()
            with self._engine.connect() as connection, connection.begin():
                check_tables(connection, self.where)
        except BaseException:
            self._engine.dispose()
            raise

    # Transactions

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._mutex, self._speaking():
            self._check_open()
            with self._engine.connect().execution_options(**self._reads) as connection, connection.begin():
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._mutex, self._speaking():
            self._check_open()
            if self.readonly:
                raise StoreError(f"{self.where} was opened with readonly=True; nothing was recorded.")
            if self._broken is not None:
                raise StoreError(
                    f"This store refuses to write since an earlier failure ({self._broken}) Close it, open "
                    f"it again and read what was recorded."
                )
            try:
                with (
                    self._locked(),
                    self._engine.connect().execution_options(**{WRITES: True}) as connection,
                    connection.begin(),
                ):
                    yield connection
            except _FAILURES as error:
                meaning = translate(error, self.where)
                if isinstance(meaning, BrokenDevice):
                    # After a failed fsync the system may drop the pages and report success next time: never
                    # retry.
                    self._broken = str(meaning)
                raise meaning from error

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn errors of the database and the system into those of labelwise."""
        try:
            yield
        except _FAILURES as error:
            raise translate(error, self.where) from error

    def _locked(self) -> AbstractContextManager[object]:
        return nullcontext() if self._lock is None else self._lock.acquire(poll_interval=0.002)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The store {self.where} is closed; open it again.")
        if os.getpid() != self._process:
            raise StoreError(
                f"The store {self.where} was opened by process {self._process}; connections do not survive a "
                f"fork. Open it again in process {os.getpid()}."
            )

    # A campaign's row

    def _head(self, connection: Connection, *, lock: bool = False) -> _Head:
        query = select(CAMPAIGNS.c.events, CAMPAIGNS.c.state, CAMPAIGNS.c.digest).where(
            CAMPAIGNS.c.name == self.campaign
        )
        if lock:
            query = (
                query.with_for_update()
            )  # PostgreSQL serialises appends here; SQLite ignores it (BEGIN IMMEDIATE)
        rows = connection.execute(query).all()
        if lock and not rows:
            # No further look: in PostgreSQL another process may make the row between two statements. The insert
            # of the row, and of the events, finds out.
            return _Head(0, 0, is_new=True)
        newest = connection.execute(
            select(func.max(EVENTS.c.seq)).where(EVENTS.c.campaign == self.campaign)
        ).scalar()
        if not rows and newest is None:
            return _Head(0, 0, is_new=True)
        if len(rows) != 1 or rows[0].events != newest or type(newest) is not int or newest < 1:
            raise self._damaged(f"its newest event is {newest}, its count says otherwise")
        if digest_of(self.campaign, rows[0].events, rows[0].state) != rows[0].digest:
            raise self._damaged("its count differs from its digest")
        return _Head(newest, rows[0].state, is_new=False)

    def _write_head(self, connection: Connection, head: _Head, events: int, state: int, after: int) -> None:
        values = {"events": events, "state": state, "digest": digest_of(self.campaign, events, state)}
        if not head.is_new:
            connection.execute(update(CAMPAIGNS).where(CAMPAIGNS.c.name == self.campaign).values(values))
            return
        try:
            connection.execute(insert(CAMPAIGNS).values(name=self.campaign, **values))
        except (
            IntegrityError
        ) as error:  # PostgreSQL: no row to lock yet, and another process made it meanwhile
            raise self._conflict("some", after) from error

    def _conflict(self, there: int | str, after: int) -> Conflict:
        return Conflict(
            f"Campaign {self.campaign!r} in {self.where} holds {there} events; this append was meant to come "
            f"after {after}. Somebody else recorded something meanwhile: read again and decide anew."
        )

    def _damaged(self, how: str) -> CorruptStore:
        return CorruptStore(
            f"Campaign {self.campaign!r} in {self.where} is damaged: {how}. Restore the store from a backup."
        )


def _let_go(engine: Engine, process: int) -> None:
    if os.getpid() == process:
        engine.dispose()
