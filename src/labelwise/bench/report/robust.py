"""The page's part on shifts: what each method keeps when modalities move, what was promised, and how that fared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.bench.findings import Setting
from labelwise.bench.promises import Kept, coupling, kept, promises
from labelwise.bench.report.robust_bounds import Promised
from labelwise.bench.report.robust_panels import groups_of_panels
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.robustness import (
    Measure,
    Robust,
    clean,
    gain,
    mean,
    robust,
    worst,
    worst_control,
    worst_of,
    worst_risk,
)
from labelwise.bench.settings import Group
from labelwise.bench.words import percent, points, seeds
from labelwise.functional.ambiguity import Budgets
from labelwise.functional.curves import Difference, mean_interval
from labelwise.functional.robust import Floats

MOST_COLUMNS = 4  # modalities with a column of their own
LEAST_SEEDS = 3  # two that happen to differ by the same amount would be an interval without width
READINGS = {
    "first_order": "first order",
    "product_exact": "product",
    "precision": "precision",
    "perfect": "perfect",
}


@dataclass(frozen=True, eq=False)
class Robustness:
    """What a setting's runs tell of shifts.

    Attributes:
        methods: best under its worst shift first.
        reference: what the others are compared with, where it tells.
        modalities: of the task.
        promised: method -> for each seed the promises of its last fit; {} where no radius is known.
        headline: the answer in one sentence.
        detail: sentences that must be read beside it.
        table: a row a method.
        fared: how the promises fared, a row a method; None without any.
    """

    methods: tuple[Robust, ...]
    reference: Robust | None
    modalities: tuple[str, ...]
    promised: Promised
    headline: str
    detail: tuple[str, ...]
    table: Table
    fared: Table | None


def robustness(setting: Setting, runs: Group, palette: Mapping[str, str]) -> Robustness | None:
    """Return what a setting's runs tell of shifts; None where no fit was measured under any.

    Args:
        setting: the comparison's part.
        runs: of it.
        palette: strategy -> colour.
    """
    told = [robust(s.name, runs.compared[s.name], setting.span[1]) for s in setting.strategies]
    known = [one for one in told if one is not None and all(found.kept for found in one.shifts)]
    if not known:
        return None
    methods = tuple(sorted(known, key=lambda r: (-_mean(r, worst), r.method)))
    reference = next((r for r in methods if r.method == setting.reference), None)
    opened = next(iter(runs.runs.values()))[0].state.opened
    names = tuple(str(m) for m in (opened.task.get("modalities", ()) if opened is not None else ()))
    gamma = coupling(setting.shared["task"], names)
    promised = {
        r.method: tuple(promises(found, names, gamma) for found in r.shifts)
        for r in methods
        if any(m.rho is not None for found in r.shifts for m in found.kept)
    }
    fates = {r.method: _fates(r, promised[r.method]) for r in methods if r.method in promised}
    return Robustness(
        methods,
        reference,
        names,
        promised,
        _headline(methods, reference),
        _detail(methods, promised),
        _table(methods, reference, palette),
        _fared({name: found for name, found in fates.items() if found}, palette),
    )


def shown(told: Robustness, palette: Mapping[str, str], name: str, *, figures: bool = True) -> dict[str, Any]:
    """Return what the template shows.

    Args:
        told: of a setting.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
        figures: False leaves out what is large.
    """
    return {
        "headline": told.headline,
        "detail": list(told.detail),
        "key": [{"name": r.method, "colour": palette[r.method]} for r in told.methods],
        "groups": groups_of_panels(told.methods, told.reference, told.promised, palette, name)
        if figures
        else [],
        "table": told.table,
        "fared": told.fared,
    }


def _mean(one: Robust, measure: Measure) -> float:
    values = one.each(measure)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _fates(one: Robust, promised: Sequence[Any]) -> list[Kept]:
    made = [kept(found, mine) for found, mine in zip(one.shifts, promised, strict=True)]
    return [fate for fate in made if fate is not None]


def _headline(methods: Sequence[Robust], reference: Robust | None) -> str:
    """Return what the best method keeps under its worst shift, beside the reference (or the second)."""
    best = methods[0]
    count = len(best.shifts[0].kept)
    under = "Under the one shift" if count == 1 else f"Under the worst of {count} shifts"
    other = reference if reference is not None and reference is not best else next(iter(methods[1:]), None)
    if other is None:
        return (
            f"{under} {best.method} keeps an accuracy of {percent(_mean(best, worst))}; on samples as they are it has "
            f"{percent(_mean(best, clean))} ({seeds(len(best.seeds))})."
        )
    pair = ", ".join((f"{percent(_mean(r, worst))}" if r is best else f"{r.method} {percent(_mean(r, worst))}") for r in (best, other))  # fmt: skip
    found = gain(best, other, worst)
    return (
        f"{under} {best.method} keeps an accuracy of {pair}{_told(found)}; on samples as they are they have "
        f"{percent(_mean(best, clean))} and {percent(_mean(other, clean))}."
    )


def _told(found: Difference | None) -> str:
    if found is None:
        return " (no seed in common)"
    if found.low is None or found.high is None:
        return " (one seed: no difference can be tested)"
    clear = found.n >= LEAST_SEEDS and (found.low > 0 or found.high < 0)
    words = "" if clear else ", which these seeds cannot tell from 0"
    between = f"{signed(found.low)} to {signed(found.high)}"
    return f" ({signed(found.mean)} points paired by seed, 95 % interval {between}, {seeds(found.n)}{words})"


def signed(value: float) -> str:
    """Return a difference of accuracies in points, with its sign."""
    return f"{'+' if value > 0 else ''}{points(value)}".replace("-", "−")


def _detail(methods: Sequence[Robust], promised: Promised) -> tuple[str, ...]:
    lines = []
    first = methods[0].shifts[0]
    lines.append(
        f"Each shift is measured on the same {first.n:,} test samples. Which shift is worst is looked up for each run by "
        "itself, on those samples, so that the worst accuracies lie a little lower than on new ones, of all methods alike."
    )
    controls = [r for r in methods if np.isfinite(r.each(worst_control)).any()]
    if controls:
        listing = ", ".join(f"{r.method} {percent(_mean(r, worst_control))}" for r in controls[:4])
        lines.append(
            f"Controls, which break the dependence between modalities, count in no number but these: under the worst of "
            f"them {listing}."
        )
    if not promised:
        lines.append("Nothing is promised about these shifts: how far they are in χ² is not known.")
    return tuple(lines)


def _table(methods: Sequence[Robust], reference: Robust | None, palette: Mapping[str, str]) -> Table:
    moved = list(dict.fromkeys(m for r in methods for m in r.shifts[0].modalities))
    own = moved if len(moved) <= MOST_COLUMNS else []
    measures: list[tuple[str, Measure]] = [
        ("as is, %", clean),
        ("worst, %", worst),
        ("mean, %", mean),
        *((f"{m}, %", worst_of(m)) for m in own),
    ]
    columns = [Column("method")]
    cells: dict[str, list[Cell]] = {r.method: [] for r in methods}
    for k, (head, measure) in enumerate(measures):
        columns.append(Column(head, "descending" if k == 1 else ""))
        best = _clearly_best(methods, measure)
        for r in methods:
            cells[r.method].append(_cell(r.each(measure), share=True, bold=best == r.method))
        if k == 1 and reference is not None and len(methods) > 1:
            columns.append(Column(f"minus {reference.method}"))
            for r in methods:
                cells[r.method].append(_minus(r, reference))
    columns.append(Column("worst risk"))
    for r in methods:
        cells[r.method].append(_cell(r.each(worst_risk), share=False, bold=False))
    rows = tuple(Row(r.method, palette.get(r.method, ""), tuple(cells[r.method])) for r in methods)
    caption = (
        "Accuracies after the last label: on the samples as they are, under the worst shift, the mean of all shifts"
        f"{', and the worst shift of one modality by itself' if own else ''}. Means over seeds; small: half the 95 % interval "
        "(Student's t); of differences, in points, the 95 % bootstrap interval over seeds. Bold: better than the second in "
        "paired differences. Risk is the greatest mean cross-entropy under a shift, at most 13.8 for a sample."
    )
    return Table(tuple(columns), rows, caption)


def _clearly_best(methods: Sequence[Robust], measure: Measure) -> str | None:
    """Return the method whose mean is highest, if it is clearly above the second's."""
    known = [r for r in methods if np.isfinite(r.each(measure)).any()]
    ranked = sorted(known, key=lambda r: -_mean(r, measure))
    if len(ranked) < 2:
        return None
    found = gain(ranked[0], ranked[1], measure)
    clear = found is not None and found.n >= LEAST_SEEDS and found.low is not None and found.low > 0
    return ranked[0].method if clear else None


def _minus(one: Robust, reference: Robust) -> Cell:
    found = None if one is reference else gain(one, reference, worst)
    if found is None:
        return Cell("–")
    between = (
        "" if found.low is None or found.high is None else f"{signed(found.low)} to {signed(found.high)}"
    )
    return Cell(signed(found.mean), between, f"{found.mean:.6f}")


def _cell(values: Floats, *, share: bool, bold: bool) -> Cell:
    known = values[np.isfinite(values)]
    if not known.size:
        return Cell("–")
    found = mean_interval(known)
    scale, places = (100, 1) if share else (1, 2)
    half = "" if found.high is None else f"±{scale * (found.high - found.mean):.{places}f}"
    return Cell(f"{scale * found.mean:.{places}f}", half, f"{found.mean:.6f}", bold)


def _fared(fates: Mapping[str, Sequence[Kept]], palette: Mapping[str, str]) -> Table | None:
    """Return coverage and tightness by reading of B; None where nothing was promised."""
    if not fates:
        return None
    most = max(fate.shifts for found in fates.values() for fate in found)
    columns = (Column("method"), *(Column(f"{name}, %") for name in READINGS.values()))
    rows = []
    for method, found in fates.items():
        cells = []
        for k in range(len(Budgets._fields)):
            held = float(np.mean([fate.coverage[k] for fate in found]))
            used = max(fate.tightness[k] for fate in found)
            cells.append(Cell(f"{100 * held:.1f}", f"uses {100 * used:.0f} %", f"{held:.6f}"))
        rows.append(Row(method, palette.get(method, ""), tuple(cells)))
    caption = (
        f"Share of the {most} shifts of known radius under which the risk stayed within its bound E[l] + √B √Var(l), mean over "
        "seeds, by the four readings of B; small: how much of the promised excess the worst shift used, in the seed that "
        "used most. Only the product, for independent modalities, and the precision, for small shifts of a Gaussian copula, are "
        "safe by their derivation; Γ is what the data were drawn with."
    )
    return Table(columns, tuple(rows), caption)
