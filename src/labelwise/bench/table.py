"""The findings as a table for the terminal, at most 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelwise.bench.findings import Comparison, Setting, Summary
from labelwise.bench.words import count, percent, ratio
from labelwise.functional.curves import Interval

if TYPE_CHECKING:
    from rich.table import Table


_WORDS = (
    "AUBC: mean accuracy over the labels bought. ±: half the 95 % interval over seeds. scoring: seconds to choose, over seconds "
    "to train. Bold: clearly better than the second."
)


def summary_table(comparison: Comparison) -> Table:
    """Return one row for each strategy and setting: area, final accuracy, labels to the target, scoring cost.

    Bold where the paired differences say that the best is better than the second; ± is half the 95 % interval over
    seeds.
    """
    from rich.markup import escape
    from rich.table import Table

    several = len(comparison.settings) > 1
    table = Table(
        box=None,
        pad_edge=False,
        header_style="dim",
        caption=_WORDS,
        caption_style="dim",
        caption_justify="left",
    )
    single = all(setting.one_fit for setting in comparison.settings)
    table.add_column("method" if single else "strategy", overflow="ellipsis", max_width=24, no_wrap=True)
    for name in (
        "accuracy, %" if single else "AUBC, %",
        "final, %",
        _reach_head(comparison),
        "scoring",
        "seeds",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for setting in comparison.settings:
        if several:
            table.add_row(f"[dim]{escape(setting.title)}[/dim]")
        for s in setting.strategies:
            table.add_row(
                escape(s.name),
                _share(s.aubc, bold=setting.bold["aubc"] == s.name),
                _share(s.final, bold=setting.bold["final"] == s.name),
                _needed(setting, s, several=several),
                "–" if s.scoring_ratio is None else ratio(s.scoring_ratio),
                str(len(s.seeds)),
            )
    return table


def _reach_head(comparison: Comparison) -> str:
    targets = {s.target for s in comparison.settings if s.target is not None}
    return f"labels to {percent(targets.pop())}" if len(targets) == 1 else "labels (to)"


def _share(interval: Interval, *, bold: bool) -> str:
    text = f"{100 * interval.mean:.1f}"
    half = "" if interval.high is None else f" [dim]±{100 * (interval.high - interval.mean):.1f}[/dim]"
    return (f"[bold]{text}[/bold]" if bold else text) + half


def _needed(setting: Setting, summary: Summary, *, several: bool) -> str:
    found = next((r for r in summary.reach if r.target == setting.target), None)
    if found is None:
        return "–"
    if found.labels is None:
        return f"{found.reached} of {found.of} runs"
    text = count(found.labels.mean)
    if setting.bold["labels"] == summary.name:
        text = f"[bold]{text}[/bold]"
    half = "" if found.labels.high is None else f" [dim]±{count(found.labels.high - found.labels.mean)}[/dim]"
    return text + half + (f" [dim]({percent(found.target)})[/dim]" if several else "")
