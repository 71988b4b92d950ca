"""The page's part on modalities: who contributes how much, how evenly, with what weights, and what that went with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.bench.findings import Setting
from labelwise.bench.report import alignment, dominance
from labelwise.bench.report.contributions import Contributions, Floats, Modal, modal
from labelwise.bench.report.health import mean
from labelwise.bench.report.heats import Heat
from labelwise.bench.report.modal_panels import LEAST_SEEDS, groups_of_panels
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.settings import Group
from labelwise.bench.words import count, listed, percent, seeds
from labelwise.functional.curves import mean_interval

MOST_NAMED = 4  # strategies of the sentence
MOST_COLUMNS = 4  # modalities whose φ stand in the table


@dataclass(frozen=True, eq=False)
class Modalities:
    """What a setting's runs tell of their modalities, in the forms of the report.

    Attributes:
        found: the numbers.
        headline: the answer in one sentence.
        detail: sentences that must be read beside it.
        table: a row a strategy, at the last fit of the span; None where only weights are known.
        alignments: one a strategy.
        aligned: their table; None where no run tells both sides.
        dominance: classes by modality; None where no run says.
        by_class: its heat map; None without.
        groups: its table; None without.
    """

    found: Modal
    headline: str
    detail: tuple[str, ...]
    table: Table | None
    alignments: tuple[alignment.Alignment, ...]
    aligned: Table | None
    dominance: dominance.Dominance | None
    by_class: Heat | None
    groups: Table | None


def modalities(
    setting: Setting, runs: Group, classes: Sequence[str], palette: Mapping[str, str]
) -> Modalities | None:
    """Return what a setting's runs tell of their modalities; None where they tell nothing, or have one only.

    Args:
        setting: the comparison's part.
        runs: of it.
        classes: their names.
        palette: strategy -> colour.
    """
    found = modal(setting, runs, len(classes))
    if found is None:
        return None
    known = [c for c in found.strategies if np.isfinite(_end(c.dispersion)).any()]
    aligned = tuple(alignment.alignment(c) for c in known)
    by = dominance.dominance(found)
    return Modalities(
        found,
        _headline(setting, known),
        _detail(setting, known),
        _table(setting, found, known, classes, palette) if known else None,
        aligned,
        alignment.table(aligned, palette),
        by,
        None if by is None else dominance.heat(by, found.modalities, classes),
        None if by is None else dominance.table(by, setting.reference, palette),
    )


def shown(told: Modalities, palette: Mapping[str, str], name: str, *, figures: bool = True) -> dict[str, Any]:
    """Return what the template shows.

    Args:
        told: of a setting.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
        figures: False leaves out what is large.
    """
    most = max(len(c.seeds) for c in told.found.strategies)
    band = (
        "mean over seeds, bands: 95 % interval (Student's t), cut at the frame"
        if most >= LEAST_SEEDS
        else f"mean over {seeds(most)}, too few for an interval"
    )
    several = any(c.dispersion.shape[1] > 1 for c in told.found.strategies)  # one fit is no curve
    return {
        "headline": told.headline,
        "detail": list(told.detail),
        "key": [{"name": c.strategy, "colour": palette[c.strategy]} for c in told.found.strategies],
        "groups": groups_of_panels(told.found, palette, name) if figures and several else [],
        "band": f"Against labels bought; {band}. Axes start where the data do.",
        "table": told.table,
        "aligned": told.aligned,
        "heat": told.by_class if figures else None,
        "by_group": told.groups,
    }


def _end(values: Floats) -> Floats:
    """Return the last column of (S, P, ...); NaN where there is none."""
    return values[:, -1] if values.shape[1] else np.full((len(values), *values.shape[2:]), np.nan)


def _headline(setting: Setting, known: Sequence[Contributions]) -> str:
    """Return where strategies end: D(φ) and accuracy."""
    if not known:
        return "Only weights of modalities are known here: no fit was analysed for what each contributes."
    named = [c for c in known if c.strategy != setting.reference][: MOST_NAMED - 1]
    named += [c for c in known if c.strategy == setting.reference]
    parts = []
    for k, c in enumerate(named):
        d = float(mean(_end(c.dispersion)[:, None])[0])
        accuracy = percent(setting.summary(c.strategy).final.mean)
        parts.append(
            f"{c.strategy} ends with D(φ) {small(d)} at {accuracy} accuracy"
            if not k
            else f"{c.strategy} with {small(d)} at {accuracy}"
        )
    others = len(known) - len(named)
    more = "" if not others else f"; {others} more below" if others > 1 else "; 1 more below"
    return f"With {count(setting.span[1])} labels, {', '.join(parts)}{more} (lower D(φ) is more even; {seeds(max(len(c.seeds) for c in named))})."


def small(value: float) -> str:
    """Return a D(φ) with two digits that mean something: a variance over many modalities may be far below 0.01."""
    return "0" if round(value, 9) == 0 else f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def _detail(setting: Setting, known: Sequence[Contributions]) -> tuple[str, ...]:
    """Return who is more or less even than the reference, seed by seed, and who leads."""
    lines = []
    reference = next((c for c in known if c.strategy == setting.reference), None)
    if reference is not None and len(known) > 1:
        apart: dict[str, list[str]] = {"more": [], "less": []}
        tested = 0
        for c in known:
            gaps = _gaps(c, reference)
            if c is reference or len(gaps) < 3:
                continue
            tested += 1
            found = mean_interval(gaps)
            if found.low is not None and found.high is not None and (found.low > 0 or found.high < 0):
                words = f"{c.strategy} (by {small(abs(found.mean))} ± {small(found.high - found.mean)})"
                apart["less" if found.mean > 0 else "more"].append(words)
        told = [f"{way} even with {listed(who)}" for way, who in apart.items() if who]
        if told:
            lines.append(
                f"Against {setting.reference}, paired by seed, contributions end {' and '.join(told)}: 95 % intervals, not "
                f"corrected for {tested} comparisons."
            )
        elif tested:
            lines.append(
                f"Paired by seed, no strategy's D(φ) can be told from {setting.reference}'s at the end."
            )
        else:
            lines.append("Three seeds of both would tell whether such a difference is more than chance.")
    return tuple(lines)


def _gaps(c: Contributions, reference: Contributions) -> list[float]:
    mine = dict(zip(c.seeds, _end(c.dispersion).tolist(), strict=True))
    theirs = dict(zip(reference.seeds, _end(reference.dispersion).tolist(), strict=True))
    gaps = [mine[s] - theirs[s] for s in sorted(mine.keys() & theirs.keys())]
    return [gap for gap in gaps if np.isfinite(gap)]


def _table(
    setting: Setting,
    found: Modal,
    known: Sequence[Contributions],
    classes: Sequence[str],
    palette: Mapping[str, str],
) -> Table:
    names = found.modalities
    phi = len(names) <= MOST_COLUMNS
    heads = [Column("strategy"), Column("D(φ)"), Column("accuracy, %"), Column("worst class, %")]
    heads += [Column(f"φ of {name}") for name in names] if phi else []
    own = len(names) == 2
    heads += [Column(f"{name} alone, %") for name in names] if own else []
    rows = []
    for c in known:
        final = setting.summary(c.strategy).final
        worst = mean(c.per_class)
        cells = [_number(_end(c.dispersion), 3 if len(names) == 2 else 4), _share(np.array([final.mean]))]
        if final.high is not None:
            cells[1] = Cell(cells[1].text, f"±{100 * (final.high - final.mean):.1f}", cells[1].value)
        if np.isfinite(worst).any():
            k = int(np.nanargmin(worst))
            cells.append(Cell(f"{100 * worst[k]:.1f}", f"class {classes[k]}", f"{worst[k]:.6f}"))
        else:
            cells.append(Cell("–"))
        if phi:
            cells += [_number(_end(c.shapley)[:, m], 3) for m in range(len(names))]
        if own:
            cells += [_share(_end(c.accuracy)[:, m]) for m in range(len(names))]
        rows.append(Row(c.strategy, palette.get(c.strategy, ""), tuple(cells)))
    spoken = (
        f"|φ of {names[0]} − φ of {names[1]}|" if len(names) == 2 else "the variance of φ over the modalities"
    )
    caption = (
        f"At the last fit of the span, mean over seeds; small: half the 95 % interval. D(φ) is {spoken}: 0 where all "
        "contribute alike. Even is not better by itself: a model that knows nothing is perfectly even."
    )
    return Table(tuple(heads), tuple(rows), caption)


def _number(values: Floats, places: int) -> Cell:
    known = values[np.isfinite(values)]
    if not known.size:
        return Cell("–")
    found = mean_interval(known)
    half = "" if found.high is None else f"±{found.high - found.mean:.{places}f}"
    return Cell(f"{found.mean:.{places}f}".replace("-", "−"), half, f"{found.mean:.6f}")


def _share(values: Floats) -> Cell:
    known = values[np.isfinite(values)]
    if not known.size:
        return Cell("–")
    found = mean_interval(known)
    half = "" if found.high is None else f"±{100 * (found.high - found.mean):.1f}"
    return Cell(f"{100 * found.mean:.1f}", half, f"{found.mean:.6f}")
