"""The findings on a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fabricated import run
from rich.console import Console

from labelwise.bench.compare import compare
from labelwise.bench.names import Cases
from labelwise.bench.results import Run
from labelwise.bench.settings import Group, group
from labelwise.bench.table import summary_table
from labelwise.cli.report import report_command
from labelwise.errors import InputError


def shown(runs: list[Run]) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(summary_table(compare(runs)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def many(settings: int, name: str = "margin") -> list[Run]:
    return [
        run(strategy, s, (0.5, 0.6, 0.999 - s / 100), task={"k": k})
        for strategy in ("random", name)
        for s in range(3)
        for k in range(settings)
    ]


@pytest.mark.parametrize("settings", [1, 3])
def test_the_table_fits_80_columns(settings: int) -> None:
    text = shown(many(settings, "a-strategy-with-a-very-long-name-indeed"))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text.splitlines()[0]


def test_the_table_says_means_and_half_intervals() -> None:
    # final accuracies .999, .989, .979: mean .989, s = .01, t(2, .975) = 4.3027, half = 4.3027 * .01 / sqrt(3) = .0248
    row = next(line for line in shown(many(1)).splitlines() if line.startswith("random"))
    assert "98.9 ±2.5" in row


def test_markup_in_a_name_is_text() -> None:
    assert "[red]x" in shown(many(1, "[red]x"))


def test_the_command_reads_files_and_says_answer_table_and_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for s in range(3):
        for name, curve in (("random", (0.5, 0.7, 0.9)), ("margin", (0.5, 0.9, 0.95))):
            run(name, s, curve, folder=tmp_path)
    (tmp_path / "broken.db").write_text("no store")
    out = tmp_path / "page" / "report.html"
    report_command([tmp_path], out, data=False)
    said = capsys.readouterr().out
    # all seeds alike: 20 and 30 labels reach 90 %
    assert said.startswith("Margin reached 90 % with 20 labels; random needed 30")
    assert "broken.db could not be read" in said
    assert f"Report: {out}" in said
    assert "broken.db could not be read" in out.read_text()


def test_the_command_can_speak_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder=tmp_path)
    report_command([tmp_path], tmp_path / "report.html", data=False, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["settings"][0]["strategies"][0]["name"] == "random"
    assert found["report"]["csv"] == str(tmp_path / "results.csv")


def test_a_folder_without_runs_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No benchmark run was found"):
        report_command([tmp_path], tmp_path / "report.html")


def test_the_command_compares_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder=tmp_path)
    calls = []

    def counted(runs: list[Run], cases: Cases | None = None) -> tuple[Group, ...]:
        calls.append(len(runs))
        return group(runs, cases)

    monkeypatch.setattr("labelwise.bench.compare.group", counted)
    report_command([tmp_path], tmp_path / "report.html", data=False)
    assert calls == [1]
