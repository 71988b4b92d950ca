"""The page's part on ranks over settings: a critical-difference diagram, and wins, ties and losses as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labelwise.bench.findings import Standing
from labelwise.bench.report.figures import axes, clip
from labelwise.bench.report.svg import ACCENT, INK, MUTED, figure, render
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.report.why import both_sizes
from labelwise.bench.words import listed

TITLE = "Ranks over all settings"
LEVEL = 0.05
ROW = 26  # pixels of a strategy's row
BAR = 14  # pixels from one group's bar to the next


def shown(found: Standing | None, palette: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """Return what the template shows; None where too few runs say nothing.

    Args:
        found: of the comparison.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
    """
    if found is None:
        return None
    return {
        "title": TITLE,
        "headline": headline(found),
        "figure": both_sizes(lambda n, w: diagram(found, palette, n, width=w), name),
        "caption": caption(found),
        "table": outcomes(found, palette),
    }


def headline(found: Standing) -> str:
    """Return what the ranks say in one sentence or two."""
    n, best = len(found.settings), found.names[0]
    p = _p(found)
    if found.friedman.p >= LEVEL:
        return f"Over {n} settings no strategy ranks clearly above another (Friedman test, {p})."
    first = f"{best[:1].upper()}{best[1:]} ranks best over {n} settings: mean rank {found.ranks[0]:.2f} of {len(found.names)}"
    differ = [
        b
        for b, rank in zip(found.names[1:], found.ranks[1:], strict=True)
        if rank - found.ranks[0] >= found.difference
    ]
    if not differ:
        return f"Ranks differ (Friedman test, {p}), but so few settings do not say from which {best}, the best, differs."
    if len(differ) == len(found.names) - 1:
        return f"{first}, clearly above every other."
    return f"{first}, clearly above {listed(differ)}."


def diagram(found: Standing, palette: Mapping[str, str], name: str, *, width: int) -> str:
    """Return mean ranks as dots, one row a strategy, what lies within the critical difference of the best shaded.

    Bars at the right join strategies that do not differ.
    """
    from matplotlib.ticker import MaxNLocator

    narrow = width < 500
    rows, best = len(found.names), found.ranks[0]
    left = min((6.6 if narrow else 7.6) * max(len(clip(n, narrow=narrow)) for n in found.names), width * 0.42)
    right = 18 + BAR * max(1, len(found.alike))
    height = ROW * rows + 66
    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, left + 12, right, 24, 42)
        last = max(float(rows), found.ranks[-1])
        ax.set_xlim(0.8, last + 0.15)
        ax.set_ylim(rows - 0.5, -0.5)
        end = best + found.difference
        ax.axvspan(best, min(end, last + 0.15), color=ACCENT, alpha=0.1, linewidth=0, zorder=0)
        ax.plot([best, min(end, last + 0.15)], [-0.5, -0.5], color=ACCENT, linewidth=2, clip_on=False)
        ax.annotate(
            f"{'' if narrow else 'critical '}difference {found.difference:.2f}", (best, -0.5), xytext=(0, 8),
            textcoords="offset pixels", fontsize=12, color=MUTED, annotation_clip=False,
        )  # fmt: skip
        for k, (strategy, rank) in enumerate(zip(found.names, found.ranks, strict=True)):
            gid = f"rank-{k}"
            titles[gid] = f"{strategy}: mean rank {rank:.2f}"
            ax.plot([rank], [k], "o", color=palette[strategy], markersize=9, gid=gid, zorder=3, clip_on=False)
        pixel = (last + 0.15 - 0.8) / (width - left - 12 - right)
        for k, group in enumerate(found.alike):
            x = last + 0.15 + (12 + BAR * k) * pixel
            gid = f"alike-{k}"
            titles[gid] = f"cannot be told apart: {listed([found.names[i] for i in group])}"
            ax.plot(
                [x, x], [group[0] - 0.28, group[-1] + 0.28], color=MUTED, linewidth=3, gid=gid, clip_on=False,
                solid_capstyle="butt",
            )  # fmt: skip
        ax.set_yticks(range(rows), [clip(n, narrow=narrow) for n in found.names], fontsize=13, color=INK)
        ax.xaxis.set_major_locator(MaxNLocator(6 if narrow else 10, integer=True))
        ax.set_xlabel("mean rank (1: best)", loc="left", fontsize=12)
        return render(fig, name, "Mean ranks over settings with the critical difference", titles)


def caption(found: Standing) -> str:
    """Return how to read the diagram, what was counted, and what is assumed."""
    f = found.friedman
    size = "infinite" if f.statistic is None else f"{f.statistic:.2f}"
    left = (
        f" Left out, because they were not run with three seeds in each of these settings: {listed(found.left_out)}."
        if found.left_out
        else ""
    )
    return (
        f"Each of {len(found.settings)} settings ranks the {len(found.names)} strategies by mean AUBC; a dot is the mean "
        f"rank. Shaded: within the critical difference of the best (Nemenyi, 5 % over all pairs). A bar at the right joins "
        f"strategies whose ranks cannot be told apart. Friedman test in Iman and Davenport's form: F = {size} with "
        f"{f.degrees[0]} and {f.degrees[1]} degrees of freedom, {_p(found)}. All settings count alike; settings that "
        f"share data are not independent, and p is then too small.{left}"
    )


def _p(found: Standing) -> str:
    return "p < 0.001" if found.friedman.p < 0.001 else f"p = {found.friedman.p:.2g}"


def outcomes(found: Standing, palette: Mapping[str, str]) -> Table:
    """Return one row a strategy: its mean rank, and wins / ties / losses against each other one and in all."""
    wins, ties = np.array(found.wins), np.array(found.ties)
    columns = [
        Column("strategy"),
        Column("mean rank", "ascending"),
        *(Column(n) for n in found.names),
        Column("all"),
    ]
    rows = []
    for a, strategy in enumerate(found.names):
        cells = [Cell(f"{found.ranks[a]:.2f}", "", f"{found.ranks[a]:.6f}")]
        for b in range(len(found.names)):
            cells.append(Cell("–") if a == b else _record(int(wins[a, b]), int(ties[a, b]), int(wins[b, a])))
        cells.append(_record(int(wins[a].sum()), int(ties[a].sum()), int(wins[:, a].sum())))
        rows.append(Row(strategy, palette[strategy], tuple(cells)))
    words = (
        "Settings that the row wins / ties / loses against the column. A win: its AUBC is higher, and the paired t-test "
        "over seeds has p < 0.05 after Holm's correction for all pairs of the setting; otherwise it is a tie, which says "
        "that these seeds show no difference, not that there is none."
    )
    return Table(tuple(columns), tuple(rows), words)


def _record(wins: int, ties: int, losses: int) -> Cell:
    return Cell(f"{wins} / {ties} / {losses}", "", str(wins - losses))
