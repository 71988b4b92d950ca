"""Processes that are killed and processes that race: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import store_children as children

from labelwise.seeds import generator
from labelwise.store.sql import SqlStore

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Children are forked from a small server that has imported everything and opened nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["store_children"])
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield context


def kill_again_and_again(
    context: ForkServerContext, path: Path, kills: int, *, ack_too_early: bool
) -> dict[str, int]:
    """Kill an appending child at random moments; return how many events were acknowledged, lost, …"""
    rng = generator(0, "test", "kills")
    acked: list[int] = []
    SqlStore(path).close()
    for life in range(kills):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(
            target=children.append_for_ever, args=(str(path), life, theirs, ack_too_early), daemon=True
        )
        child.start()
        theirs.close()
        acked.append(ours.recv())  # it is under way
        time.sleep(float(rng.uniform(0, 0.04)))
        child.kill()
        child.join()
        try:
            while True:
                acked.append(ours.recv())
        except EOFError:
            ours.close()
        if life % 20 == 19:
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with SqlStore(path) as store:
        events = store.read()
        assert all(event == children.answer(event.id) for event in events)
        assert store.state()["n"] < len(events)
    there = Counter(event.id for event in events)
    return {
        "acknowledged": len(acked),
        "lost": sum(token not in there for token in acked),
        "doubled": sum(n > 1 for n in there.values()),
        "unacknowledged": len(there.keys() - set(acked)),
    }


def test_no_acknowledged_event_is_lost_when_the_process_is_killed(processes, tmp_path: Path) -> None:
    found = kill_again_and_again(processes, tmp_path / "labels.db", 80, ack_too_early=False)
    assert found["lost"] == 0
    assert found["doubled"] == 0
    assert found["acknowledged"] > 100
    assert found["unacknowledged"] <= 80  # at most the one that was under way at each kill


def test_the_kill_loop_notices_an_acknowledgement_before_the_commit(processes, tmp_path: Path) -> None:
    assert kill_again_and_again(processes, tmp_path / "labels.db", 15, ack_too_early=True)["lost"] > 0


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where a store of each lasting kind is: place and campaign."""
    if request.param == "sqlite":
        return str(tmp_path / "labels.db"), "main"
    return request.getfixturevalue("postgres_url"), f"race {uuid.uuid4()}"


def test_each_of_many_writers_records_each_event_once(processes, where: tuple[str, str]) -> None:
    writers, each = 4, 25
    barrier = processes.Barrier(writers)
    jobs = [
        processes.Process(target=children.append_all, args=("SqlStore", *where, k, each, barrier))
        for k in range(writers)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0] * writers
    with SqlStore(*where) as store:
        tokens = [event.id for event in store.read()]
    assert sorted(tokens) == [k * children.MILLION + i for k in range(writers) for i in range(each)]
    for k in range(writers):  # and each writer's own are in its order
        own = [t for t in tokens if t // children.MILLION == k]
        assert own == sorted(own)


def winners(context: ForkServerContext, kind: str, where: tuple[str, str], rounds: int) -> list[int]:
    """Return how many of three racers won each round."""
    racers = 3
    barrier = context.Barrier(racers)
    jobs, ends = [], []
    for k in range(racers):
        ours, theirs = context.Pipe(duplex=False)
        jobs.append(context.Process(target=children.race, args=(kind, *where, k, rounds, barrier, theirs)))
        ends.append(ours)
    for job in jobs:
        job.start()
    won = Counter(k for end in ends for k in end.recv())
    for job in jobs:
        job.join(60)
    return [won[k] for k in range(rounds)]


def test_of_those_that_append_after_the_same_event_exactly_one_wins(
    processes, where: tuple[str, str]
) -> None:
    assert winners(processes, "SqlStore", where, 40) == [1] * 40
    with SqlStore(*where) as store:
        assert len(store.read()) == 40


def test_the_race_notices_a_store_that_counts_and_then_inserts(processes, tmp_path: Path) -> None:
    won = winners(processes, "CountThenInsert", (str(tmp_path / "bad.db"), "main"), 20)
    assert max(won) > 1


def test_a_failing_disk_loses_nothing_and_stops_further_writes_until_reopened(
    processes, tmp_path: Path
) -> None:
    ours, theirs = processes.Pipe(duplex=False)
    # A limit on the size of files makes write() fail inside the write-ahead log, as a failing disk does.
    job = processes.Process(
        target=children.append_until_it_fails, args=(str(tmp_path / "labels.db"), 300_000, theirs)
    )
    job.start()
    theirs.close()
    acknowledged, there, said = ours.recv()
    job.join(60)
    assert acknowledged > 5
    assert there == acknowledged
    assert "the disk could not be read or written" in said[0]
    assert "refuses to write since an earlier failure" in said[1]


def test_readers_never_fail_nor_stop_a_writer(processes, tmp_path: Path) -> None:
    path = tmp_path / "labels.db"
    SqlStore(path).close()
    ours, theirs = processes.Pipe(duplex=False)
    child = processes.Process(
        target=children.append_for_ever, args=(str(path), 0, theirs, False), daemon=True
    )
    child.start()
    theirs.close()
    last, until = ours.recv(), time.monotonic() + 2
    sizes = []
    while time.monotonic() < until:
        with SqlStore(path, readonly=True) as reader:
            sizes.append(len(reader.read()))
        while ours.poll():
            last = ours.recv()
    assert child.is_alive()  # no append failed
    child.kill()
    child.join()
    ours.close()
    assert sizes == sorted(sizes)
    assert len(sizes) > 5
    assert last > 20
    with SqlStore(path) as store:
        assert len(store.read()) >= last + 1
