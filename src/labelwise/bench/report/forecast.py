"""The page's part on what more labels would buy a campaign: its curve, where it goes, how sure that is, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelwise.bench.findings import Setting
from labelwise.bench.names import CHEATS
from labelwise.bench.outlook import LEVEL, Outlook, about, caveats, money, outlook, sentences
from labelwise.bench.report.figures import axes, bought, in_percent
from labelwise.bench.report.svg import INK, MUTED, figure, render
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.report.why import both_sizes
from labelwise.bench.settings import Group
from labelwise.bench.words import count, percent
from labelwise.errors import InputError
from labelwise.functional.forecast import FURTHEST, predict

INNER = 0.5  # level of the dark band
COLOUR = "#0072B2"
_POINTS = 60  # of the lines ahead


def curve(told: Outlook, name: str, *, width: int, colour: str = COLOUR, what: str = "labels") -> str:
    """Return the measured curve and its continuation with 50 and 90 % bands; above it, what labels ahead cost.

    Args:
        told: what is expected.
        name: prefix of every id.
        width: in pixels.
        colour: of the campaign.
        what: what counts on the lower axis.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    found, narrow = told.found, width < 500
    end = _end(told)
    at = np.unique(np.linspace(found.now, end, _POINTS))
    outer, inner = (predict(found, at, level=level) for level in (LEVEL, INNER))
    right = 70 if narrow else 84
    with figure(name, width, 340 if narrow else 400) as (fig, titles):
        ax = axes(fig, 54, right, 52, 44)
        ax.fill_between(at, outer.low, outer.high, color=colour, alpha=0.14, linewidth=0)
        ax.fill_between(at, inner.low, inner.high, color=colour, alpha=0.22, linewidth=0)
        ax.plot(at, outer.mean, color=colour, linewidth=2.2, linestyle=(0, (4, 2)), gid="ahead", zorder=3)
        titles["ahead"] = "expected"
        ax.plot(found.labelled, found.accuracy, color=colour, linewidth=2.2, gid="measured", zorder=3)
        ax.plot(found.labelled, found.accuracy, "o", color=colour, markersize=4.5, linewidth=0, zorder=4)
        titles["measured"] = "measured"
        # Early measurements may lie so low that what is to come would be a flat line: the frame starts where it matters.
        shown = np.concatenate([found.accuracy[found.accuracy.size // 4 :], outer.low, outer.high])
        if told.target is not None:
            shown = np.append(shown, told.target)
        edge = 0.05 * max(float(np.ptp(shown)), 0.01)
        low, high = max(0.0, shown.min() - edge), min(1.0, shown.max() + edge)
        ax.set_ylim(low, high + (0.012 * (high - low) if high == 1.0 else 0))
        ax.axvline(found.now, color=MUTED, linewidth=1, linestyle=(0, (2, 3)), zorder=1)
        size = 12 if narrow else 13
        ax.annotate("now", (found.now, low), (5, 6), textcoords="offset pixels", fontsize=size, color=MUTED)  # fmt: skip
        if told.target is not None:
            ax.axhline(told.target, color=MUTED, linewidth=1, linestyle=(0, (2, 3)), zorder=1)
            below = told.target > high - 0.1 * (high - low)
            ax.annotate(
                f"target {percent(told.target)}", (found.labelled[0], told.target), (2, -15 if below else 5), textcoords="offset pixels",
                fontsize=size, color=MUTED,
            )  # fmt: skip
        ax.annotate(
            percent(float(outer.mean[-1])), (at[-1], outer.mean[-1]), (8, 0), textcoords="offset pixels", va="center",
            fontsize=size, color=INK, annotation_clip=False, weight="bold",
        )  # fmt: skip
        ends = f"{100 * outer.low[-1]:.1f} to {100 * outer.high[-1]:.1f}".replace("100.0", "100")
        ax.annotate(
            ends, (at[-1], outer.mean[-1]), (8, -16), textcoords="offset pixels", va="center", fontsize=11, color=MUTED,
            annotation_clip=False,
        )  # fmt: skip
        ax.margins(x=0.01)
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 8, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(6))
        ax.xaxis.set_major_formatter(FuncFormatter(bought))
        ax.yaxis.set_major_formatter(FuncFormatter(in_percent))
        ax.grid(visible=False, axis="x")
        ax.set_xlabel(what, loc="left", fontsize=12)
        _costs(ax, told, end, narrow=narrow)
        words = f"Accuracy against labels: measured up to {count(found.now)}, expected up to {count(end)}"
        return render(fig, name, words, titles)


def _end(told: Outlook) -> float:
    """Return how far the figure looks: as far as what was asked for, and at least twice as far as now."""
    found = told.found
    ends = [found.now + option.more for option in told.options]
    if told.needed is not None and told.needed.expected is not None:
        ends.append(1.05 * told.needed.expected)
    return min(max([*ends, 1.25 * found.now]), found.now * (1 + FURTHEST)) if ends else 2 * found.now


def _costs(ax: Any, told: Outlook, end: float, *, narrow: bool) -> None:
    """Draw the upper axis: labels ahead, or what they cost where a price is known."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    now, price = told.found.now, told.price or 0.0
    unit = price if price > 0 else 1.0
    top = ax.secondary_xaxis("top", functions=(lambda n: (n - now) * unit, lambda c: c / unit + now))
    ticks = [t for t in MaxNLocator(3 if narrow else 5).tick_values(0, (end - now) * unit) if 0 <= t <= (end - now) * unit * 1.001]  # fmt: skip
    top.spines["top"].set_visible(False)
    top.set_xticks(ticks)
    top.xaxis.set_major_formatter(FuncFormatter(lambda v, _: money(v) if price > 0 else f"+{v:,.10g}" if v else "0"))  # fmt: skip
    top.tick_params(labelsize=12, labelcolor=MUTED, length=0)
    top.set_xlabel(
        f"cost, {price:g} a label" if price > 0 else "labels more", loc="right", fontsize=12, labelpad=7
    )


def table(told: Outlook) -> Table:
    """Return one row for each number of labels."""
    price, several = told.price is not None, len(told.options) > 1
    columns = [Column("more"), Column("in all"), Column("accuracy, %"), Column("gain, points")]
    columns += [Column("over row above")] if several else []
    columns += [Column("cost"), Column("a point")] if price else []
    rows = []
    for option in told.options:
        cells: list[Cell | None] = [
            Cell(count(told.found.now + option.more)),
            Cell(f"{100 * float(option.accuracy.mean[0]):.1f}"),
            Cell(about(option.gain)),
        ]
        if several:
            cells.append(Cell("–" if option.further is None else about(option.further)))
        if price:
            cells += [
                Cell("–" if option.cost is None else money(option.cost)),
                Cell("–" if option.cost_of_point is None else money(option.cost_of_point)),
            ]
        rows.append(Row(f"+{count(option.more)}", "", tuple(cells)))
    return Table(
        tuple(columns),
        tuple(rows),
        f"±, and ranges in brackets: {percent(LEVEL)} interval. Gain: over the last measurement.",
    )


def caption(told: Outlook) -> str:
    """Return the words below the figure."""
    above = "what they cost" if told.price else "how many more than now"
    return (
        f"Accuracy on {told.part} data against labels: dots were measured, the dashed line is expected, the bands hold "
        f"{percent(INNER)} and {percent(LEVEL)} of what will be measured. Above: {above}. Axes start where the data do, not at 0; "
        "the first measurements may lie below the frame."
    )


def shown(told: Outlook, name: str, colour: str = COLOUR) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "sentences": sentences(told),
        "figure": both_sizes(lambda n, w: curve(told, n, width=w, colour=colour), name),
        "caption": caption(told),
        "table": table(told) if told.options else None,
        "caveats": caveats(told),
    }


def ahead(setting: Setting, found: Group) -> tuple[str, Outlook] | None:
    """Return which campaign of a setting is continued, and what is expected of it.

    A forecast is of one campaign: of several, that of the best strategy with its first seed. Its name is "" where there is
    no other. None where it was measured fewer than four times, or at one number of labels.
    """
    fair = [s.name for s in setting.strategies if CHEATS not in s.name] or [setting.strategies[0].name]
    [run, *_] = found.compared[fair[0]]
    alone = sum(map(len, found.runs.values())) == 1
    try:
        return "" if alone else f"{fair[0]} with seed {run.seed}", outlook(run.state, part=setting.part)
    except InputError:  # too short, or no curve at all: nothing is said instead
        return None


def forecast(setting: Setting, found: Group, palette: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """Return what is shown of what is expected of a setting's campaign; None where nothing can be said."""
    if (coming := ahead(setting, found)) is None:
        return None
    whose, told = coming
    colour = palette.get(whose.rpartition(" with seed ")[0] or setting.strategies[0].name, COLOUR)
    return {**shown(told, name, colour), "whose": whose}
