"""The page's part on stopping: when published criteria would have stopped each strategy, and what that would have cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelwise.bench.findings import Setting
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, percent
from labelwise.campaign.measuring import watches
from labelwise.functional.stopping import Advice, advice


def stopping(setting: Setting, found: Group) -> dict[str, list[tuple[Run, tuple[Advice, ...]]]]:
    """Return strategy -> (run, what each criterion says of it) for the runs that watched a stop set."""
    told = {
        s.name: [(run, made) for run in found.compared[s.name] if (made := advice(watches(run.state)))]
        for s in setting.strategies
    }
    return {name: rows for name, rows in told.items() if rows}


def shown(
    told: Mapping[str, list[tuple[Run, tuple[Advice, ...]]]], part: str, palette: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return what the template shows; None where no run watched a stop set.

    Args:
        told: see `stopping`.
        part: "test" or "validation": where accuracy was measured.
        palette: strategy -> colour.
    """
    if not told:
        return None
    first = next(iter(told.values()))[0][1]
    rows = [
        Row(name, palette[name], tuple(_cell(runs, k, part) for k in range(len(first))))
        for name, runs in told.items()
    ]
    caption = (
        "Labels bought when the criterion said stop for the first time, mean over the runs where it did; small: in how many "
        f"runs, and the accuracy on {part} data there against that after the last label. “–”: in no run. Advice only: no "
        "campaign stops by itself."
    )
    table = Table(tuple(Column(a.criterion) for a in first), tuple(rows), caption)
    return {"table": table, "rules": [(a.criterion, a.rule, a.source) for a in first]}


def _cell(runs: list[tuple[Run, tuple[Advice, ...]]], k: int, part: str) -> Cell:
    stopped = []
    for run, made in runs:
        at = (
            next((f for f in run.fits if f.round == made[k].first), None)
            if made[k].first is not None
            else None
        )
        if at is None:
            continue
        then, last = (
            (f.test if part == "test" else f.validation).get("accuracy") for f in (at, run.fits[-1])
        )
        opened = run.state.opened
        given = int(opened.task.get("given", 0)) if opened is not None else 0
        stopped.append((at.n_labelled - given, then, last))
    if not stopped:
        return Cell("–", f"0 of {len(runs)}")
    labels = sum(s[0] for s in stopped) / len(stopped)
    known = [(then, last) for _, then, last in stopped if then is not None and last is not None]
    reached = ""
    if known:
        then, last = (sum(values) / len(known) for values in zip(*known, strict=True))
        reached = f"; {percent(then)} of {percent(last)}"
    return Cell(count(labels), f"{len(stopped)} of {len(runs)}{reached}", f"{labels:.3f}")


def as_json(told: Mapping[str, list[tuple[Run, tuple[Advice, ...]]]]) -> dict[str, Any]:
    """Return strategy -> seed -> criteria as JSON values."""
    return {
        name: {str(run.seed): [asdict(one) for one in made] for run, made in rows}
        for name, rows in told.items()
    }
