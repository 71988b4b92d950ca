"""What a database's errors mean: which leaf of the error tree, what happened and what to do about it."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import DBAPIError

from labelwise.errors import CorruptStore, StoreError, StoreFull

PATIENCE = 60.0  # seconds to wait for another process before giving up

_FULL = "The disk is full; nothing of this write was recorded. Free some space and try again."
_RIGHTS = (
    "Give yourself the right to write the file and its folder (SQLite keeps small files beside the database, "
    "even to read it), or work on a copy."
)
_DAMAGED = "Restore it from a backup; do not write to it."


class BrokenDevice(StoreError):
    """Reading or writing the disk failed; what the operating system still has in memory cannot be trusted."""


def translate(error: BaseException, where: str) -> StoreError:
    """Return the labelwise error for what SQLAlchemy, SQLite, PostgreSQL or the operating system raised.

    Args:
        error: what was raised.
        where: how the message calls the store: a path, or a URL without its password.
    """
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(str(cause).split()) or type(cause).__name__
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _from_sqlite(code & 0xFF, where, said)  # the low byte is the primary code
    if isinstance(cause, sqlite3.Error | UnicodeDecodeError):  # text that is no UTF-8
        return CorruptStore(f"{where} is damaged ({said}). {_DAMAGED}")
    if isinstance(cause, OSError):
        return _from_system(cause, where, said)
    if hasattr(cause, "sqlstate"):
        return _from_postgres(cause.sqlstate, where, said)
    return StoreError(f"{where} could not do what was asked: {type(cause).__name__}: {said}")


def _from_sqlite(code: int, where: str, said: str) -> StoreError:
    match code:
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"{where}: {_FULL}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return CorruptStore(f"{where} is damaged or is no labelwise store ({said}). {_DAMAGED}")
        case (
            sqlite3.SQLITE_ERROR | sqlite3.SQLITE_SCHEMA | sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH
        ):
            return CorruptStore(
                f"{where} does not hold labelwise's tables as they were made ({said}). {_DAMAGED}"
            )
        case sqlite3.SQLITE_READONLY:
            return StoreError(f"{where} cannot be written ({said}). {_RIGHTS}")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(f"{where} cannot be opened ({said}). {_RIGHTS}")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return StoreError(
                f"{where} was held by another program for {PATIENCE:.0f} seconds ({said}); nothing was "
                f"recorded. Close that program and try again."
            )
        case sqlite3.SQLITE_IOERR:
            return BrokenDevice(
                f"{where}: the disk could not be read or written ({said}). Whether this write was recorded "
                f"is known only after opening the store again."
            )
        case _:
            return StoreError(f"{where} could not do what was asked: {said}.")


def _from_system(cause: OSError, where: str, said: str) -> StoreError:
    if isinstance(cause, TimeoutError):  # filelock.Timeout
        return StoreError(
            f"{where} was being written by another process for {PATIENCE:.0f} seconds; nothing was recorded. "
            f"Close that process and try again."
        )
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"{where}: {_FULL}")
    if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{where} cannot be written ({said}). {_RIGHTS}")
    return StoreError(f"{where} could not be used ({said}).")


def _from_postgres(state: str | None, where: str, said: str) -> StoreError:
    match state:
        case None:
            return StoreError(
                f"{where}: no connection to the database server ({said}). Check address, user and password, "
                f"and that the server runs. If this interrupted an append, read the store to see whether it "
                f"was recorded."
            )
        case "53100":
            return StoreFull(f"{where}: {_FULL}")
        case "58030":
            return BrokenDevice(f"{where}: the server's disk could not be read or written ({said}).")
        case "42501" | "25006":
            return StoreError(
                f"{where} cannot be written ({said}). Ask the database's owner for the right to write."
            )
        case _ if state.startswith(("42", "23", "XX")):
            return CorruptStore(
                f"{where} does not hold labelwise's tables as they were made ({said}). {_DAMAGED}"
            )
        case _ if state.startswith(("08", "28", "3D", "57")):
            return _from_postgres(None, where, said)
        case _:
            return StoreError(f"{where} could not do what was asked: {said} (SQLSTATE {state}).")
