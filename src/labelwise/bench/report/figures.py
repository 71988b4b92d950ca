"""The figures of a report: curves with direct labels, differences as dots with intervals, seconds as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelwise.bench.findings import Setting, Summary
from labelwise.bench.names import REFERENCES
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


def in_percent(value: float, _: Any = None) -> str:
    """Return a share as the label of a tick."""
    return f"{100 * value:.10g} %"


def bought(value: float, _: Any = None) -> str:
    """Return a number of labels as the label of a tick."""
    return f"{value:,.10g}"


def axes(fig: Any, left: float, right: float, top: float, bottom: float) -> Any:
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
        s for s in setting.strategies if palette[s.name] != GREY or s.name in (*REFERENCES, setting.reference)
    ]
    longest = max(len(clip(s.name, narrow=narrow)) for s in loud)
    right = min((6.6 if narrow else 7.6) * longest + 26, width * 0.42)
    with figure(name, width, height) as (fig, titles):
        ax = axes(fig, 46, right, 12, 44)
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
        if setting.full is not None and setting.full.runs:
            means.append(setting.full.accuracy)
            ax.axhline(setting.full.accuracy, color=MUTED, linewidth=1, linestyle=(0, (6, 4)), zorder=1)
        size = max(max(means) - min(means), 0.01)
        bands = [v for s in loud for p in s.curve for v in (p.low, p.high) if v is not None]
        # Bands of a few seeds can be wider than everything else: they are cut where they would flatten the lines.
        low_end = max(0.0, min(means) - 0.35 * size, min([min(means) - 0.06 * size, *bands]))
        high_end = min(1.0, max(means) + 0.35 * size, max([max(means) + 0.06 * size, *bands]))
        if high_end - low_end < 0.01:  # a flat line: hundredths of a point would be noise made large
            low_end = max(0.0, high_end - 0.02)
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
                clip(summary.name, narrow=narrow), (last.labels, last.mean), xytext=(12, (y - last.mean) / pixel),
                textcoords="offset pixels", va="center", fontsize=12 if narrow else 13, color=INK, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": palette[summary.name], "linewidth": 1.2, "shrinkA": 0,
                            "shrinkB": 4, "relpos": (0, 0.5)},
            )  # fmt: skip
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 8, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(6))
        ax.xaxis.set_major_formatter(FuncFormatter(bought))
        ax.yaxis.set_major_formatter(FuncFormatter(in_percent))
        ax.grid(visible=False, axis="x")
        ax.set_xlabel("labels bought", loc="left", fontsize=12)
        return render(fig, name, f"Learning curves: accuracy against labels bought, {setting.title}", titles)


def clip(name: str, *, narrow: bool) -> str:
    """Return a name, cut where it would push the drawing aside."""
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
    left = min(12 + 7.6 * max(len(clip(p.strategy, narrow=narrow)) for p in pairs), width * 0.42)
    row = 30
    with figure(name, width, row * len(pairs) + 52) as (fig, titles):
        ax = axes(fig, left, 14, 6, 46)
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
            range(len(pairs)), [clip(p.strategy, narrow=narrow) for p in pairs], fontsize=13, color=INK
        )
        ax.grid(visible=False, axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda v, _: f"{v:+,.10g}".replace("-", "−") if v else "0")
        )
        ax.margins(x=0.06)
        words = {
            "labels": "fewer labels",
            "aubc": f"points of {setting.area} more",
            "final": "points of final accuracy more",
        }
        ax.set_xlabel(
            f"{words[measure]} than {clip(setting.reference, narrow=narrow)}", loc="left", fontsize=12
        )
        return render(fig, name, f"Paired differences from {setting.reference}, {setting.title}", titles)


def phases(summaries: Sequence[Summary], name: str, *, width: int) -> str | None:
    """Return mean seconds a round as one stacked bar a strategy: fit, measure, infer, propose, learn."""
    from matplotlib.ticker import MaxNLocator

    timed = [s for s in summaries if sum(s.seconds.values()) > 0]
    if not timed:
        return None
    narrow = width < 500
    left = min(12 + 7.6 * max(len(clip(s.name, narrow=narrow)) for s in timed), width * 0.42)
    with figure(name, width, 28 * len(timed) + 46) as (fig, titles):
        ax = axes(fig, left, 14, 4, 42)
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
        ax.set_yticks(range(len(timed)), [clip(s.name, narrow=narrow) for s in timed], fontsize=13, color=INK)
        ax.grid(visible=False, axis="y")
        ax.xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
        ax.set_xlabel("mean seconds a round", loc="left", fontsize=12)
        return render(fig, name, "Mean seconds a round by phase", titles)
