"""Runs and grids: finished ones skipped, killed ones resumed to the same picks, one process a run at a time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from labelwise.bench.launch import launch
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
budget = 120
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


def grid(tmp_path, recipe="logistic", fields=""):
    path = tmp_path / "grid.toml"
    path.write_text(GRID.format(recipe=recipe, fields=fields))
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
    jobs = launch(
        [*specs[:2], broken], tmp_path / "runs", jobs=2, watch=lambda j: seen.append([x.status for x in j])
    )
    assert [j.status for j in jobs] == ["done", "done", "failed"]
    assert "test" in jobs[2].why
    assert seen[-1] != ["waiting"] * 3
    runs, _ = read_runs([tmp_path / "runs"])
    assert len([r for r in runs if r.finished]) == 2
    assert launch(specs[:2], tmp_path / "runs")[0].share == 1.0  # skipped: nothing left to run
    with pytest.raises(InputError, match="--jobs must be at least 1; it is 0"):
        launch(specs, tmp_path, jobs=0)


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("fields", ["epochs = 4", "epochs = 1\nwarm = true"])
def test_a_bench_killed_ten_times_gives_what_an_uninterrupted_one_gives(tmp_path, fields):
    path, specs = grid(tmp_path, "cnn", f"width = 4\n{fields}")
    for spec in specs:
        run(spec, tmp_path / "calm")
    command = [
        sys.executable,
        "-m",
        "labelwise",
        "bench",
        str(path),
        "-f",
        str(tmp_path / "wild"),
        "-j",
        "2",
        "--no-report",
    ]
    dice = random.Random(7)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=dice.uniform(1.0, 6.0))
            break  # everything was finished before ten kills
        except subprocess.TimeoutExpired:
            process.send_signal(dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
            process.wait()
            kills += 1
    assert kills >= 2, "the bench was too quick for this test to mean anything"
    time.sleep(1.5)  # orphans notice that their launcher is gone
    subprocess.run(command, check=True, capture_output=True)
    for spec in specs:
        assert content(read_run(run_file(tmp_path / "wild", spec))) == content(
            read_run(run_file(tmp_path / "calm", spec))
        )


@pytest.mark.slow
def test_a_child_stops_when_its_launcher_is_killed(tmp_path):
    path, _ = grid(tmp_path, "cnn", "epochs = 400")
    command = [
        sys.executable,
        "-m",
        "labelwise",
        "bench",
        str(path),
        "-f",
        str(tmp_path / "runs"),
        "--no-report",
    ]
    launcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def children():
        listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [
            line for line in listed.splitlines() if "labelwise.bench.child" in line and str(tmp_path) in line
        ]

    deadline = time.monotonic() + 60
    while not children():
        assert time.monotonic() < deadline, "no child was started"
        time.sleep(0.1)
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    while children():
        assert time.monotonic() < deadline + 30, "an orphan goes on"
        time.sleep(0.1)


def test_reading_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        read_runs([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="No benchmark run was found"):
        read_runs([tmp_path])
