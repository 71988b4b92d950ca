"""Small multiples: one panel for each class or measure, a line for each strategy, on axes that neighbours share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.names import REFERENCES
from labelwise.bench.report.figures import axes, bought, clip, in_percent
from labelwise.bench.report.svg import INK, MUTED, figure, render


def small_multiple(
    title: str,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    palette: Mapping[str, str],
    name: str,
    *,
    low: float,
    high: float,
    percent: bool = True,
    alarms: Sequence[tuple[str, float]] = (),
    faint: Sequence[tuple[str, Sequence[float], Sequence[float]]] = (),
    bands: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]] | None = None,
    level: float | None = None,
    span: tuple[float, float] | None = None,
    whole: bool = False,
    width: int = 220,
    height: int = 150,
) -> str:
    """Return one small panel with a line for each strategy, on axes shared with its neighbours.

    Args:
        title: written above the panel.
        lines: strategy -> (labels bought, value).
        alarms: (strategy, labels bought) marked by a cross at the foot.
        faint: (strategy, labels bought, value) of thin lines behind the others, e.g. one for each seed.
        bands: strategy -> (labels bought, low, high), shaded behind its line and cut at the frame.
        level: a value that a dashed line marks.
        span: (first, last) labels of the axis; None: where the lines are.
        whole: values are counts, so that only whole numbers are marked.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, 40, 8, 24, 24)
        if level is not None:
            ax.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for strategy, (at, below, above) in (bands or {}).items():
            ax.fill_between(at, below, above, color=palette[strategy], alpha=0.14, linewidth=0, zorder=1)
        for strategy, x, y in faint:
            ax.plot(x, y, color=palette[strategy], linewidth=0.9, alpha=0.45, zorder=2)
        for k, (strategy, (x, y)) in enumerate(lines.items()):
            gid = f"line-{k}"
            titles[gid] = strategy
            ax.plot(
                x,
                y,
                color=palette[strategy],
                linewidth=1.8,
                marker="o" if len(x) == 1 else None,  # a line of one point is nothing
                markersize=4,
                gid=gid,
                zorder=3 if strategy not in REFERENCES else 2,
            )
        ax.set_ylim(low, high)
        if span is not None:
            room = 0.05 * (span[1] - span[0]) or 1.0
            ax.set_xlim(span[0] - room, span[1] + room)
        for strategy, labels in alarms:
            ax.plot(
                [labels],
                [low + 0.06 * (high - low)],
                "X",
                color=palette[strategy],
                markersize=8,
                zorder=5,
                clip_on=False,
            )
        ax.set_title(
            clip(title, narrow=width < 300), loc="left", fontsize=12.5, color=INK, pad=6, weight="bold"
        )
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=whole))
        ax.xaxis.set_major_formatter(FuncFormatter(bought))
        ax.yaxis.set_major_formatter(FuncFormatter(in_percent if percent else bought))
        ax.tick_params(labelsize=11)
        ax.grid(visible=False, axis="x")
        return render(fig, name, f"{title} against labels bought", titles)


def spread(values: Sequence[NDArray[np.float64]], *, share: bool = False) -> tuple[float, float]:
    """Return common axis limits for small multiples: where the data are, with a little room.

    Values that are all the same lie in the middle of 5 % more and less, and zeros within 0.05 of 0: an axis that magnifies
    rounding would show ticks such as "4e-06 %".
    """
    together = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values]) if values else np.zeros(1)
    together = together[np.isfinite(together)]
    if not together.size:
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    size = max(abs(low), abs(high))
    flat = high - low <= 1e-9 * max(size, 1.0)
    edge = 0.05 * (size if size > 1e-9 else 1.0) if flat else 0.05 * (high - low)
    low, high = low - edge, high + edge
    return (max(0.0, low), min(1.02, high)) if share else (low, high)
