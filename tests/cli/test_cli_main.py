"""The door of the command line: every failure is words and an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from labelwise.cli import _prose

SPEC = """
[task]
name = "digits"
[recipe]
name = "logistic"
[plan]
start = 20
batch = 20
budget = 40
"""


def labelwise(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "labelwise", *map(str, words)], cwd=cwd, capture_output=True, text=True
    )


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC)
    done = labelwise("run", "spec.toml", "-f", "spec.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: spec.toml")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_whose_answers_are_all_passes_ends_without_a_label(tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC + "[oracle]\npasses = 1.0\n")
    done = labelwise("run", "spec.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 labels\nRun: runs/")


def test_a_reader_that_had_enough_is_no_error(tmp_path):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "labelwise", "strategies", "--json"],
            stdout=out, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert done.stderr == ""


def test_prose_of_help_flows_and_tables_and_commands_keep_their_lines():
    doc = "One.\n\n    A sentence that\n    goes on.\n\n    [a]   x = 1\n          y = 2\n\n    labelwise demo\n    labelwise run x\n"
    assert (
        _prose(doc)
        == "One.\n\nA sentence that goes on.\n\n[a]   x = 1\n      y = 2\n\nlabelwise demo\nlabelwise run x"
    )
