"""The tables of a store, how a database gets them, and the check that a database has them."""

from __future__ import annotations

from importlib.metadata import version

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
)

from labelwise.errors import CorruptStore, NewerStore

SCHEMA = 1
APPLICATION = "labelwise"
APPLICATION_ID = 0x4C625773  # "LbWs" in the header of the SQLite file, so that `file` and we know it for ours

METADATA = MetaData()
META = Table(
    "labelwise_meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
# One row a campaign: how many events it has, after which event its state was stored (0: none), a digest over
# both.
CAMPAIGNS = Table(
    "labelwise_campaigns",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("events", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("digest", Text, nullable=False),
)
EVENTS = Table(
    "labelwise_events",
    METADATA,
    Column("campaign", Text, ForeignKey(CAMPAIGNS.c.name), primary_key=True),
    Column("seq", Integer, CheckConstraint("seq > 0"), primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("digest", Text, nullable=False),
)
STATES = Table(
    "labelwise_states",
    METADATA,
    Column("campaign", Text, ForeignKey(CAMPAIGNS.c.name), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
)


def create_tables(connection: Connection) -> None:
    """Make the tables and write down who made them and how, inside the caller's transaction."""
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(
        insert(META),
        [
            {"name": "application", "value": APPLICATION},
            {"name": "schema", "value": str(SCHEMA)},
            {"name": "made by", "value": version("labelwise")},
        ],
    )


def has_tables(connection: Connection) -> bool:
    """Return whether any of the tables is there."""
    return bool(set(METADATA.tables) & set(inspect(connection).get_table_names()))


def check_tables(connection: Connection, where: str) -> None:
    """Raise unless the database is a labelwise store that this labelwise can read.

    Raises:
        NewerStore: a newer labelwise made it.
        CorruptStore: it is something else, or its tables of contents are damaged.
    """
    entries = {row.name: row.value for row in connection.execute(select(META.c.name, META.c.value))}
    schema = entries.get("schema")
    digits = schema if isinstance(schema, str) and schema.isdecimal() and len(schema) < 9 else "0"
    if entries.get("application") != APPLICATION or int(digits) < 1:
        raise CorruptStore(f"{where} is no labelwise store, or is damaged: it says of itself {entries!r}.")
    if int(digits) > SCHEMA:
        raise NewerStore(
            f"{where} has schema {int(digits)}, made by labelwise {entries.get('made by')}; labelwise "
            f"{version('labelwise')} reads up to schema {SCHEMA}. Upgrade: pip install -U labelwise."
        )
