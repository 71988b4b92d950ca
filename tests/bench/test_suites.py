"""Suites: every strategy in one bench, runs in parts, and the same table whatever was killed on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_launch import await_commits, bench_process, is_running, wait_until
from typer.testing import CliRunner

from labelwise.bench import suites
from labelwise.bench.compare import compare
from labelwise.bench.launch import is_finished, launch
from labelwise.bench.protocols import find
from labelwise.bench.report.files import results_csv, results_json
from labelwise.bench.results import read_run
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_bench
from labelwise.bench.suites import read_suite
from labelwise.cli import app
from labelwise.cli.chosen import seconds_of, seeds_of
from labelwise.errors import InputError, StoreError, UnknownName
from labelwise.models import make as make_recipe
from labelwise.strategies import TABLE
from labelwise.strategies import make as make_strategy

TIMINGS = ("seconds", "scoring_ratio", "costs")  # in results.json: seconds, and what is made of seconds
GIVEN = {"features", "y"}  # by the task itself

ONE = """
name = "one"
[recipe]
name = "mlp"
network = "mlp"
width = 16
epochs = 8
[axis.set.small]
task = { name = "digits", pool = 150, test_size = 100 }
plan = { start = 20, batch = 5, budget = 100 }
[axis.method.random]
"strategy.name" = "random"
[axis.method.margin]
"strategy.name" = "margin"
[scale.smoke]
"plan.budget" = 30
"""
TWO = ONE.replace('"one"', '"two"').replace("margin", "entropy")


@pytest.fixture
def tiny(tmp_path):
    """A suite of two protocols that share random: three runs."""
    (tmp_path / "one.toml").write_text(ONE)
    (tmp_path / "two.toml").write_text(TWO)
    path = tmp_path / "tiny.toml"
    path.write_text('name = "tiny"\nprotocols = ["one.toml", "two.toml"]\n')
    return path


@pytest.fixture(scope="module")
def core():
    return read_suite(suites.find("core"))


def test_core_holds_every_strategy_of_the_table(core):
    assert {spec.strategy.name for spec in core.specs} == set(
        TABLE
    )  # no exception: even cheats run on known labels


def test_core_is_the_union_of_its_protocols_each_run_once(core):
    ids = [spec.id for spec in core.specs]
    assert len(set(ids)) == len(ids) == len(core.cases)
    made = [
        read_bench(find(name))
        for name in ("bral-t/evidence", "rl-mba/evidence", "core/rest", "core/modalities")
    ]
    assert set(ids) == {spec.id for bench in made for spec in bench.specs}
    # random, margin and BADGE: digits with 20 seeds and a long tail with 5, two modal sets with 5 and one with 20
    assert sum(len(bench.specs) for bench in made) - len(ids) == 3 * (20 + 5) + 3 * (20 + 5 + 5)


def test_every_recipe_of_core_gives_what_its_strategy_needs(core):
    pairs = {json.dumps([s.recipe.model_dump(), s.strategy.model_dump()]): s for s in core.specs}
    for spec in pairs.values():
        needs = make_strategy(spec.strategy.name).needs
        gives = make_recipe(spec.recipe.name, **spec.recipe.params).gives
        for part in ("pool", "labelled", "validation"):
            lacking = getattr(needs, part) - GIVEN - getattr(gives, part)
            assert not lacking, f"{spec.strategy.name} with {spec.recipe.name}: {lacking}"


def test_the_cheap_sets_repeat_most_and_every_strategy_has_five_seeds(core):
    seeds = {}
    for spec, case in zip(core.specs, core.cases, strict=True):
        seeds.setdefault((case["set"], case["method"]), set()).add(spec.plan.seed)
    assert {key: len(some) for key, some in seeds.items()} == {
        key: 20 if key[0] in ("digits", "digit-halves") else 5 for key in seeds
    }


def test_a_suite_runs_in_parts_and_every_wrong_word_is_told(tiny):
    assert len(read_suite(tiny).specs) == 3
    (one,) = read_suite(tiny, only=("entropy",)).specs
    assert one.strategy.name == "entropy"
    assert {spec.plan.budget for spec in read_suite(tiny, "smoke").specs} == {30}
    with pytest.raises(UnknownName, match="No suite is named 'cor'. Did you mean 'core'"):
        suites.find("cor")
    with pytest.raises(UnknownName, match="Did you mean 'entropy'"):
        read_suite(tiny, only=("entropi",))
    with pytest.raises(InputError, match="two.toml has no scale 'half'|one.toml has no scale 'half'"):
        read_suite(tiny, "half")
    for text, words in (
        ('protocol = ["x"]', "protocol is unknown in a suite. Did you mean 'protocols'"),
        ("protocols = []", "protocols must be a list of names"),
        ('protocols = ["core/rets"]', "Did you mean 'core/rest'"),
        ("name = 3", "name must be a text"),
    ):
        tiny.write_text(text)
        with pytest.raises(InputError, match=words):
            read_suite(tiny)


def test_seeds_and_times_in_words():
    assert seeds_of("0-4") == (0, 1, 2, 3, 4)
    assert seeds_of("3, 0,2-3") == (0, 2, 3)
    assert [seconds_of(words) for words in ("90s", "30m", "2h", "1h30m")] == [90, 1800, 7200, 5400]
    for wrong in ("", "4-0", "a", "1,,2", "-1", "0-99999999"):
        with pytest.raises(InputError, match="--seeds must be like 0-4"):
            seeds_of(wrong)
    for wrong in ("", "0s", "2", "1.5h", "30m2h", "h"):
        with pytest.raises(InputError, match="--time-limit must be like 90s"):
            seconds_of(wrong)


def test_seeds_keep_runs_with_their_cases_and_printed_numbers(core):
    part = core.with_seeds((3, 19, 77))
    assert {spec.plan.seed for spec in part.specs} == {3, 19}
    named = {spec.id: case for spec, case in zip(core.specs, core.cases, strict=True)}
    assert [named[spec.id] for spec in part.specs] == list(part.cases)
    printed = read_bench(find("bral-t/table-1")).with_seeds((0,))
    assert set(printed.printed.runs) == {spec.id for spec in printed.specs}
    with pytest.raises(InputError, match=r"No run of core has the seed 77. Its seeds are 0, 1, 2"):
        core.with_seeds((77,))


def test_the_whole_of_core_is_listed_in_small_and_a_part_of_it_runs(tmp_path):
    """Every run of it at this scale runs to its end in test_protocols; here the command brings two of them together."""
    cli = CliRunner()
    whole = ["bench", "--suite", "core", "--scale", "smoke", "-f", str(tmp_path)]
    lines = cli.invoke(app, [*whole, "--dry"]).output.splitlines()
    assert {name for line in lines for name in line.split() if name in TABLE} == set(TABLE)
    part = [*whole, "--only", "drop-query", "--only", "random", "--only", "digits", "--seeds", "0"]
    timed = cli.invoke(app, [*part, "--time-limit", "1h", "-j", "2"])
    assert timed.exit_code == 0, timed.output
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["name"] == "core"
    assert all(word in timed.output for word in ("random", "drop-query", "Report:"))


def test_a_time_limit_finishes_what_runs_and_says_how_to_go_on(tiny, tmp_path, monkeypatch):
    bench = read_suite(tiny, "smoke")
    folder = tmp_path / "runs"
    run(bench.specs[0], folder)
    slow = tmp_path / "slow.py"
    slow.write_text("#!/bin/sh\nread spec\nsleep 1\n")
    slow.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", str(slow))
        jobs = launch(bench.specs, folder, until=time.monotonic() + 0.5)
    assert [job.status for job in jobs] == [
        "done",
        "done",
        "waiting",
    ]  # finished long ago, let finish, not started
    monkeypatch.setattr("labelwise.cli.bench.seconds_of", lambda words: 0)
    command = ["bench", "--suite", str(tiny), "--scale", "smoke", "-f", str(folder), "--time-limit", "1s"]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0
    assert "1 of 3 runs finished: the time limit of 1s is over" in said.output
    assert "The same command goes on" in said.output
    assert not (folder / "report.html").exists()


def test_a_file_that_holds_another_run_never_stands_for_this_one(tiny, tmp_path):
    """The protocol of a run is hashed into its id; the file says itself what it holds, whatever it is called."""
    bench = read_suite(tiny, "smoke")
    mine, other = bench.specs[0], read_suite(tiny).specs[0]  # the same but for the plan's budget
    run(mine, tmp_path)
    shutil.copy(run_file(tmp_path, mine), run_file(tmp_path, other))
    with pytest.raises(StoreError, match=f"holds another run, {mine.id}"):
        is_finished(other, tmp_path)
    (job,) = launch([other], tmp_path)
    assert job.status == "failed" and "holds another run" in job.why
    assert is_finished(mine, tmp_path)


def test_sets_of_one_name_that_differ_are_never_one_table(tiny, tmp_path):
    tiny.with_name("two.toml").write_text(TWO.replace("batch = 5", "batch = 10"))
    bench = read_suite(tiny, "smoke")
    assert len(bench.specs) == 4  # random is no longer shared
    cases = {spec.id: case for spec, case in zip(bench.specs, bench.cases, strict=True)}
    made = compare([run(spec, tmp_path) for spec in bench.specs], cases)
    assert [set(setting.runs) for setting in made.groups] == [{"random", "margin"}, {"random", "entropy"}]
    assert len({setting.title for setting in made.groups}) == 2


def table(runs, cases):
    """The report's results.json and results.csv without timings, as text."""
    found = compare(runs, cases)
    kept = json.loads(results_json(found, {}, {}, name="tiny", about="", latents={}), object_hook=untimed)
    rows = csv.DictReader(io.StringIO(results_csv(runs, found)))
    lines = [{key: cell for key, cell in row.items() if not key.startswith("seconds")} for row in rows]
    return json.dumps([kept, lines])


def untimed(values):
    return {key: value for key, value in values.items() if key not in TIMINGS}


def workers(process):
    """Ids of the processes that a launcher started: its threads' children, as Linux lists them."""
    found = []
    for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
        found += map(int, task.read_text().split())
    return found


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed by Linux alone")
def test_a_suite_whose_workers_and_launcher_are_killed_gives_the_same_table(tiny, tmp_path):
    bench = read_suite(tiny)
    cases = {spec.id: case for spec, case in zip(bench.specs, bench.cases, strict=True)}
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    undisturbed = table([run(spec, calm) for spec in bench.specs], cases)

    with bench_process(f"--suite={tiny}", wild, "-j", "2") as process:
        await_commits(wild, 3, lambda: process.poll() is None)
        victim, *_ = workers(process)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in workers(process), 30, "the killed worker is not noticed")
        assert process.poll() is None, "a bench outlives its workers"
        await_commits(wild, 2, lambda: process.poll() is None)
        process.kill()
    assert not all(is_finished(spec, wild) for spec in bench.specs)
    for spec in bench.specs:
        wait_until(lambda spec=spec: not is_running(wild, spec), 30, "an orphan goes on")
    with bench_process(f"--suite={tiny}", wild, "-j", "2") as process:
        assert process.wait(timeout=300) == 0
    runs = [read_run(run_file(wild, spec)) for spec in bench.specs]
    assert table(runs, cases) == undisturbed
    # were one run another than its id says, the table would show it
    wrong = read_run(run_file(wild, bench.specs[1])).state
    assert table([replace(runs[0], state=wrong), *runs[1:]], cases) != undisturbed


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_fails_in_the_end(tiny, tmp_path, monkeypatch):
    deadly = tmp_path / "deadly.py"
    deadly.write_text(f"#!/bin/sh\necho x >> {tmp_path}/starts\nread spec\nkill -9 $$\n")
    deadly.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(deadly))
    (job,) = launch(read_suite(tiny).specs[:1], tmp_path / "runs")
    assert job.status == "failed" and "code -9" in job.why
    assert (tmp_path / "starts").read_text().split() == ["x"] * 3
