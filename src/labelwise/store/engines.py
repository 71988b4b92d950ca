"""Connections as a store wants them: SQLite that survives a power cut, PostgreSQL that waits for its disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from labelwise.errors import CorruptStore, InputError, StoreError
from labelwise.store.failures import PATIENCE
from labelwise.store.schema import APPLICATION_ID, create_tables, has_tables

WRITES = "labelwise_writes"  # execution option of a connection whose transaction will write
_BESIDE = ("-journal", "-wal", "-shm")
_ADVISORY_LOCK = 0x4C625773


def place(where: str | os.PathLike[str]) -> tuple[Path | None, URL | None]:
    """Return (path, None) of a file or (None, URL) of a PostgreSQL database."""
    text = os.fspath(where)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InputError(f"A store's place is a path or a URL; it is {where!r}.")
    if not isinstance(where, str) or "://" not in text:
        return Path(text).absolute(), None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise InputError(
            "The store's URL cannot be read; it must look like postgresql+psycopg://host/name."
        ) from error
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database and url.database != ":memory:":
        return Path(url.database).absolute(), None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return None, url.set(drivername="postgresql+psycopg")
    raise InputError(
        f"A store lies in an SQLite file or in PostgreSQL (postgresql+psycopg://…); the URL says "
        f"{url.render_as_string(hide_password=True)!r}."
    )


def check_path(path: Path, *, create: bool) -> None:
    """Raise StoreError, in words, unless a store is at this path or can be made there."""
    if not path.parent.is_dir():
        raise StoreError(f"There is no folder {path.parent} to keep the store {path.name} in. Make it first.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder; a store is a file. Give a path such as {path / 'labels.db'}.")
    if not path.exists() and not create:
        raise StoreError(f"There is no store at {path}. Check the path, or open it with create=True.")
    if path.exists() and path.stat().st_size == 0:
        raise CorruptStore(
            f"{path} is empty; labelwise never leaves an empty file. Restore it from a backup, or delete it "
            "to begin anew."
        )


def sqlite_engine(path: Path, *, mode: str) -> Engine:
    """Return an engine with exactly one connection to an SQLite file.

    BEGIN is ours, not the sqlite3 module's (SQLAlchemy's documented recipe): BEGIN IMMEDIATE for transactions
    that will write, so that they wait at the start instead of failing in the middle; a plain BEGIN for those
    that read.

    Args:
        path: the file.
        mode: "rw" (must exist), "ro" (must exist, never written) or "rwc" (made if missing; no WAL yet).
    """

    def connect() -> sqlite3.Connection:
        # A URI, because only its mode keeps SQLite from making an empty database where the file has just
        # vanished.
        # A log of SQLite's cannot be made in a folder without rights. Where there is none, nobody is writing, and
        # the file is read as it lies; whatever changed under the reader would fail its digest.
        who = os.access in os.supports_effective_ids
        writable = os.access(path.parent, os.W_OK, effective_ids=who)
        shut = mode == "ro" and not writable and not Path(f"{path}-wal").exists()
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if shut else ''}",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection, path, mode)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _prepare(connection: sqlite3.Connection, path: Path, mode: str) -> None:
    def pragma(statement: str) -> Any:
        row = connection.execute(f"PRAGMA {statement}").fetchone()
        return None if row is None else row[0]

    found = pragma("application_id")
    if mode != "rwc" and found != APPLICATION_ID:  # before anything is changed in somebody else's database
        raise CorruptStore(
            f"{path} is an SQLite database, but no labelwise store (its application_id is {found}, not "
            f"{APPLICATION_ID}). Give another path, or restore it from a backup."
        )
    pragma("foreign_keys=ON")
    pragma("trusted_schema=OFF")  # a store may come from a stranger
    pragma("cell_size_check=ON")  # notice damaged pages early
    if mode == "ro":
        pragma("query_only=ON")
        return
    if mode == "rw":
        journal = pragma("journal_mode=WAL")
        if journal != "wal":
            raise StoreError(
                f"{path} is on a file system where SQLite cannot use its write-ahead log (it answered "
                f"{journal!r}); network drives are such. Put the store on a local disk, or use PostgreSQL."
            )
    pragma("synchronous=FULL")
    if pragma("synchronous") != 2:
        raise StoreError(f"{path}: this SQLite refuses synchronous=FULL, so a power cut could lose answers.")


def create_file(path: Path) -> None:
    """Make an empty store at a path, all of it or nothing: it is built beside the path and then renamed.

    So a file at the path is never half made, and an empty one is known to be damaged. The caller holds the
    lock.
    """
    for suffix in _BESIDE:
        left = Path(f"{path}{suffix}")
        if left.exists():
            raise StoreError(
                f"{left} is left from a database that is no longer there, and may hold its newest answers. "
                f"Put {path.name} back beside it, or delete {left.name}."
            )
    fresh = path.with_name(f"{path.name}.new")
    for suffix in (*_BESIDE, ""):  # left by a process that was killed here
        Path(f"{fresh}{suffix}").unlink(missing_ok=True)
    engine = sqlite_engine(fresh, mode="rwc")
    try:
        with engine.connect().execution_options(**{WRITES: True}) as connection:
            with connection.begin():
                connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
                create_tables(connection)
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute("PRAGMA journal_mode=WAL")
    finally:
        engine.dispose()
    fresh.replace(path)
    if os.name != "nt":  # Windows cannot sync a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def postgres_engine(url: URL) -> Engine:
    """Return an engine whose commits wait for the server's disk, even where its default is not to."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    return engine


def create_in_postgres(engine: Engine, where: str, *, create: bool) -> None:
    """Make the tables unless they are there; two processes that try at once make them once.

    Raises:
        StoreError: they are not there and `create` is False.
    """
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        if has_tables(connection):
            return
        if not create:
            raise StoreError(
                f"There is no labelwise store in {where}. Check the address, or open with create=True."
            )
        create_tables(connection)
