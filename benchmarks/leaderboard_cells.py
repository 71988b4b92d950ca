"""What the pages of the leaderboard share: who is best, and cells of their tables."""

from __future__ import annotations

from dataclasses import replace

from labelwise.bench.findings import Pair, Setting, Share, Summary
from labelwise.bench.names import REFERENCE
from labelwise.bench.report import heats
from labelwise.bench.report.tables import Cell
from labelwise.bench.words import count

HEAD = ["---", "hide:", "  - toc", "---", ""]
MADE = "<!-- made by `python benchmarks/leaderboard.py` from the committed results; do not edit -->"
READABLE = 22  # strategies in a matrix


def gain(setting: Setting, name: str) -> float:
    """Return how much AUBC a strategy has more than random over the seeds of both; 0 for random itself."""
    pair = setting.pair(name, "aubc")
    return pair.mean if pair is not None and pair.against == REFERENCE else 0.0


def ordered(setting: Setting) -> list[Summary]:
    """Return the strategies by what they gain over random, seed by seed: means over unequal seeds have no order."""
    return sorted(setting.strategies, key=lambda s: (-gain(setting, s.name), s.name))


def best_of(setting: Setting) -> str | None:
    """Return the strategy that gains most over random; None where random is best or alone."""
    first = ordered(setting)[0].name
    return None if first == REFERENCE else first


def share_of(setting: Setting, name: str, share: float) -> Share | None:
    """Return the labels that a strategy needed for a share of the full accuracy; None where it was left out."""
    return next((s for s in setting.shares if (s.strategy, s.share) == (name, share)), None)


def signed(value: float) -> str:
    """Return a difference in points with its sign, two decimals."""
    return f"{100 * value:+.2f}".replace("-", "−")


def difference_cell(pair: Pair | None) -> Cell:
    if pair is None:
        return Cell("–")
    half = "" if pair.half is None else f"±{100 * pair.half:.2f}"
    return Cell(signed(pair.mean), half, f"{pair.mean:.6f}", pair.clear)


def p_cell(pair: Pair | None) -> Cell:
    p = None if pair is None else pair.p_holm
    if p is None:
        return Cell("–")
    return Cell("< 0.001" if p < 0.001 else f"{p:.3f}", "", f"{p:.6g}")


def labels_cell(found: Share | None) -> Cell:
    if found is None:
        return Cell("–")
    if found.labels is None:
        return Cell("–", f"{found.reached} of {found.of}")
    return Cell(count(found.labels.mean), "", f"{found.labels.mean:.1f}")


def ratio_cell(found: Share | None) -> Cell:
    if found is None:
        return Cell("–")
    if found.ratio is not None:
        ends = "" if found.ratio.low is None else f"{found.ratio.low:.2f}–{found.ratio.high:.2f}"
        return Cell(f"{found.ratio.mean:.2f}", ends, f"{found.ratio.mean:.4f}")
    return Cell("–") if found.at_most is None else Cell(f"≤ {found.at_most:.2f}", "", f"{found.at_most:.4f}")


def seconds_cell(value: float | None) -> Cell:
    if value is None:
        return Cell("–")
    shown = (
        f"{value:#.2g}".rstrip(".") if value < 10 else f"{value:,.0f}"
    )  # 0.020, not 0.02: two digits in each row
    return Cell("0" if value < 5e-4 else shown, "", f"{value:.6f}")


def of_sets(shown: heats.Heat) -> heats.Heat:
    words = (
        shown.caption.replace("each setting", "each set")
        .replace("settings", "sets")
        .replace("this setting", "this set")
    )
    return replace(shown, caption=words)
