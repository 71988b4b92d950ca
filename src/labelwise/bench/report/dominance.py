"""Classes by the modality that dominates them: how accurate each strategy is where one modality knows more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelwise.bench.report.contributions import Floats, Modal, bounds
from labelwise.bench.report.health import mean
from labelwise.bench.report.heats import Heat, HeatCell, HeatRow
from labelwise.bench.report.tables import Cell, Column, Row, Table

CLEAR = 0.02  # a lead of the best modality's head by less is none
MOST_ROWS = 20  # classes of the heat map
EVEN = "no clear lead"


@dataclass(frozen=True, eq=False)
class Dominance:
    """Who knows what, at the last fit.

    Attributes:
        accuracy: (C, M) of each modality's own head, mean over strategies and seeds; NaN where a class was not measured.
        dominant: (C,) the modality whose head leads by 2 points or more; -1 where none does.
        lead: (C,) by how much the best head leads the second.
        per_class: strategy -> (C,) accuracy of the fusion, mean over seeds.
        by_seed: strategy -> seed -> (G,) mean accuracy on the classes of each group.
        groups: name -> classes, one a modality that dominates some and one for the rest.
    """

    accuracy: Floats
    dominant: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    lead: Floats
    per_class: Mapping[str, Floats]
    by_seed: Mapping[str, Mapping[int, Floats]]
    groups: Mapping[str, tuple[int, ...]]


def dominance(found: Modal) -> Dominance | None:
    """Return what dominates each class, the same for all strategies; None where no run says it by class."""
    # A mean over strategies of means over seeds: a strategy with more seeds does not decide alone.
    accuracy = mean(np.array([mean(c.by_class) for c in found.strategies]))
    known = np.isfinite(accuracy).all(axis=1)
    if not known.any():
        return None
    ranked = np.sort(accuracy, axis=1)
    lead = np.where(known, ranked[:, -1] - ranked[:, -2], np.nan)
    best = np.where(known, np.argmax(np.nan_to_num(accuracy, nan=-1.0), axis=1), -1)
    dominant = np.where(known & (np.nan_to_num(lead) >= CLEAR - 1e-12), best, -1)
    groups = {
        name: tuple(np.flatnonzero(dominant == m).tolist())
        for m, name in enumerate(found.modalities)
        if (dominant == m).any()
    }
    if (rest := np.flatnonzero(known & (dominant < 0))).size:
        groups[EVEN] = tuple(rest.tolist())
    by_seed = {
        c.strategy: {
            seed: np.array([mean(row[list(members)][:, None])[0] for members in groups.values()])
            for seed, row in zip(c.seeds, c.per_class, strict=True)
        }
        for c in found.strategies
    }
    per_class = {c.strategy: mean(c.per_class) for c in found.strategies}
    return Dominance(accuracy, dominant, lead, per_class, by_seed, groups)


def heat(d: Dominance, modalities: Sequence[str], classes: Sequence[str]) -> Heat:
    """Return classes (rows, by dominating modality and lead) by each modality's own head and each strategy, percent."""
    order = ranked(d, len(modalities))
    shown = order
    if len(order) > MOST_ROWS:  # the most dominated of each modality in turn
        each: list[int] = []
        queues = [
            sorted((c for c in order if d.dominant[c] == m), key=lambda c: -d.lead[c])
            for m in range(len(modalities))
        ]
        for k in range(MOST_ROWS):
            each += [queue[k] for queue in queues if k < len(queue)]
        rest = [c for c in order if d.dominant[c] < 0]
        shown = [c for c in order if c in {*(each + rest)[:MOST_ROWS]}]
    rows = []
    numbers = np.concatenate(
        [d.accuracy[shown], np.array([v[shown] for v in d.per_class.values()]).T], axis=1
    )
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    for c in shown:
        values = [*d.accuracy[c].tolist(), *(float(v[c]) for v in d.per_class.values())]
        cells = tuple(
            HeatCell("–" if np.isnan(v) else f"{100 * v:.0f}", "0" if np.isnan(v) else f"{(v - low) / max(high - low, 1e-9):.3f}",
                     diagonal=k == d.dominant[c])
            for k, v in enumerate(values)
        )  # fmt: skip
        rows.append(HeatRow(classes[c], cells))
    some = (
        f" Of {len(order)} classes, the {len(shown)} that one modality dominates most."
        if len(order) > len(shown)
        else ""
    )
    caption = (
        "Accuracy on each class at the last fit, percent: each modality's own head alone, mean over strategies and seeds, then "
        "the fusion of each strategy. A modality dominates a class where its head leads the others by 2 points or "
        f"more.{some}"
    )
    columns = (*(f"{name} alone" for name in modalities), *d.per_class)
    return Heat("Accuracy by class", "class", columns, tuple(rows), caption)


def ranked(d: Dominance, m: int) -> list[int]:
    """Return the measured classes: by dominating modality, the largest lead first; those that none dominates last."""
    known = [c for c in range(len(d.lead)) if np.isfinite(d.lead[c])]
    return sorted(known, key=lambda c: (d.dominant[c] if d.dominant[c] >= 0 else m, -d.lead[c], c))


def table(d: Dominance, reference: str, palette: Mapping[str, str]) -> Table | None:
    """Return strategy by group of classes: mean accuracy, and the paired difference from the reference in points."""
    if not any(np.isfinite(v).any() for v in d.per_class.values()):
        return None
    rows = []
    for name, mine in d.by_seed.items():
        values = mean(np.array(list(mine.values())))
        theirs = {} if name == reference else d.by_seed.get(reference, {})
        common = sorted(mine.keys() & theirs.keys())
        gap = bounds(np.array([mine[s] - theirs[s] for s in common])) if common else None
        cells: list[Cell] = []
        for g, value in enumerate(values.tolist()):
            if np.isnan(value):
                cells.append(Cell("–"))
                continue
            small = "" if gap is None or np.isnan(gap[0][g]) else _against(*(float(part[g]) for part in gap))
            cells.append(Cell(f"{100 * value:.1f}", small))
        rows.append(Row(name, palette.get(name, ""), tuple(cells)))
    heads = [_head(name, len(members)) for name, members in d.groups.items()]
    caption = (
        f"Mean accuracy at the last fit on the classes that each modality dominates, percent; small: points more than "
        f"{reference}, paired by seed, with half the 95 % interval. Not corrected for the number of cells: take one cell "
        "alone as a hint."
    )
    return Table(tuple(map(Column, heads)), tuple(rows), caption)


def _head(group: str, size: int) -> str:
    classes = "1 class" if size == 1 else f"{size} classes"
    return f"{group} ({classes})" if group == EVEN else f"{group} dominates ({classes})"


def _against(centre: float, low: float, high: float) -> str:
    half = "" if np.isnan(high) else f" ± {50 * (high - low):.1f}"
    return f"{100 * centre:+.1f}{half}".replace("-", "−")
