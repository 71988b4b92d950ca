"""Where campaigns lie: in memory, in one SQLite file, or in a PostgreSQL database for a team."""

from __future__ import annotations

import os

from labelwise.store.base import Store

__all__ = ["Store", "open_store"]


def open_store(
    where: str | os.PathLike[str] | None = None, campaign: str = "main", *, create: bool = True
) -> Store:
    """Return the store at a place.

    Args:
        where: a file path (made if missing); "postgresql+psycopg://user:password@host/database"; None or
            ":memory:" for a store that dies with the process.
        campaign: which of the campaigns in that file or database.
        create: False refuses to make a store where there is none.

    Raises:
        StoreError: it cannot be opened; the message says why and what to do (CorruptStore, NewerStore,
            StoreFull).
        InputError: the address or the name of the campaign breaks a rule.
    """
    if where is None or where == ":memory:":
        from labelwise.store.memory import MemoryStore

        return MemoryStore()
    from labelwise.store.sql import SqlStore  # here, because SQLAlchemy takes a quarter of a second to import

    return SqlStore(where, campaign, create=create)
