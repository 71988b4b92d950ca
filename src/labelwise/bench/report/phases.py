"""Seconds by phase of choosing, of every strategy that notes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labelwise.bench.findings import Setting
from labelwise.bench.report.health import mean
from labelwise.bench.report.noted import seconds
from labelwise.bench.settings import Group

MOST_COLUMNS = 6  # of rounds
MOST_PHASES = 8  # of a strategy


@dataclass(frozen=True)
class Phases:
    """Rows for each strategy: (name, colour, [(phase, seconds of each column)]), under columns of rounds."""

    columns: tuple[str, ...]
    strategies: tuple[tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...]], ...]
    caption: str


def phases(setting: Setting, found: Group, palette: Mapping[str, str]) -> Phases | None:
    """Return mean seconds of each noted phase, over rounds and seeds; None where no strategy notes any."""
    noted = {}
    for summary in setting.strategies:
        runs = found.compared[summary.name]
        told = [{a.round: s for a in run.state.asks if (s := seconds(a.notes))} for run in runs]
        if any(told):
            noted[summary.name] = told
    if not noted:
        return None
    rounds = sorted({t for told in noted.values() for run in told for t in run})
    blocks = np.array_split(np.array(rounds), min(len(rounds), MOST_COLUMNS))
    tables, most = {}, 0.0
    for name, told in noted.items():
        names = list(dict.fromkeys(phase for run in told for s in run.values() for phase in s))[:MOST_PHASES]
        # (phases, seeds, rounds)
        values = np.array(
            [[[run.get(t, {}).get(phase, np.nan) for t in rounds] for run in told] for phase in names]
        )
        tables[name] = (names, values)
        most = max(most, float(np.nanmax(values)))
    places = 3 if most < 1 else 2 if most < 100 else 1
    strategies = []
    for name, (names, values) in tables.items():
        if len(names) > 1:
            names, values = (
                [*names, "together"],
                np.concatenate([values, np.nansum(values, axis=0, keepdims=True)]),
            )
            values[-1][np.isnan(values[:-1]).all(axis=0)] = np.nan
        rows = []
        for phase, part in zip(names, values, strict=True):
            cells = [part[:, np.isin(rounds, block)].ravel() for block in blocks] + [part.ravel()]
            rows.append((phase, tuple(_text(float(mean(cell[:, None])[0]), places) for cell in cells)))
        strategies.append((name, palette[name], tuple(rows)))
    heads = [f"{b[0]}" if len(b) == 1 else f"{b[0]}–{b[-1]}" for b in blocks]
    first = f"round {heads[0]}" if len(blocks[0]) == 1 else f"rounds {heads[0]}"
    caption = (
        "Wall seconds that a strategy noted of its own work, mean over seeds and the rounds of a column."
    )
    return Phases((first, *heads[1:], "all rounds"), tuple(strategies), caption)


def _text(value: float, places: int) -> str:
    return "–" if np.isnan(value) else f"{value:,.{places}f}"
