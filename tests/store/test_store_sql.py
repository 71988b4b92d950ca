"""The SQLite file and its errors: what a store says when it cannot, and that it is whole afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from labelwise.errors import Conflict, CorruptStore, InputError, NewerStore, StoreError, StoreFull
from labelwise.events import Answered
from labelwise.store import engines
from labelwise.store.failures import BrokenDevice, translate
from labelwise.store.sql import SqlStore


def answers(first: int, n: int) -> list[Answered]:
    return [Answered(i, i % 3, "ann", 0.5, at="now") for i in range(first, first + n)]


def edit(path: Path, statement: str) -> None:
    editor = sqlite3.connect(path)
    editor.execute(statement)
    editor.commit()
    editor.close()


def pragma(store: SqlStore, name: str) -> object:
    with store._reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_a_file_store_runs_with_a_write_ahead_log_and_full_synchronisation(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "labels.db") as store:
        found = {
            name: pragma(store, name)
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 60_000}
        assert sqlite3.sqlite_version in store.describe()


def test_a_closed_store_is_one_file_and_its_lock(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "labels.db") as store:
        store.append(answers(0, 3), after=0)
    assert {p.name for p in tmp_path.iterdir()} == {"labels.db", "labels.db.lock"}


def test_many_answers_are_one_statement(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "labels.db") as store:
        seen: list[tuple[str, bool]] = []

        @event.listens_for(store._engine, "before_cursor_execute")
        def heard(connection, cursor, statement, parameters, context, executemany) -> None:
            seen.append((statement.split()[0], executemany))

        store.append(answers(0, 1000), after=0)
        assert seen.count(("INSERT", True)) == 1
        assert len(seen) == 4  # BEGIN, the campaign's row read and made, the events


def test_paths_with_odd_characters_work(tmp_path: Path) -> None:
    path = tmp_path / "ä b?mode=ro#%41.db"
    with SqlStore(path) as store:
        store.append(answers(0, 1), after=0)
    assert path.exists()
    with SqlStore(str(path)) as store:
        assert store.read() == answers(0, 1)


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("nowhere/labels.db", StoreError, "no folder .*nowhere.*Make it first"),
        (".", StoreError, "is a folder; a store is a file"),
        ("mysql://u:secret@host/x", InputError, r"mysql://u:\*\*\*@host/x"),
        ("sqlite:///:memory:", InputError, "SQLite file or in PostgreSQL"),
        ("", InputError, "path or a URL"),
        ("a://b://[", InputError, "URL"),
    ],
)
def test_a_wrong_place_is_refused_in_words(tmp_path: Path, monkeypatch, place, error, message) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        SqlStore(place)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_store_is_not_made_when_that_was_not_asked_for(tmp_path: Path) -> None:
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(StoreError, match="no store at"):
            SqlStore(tmp_path / "labels.db", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "\ud800", 3])
def test_a_campaign_needs_a_proper_name(tmp_path: Path, name: object) -> None:
    with pytest.raises(InputError, match="campaign must be a name"):
        SqlStore(tmp_path / "labels.db", name)


def test_the_servers_password_is_in_no_message() -> None:
    with pytest.raises(StoreError, match="no connection to the database server") as caught:
        SqlStore("postgresql+psycopg://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_newer_store_is_refused_with_both_versions_and_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    SqlStore(path).close()
    edit(path, "UPDATE labelwise_meta SET value = '2' WHERE name = 'schema'")
    edit(path, "UPDATE labelwise_meta SET value = '9.9' WHERE name = 'made by'")
    with pytest.raises(
        NewerStore, match=r"schema 2, made by labelwise 9\.9; labelwise .* reads up to schema 1.*pip"
    ):
        SqlStore(path)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    edit(path, "CREATE TABLE mine (a)")
    before = path.read_bytes()
    with pytest.raises(CorruptStore, match="no labelwise store"):
        SqlStore(path)
    assert path.read_bytes() == before


def test_an_append_to_a_store_that_lost_its_campaigns_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    with SqlStore(path) as store:
        store.append(answers(0, 2), after=0)
    edit(path, "DELETE FROM labelwise_campaigns")
    with SqlStore(path) as store:
        with pytest.raises(Conflict):
            store.append(answers(2, 1), after=2)
        with pytest.raises(CorruptStore):
            store.append(answers(0, 1), after=0)
        with pytest.raises(CorruptStore):
            store.read()


def test_a_write_ahead_log_without_its_database_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "labels.db-wal").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"labels\.db-wal is left from a database"):
        SqlStore(tmp_path / "labels.db")


def test_a_store_whose_making_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "labels.db.new").write_bytes(b"half")
    (tmp_path / "labels.db.new-journal").write_bytes(b"half")
    with SqlStore(tmp_path / "labels.db") as store:
        assert store.append(answers(0, 1), after=0) == 1
    assert not list(tmp_path.glob("*.new*"))


def test_a_full_disk_records_nothing_and_the_store_goes_on_when_there_is_space(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "labels.db") as store:
        store.append(answers(0, 10), after=0, state={"n": 1})
        pages = pragma(store, "page_count")
        pragma(store, f"max_page_count={pages + 2}")
        n = 10
        message = "nothing recorded yet"
        while "disk is full; nothing of this write was recorded" not in message:
            try:
                n = store.append(answers(n, 20), after=n)
            except StoreFull as error:
                message = str(error)
        assert n < 200  # two pages of 4,096 bytes hold no more
        assert store.read() == answers(0, n)
        with pytest.raises(StoreFull):
            store.append(answers(n, 5000), after=n, state={"n": 2})
        assert store.read() == answers(0, n)
        assert store.state() == {"n": 1}
        pragma(store, f"max_page_count={pages + 2000}")
        assert store.append(answers(n, 5000), after=n, state={"n": 2}) == n + 5000
        assert store.read() == answers(0, n + 5000)


def test_a_readonly_store_reads_and_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    with SqlStore(path) as store:
        store.append(answers(0, 2), after=0)
        with SqlStore(path, readonly=True) as reader:
            assert reader.read() == answers(0, 2)
            store.append(answers(2, 1), after=2)
            assert reader.read() == answers(0, 3)
            with pytest.raises(StoreError, match="readonly=True"):
                reader.append(answers(3, 1), after=3)
            with pytest.raises(StoreError), reader._reading() as connection:
                connection.exec_driver_sql("DELETE FROM labelwise_events")
        assert store.append(answers(3, 1), after=3) == 4


def test_an_open_read_transaction_does_not_stop_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    with SqlStore(path) as store, SqlStore(path, readonly=True) as reader:
        store.append(answers(0, 2), after=0)
        with reader._reading() as connection:
            count = "SELECT count(*) FROM labelwise_events"
            assert connection.exec_driver_sql(count).scalar_one() == 2
            assert store.append(answers(2, 2000), after=2) == 2002
            assert connection.exec_driver_sql(count).scalar_one() == 2  # it still sees its own moment


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A folder with a store that this process may read but not write; root becomes nobody for the while."""
    folder = Path(tempfile.mkdtemp(prefix="labelwise-"))
    with SqlStore(folder / "labels.db") as store:
        store.append(answers(0, 1), after=0)
    (folder / "labels.db.lock").unlink(missing_ok=True)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_named_with_the_cure(forbidden: Path) -> None:
    for name in ("labels.db", "new.db"):
        with pytest.raises(
            StoreError, match=rf"{name} cannot be written .*right to write the file and its folder"
        ):
            SqlStore(forbidden / name)


def test_a_store_in_a_folder_that_may_not_be_written_can_be_read(forbidden: Path) -> None:
    with SqlStore(forbidden / "labels.db", readonly=True) as reader:
        assert reader.read() == answers(0, 1)
    assert [file.name for file in forbidden.iterdir()] == ["labels.db"]


def test_after_a_failed_sync_the_store_writes_no_more_until_it_is_reopened(tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    store = SqlStore(path)
    store.append(answers(0, 1), after=0)
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    @event.listens_for(store._engine, "commit")
    def commit(connection: object) -> None:
        raise failure

    with pytest.raises(StoreError, match="known only after opening the store again"):
        store.append(answers(1, 1), after=1)
    event.remove(store._engine, "commit", commit)
    with pytest.raises(StoreError, match="refuses to write since an earlier failure"):
        store.append(answers(1, 1), after=1)
    assert store.read() == answers(0, 1)
    store.close()
    with SqlStore(path) as again:
        assert again.append(answers(1, 1), after=1) == 2


def test_a_store_is_not_used_across_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SqlStore(tmp_path / "labels.db") as store:
        here = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: here + 1)  # what the child of a fork sees
        with pytest.raises(StoreError, match="connections do not survive a fork"):
            store.read()
        monkeypatch.undo()
        assert store.read() == []


def test_a_writer_that_holds_the_lock_too_long_is_reported(tmp_path: Path) -> None:
    with SqlStore(tmp_path / "labels.db") as one, SqlStore(tmp_path / "labels.db") as two:
        two._lock.timeout = 0.05
        with one._locked(), pytest.raises(StoreError, match="being written by another process"):
            two.append(answers(0, 1), after=0)
        assert two.append(answers(0, 1), after=0) == 1


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    return error


class PostgresError(Exception):
    def __init__(self, state: str | None) -> None:
        super().__init__("said")
        self.sqlstate = state


@pytest.mark.parametrize(
    ("cause", "kind", "message"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), StoreFull, "Free some space"),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), BrokenDevice, "opening the store again"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), CorruptStore, "backup"),
        (sqlite_error(sqlite3.SQLITE_BUSY), StoreError, "held by another program"),
        (sqlite_error(sqlite3.SQLITE_READONLY), StoreError, "cannot be written"),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), StoreError, "cannot be opened"),
        (sqlite_error(sqlite3.SQLITE_TOOBIG), StoreError, "could not do what was asked"),
        (OSError(errno.ENOSPC, "no space"), StoreFull, "Free some space"),
        (OSError(errno.EDQUOT, "quota"), StoreFull, "Free some space"),
        (OSError(errno.EROFS, "read-only"), StoreError, "cannot be written"),
        (OSError(errno.ENAMETOOLONG, "long"), StoreError, "could not be used"),
        (PostgresError("53100"), StoreFull, "Free some space"),
        (PostgresError("58030"), BrokenDevice, "server's disk"),
        (PostgresError("42501"), StoreError, "right to write"),
        (PostgresError("42P01"), CorruptStore, "tables"),
        (PostgresError("57P01"), StoreError, "no connection"),
        (PostgresError(None), StoreError, "no connection"),
        (PostgresError("22000"), StoreError, "SQLSTATE 22000"),
        (MemoryError(), StoreError, "MemoryError"),
    ],
)
def test_each_failure_of_the_database_has_its_leaf_and_its_cure(cause, kind, message) -> None:
    meaning = translate(cause, "/tmp/labels.db")
    assert type(meaning) is kind
    assert message in str(meaning)
    assert "/tmp/labels.db" in str(meaning)


def test_a_store_made_by_several_processes_at_once_is_made_once(tmp_path: Path) -> None:
    program = (
        "import sys; from labelwise.store.sql import SqlStore; from labelwise.events import Answered\n"
        "from labelwise.errors import Conflict\n"
        "store = SqlStore(sys.argv[1])\n"
        "while True:\n"
        "    try: store.append([Answered(int(sys.argv[2]), 0)], after=len(store.read())); break\n"
        "    except Conflict: pass\n"
        "store.close()"
    )
    path = tmp_path / "labels.db"
    jobs = [subprocess.Popen([sys.executable, "-c", program, str(path), str(k)]) for k in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4
    with SqlStore(path) as store:
        assert sorted(e.id for e in store.read()) == [0, 1, 2, 3]


def test_a_dropped_store_closes_its_connection(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "labels.db")
    store.append(answers(0, 1), after=0)
    assert (tmp_path / "labels.db-wal").exists()
    del store
    assert not (tmp_path / "labels.db-wal").exists()


def test_a_file_system_without_a_write_ahead_log_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "labels.db"
    SqlStore(path).close()
    edit(path, "PRAGMA journal_mode=DELETE")

    class Refusing(sqlite3.Connection):
        def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
            return super().execute(sql.replace("journal_mode=WAL", "journal_mode"), *args)

    connect = sqlite3.connect
    monkeypatch.setattr(engines.sqlite3, "connect", lambda *a, **k: connect(*a, factory=Refusing, **k))
    with pytest.raises(StoreError, match=r"cannot use its write-ahead log.*local disk, or use PostgreSQL"):
        SqlStore(path)
