"""The store that dies with the process: for simulations and tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from labelwise.checks import check_count
from labelwise.errors import Conflict, InputError, StoreError
from labelwise.events import Event
from labelwise.store.bodies import decode_event, encode_event
from labelwise.store.states import decode_state, encode_state


class MemoryStore:
    """A store in memory, safe to share between threads.

    Events and state are kept encoded, exactly as a file would hold them: nobody can change what is stored by
    changing what was given or got, and what a file would refuse is refused here.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._events: list[tuple[str, str]] = []
        self._state: bytes | None = None
        self._closed = False

    def append(self, events: Sequence[Event], *, after: int, state: Mapping[str, Any] | None = None) -> int:
        bodies = [encode_event(event) for event in events]
        if not bodies:
            raise InputError("append needs at least one event; it got none.")
        after = check_count(after, "after")
        blob = None if state is None else encode_state(state)
        with self._mutex:
            self._check_open()
            if after != len(self._events):
                raise Conflict(
                    f"The store holds {len(self._events)} events; this append was meant to come after "
                    f"{after}. Read again and decide anew."
                )
            self._events += bodies
            if blob is not None:
                self._state = blob
            return len(self._events)

    def read(self, since: int = 0) -> list[Event]:
        since = check_count(since, "since")
        with self._mutex:
            self._check_open()
            bodies = self._events[since:]
        return [decode_event(kind, body) for kind, body in bodies]

    def state(self) -> dict[str, Any]:
        with self._mutex:
            self._check_open()
            blob = self._state
        return {} if blob is None else decode_state(blob)

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("This store is closed; what a memory store held is gone with it.")
