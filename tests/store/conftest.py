"""Stores to test: in memory, in a file, and in PostgreSQL (a given server, or a throw-away one)."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelwise.store.base import Store
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Yield the URL of a PostgreSQL database, or skip with the reason."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install labelwise[postgres]")
    given = os.environ.get("LABELWISE_POSTGRES_URL")
    if given:
        yield given
        return
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed here and LABELWISE_POSTGRES_URL is not set")
    folder = Path(tempfile.mkdtemp(prefix="labelwise-pg-"))
    who: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("PostgreSQL refuses to run as root and there is no user named postgres")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    command = [
        initdb,
        "-D",
        str(data),
        "-A",
        "trust",
        "-U",
        "labelwise",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **who)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        process = subprocess.Popen(
            [server, "-D", str(data), *options], cwd=folder, stdout=log, stderr=log, **who
        )
    try:
        _wait(port, process, folder / "log")
        yield f"postgresql+psycopg://labelwise@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown
        process.wait(timeout=20)
        shutil.rmtree(folder)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    until = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(f"postgresql://labelwise@127.0.0.1:{port}/postgres", connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    f"PostgreSQL did not start: {log.read_text()} ({getpass.getuser()})"
                ) from None
            time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgres"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqlStore]]:
    """Yield a function that opens the same lasting store each time."""
    if request.param == "sqlite":
        where, campaign = str(tmp_path / "labels.db"), "main"
    else:
        where, campaign = request.getfixturevalue("postgres_url"), f"test {uuid.uuid4()}"
    opened: list[SqlStore] = []

    def again() -> SqlStore:
        opened.append(SqlStore(where, campaign))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store of each kind."""
    if request.param == "memory":
        made: Store = MemoryStore()
    elif request.param == "sqlite":
        made = SqlStore(tmp_path / "labels.db")
    else:
        made = SqlStore(request.getfixturevalue("postgres_url"), f"test {uuid.uuid4()}")
    yield made
    made.close()
