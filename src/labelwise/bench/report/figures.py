"""The figures of a report: curves with direct labels, differences as dots with intervals, classes as small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.findings import Setting, Summary
from labelwise.bench.names import REFERENCE
from labelwise.bench.report.svg import GREY, INK, MUTED, PAPER, figure, render

# Scoring (infer and propose) in warm colours, so that its share of a round is seen at once.
PHASES = {
    "fit": "#0072B2",
    "measure": "#7A7A7A",
    "infer": "#E69F00",
    "propose": "#D55E00",
    "learn": "#009E73",
}


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least `gap` apart and inside [low, high], in the given order."""
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    placed = np.array([wanted[i] for i in order], dtype=float)
    for k in range(1, len(placed)):
        placed[k] = max(placed[k], placed[k - 1] + gap)
    if placed.size and placed[-1] > high:
        placed[-1] = high
        for k in range(len(placed) - 2, -1, -1):
            placed[k] = min(placed[k], placed[k + 1] - gap)
    out = [0.0] * len(wanted)
    for k, i in enumerate(order):
        out[int(i)] = float(placed[k])
    return out


def _percent(value: float, _: Any = None) -> str:
    return f"{100 * value:.10g} %"


def _bought(value: float, _: Any = None) -> str:
    return f"{value:,.10g}"


def _axes(fig: Any, left: float, right: float, top: float, bottom: float) -> Any:
    """Return axes with margins in pixels."""
    width, height = fig.get_size_inches() * 72
    return fig.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def learning_curves(
    setting: Setting, palette: Mapping[str, str], name: str, *, width: int, height: int
) -> str:
    """Return mean accuracy against labels bought, a band for the 95 % interval, each line named at its right end."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    narrow = width < 500
    loud = [
        s for s in setting.strategies if palette[s.name] != GREY or s.name in (REFERENCE, setting.reference)
    ]
    longest = max(len(_clip(s.name, narrow=narrow)) for s in loud)
    right = min((6.6 if narrow else 7.6) * longest + 26, width * 0.42)
    with figure(name, width, height) as (fig, titles):
        ax = _axes(fig, 46, right, 12, 44)
        for k, summary in enumerate(reversed(setting.strategies)):
            at = np.array([p.labels for p in summary.curve])
            mean = np.array([p.mean for p in summary.curve])
            colour, emphasised = palette[summary.name], summary in loud
            gid = f"line-{k}"
            titles[gid] = summary.name
            if emphasised and all(p.low is not None for p in summary.curve):
                low = [p.low for p in summary.curve]
                high = [p.high for p in summary.curve]
                ax.fill_between(at, low, high, color=colour, alpha=0.14, linewidth=0)
            ax.plot(
                at, mean, color=colour, linewidth=2.4 if emphasised else 1, gid=gid, alpha=1 if emphasised else 0.7,
                marker="o" if len(at) < 3 else None, markersize=4, zorder=3 if emphasised else 2,
                linestyle="-" if emphasised or len(at) < 3 else (0, (4, 2)),
            )  # fmt: skip
        means = [p.mean for s in setting.strategies for p in s.curve]
        size = max(max(means) - min(means), 0.01)
        bands = [v for s in loud for p in s.curve for v in (p.low, p.high) if v is not None]
        # Bands of a few seeds can be wider than everything else: they are cut where they would flatten the lines.
        low_end = max(0.0, min(means) - 0.35 * size, min([min(means) - 0.06 * size, *bands]))
        high_end = min(1.0, max(means) + 0.35 * size, max([max(means) + 0.06 * size, *bands]))
        ax.set_ylim(low_end, high_end)
        ax.margins(x=0.01)
        if setting.target is not None and low_end < setting.target < high_end:
            ax.axhline(setting.target, color=MUTED, linewidth=1, linestyle=(0, (2, 3)), zorder=1)
        pixel = (high_end - low_end) / (height - 56)
        ends = apart([s.curve[-1].mean for s in loud], 17 * pixel, low_end, high_end)
        for summary, y in zip(loud, ends, strict=True):
            last = summary.curve[-1]
            ax.plot(
                [last.labels],
                [last.mean],
                "o",
                color=palette[summary.name],
                markersize=5,
                zorder=4,
                clip_on=False,
            )
            ax.annotate(
                _clip(summary.name, narrow=narrow), (last.labels, last.mean), xytext=(12, (y - last.mean) / pixel),
                textcoords="offset pixels", va="center", fontsize=12 if narrow else 13, color=INK, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": palette[summary.name], "linewidth": 1.2, "shrinkA": 0,
                            "shrinkB": 4, "relpos": (0, 0.5)},
            )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 8, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(6))
        ax.xaxis.set_major_formatter(FuncFormatter(_bought))
        ax.yaxis.set_major_formatter(FuncFormatter(_percent))
        ax.grid(visible=False, axis="x")
        ax.set_xlabel("labels bought", loc="left", fontsize=12)
        return render(fig, name, f"Learning curves: accuracy against labels bought, {setting.title}", titles)


def _clip(name: str, *, narrow: bool) -> str:
    most = 18 if narrow else 34
    return name if len(name) <= most else name[: most - 1] + "…"


def differences(
    setting: Setting, measure: str, palette: Mapping[str, str], name: str, *, width: int
) -> str | None:
    """Return each strategy's paired difference from the reference as a dot with its 95 % interval; None without any."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    pairs = [p for p in setting.pairs if p.measure == measure and p.against == setting.reference]
    if not pairs:
        return None
    scale, unit = (1.0, "labels") if measure == "labels" else (100.0, "points")
    narrow = width < 500
    left = min(12 + 7.6 * max(len(_clip(p.strategy, narrow=narrow)) for p in pairs), width * 0.42)
    row = 30
    with figure(name, width, row * len(pairs) + 52) as (fig, titles):
        ax = _axes(fig, left, 14, 6, 46)
        ax.axvline(0, color=INK, linewidth=1.2, zorder=1)
        for k, pair in enumerate(pairs):
            colour = palette[pair.strategy]
            rng = np.linspace(-0.16, 0.16, len(pair.values)) if len(pair.values) > 1 else np.zeros(1)
            ax.plot(
                scale * np.array(pair.values),
                k + rng,
                "o",
                color=colour,
                alpha=0.5,
                markersize=4.5,
                linewidth=0,
                markeredgewidth=0,
            )
            centre = scale * float(np.mean(pair.values))
            gid = f"pair-{k}"
            titles[gid] = f"{pair.strategy} against {pair.against}: {centre:+.2f} {unit}"
            low, high = pair.interval.low, pair.interval.high
            if low is not None and high is not None:
                ax.plot([scale * low, scale * high], [k, k], color=colour, linewidth=2.2, zorder=3)
            filled = colour if pair.clear else PAPER
            ax.plot([centre], [k], "o", color=colour, markerfacecolor=filled, markeredgewidth=2, markersize=8, zorder=4,
                    gid=gid)  # fmt: skip
        ax.set_ylim(len(pairs) - 0.4, -0.6)
        ax.set_yticks(
            range(len(pairs)), [_clip(p.strategy, narrow=narrow) for p in pairs], fontsize=13, color=INK
        )
        ax.grid(visible=False, axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda v, _: f"{v:+,.10g}".replace("-", "−") if v else "0")
        )
        ax.margins(x=0.06)
        words = {
            "labels": "fewer labels",
            "aubc": "points of AUBC more",
            "final": "points of final accuracy more",
        }
        ax.set_xlabel(
            f"{words[measure]} than {_clip(setting.reference, narrow=narrow)}", loc="left", fontsize=12
        )
        return render(fig, name, f"Paired differences from {setting.reference}, {setting.title}", titles)


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
    level: float | None = None,
    width: int = 220,
    height: int = 150,
) -> str:
    """Return one small panel with a line for each strategy, on axes shared with its neighbours.

    Args:
        title: written above the panel.
        lines: strategy -> (labels bought, value).
        alarms: (strategy, labels bought) marked by a cross at the foot.
        faint: (strategy, labels bought, value) of thin lines behind the others, e.g. one for each seed.
        level: a value that a dashed line marks.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with figure(name, width, height) as (fig, titles):
        ax = _axes(fig, 40, 8, 24, 24)
        if level is not None:
            ax.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
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
                marker="o" if level is not None and len(x) == 1 else None,  # a line of one point is nothing
                markersize=4,
                gid=gid,
                zorder=3 if strategy != REFERENCE else 2,
            )
        ax.set_ylim(low, high)
        for strategy, at in alarms:
            ax.plot(
                [at],
                [low + 0.06 * (high - low)],
                "X",
                color=palette[strategy],
                markersize=8,
                zorder=5,
                clip_on=False,
            )
        ax.set_title(
            _clip(title, narrow=width < 300), loc="left", fontsize=12.5, color=INK, pad=6, weight="bold"
        )
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.xaxis.set_major_formatter(FuncFormatter(_bought))
        ax.yaxis.set_major_formatter(FuncFormatter(_percent if percent else _bought))
        ax.tick_params(labelsize=11)
        ax.grid(visible=False, axis="x")
        return render(fig, name, f"{title} against labels bought", titles)


def phases(summaries: Sequence[Summary], name: str, *, width: int) -> str | None:
    """Return mean seconds a round as one stacked bar a strategy: fit, measure, infer, propose, learn."""
    from matplotlib.ticker import MaxNLocator

    timed = [s for s in summaries if sum(s.seconds.values()) > 0]
    if not timed:
        return None
    narrow = width < 500
    left = min(12 + 7.6 * max(len(_clip(s.name, narrow=narrow)) for s in timed), width * 0.42)
    with figure(name, width, 28 * len(timed) + 46) as (fig, titles):
        ax = _axes(fig, left, 14, 4, 42)
        for row, summary in enumerate(timed):
            done = 0.0
            for phase, colour in PHASES.items():
                length = summary.seconds.get(phase, 0.0)
                gid = f"bar-{row}-{phase}"
                titles[gid] = f"{summary.name}: {phase} {length:.3g} s"
                bar = ax.barh(row, length, left=done, height=0.62, color=colour, linewidth=0)
                bar[0].set_gid(gid)
                done += length
        ax.set_ylim(len(timed) - 0.4, -0.6)
        ax.set_yticks(
            range(len(timed)), [_clip(s.name, narrow=narrow) for s in timed], fontsize=13, color=INK
        )
        ax.grid(visible=False, axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
        ax.set_xlabel("mean seconds a round", loc="left", fontsize=12)
        return render(fig, name, "Mean seconds a round by phase", titles)


def spread(values: Sequence[NDArray[np.float64]], *, share: bool = False) -> tuple[float, float]:
    """Return common axis limits for small multiples: where the data are, with a little room."""
    together = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values]) if values else np.zeros(1)
    together = together[np.isfinite(together)]
    if not together.size:
        return 0.0, 1.0
    low, high = float(together.min()), float(together.max())
    edge = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-6)
    low, high = low - edge, high + edge
    return (max(0.0, low), min(1.02, high)) if share else (low, high)
