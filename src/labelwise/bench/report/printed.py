"""What the paper printed beside what was measured here: a table of its own, from which no other number is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelwise.bench.findings import Comparison, Summary
from labelwise.bench.paper import Printed
from labelwise.bench.report.tables import Cell
from labelwise.functional.curves import Interval

FULL = "full"
TITLE = "What the paper printed"


@dataclass(frozen=True)
class Line:
    """One method on one set: the paper's cells and ours; None where there is no number."""

    method: str
    printed: tuple[Cell | None, ...]
    measured: tuple[Cell | None, ...]
    seeds: str


@dataclass(frozen=True)
class Beside:
    """The table as the page shows it.

    Attributes:
        source: of the printed numbers.
        words: what must be said before the numbers are looked at.
        measures: heads of the columns, once for the paper and once for us.
        sets: (name, lines) in the order of the paper.
        caption: what the small numbers are.
    """

    source: str
    words: str
    measures: tuple[str, ...]
    sets: tuple[tuple[str, tuple[Line, ...]], ...]
    caption: str


def beside(comparison: Comparison, printed: Printed) -> Beside:
    """Return the paper's table with our means beside it.

    Every printed cell is a line, measured here or not; so is every method of ours on a printed set.
    """
    paper = printed.paper
    ours = _ours(comparison, printed.runs)
    sets = []
    for name, rows in paper.numbers.items():
        methods = dict.fromkeys([*rows, *(method for where, method in ours if where == name)])
        lines = []
        for method in methods:
            halves = paper.half_widths.get(name, {}).get(method, (None,) * len(paper.measures))
            theirs = rows.get(method)
            summary = ours.get((name, method))
            lines.append(
                Line(
                    method,
                    (None,) * len(paper.measures)
                    if theirs is None
                    else tuple(_cell(v, half) for v, half in zip(theirs, halves, strict=True)),
                    tuple(None if summary is None else _mean(summary, m) for m in paper.measures),
                    "" if summary is None else str(len(summary.seeds)),
                )
            )
        sets.append((name, tuple(lines)))
    if printed.scale == FULL:
        words = (
            "Data and sizes are the paper's as far as it tells them; hardware and library versions are not."
        )
    else:
        words = (
            f"Data, their size and the hardware differ from the paper's (scale {printed.scale}; --scale {FULL} has the "
            "paper's data and sizes): compare the order of the methods, not the numbers."
        )
    if any(setting.preliminary for setting in comparison.settings):
        words += " Some settings here have no finished run yet."
    note = f" The paper: {paper.note}." if paper.note else ""
    small = (
        " Small: half of the paper's interval, of which it does not tell the kind."
        if paper.half_widths
        else ""
    )
    caption = (
        f"AUBC: area under accuracy against labels, as a mean accuracy. F-acc: accuracy with the last label.{note}{small} "
        "Measured here: mean over seeds, small: half the 95 % interval (Student's t). Empty: printed but not run, or run "
        "but not printed. The other tables, means and figures of this page hold no number of the paper's."
    )
    return Beside(paper.source, words, paper.measures, tuple(sets), caption)


def _ours(comparison: Comparison, runs: Mapping[str, tuple[str, str]]) -> dict[tuple[str, str], Summary]:
    """Return (set, method) -> what was found, in the order of the runs."""
    found = {
        curve.id: summary
        for setting in comparison.settings
        for summary in setting.strategies
        for curve in summary.runs
    }
    made: dict[tuple[str, str], Summary] = {}
    for key, cell in runs.items():
        if key in found:
            made.setdefault(cell, found[key])
    return made


def _mean(summary: Summary, measure: str) -> Cell:
    if measure == "F-acc":
        return _interval(summary.final)
    return _interval(summary.aubc if summary.aubc_quota is None else summary.aubc_quota)


def _interval(value: Interval) -> Cell:
    return _cell(value.mean, None if value.high is None else value.high - value.mean)


def _cell(value: float, half: float | None) -> Cell:
    return Cell(f"{value:.3f}", "" if half is None else f"±{half:.3f}", f"{value:.6f}")


def as_json(printed: Printed, comparison: Comparison) -> dict[str, Any]:
    """Return table and counterparts as JSON values; what was measured is found under its setting and strategy."""
    ours = _ours(comparison, printed.runs)
    settings = {
        summary: setting.key for setting in comparison.settings for summary in map(id, setting.strategies)
    }
    paper = printed.paper
    return {
        "source": paper.source,
        "note": paper.note,
        "scale": printed.scale,
        "measures": list(paper.measures),
        "numbers": paper.numbers,
        "half_widths": paper.half_widths,
        "measured": [
            {"set": name, "method": method, "setting": settings[id(summary)], "strategy": summary.name}
            for (name, method), summary in ours.items()
        ],
    }
