"""The health of a learned policy: how well its reward network ranks what it has not seen, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from labelwise.bench.findings import Setting
from labelwise.bench.report.noted import labels_before, number
from labelwise.bench.report.panels import small_multiple, spread
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, percent

OVERALL, WITHIN = "reward correlation", "reward correlation within clusters"
EMPTY, BUFFER, ERROR = (
    "share of clusters without TrustSet",
    "rewards in the buffer",
    "error of the reward network",
)
USED = "reward used"
BLIND = 0.1  # a correlation nearer to 0 says nothing of use
MOST_SEEDS = 5  # thin lines of a strategy


@dataclass(frozen=True, eq=False)
class Health:
    """What the runs of one strategy noted, NaN where a round has no such number.

    Attributes:
        strategy: its name in the report.
        rounds: (R,) in which any of its runs noted a correlation.
        labels: (S, R) labels bought before each, of S seeds.
        values: note -> (S, R).
    """

    strategy: str
    rounds: tuple[int, ...]
    labels: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]

    def mean(self, name: str) -> NDArray[np.float64]:
        """Return the mean over seeds, (R,)."""
        return mean(self.values[name])


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the first axis of the numbers that are known; NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def healths(setting: Setting, found: Group) -> list[Health]:
    """Return one for each strategy that noted reward correlations, best strategy first."""
    told = [health(s.name, found.compared[s.name]) for s in setting.strategies]
    return [h for h in told if h.rounds]


def health(strategy: str, runs: Sequence[Run]) -> Health:
    """Return what some runs of a strategy, one a seed, noted of their policy; without rounds where they did not."""
    rounds = tuple(sorted({a.round for run in runs for a in run.state.asks if OVERALL in a.notes}))
    names = (OVERALL, WITHIN, EMPTY, BUFFER, ERROR, USED)
    values = {name: np.full((len(runs), len(rounds)), np.nan) for name in names}
    labels = np.full((len(runs), len(rounds)), np.nan)
    for k, run in enumerate(runs):
        bought = labels_before(run)
        for ask in run.state.asks:
            if ask.round not in rounds:
                continue
            column = rounds.index(ask.round)
            labels[k, column] = bought.get(ask.round, 0)
            trained = number(ask.notes, BUFFER) != 0  # a kept agent collects nothing: its 0 is no share
            for name in names:
                value = number(ask.notes, name)
                if name == USED and isinstance(ask.notes.get(USED), bool):
                    value = float(ask.notes[USED])
                if value is not None and (trained or name not in (EMPTY, BUFFER)):
                    values[name][k, column] = value
    return Health(strategy, rounds, labels, values)


def shown(told: Sequence[Health], palette: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return what the template shows of the policies of a setting.

    Args:
        told: at least one.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
    """
    some = " (thin: the first five)" if any(len(h.labels) > MOST_SEEDS for h in told) else " (thin)"
    seeds = (
        f"mean over seeds (thick), each seed{some}" if any(len(h.labels) > 1 for h in told) else "one seed"
    )
    return {
        "panels": _panels(told, palette, name),
        "key": [{"name": h.strategy, "colour": palette[h.strategy]} for h in told],
        "readings": [reading(h) for h in told],
        "table": _table(told, palette),
        "caption": "Spearman's rank correlation between rewards and what the network said of them before it learnt "
        f"from them, against the labels bought when it chose; {seeds}. Dashed: 0.",
    }


def reading(h: Health) -> str:
    """Return one sentence that reads a policy's correlations."""
    overall, within = (mean(h.values[name].ravel()[:, None])[0] for name in (OVERALL, WITHIN))
    if np.isnan(overall):
        return f"{h.strategy}: too few rewards to say."
    if overall < -BLIND:
        verdict = "it ranks cells the wrong way round"
    elif overall < BLIND:
        verdict = "it chooses blindly"
    elif within < BLIND:
        verdict = "it tells clusters apart, but chooses blindly within them"
    else:
        verdict = "it ranks cells better than chance would"
    inside = "" if np.isnan(within) else f" and {_signed(within)} within clusters"
    return f"{h.strategy}: {_signed(overall)} overall{inside}, mean over rounds and seeds: {verdict}."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _panels(told: Sequence[Health], palette: Mapping[str, str], name: str) -> list[Markup]:
    both = [h.values[part] for h in told for part in (OVERALL, WITHIN)]
    if not any(np.isfinite(values).any() for values in both):
        return []
    low, high = spread([*both, np.zeros(1)])
    panels = []
    for part, title in ((OVERALL, "reward correlation, overall"), (WITHIN, "… within clusters")):
        lines, faint = {}, []
        for h in reversed(told):  # the best strategy is drawn last, on top
            at, values = mean(h.labels), h.mean(part)
            known = np.isfinite(values)
            lines[h.strategy] = (at[known].tolist(), values[known].tolist())
            for x, y in zip(h.labels[:MOST_SEEDS], h.values[part][:MOST_SEEDS], strict=True):
                known = np.isfinite(y)
                if len(h.labels) > 1:
                    faint.append((h.strategy, x[known].tolist(), y[known].tolist()))
        svg = small_multiple(
            title, lines, palette, f"{name}-{'overall' if part == OVERALL else 'within'}", low=low, high=high,
            percent=False, faint=faint, level=0.0, width=320, height=210,
        )  # fmt: skip
        panels.append(Markup(svg))  # noqa: S704 - see `why.safe`
    return panels


def _table(told: Sequence[Health], palette: Mapping[str, str]) -> Table:
    columns = [
        (EMPTY, "clusters without TrustSet", percent),
        (BUFFER, "rewards in the buffer", count),
        (ERROR, "error of the network", lambda value: f"{value:.2f}"),
    ]
    columns = [c for c in columns if any(np.isfinite(h.values[c[0]]).any() for h in told)]
    used = any(np.isfinite(h.values[USED]).any() for h in told)
    rows = []
    for h in told:
        cells = [_ends(h.mean(name), say) for name, _, say in columns]
        if used:
            share = mean(h.values[USED].ravel()[:, None])[0]
            cells.append(Cell("–" if np.isnan(share) else percent(share)))
        rows.append(Row(h.strategy, palette[h.strategy], tuple(cells)))
    heads = [Column(title) for _, title, _ in columns] + ([Column("rounds that used it")] if used else [])
    caption = (
        "Last round that trained an agent, mean over seeds; small: the first. A cluster without TrustSet gives no "
        "reward; the error is squared, in units of the rewards' spread."
    )
    return Table(tuple(heads), tuple(rows), caption)


def _ends(values: NDArray[np.float64], say: Any) -> Cell:
    known = values[np.isfinite(values)]
    if not known.size:
        return Cell("–")
    return Cell(say(known[-1]), f"{say(known[0])} at first" if known.size > 1 else "")
