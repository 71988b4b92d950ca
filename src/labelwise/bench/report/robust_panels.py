"""Figures of shifts: accuracy by severity, risk by radius with its bounds, bound against worst, and all of it over labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise.bench.report.figures import axes, clip, in_percent
from labelwise.bench.report.panels import spread
from labelwise.bench.report.robust_bounds import SIZE, TOGETHER, Line, Promised, by_radius, scatter
from labelwise.bench.report.svg import GREY, INK, figure, render
from labelwise.bench.robustness import Measure, Robust, by_severity, clean, mean, worst
from labelwise.functional.curves import mean_interval

Band = tuple[list[float], list[float], list[float]]
LEAST_SEEDS = 3  # of a band
MOST_KINDS = 24  # panels of one group
MOST_BANDS = 3  # of more lines, bands hide one another


def groups_of_panels(
    methods: Sequence[Robust],
    reference: Robust | None,
    promised: Promised,
    palette: Mapping[str, str],
    name: str,
) -> list[dict[str, Any]]:
    """Return groups of panels, each with its caption; only those that the runs tell of.

    Args:
        methods: best first.
        reference: what the others are compared with; None without.
        promised: method -> for each seed the promises of its last fit.
        palette: method -> colour.
        name: prefix of the figures' ids.
    """
    groups = []
    best_last = list(reversed(methods))  # drawn on top
    if drawn := _severities(best_last, palette, f"{name}-severity"):
        groups.append({
            "panels": drawn,
            "caption": "Accuracy by severity of a shift, 0 for the samples as they are; mean over seeds"
            + (", bands: 95 % interval (Student's t)." if len(methods) <= MOST_BANDS else "."),
        })  # fmt: skip
    if promised:
        two = [
            r for r in (reference, next((r for r in methods if r is not reference), None)) if r is not None
        ]
        for r in two:
            if r.method in promised:
                groups.append({
                    "panels": by_radius(r, promised[r.method], palette[r.method], f"{name}-rho-{methods.index(r)}"),
                    "caption": f"Risk of {r.method} by the χ² radius ρ of each modality that moved, mean over seeds: the worst "
                    "kind of shift (thick) and every kind (thin); dashed: the bounds by the four readings of B. Where one modality "
                    "moves alone, three of them are one. Bounds that leave the frame go on above it.",
                })  # fmt: skip
        groups.append({
            "panels": scatter(best_last, promised, palette, f"{name}-bounds"),
            "caption": "What was promised (across) and the risk under the worst kind of shift (up), by reading of B: a dot for "
            "each modality (or all together), radius and method, mean over seeds. Above the line a bound is broken; far below "
            "it, it says little. Infinite bounds are not drawn.",
        })  # fmt: skip
    if drawn := _over_labels(best_last, palette, f"{name}-labels"):
        groups.append({"panels": drawn, "caption": "Accuracy against labels bought, mean over seeds, all on one scale."})  # fmt: skip
    return groups


def _severities(methods: Sequence[Robust], palette: Mapping[str, str], name: str) -> list[Markup]:
    """Return one panel a modality and kind, a line for each method."""
    places = dict.fromkeys(
        (m.modality, m.kind)
        for r in methods
        for found in r.shifts
        for m in found.moved
        if m.severity is not None
    )
    made = {
        place: {r.method: [by_severity(found, *place) for found in r.shifts] for r in methods}
        for place in sorted(places, key=lambda place: (place[0] or "~", place[1]))[:MOST_KINDS]
    }
    ends = [np.array(list(found.values())) for by in made.values() for seen in by.values() for found in seen]
    if not ends:
        return []
    low, high = spread(ends, share=True)
    panels = []
    for k, ((modality, kind), by) in enumerate(made.items()):
        lines, bands = _lines(by, banded=len(methods) <= MOST_BANDS)
        panels.append(
            _panel(
                f"{modality or TOGETHER}: {kind}", lines, palette, f"{name}-{k}", (low, high),
                bands=bands, across="severity",
            )
        )  # fmt: skip
    return panels


def _over_labels(methods: Sequence[Robust], palette: Mapping[str, str], name: str) -> list[Markup]:
    """Return accuracy as they are, under the worst shift and on average, over labels bought; [] with one fit a run."""
    if all(len(fits) < 2 for r in methods for fits in r.history):
        return []
    kinds: list[tuple[str, Measure]] = [
        ("as they are", clean),
        ("worst shift", worst),
        ("mean of shifts", mean),
    ]
    made = {
        title: {
            r.method: [{n: measure(found) for n, found in fits.items()} for fits in r.history]
            for r in methods
        }
        for title, measure in kinds
    }
    ends = [np.array(list(found.values())) for by in made.values() for seen in by.values() for found in seen]
    limits = spread(ends, share=True)
    panels = []
    for k, (title, by) in enumerate(made.items()):
        lines, bands = _lines(by, banded=len(methods) <= MOST_BANDS)
        panels.append(_panel(title, lines, palette, f"{name}-{k}", limits, bands=bands, across="labels"))
    return panels


def _lines(
    by: Mapping[str, Sequence[Mapping[int, float]]], *, banded: bool
) -> tuple[dict[str, Line], dict[str, Band]]:
    """Return the mean over seeds of each method, and its interval where there are seeds enough."""
    lines: dict[str, Line] = {}
    bands: dict[str, Band] = {}
    for method, seen in by.items():
        line: Line = ([], [])
        band: Band = ([], [], [])
        for x in sorted({x for found in seen for x in found}):
            values = [found[x] for found in seen if x in found and np.isfinite(found[x])]
            if not values:
                continue
            at = mean_interval(values)
            line[0].append(float(x))
            line[1].append(at.mean)
            if at.low is not None and at.high is not None and at.n >= LEAST_SEEDS:
                for column, value in zip(band, (float(x), at.low, at.high), strict=True):
                    column.append(value)
        if line[0]:
            lines[method] = line
        if banded and band[0]:
            bands[method] = band
    return lines, bands


def _panel(
    title: str,
    lines: Mapping[str, Line],
    palette: Mapping[str, str],
    name: str,
    limits: tuple[float, float],
    *,
    bands: Mapping[str, Band],
    across: str,
) -> Markup:
    """Return one small panel with a line for each method, on axes shared with its neighbours."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    width, height = SIZE
    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, 40, 8, 24, 40)
        for method, (at, below, above) in bands.items():
            ax.fill_between(at, below, above, color=palette[method], alpha=0.14, linewidth=0, zorder=1)
        for k, (method, (x, y)) in enumerate(lines.items()):
            quiet = palette[method] == GREY
            titles[f"line-{k}"] = method
            ax.plot(
                x, y, color=palette[method], linewidth=1.3 if quiet else 1.8, gid=f"line-{k}", zorder=2 if quiet else 3,
                marker="o" if len(x) == 1 else None, markersize=4,
            )  # fmt: skip
        ax.set_ylim(*limits)
        ax.set_title(clip(title, narrow=False), loc="left", fontsize=12.5, color=INK, pad=6, weight="bold")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_formatter(FuncFormatter(in_percent))
        ax.tick_params(labelsize=11)
        ax.grid(visible=False, axis="x")
        ax.set_xlabel(across, loc="left", fontsize=12)
        return Markup(render(fig, name, f"{title} against {across}", titles))  # noqa: S704 - see `why.safe`
