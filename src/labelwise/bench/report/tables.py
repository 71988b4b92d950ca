"""The tables of a report as rows of cells: results with intervals, the papers' layout, gaps from setting to setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelwise.bench.findings import Setting, Summary
from labelwise.bench.words import count, percent, points
from labelwise.functional.curves import Interval


@dataclass(frozen=True)
class Cell:
    """One cell: what is read, the interval beside it in small type, and the value that sorting uses ("" last)."""

    text: str
    small: str = ""
    value: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A head and how the column is sorted at first (an aria-sort value, "" if it is not)."""

    name: str
    sort: str = ""


@dataclass(frozen=True)
class Row:
    """A strategy's (or a setting's) name, its colour, and its cells."""

    name: str
    colour: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """A head, rows and the sentence below."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str


def _share(interval: Interval, *, bold: bool) -> Cell:
    half = "" if interval.high is None else f"±{100 * (interval.high - interval.mean):.1f}"
    return Cell(f"{100 * interval.mean:.1f}", half, f"{interval.mean:.6f}", bold)


def _needed(setting: Setting, summary: Summary, target: float) -> Cell:
    found = next(r for r in summary.reach if r.target == target)
    if found.labels is None:
        return Cell("–", f"{found.reached} of {found.of}")
    half = "" if found.labels.high is None else f"±{count(found.labels.high - found.labels.mean)}"
    bold = target == setting.target and setting.bold["labels"] == summary.name
    return Cell(count(found.labels.mean), half, f"{found.labels.mean:.6f}", bold)


def results(setting: Setting, palette: Mapping[str, str]) -> Table:
    """Return one row a strategy, best area first."""
    targets = [r.target for r in setting.strategies[0].reach]
    columns = [
        Column("strategy"),
        Column("AUBC, %", "descending"),
        Column("final, %"),
        *(Column(f"labels to {percent(t)}") for t in targets),
        Column("scoring / training"),
        Column("seeds"),
    ]
    rows = []
    for s in setting.strategies:
        cells = [
            _share(s.aubc, bold=setting.bold["aubc"] == s.name),
            _share(s.final, bold=setting.bold["final"] == s.name),
            *(_needed(setting, s, t) for t in targets),
            Cell("–")
            if s.scoring_ratio is None
            else Cell(f"{s.scoring_ratio:.3f}", "", f"{s.scoring_ratio:.6f}"),
            Cell(str(len(s.seeds)), "", str(len(s.seeds))),
        ]
        rows.append(Row(s.name, palette[s.name], tuple(cells)))
    span = f"{count(setting.span[0])} to {count(setting.span[1])} labels"
    caption = (
        f"AUBC: area under accuracy against labels over {span}, divided by that span, so a mean accuracy. Small: half "
        "the 95 % interval over seeds (Student's t). Bold: better than the second in paired differences, where both "
        "intervals exclude 0. Labels are interpolated between rounds; “–” where not every run reached the accuracy. "
        "Scoring is inference on the pool plus proposing."
    )
    return Table(tuple(columns), tuple(rows), caption)


def names_of(settings: Sequence[Setting]) -> list[str]:
    """Return every strategy of a report, in the order of first appearance."""
    return list(dict.fromkeys(s.name for setting in settings for s in setting.strategies))


def papers(settings: Sequence[Setting], palette: Mapping[str, str]) -> Table:
    """Return the papers' layout: strategies by settings, each cell AUBC / final accuracy."""
    rows = []
    for name in names_of(settings):
        cells: list[Cell] = []
        for setting in settings:
            s = next((s for s in setting.strategies if s.name == name), None)
            if s is None:
                cells.append(Cell("–"))
                continue
            area = s.aubc if s.aubc_quota is None else s.aubc_quota
            cells.append(Cell(f"{area.mean:.3f}/{s.final.mean:.3f}".replace("0.", ".")))
        rows.append(Row(name, palette[name], tuple(cells)))
    rows.sort(key=lambda row: (row.name == "random", row.name))
    exact = all(s.aubc_quota is not None for setting in settings for s in setting.strategies)
    form = "" if exact else " (where rounds are uneven: the area over the span)"
    caption = f"Each cell: AUBC / final accuracy, means over seeds, in the form the papers print{form}."
    return Table(tuple(Column(s.title) for s in settings), tuple(rows), caption)


def gaps(settings: Sequence[Setting]) -> Table | None:
    """Return setting by strategy: the paired difference of AUBC from the reference, in points; None if there is none."""
    references = {s.reference for s in settings}
    if len(references) != 1:
        return None
    reference = next(iter(references))
    names = [name for name in names_of(settings) if name != reference]
    if not names:
        return None
    rows = []
    for setting in settings:
        cells: list[Cell | None] = []
        for name in names:
            pair = setting.pair(name, "aubc")
            if pair is None:
                cells.append(None)
                continue
            half = "" if pair.half is None else f"±{points(pair.half)}"
            sign = "+" if pair.mean > 0 else ""
            cells.append(Cell(f"{sign}{points(pair.mean)}".replace("-", "−"), half, "", pair.clear))
        rows.append(Row(setting.title, "", tuple(cells)))
    caption = (
        f"Points of AUBC more than {reference}, paired by seed, with half the 95 % interval; bold where the difference "
        "is clear. Read down a column to see where a strategy pays: by batch size, by number of classes, by noise."
    )
    return Table(tuple(Column(name) for name in names), tuple(rows), caption)
