"""The lists of what can be named: a sentence of its own for each, and what all share said once."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from labelwise.cli import app


def test_every_task_is_described_and_shared_parameters_are_said_once():
    told = CliRunner().invoke(app, ["tasks"]).stdout
    assert told.count("test_size") == 1 and "A task builder" not in told
    rows = json.loads(CliRunner().invoke(app, ["tasks", "--json"]).stdout)
    assert len({row["about"] for row in rows}) == len(rows)
    assert all("test_size" in row["parameters"] for row in rows)  # for programs, all of them
