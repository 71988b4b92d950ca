"""The time that a bench has still to go: known for slow rounds, and not flattered by what was there before."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from labelwise.bench.launch import Job
from labelwise.bench.spec import read_spec
from labelwise.cli import app
from labelwise.cli.running import Pace, called


def job(status: str = "waiting", bought: int = 0, phase: str = "") -> Job:
    spec = {"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "strategy": {"name": "random"}}
    plan = {"seed": 0, "start": 10, "batch": 10, "budget": 100}
    return Job(read_spec({**spec, "plan": plan}), status, bought, 100, phase)


def test_a_bench_of_slow_rounds_knows_how_long_it_will_take():
    pace, jobs = Pace(), [job(), job()]
    assert pace.left(jobs, 0.0) is None
    jobs[0].status, jobs[0].phase = "running", "fit"
    assert pace.left(jobs, 10.0) is None  # nothing bought yet
    jobs[0].bought = 50
    # half a run in 100 s, one and a half to go; a minute in which nothing is bought changes it little
    assert pace.left(jobs, 100.0) == pytest.approx(300)
    assert pace.left(jobs, 160.0) == pytest.approx(480)
    jobs[0].status = "done"
    assert pace.left(jobs, 200.0) == pytest.approx(200)
    jobs[1].status = "failed"
    assert pace.left(jobs, 200.0) is None


def test_what_an_earlier_process_has_done_is_no_pace():
    pace, jobs = Pace(), [job("done"), job("done"), job(), job()]
    assert pace.left(jobs, 0.0) is None
    jobs[2].status, jobs[2].bought, jobs[2].phase = "running", 80, "fit"  # it goes on from 80 labels
    assert pace.left(jobs, 5.0) is None
    jobs[2].bought = 90
    assert pace.left(jobs, 10.0) == pytest.approx(10 * 1.1 / 0.1)
    jobs[3].status = "done"  # so quick that it said nothing
    assert pace.left(jobs, 20.0) == pytest.approx(20 * 0.1 / 1.1)


def test_lines_in_a_file_tell_the_time_too(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        '[task]\nname = "digits"\npool = 60\ntest_size = 30\n[recipe]\nname = "logistic"\n[strategy]\nname = "random"\n'
        '[plan]\nstart = 10\nbatch = 10\nbudget = 20\n[grid]\n"plan.seed" = [0, 1]\n'
    )
    said = CliRunner().invoke(app, ["bench", str(grid), "-f", str(tmp_path / "runs"), "--no-report"])
    assert said.exit_code == 0, said.output
    first, last = (line for line in said.output.splitlines() if "; done" in line)
    assert "1 of 2 runs; done: random, seed 0; ETA" in first
    assert last == "2 of 2 runs; done: random, seed 1"


def test_a_run_is_called_by_what_tells_it_from_the_others():
    spec = job().spec
    assert called(spec, None) == "random, seed 0"
    assert called(spec, {spec.id: {"set": "digits in halves"}}) == "digits in halves, random, seed 0"
    assert called(spec, {spec.id: {"set": "digits", "method": "chance"}}) == "digits, chance, seed 0"
