"""The contract of a store: an append-only list of events with compare-and-swap, and the newest state beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from labelwise.events import Event


@runtime_checkable
class Store(Protocol):
    """Where one campaign's events lie.

    Guarantees: an append is all or nothing and survives the process (and, in a file, a power cut) once it has
    returned; readers never see half of one; events never change. Any number of processes may read and append: of two
    that append after the same event, one wins and the other gets Conflict.
    """

    def append(self, events: Sequence[Event], *, after: int, state: Mapping[str, Any] | None = None) -> int:
        """Record events behind the first `after` ones and return how many there are now.

        Args:
            events: at least one.
            after: how many events the caller has read: its idea of the newest.
            state: learned state (numbers, strings, arrays, nested dicts and lists) that replaces the stored one in
                the same transaction; None keeps it.

        Raises:
            Conflict: there are more (or fewer) than `after` events; nothing was recorded. Read and decide anew.
            StoreFull: the disk is full; nothing was recorded.
            StoreError: anything else that kept the events from being recorded.
        """
        ...

    def read(self, since: int = 0) -> list[Event]:
        """Return the events behind the first `since` ones, in order.

        Raises:
            CorruptStore: what is stored fails its checksum or cannot be read.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return the newest stored state; {} if none was ever stored."""
        ...

    def close(self) -> None:
        """Let go of files and connections; calling it twice is harmless."""
        ...
