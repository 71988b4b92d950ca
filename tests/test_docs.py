"""Every example in README and docs runs; the docs mention every strategy, task, recipe and command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mktestdocs import check_md_file

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_python_example_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_md_file(page, memory=True)


def shell_blocks(page):
    blocks, block = [], None
    for line in page.read_text().splitlines():
        if block is None and line.strip() == "```bash":
            block = []
        elif block is not None and line.strip() == "```":
            blocks.append("\n".join(block))
            block = None
        elif block is not None:
            block.append(line)
    return blocks


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if shell_blocks(p)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_shell_example_runs(page, tmp_path):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    script = "set -e\n" + "\n".join(shell_blocks(page))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_docs_name_everything_that_can_be_named():
    from labelwise import data, models, strategies
    from labelwise.bench.protocols import names

    text = "\n".join(page.read_text() for page in PAGES)
    for table in (strategies.TABLE, models.TABLE, data.TABLE):
        for name in table:
            assert f"`{name}`" in text, f"the docs never mention `{name}`"
    for name in names():
        assert name in text, f"the docs never mention the protocol {name}"


def test_every_command_has_help_that_teaches():
    from typer.main import get_command

    from labelwise.cli import app

    for name, command in get_command(app).commands.items():
        assert command.help, f"labelwise {name} has no help"
        assert len(command.help) > 40, f"the help of labelwise {name} says too little"


def test_every_published_strategy_has_a_source_a_test_and_a_line_in_the_docs():
    """Law L."""
    import inspect
    from importlib import import_module

    from labelwise.strategies import TABLE

    tests = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*.py"))
    page = (ROOT / "docs" / "strategies.md").read_text()
    for name, place in TABLE.items():
        module, _, attribute = place.partition(":")
        cls = getattr(import_module(module), attribute)
        assert "Source:" in (inspect.getdoc(cls) or "") or name == "random", f"{name} names no source"
        assert f"`{name}`" in page, f"no page of the docs lists the deviations of `{name}`"
        assert attribute in tests or name in tests


def test_the_page_of_strategies_is_what_the_command_prints():
    from labelwise.cli.strategies import markdown

    assert markdown() == (ROOT / "docs" / "strategies.md").read_text(), (
        "write it anew: labelwise strategies --markdown > docs/strategies.md"
    )


@pytest.mark.parametrize(
    "script, page",
    [
        ("page", "measured.md"),
        ("uncertainty", "systems/uncertainty-results.md"),
        ("shelf", "systems/shelf-results.md"),
        ("bralt_evidence", "systems/bral-t-results.md"),
        ("multimodal_evidence", "systems/rl-mba-results.md"),
        ("forecast", "forecast.md"),
        ("recommend", "recommend.md"),
        ("found", "found.md"),
    ],
)
def test_the_figures_in_the_docs_are_those_of_the_committed_results(script, page, monkeypatch):
    """The pages are made anew from benchmarks/results and must not differ."""
    import importlib

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module(script)
    assert module.page() == (ROOT / "docs" / page).read_text()


@pytest.mark.slow
def test_the_leaderboard_is_that_of_the_committed_results(monkeypatch):
    """Its pages, and the numbers in the package. Write them anew: python benchmarks/leaderboard.py."""
    import importlib

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    assert importlib.import_module("leaderboard").stale() == []
