"""Power cuts: the very SQL a store emits, replayed on a disk that forgets what was not yet synced."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labelwise.errors import CorruptStore
from labelwise.events import Answered, Asked, Event
from labelwise.seeds import generator
from labelwise.store.sql import SqlStore

apsw = pytest.importorskip("apsw", reason="power cuts are simulated with apsw: pip install apsw")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]

APPENDS = 30


def batch(k: int) -> list[Event]:
    """Return the events of append k: one to three answers, now and then a long ask."""
    if k % 7 == 3:
        return [Asked(k, tuple(range(600)), None, {"text": "x" * 3000})]
    return [Answered(10 * k + i, i, "ann", 1.5) for i in range(1 + k % 3)]


EVENTS = [event for k in range(APPENDS) for event in batch(k)]
UPTO = np.cumsum([len(batch(k)) for k in range(APPENDS)])  # events there after append k


@dataclass
class Recording:
    """An empty store, the statements of opening it and those of each append."""

    empty: Path
    opening: list[str]
    appends: list[list[str]]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record what a store really sends to SQLite, PRAGMAs, BEGIN and COMMIT included."""
    folder = tmp_path_factory.mktemp("recording")
    SqlStore(folder / "labels.db").close()
    shutil.copy(folder / "labels.db", folder / "empty.db")
    heard: list[str] = []
    connect = sqlite3.connect

    def listening(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(heard.append)  # with the values filled in
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", listening)
        store = SqlStore(folder / "labels.db")
    opening, appends, after = list(heard), [], 0
    for k in range(APPENDS):
        heard.clear()
        after = store.append(batch(k), after=after, state={"w": np.full(300, k)} if k % 5 == 0 else None)
        appends.append(list(heard))
    store.close()
    assert "PRAGMA synchronous=FULL" in opening
    assert all(said[0] == "BEGIN IMMEDIATE" and said[-1] == "COMMIT" for said in appends)
    return Recording(folder / "empty.db", opening, appends)


class PowerCutError(Exception):
    """The power is gone."""


class Disk:
    """What is on the platter: for each file its synced bytes, and the writes since its last sync."""

    def __init__(self, cut_at: int | None) -> None:
        self.cut_at = cut_at
        self.operations = 0
        self.dead = False
        self.synced: dict[str, bytearray] = {}
        self.pending: dict[str, list[tuple[int, bytes | None]]] = {}

    def step(self) -> None:
        """Count one write, truncation or sync, and cut the power if it is this one's turn."""
        if self.dead:
            raise PowerCutError
        if self.operations == self.cut_at:
            self.dead = True
            raise PowerCutError
        self.operations += 1

    def open(self, name: str) -> None:
        if name not in self.synced:
            path = Path(name)
            self.synced[name] = bytearray(path.read_bytes() if path.exists() else b"")
            self.pending[name] = []

    def settle(self, name: str, survivors: list[tuple[int, bytes | None]]) -> None:
        """Put the surviving writes on the platter."""
        image = self.synced[name]
        for offset, data in survivors:
            if data is None:
                del image[offset:]
            else:
                image.extend(b"\0" * (offset + len(data) - len(image)))
                image[offset : offset + len(data)] = data
        self.pending[name] = []

    def restart(self, rng: np.random.Generator, keep: float) -> None:
        """Write back what is left after the cut: an unsynced write survives with probability keep."""
        for name, image in self.synced.items():
            self.settle(name, [write for write in self.pending[name] if rng.random() < keep])
            Path(name).write_bytes(image)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.disk = disk
        disk.open(self.name)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.step()
        self.disk.pending[self.name].append((offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self.disk.step()
        self.disk.pending[self.name].append((size, None))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self.disk.step()
        self.disk.settle(
            self.name, self.disk.pending[self.name]
        )  # only now: a cut during a sync keeps nothing


class DiskVFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("forgetful", "")

    def xOpen(self, name: object, flags: list[int]) -> DiskFile:
        return DiskFile(self.disk, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self.disk.step()
        self.disk.synced.pop(name, None)
        self.disk.pending.pop(name, None)
        super().xDelete(name, sync)


def replay(recording: Recording, path: Path, disk: Disk, swap: dict[str, str]) -> int:
    """Send the recorded statements until the power is cut; return how many appends had returned by then."""
    vfs = DiskVFS(disk)
    acknowledged = 0
    connection = apsw.Connection(str(path), vfs="forgetful")
    try:
        # A VFS written in Python has no shared memory, which SQLite does without in this mode. Small
        # checkpoints, so that cuts fall into checkpoints too.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        for statement in [*recording.opening, "PRAGMA wal_autocheckpoint=15"]:
            connection.execute(swap.get(statement, statement)).fetchall()
        for said in recording.appends:
            for statement in said:
                connection.execute(statement).fetchall()
            acknowledged += 1
    except (PowerCutError, apsw.Error):
        assert disk.dead  # and not some other failure
    finally:
        try:
            connection.close(force=True)
        except (PowerCutError, apsw.Error):
            assert disk.dead
        vfs.unregister()
    return acknowledged


def cuts(recording: Recording, folder: Path, n: int, swap: dict[str, str]) -> tuple[int, int, int]:
    """Cut the power n times; return how many events were acknowledged and lost, and how many files broke."""
    rng = generator(0, "test", "power")
    path = folder / "labels.db"
    shutil.copy(recording.empty, path)
    whole = Disk(None)
    assert replay(recording, path, whole, swap) == APPENDS
    expected = lost = corrupt = 0
    for k in range(n):
        for left in folder.glob("labels.db*"):
            left.unlink()
        shutil.copy(recording.empty, path)
        disk = Disk(int(rng.integers(whole.operations)))
        acknowledged = replay(recording, path, disk, swap)
        disk.restart(rng, keep=(0.0, 0.5)[k % 2])
        recorded = int(UPTO[acknowledged - 1]) if acknowledged else 0
        expected += recorded
        try:
            with SqlStore(path) as store:
                events = store.read()
                store.state()
        except CorruptStore:
            corrupt += 1
            continue
        assert events == EVENTS[: len(events)]
        assert len(events) in {0, *UPTO.tolist()}  # never half an append
        lost += max(recorded - len(events), 0)
    return expected, lost, corrupt


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # SQLite closes files of a dead disk
def test_a_power_cut_loses_no_acknowledged_event(recording: Recording, tmp_path: Path) -> None:
    expected, lost, corrupt = cuts(recording, tmp_path, 300, {})
    assert expected > 4000
    assert (lost, corrupt) == (0, 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_power_cuts_notice_synchronous_normal(recording: Recording, tmp_path: Path) -> None:
    swap = {"PRAGMA synchronous=FULL": "PRAGMA synchronous=NORMAL"}
    assert cuts(recording, tmp_path, 40, swap)[1] > 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_power_cuts_notice_synchronous_off(recording: Recording, tmp_path: Path) -> None:
    swap = {"PRAGMA synchronous=FULL": "PRAGMA synchronous=OFF"}
    _, lost, corrupt = cuts(recording, tmp_path, 40, swap)
    assert lost + corrupt > 0
