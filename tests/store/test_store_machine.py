"""Any sequence of appends, reads, refusals and reopenings against a list: the store is that list."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from labelwise.errors import Conflict, InputError
from labelwise.events import Answered, Asked, Event
from labelwise.store.base import Store
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore

BATCHES = st.lists(
    st.builds(Answered, st.integers(0, 99), st.none() | st.integers(0, 9), st.text(max_size=3))
    | st.builds(Asked, st.integers(0, 9), st.lists(st.integers(0, 99), max_size=4).map(tuple)),
    min_size=1,
    max_size=5,
)
STATES = st.none() | st.dictionaries(
    st.text(max_size=3), st.integers() | st.floats(allow_nan=False), max_size=2
)


class AgainstAList(RuleBasedStateMachine):
    """Two handles on one store, used in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.kept: dict[str, object] = {}
        self.handles = self.open()

    def open(self) -> list[Store]:
        raise NotImplementedError

    def refused(self, error: type[Exception], which: int, events: list[Event], after: int) -> None:
        with pytest.raises(error):
            self.handles[which].append(events, after=after, state={"never": 1})

    @rule(which=st.integers(0, 1), events=BATCHES, state=STATES)
    def append(self, which: int, events: list[Event], state: dict[str, object] | None) -> None:
        self.events += events
        n = self.handles[which].append(events, after=len(self.events) - len(events), state=state)
        assert n == len(self.events)
        self.kept = self.kept if state is None else state

    @rule(which=st.integers(0, 1), events=BATCHES, off=st.integers(-5, 5).filter(bool))
    def append_too_late_or_too_early(self, which: int, events: list[Event], off: int) -> None:
        if len(self.events) + off >= 0:
            self.refused(Conflict, which, events, len(self.events) + off)

    @rule(which=st.integers(0, 1), events=BATCHES)
    def append_what_cannot_be_stored(self, which: int, events: list[Event]) -> None:
        bad = Asked(0, (1,), None, {"a": np.array([1.0, np.nan])})
        self.refused(InputError, which, [*events, bad], len(self.events))

    @rule(which=st.integers(0, 1), since=st.integers(0, 60))
    def read_since(self, which: int, since: int) -> None:
        assert self.handles[which].read(since) == self.events[since:]

    @invariant()
    def both_hold_the_list(self) -> None:
        for handle in self.handles:
            assert handle.read() == self.events
            assert handle.state() == self.kept


class MemoryMachine(AgainstAList):
    def open(self) -> list[Store]:
        store = MemoryStore()
        return [store, store]


class FileMachine(AgainstAList):
    def open(self) -> list[Store]:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "labels.db"
        return [SqlStore(self.path), SqlStore(self.path)]

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.handles[which].close()
        self.handles[which] = SqlStore(self.path, create=False)

    @rule()
    def close_both_and_reopen(self) -> None:
        for handle in self.handles:
            handle.close()
        assert not Path(f"{self.path}-wal").exists()  # the last one to close leaves one tidy file
        self.handles = [SqlStore(self.path, create=False), SqlStore(self.path, create=False)]

    def teardown(self) -> None:
        for handle in self.handles:
            handle.close()
        self.folder.cleanup()


MemoryMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
FileMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestMemoryStoreAgainstAList = MemoryMachine.TestCase
TestFileStoreAgainstAList = pytest.mark.slow(FileMachine.TestCase)
