"""Runs and grids: finished ones skipped, killed ones resumed to the same picks, one process a run at a time."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from labelwise.bench.launch import is_finished, launch
from labelwise.bench.names import noted_cases
from labelwise.bench.results import read_run, read_runs
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_bench, read_spec
from labelwise.errors import Conflict, InputError

GRID = """
[task]
name = "digits"
[recipe]
name = "{recipe}"
{fields}
[plan]
start = 20
batch = 20
budget = {budget}
[grid]
"strategy.name" = ["random", "margin"]
"plan.seed" = [0, 1]
"""


def content(run_):
    """Everything of a run that must not depend on when, or how often interrupted, it was made."""
    state = run_.state
    return (
        [(a.round, a.ids, a.scores) for a in state.asks],
        {i: a.label for i, a in state.answers.items()},
        [(f.round, f.n_labelled, f.validation, f.test, f.fit) for f in state.fits],
    )


def grid(tmp_path, recipe="logistic", fields="", budget=120):
    path = tmp_path / "grid.toml"
    path.write_text(GRID.format(recipe=recipe, fields=fields, budget=budget))
    return path, read_bench(path).specs


def test_a_finished_run_is_read_not_repeated(tmp_path):
    _, specs = grid(tmp_path)
    first = run(specs[0], tmp_path / "runs")
    before = run_file(tmp_path / "runs", specs[0]).read_bytes()
    again = run(specs[0], tmp_path / "runs")
    assert content(first) == content(again)
    assert run_file(tmp_path / "runs", specs[0]).read_bytes() == before
    assert again.finished
    assert [f.n_labelled for f in again.fits] == [20, 40, 60, 80, 100, 120]


def test_one_process_a_run(tmp_path):
    _, specs = grid(tmp_path)
    with (
        FileLock(f"{run_file(tmp_path, specs[0])}.running"),
        pytest.raises(Conflict, match="by another process"),
    ):
        run(specs[0], tmp_path)


@pytest.mark.slow
def test_launch_runs_everything_and_says_what_failed(tmp_path):
    _, specs = grid(tmp_path)
    broken = read_spec({**specs[0].values(), "task": {"name": "digits", "test": 5.0}})
    seen = []
    cases = {specs[0].id: {"set": "small", "method": "plain"}}
    jobs = launch(
        [*specs[:2], broken],
        tmp_path / "runs",
        jobs=2,
        cases=cases,
        watch=lambda j: seen.append([x.status for x in j]),
    )
    assert [j.status for j in jobs] == ["done", "done", "failed"]
    assert "test" in jobs[2].why
    assert seen[-1] != ["waiting"] * 3
    runs, _ = read_runs([tmp_path / "runs"])
    assert len([r for r in runs if r.finished]) == 2
    assert noted_cases(runs) == cases  # a report of the folder alone calls them by these
    assert launch(specs[:2], tmp_path / "runs")[0].share == 1.0  # skipped: nothing left to run
    with pytest.raises(InputError, match="--jobs must be at least 1; it is 0"):
        launch(specs, tmp_path, jobs=0)


# A shell's background jobs ignore Ctrl-C, and hand that on to whatever they start: put it back.
BENCH = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("labelwise", run_name="__main__", alter_sys=True)
"""


@contextmanager
def bench_process(path, folder, *more):
    """Run `labelwise bench` in a process of its own, away from this one's Ctrl-C; it is gone when the block ends."""
    command = [sys.executable, "-c", BENCH, "bench", str(path), "-f", str(folder), "--no-report", *more]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
        process.wait(timeout=120)
    finally:
        process.kill()
        process.wait()


def is_running(folder, spec):
    """True while a process has this run: its lock dies with it, on every system."""
    lock = FileLock(f"{run_file(folder, spec)}.running")
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def wait_until(true, seconds, otherwise):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def traces(folder):
    """What every commit changes: sizes and times of databases and their logs."""
    found = {}
    for file in folder.glob("*.db*"):
        try:
            found[file.name] = (file.stat().st_size, file.stat().st_mtime_ns)
        except FileNotFoundError:  # a log that SQLite has just taken away
            continue
    return found


def await_commits(folder, commits, going):
    """Return once so many commits were seen, or nothing goes on any more."""
    before, seen = traces(folder), 0
    while going() and seen < commits:
        time.sleep(0.003)
        now = traces(folder)
        seen, before = seen + (now != before), now


def same(specs, wild, calm):
    return all(
        content(read_run(run_file(wild, spec))) == content(read_run(run_file(calm, spec))) for spec in specs
    )


# How many commits to wait for before each of the ten kills; 0: kill while processes still start.
KILLS = (1, 2, 0, 3, 1, 2, 0, 1, 3, 2)


@pytest.mark.slow
@pytest.mark.chaos
def test_a_bench_killed_ten_times_gives_what_an_uninterrupted_one_gives(tmp_path):
    path, specs = grid(tmp_path, budget=400)  # rounds enough that ten kills do not see the end of them
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for spec in specs:
        run(spec, calm)
    dice = random.Random(7)
    for commits in KILLS:
        with bench_process(path, wild, "-j", "2") as process:
            await_commits(wild, commits, lambda process=process: process.poll() is None)
            time.sleep(dice.uniform(0, 0.02 if commits else 1.0))
            assert process.poll() is None, "the bench was too quick for this test to mean anything"
            process.send_signal(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
    assert not all(is_finished(spec, wild) for spec in specs)
    for spec in specs:
        wait_until(lambda spec=spec: not is_running(wild, spec), 30, "an orphan goes on")
    with bench_process(path, wild, "-j", "2") as process:
        assert process.wait(timeout=300) == 0
    assert same(specs, wild, calm)


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked, which this system cannot")
@pytest.mark.parametrize("fields", ["epochs = 3", "epochs = 1\nwarm = true"])
def test_networks_killed_ten_times_give_what_uninterrupted_ones_give(tmp_path, fields):
    """Warm ones carry weights and optimiser from round to round: these must survive every kill."""
    _, specs = grid(tmp_path, "cnn", f"width = 4\n{fields}")
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for spec in specs:
        run(spec, calm)
    values = json.dumps([spec.values() for spec in specs])
    command = [sys.executable, str(Path(__file__).with_name("bench_nursery.py")), str(wild), values]
    dice = random.Random(11)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:

        def start():
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            return int(nursery.stdout.readline())

        assert nursery.stdout.readline() == "ready\n"
        for commits in KILLS:
            pid = start()
            await_commits(wild, commits, lambda: nursery.poll() is None)
            time.sleep(dice.uniform(0, 0.02 if commits else 0.3))
            os.kill(pid, signal.SIGKILL)
            assert int(nursery.stdout.readline()) == -signal.SIGKILL, "the child was too quick to be killed"
        assert not all(is_finished(spec, wild) for spec in specs)
        start()
        assert int(nursery.stdout.readline()) == 0
        nursery.stdin.close()
    assert same(specs, wild, calm)


@pytest.mark.slow
def test_a_child_stops_when_its_launcher_is_killed(tmp_path):
    path, specs = grid(tmp_path, "cnn", "epochs = 4000")  # minutes, if nothing stopped it
    folder = tmp_path / "runs"
    with bench_process(path, folder) as launcher:
        try:
            wait_until(run_file(folder, specs[0]).exists, 120, "no child was started")
            assert is_running(folder, specs[0])
        finally:
            launcher.kill()
    wait_until(lambda: not is_running(folder, specs[0]), 30, "an orphan goes on")
    assert not is_finished(specs[0], folder)


@pytest.mark.slow
def test_ctrl_c_returns_when_every_child_is_gone(tmp_path):
    path, specs = grid(tmp_path, "cnn", "epochs = 4000")
    folder = tmp_path / "runs"
    with bench_process(path, folder) as launcher:
        wait_until(run_file(folder, specs[0]).exists, 120, "no child was started")
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(timeout=60) == 130
    assert not is_running(folder, specs[0])


def test_a_child_that_prints_something_else_is_followed_to_its_end(tmp_path, monkeypatch):
    """A library that prints would otherwise end the thread that follows the run, and the launcher waits for ever."""
    noisy = tmp_path / "noisy.py"
    noisy.write_text("#!/bin/sh\necho 'downloading ...'\necho '[3]'\nread spec\nexit 75\n")
    noisy.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(noisy))
    _, specs = grid(tmp_path)
    (job,) = launch(specs[:1], tmp_path / "runs")
    assert job.status == "busy"


def test_only_a_damaged_run_is_to_be_deleted(tmp_path):
    _, specs = grid(tmp_path)
    file = run_file(tmp_path, specs[0])
    run(specs[0], tmp_path)
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("UPDATE labelwise_meta SET value = '9' WHERE name = 'schema'")
    (job,) = launch(specs[:1], tmp_path)
    assert job.status == "failed"
    assert "pip install -U labelwise" in job.why and "Delete" not in job.why
    file.write_bytes(file.read_bytes()[:5000])
    (job,) = launch(specs[:1], tmp_path)
    assert f"Delete {file} to run it afresh." in job.why


def test_reading_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="No benchmark run was found"):
        read_runs([tmp_path])
