"""The tables of a report as rows of cells: results with intervals, the papers' layout, gaps from setting to setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelwise.bench.findings import Setting, Share, Summary
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
        Column(setting.noun),
        Column(f"{setting.area}, %", "descending"),
        *([] if setting.one_fit else [Column("final, %")]),  # one fit is first and last
        *(Column(f"labels to {percent(t)}") for t in targets),
        Column("scoring / training"),
        Column("seeds"),
    ]
    rows = []
    for s in setting.strategies:
        cells = [
            _share(s.aubc, bold=setting.bold["aubc"] == s.name),
            *([] if setting.one_fit else [_share(s.final, bold=setting.bold["final"] == s.name)]),
            *(_needed(setting, s, t) for t in targets),
            Cell("–")
            if s.scoring_ratio is None
            else Cell(f"{s.scoring_ratio:.3f}", "", f"{s.scoring_ratio:.6f}"),
            Cell(str(len(s.seeds)), "", str(len(s.seeds))),
        ]
        rows.append(Row(s.name, palette[s.name], tuple(cells)))
    span = f"{count(setting.span[0])} to {count(setting.span[1])} labels"
    area = (
        f"Accuracy with {count(setting.span[1])} labels."
        if setting.one_fit
        else f"AUBC: area under accuracy against labels over {span}, divided by that span, so a mean accuracy."
    )
    caption = (
        f"{area} Small: half the 95 % interval over seeds (Student's t). Bold: better than the second in paired differences, where both "
        "intervals exclude 0. Labels are interpolated between rounds; “–” where not every run reached the accuracy. "
        "Scoring is inference on the pool plus proposing."
    )
    return Table(tuple(columns), tuple(rows), caption)


COSTS = "What choosing costs"


def shares_title(setting: Setting) -> str:
    """Return the head of the table of `shares`, which says what is taken for all of it."""
    known = setting.full is not None and setting.full.runs
    return f"Labels for shares of {'full-data' if known else 'the best'} accuracy"


def shares(setting: Setting, palette: Mapping[str, str]) -> Table | None:
    """Return labels needed for 90, 95 and 99 % of the full accuracy and their ratio to the reference; None without."""
    full, reference = setting.full, setting.reference
    if full is None or not setting.shares:
        return None
    targets = list(dict.fromkeys((s.share, s.target) for s in setting.shares))
    columns = [Column("strategy")]
    for share, target in targets:
        head = f"labels to {percent(share, 0)} ({percent(target)})"
        columns.append(Column(head.replace(" %", "\u00a0%")))
        if len(setting.strategies) > 1:
            columns.append(Column(f"ratio to {reference}"))
    by = {(s.share, s.strategy): s for s in setting.shares}
    rows = []
    for summary in setting.strategies:
        cells = []
        for share, _ in targets:
            found = by[share, summary.name]
            if found.labels is None:
                cells.append(Cell("–", f"{found.reached} of {found.of}"))
            else:
                half = "" if found.labels.high is None else f"±{count(found.labels.high - found.labels.mean)}"
                cells.append(Cell(count(found.labels.mean), half, f"{found.labels.mean:.6f}"))
            if len(setting.strategies) > 1:
                cells.append(_ratio(found, own=summary.name == reference))
        rows.append(Row(summary.name, palette[summary.name], tuple(cells)))
    where = (
        f"Full-data accuracy: {percent(full.accuracy)}, mean of {full.runs} run{'s' if full.runs > 1 else ''} with every "
        "label of the pool."
        if full.runs
        else f"No run had every label, so the shares are of the best mean final accuracy here, {percent(full.accuracy)}: "
        "with the full data they would be higher."
    )
    caption = (
        f"{where} Labels include the common start; small: half the 95 % interval, or how many runs got there. Ratio: labels "
        f"over those of {reference}, geometric mean over paired seeds, small: its 95 % interval (Student's t on "
        f"logarithms); below 1 is fewer. “≤”: not every run of {reference} got there with all its labels, so that the true "
        f"ratio is lower still. A share that {reference} has from the start is left out."
    )
    return Table(tuple(columns), tuple(rows), caption)


def _ratio(found: Share, *, own: bool) -> Cell:
    if own and found.labels is not None:
        return Cell("1", "", "1")
    if found.ratio is not None:
        ends = "" if found.ratio.low is None else f"{found.ratio.low:.2f}–{found.ratio.high:.2f}"
        return Cell(f"{found.ratio.mean:.2f}", ends, f"{found.ratio.mean:.6f}")
    return Cell("–") if found.at_most is None else Cell(f"≤ {found.at_most:.2f}", "", f"{found.at_most:.6f}")


def costs(setting: Setting, palette: Mapping[str, str]) -> Table | None:
    """Return seconds of choosing a round, against the reference's and for each point of area gained; None untimed."""
    if not setting.costs:
        return None
    reference = setting.reference
    by = {cost.strategy: cost for cost in setting.costs}
    columns = (
        Column("strategy"), Column("choosing, s a round"), Column(f"more than {reference}, s"),
        Column(f"AUBC more than {reference}, points"), Column("s a round for a point"),
    )  # fmt: skip
    timed = [s for s in setting.strategies if s.choosing is not None]
    known = [by[s.name].per_point for s in timed if s.name in by]
    seconds, each = _places([s.choosing for s in timed]), _places(known)
    rows = []
    for summary in timed:
        cells = [_signed(summary.choosing, seconds)]
        cost = by.get(summary.name)
        if cost is None:
            cells += [Cell("–")] * 3
        else:
            gained = f"{'+' if cost.gain > 0 else ''}{points(cost.gain)}".replace("-", "−")
            cells += [
                _signed(cost.extra, seconds, "+"),
                Cell(gained, "", f"{cost.gain:.6f}"),
                _signed(cost.per_point, each),
            ]
        rows.append(Row(summary.name, palette[summary.name], tuple(cells)))
    caption = (
        "Choosing is everything but fitting and measuring: inference on the pool, proposing, and what a strategy learns. "
        "Wall seconds, mean over rounds and seeds, on the machines that the runs were made on. The last column: what "
        f"{reference} does not need, for each point of AUBC gained; “–” where the gain is not clear."
    )
    return Table(columns, tuple(rows), caption)


def _places(seconds: Sequence[float | None]) -> int:
    """Return how many decimals a column of seconds needs."""
    most = max((abs(value) for value in seconds if value is not None), default=0.0)
    return 3 if most < 1 else 2 if most < 100 else 1


def _signed(value: float | None, places: int, sign: str = "-") -> Cell:
    if value is None:
        return Cell("–")
    return Cell(f"{value:{sign},.{places}f}".replace("-", "−"), "", f"{value:.6f}")


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
