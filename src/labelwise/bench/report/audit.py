"""The page's part on audits: what random picks say of the accuracy, and what chance would have bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup
from threadpoolctl import threadpool_limits

from labelwise import models
from labelwise.bench.findings import Setting
from labelwise.bench.report.figures import axes, bought, clip, in_percent
from labelwise.bench.report.svg import INK, MUTED, figure, render
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, percent, points, seeds
from labelwise.campaign.auditing import audited
from labelwise.campaign.shadow import gain_words, shadow_gain
from labelwise.data.truth import Simulation
from labelwise.errors import LabelwiseError
from labelwise.functional.audit import Audited, Estimate, Gain, pooled, whole, windows
from labelwise.functional.curves import mean_interval

LEAST = 50  # answers behind one point of a curve: at 90 % its interval is ±9 points wide
LEAST_SEEDS = 3
MOST_PANELS = 6


@dataclass(frozen=True, eq=False)
class Audits:
    """What the random picks of one strategy's runs say.

    Attributes:
        strategy: its name.
        rounds: of all its runs together: answers are summed, labels and what is left are means.
        points: (labels, first and last labels, estimate) of each window of rounds, oldest first.
        now: the estimate of the last window.
        pool: (accuracy, low, high) of the whole pool's labels, if the model filled in what people have not told.
        measured: (labels, accuracy) on validation or test data, mean over runs.
        runs: how many.
    """

    strategy: str
    rounds: tuple[Audited, ...]
    points: tuple[tuple[float, tuple[int, int], Estimate], ...]
    now: Estimate
    pool: tuple[float, float, float]
    measured: tuple[tuple[float, float], ...]
    runs: int


def audits(setting: Setting, found: Group) -> list[Audits]:
    """Return what random picks say of each strategy whose runs were audited, in the order of the setting."""
    told = []
    for summary in setting.strategies:
        runs = found.compared[summary.name]
        rounds = _together(runs)
        if not rounds:
            continue
        made = windows(rounds, LEAST)
        last = rounds[-1]
        now = pooled(made[-1])
        at = [
            (
                sum(r.labels * r.n for r in window) / sum(r.n for r in window),
                (window[0].labels, window[-1].labels),
                pooled(window),
            )
            for window in made
        ]
        curve = tuple((float(p.labels), float(p.mean)) for p in summary.curve)
        filled = whole(now, last.labels, last.left)
        told.append(Audits(summary.name, rounds, tuple(at), now, filled, curve, len(runs)))
    return told


def _together(runs: Sequence[Run]) -> tuple[Audited, ...]:
    """Return the audited rounds of some runs as those of one: answers summed, labels and what is left averaged."""
    by_round: dict[int, list[Audited]] = {}
    for run in runs:
        for one in audited(run.state):
            if one.n:
                by_round.setdefault(one.round, []).append(one)
    return tuple(
        Audited(
            t,
            round(sum(r.labels for r in here) / len(here)),
            sum(r.right for r in here),
            sum(r.n for r in here),
            round(sum(r.left for r in here) / len(here)),
        )
        for t, here in sorted(by_round.items())
    )


def gains(found: Group, simulation: Simulation | None) -> dict[str, tuple[list[Gain], str]]:
    """Return strategy -> (the gain over chance of each audited run, and why some have none, in words); it fits models.

    Args:
        found: the setting's runs.
        simulation: the data they saw; None where they are not at hand.
    """
    made: dict[str, tuple[list[Gain], str]] = {}
    for strategy, runs in found.compared.items():
        own = [run for run in runs if any(ask.audit for ask in run.state.asks)]
        if not own:
            continue
        if simulation is None:
            made[strategy] = ([], "The data are not at hand, so no models are compared.")
            continue
        told, why = [], ""
        for run in own:
            recipe = dict(run.spec["recipe"])
            try:
                with threadpool_limits(limits=1):
                    fitting, task = models.prepared(
                        models.make(recipe.pop("name"), **recipe), simulation.task, run.path.parent
                    )
                    told.append(shadow_gain(task, fitting, run.state))
            except (LabelwiseError, OSError) as error:
                why = str(error)
        made[strategy] = (told, why)
    return made


def shown(
    told: Sequence[Audits],
    setting: Setting,
    palette: Mapping[str, str],
    name: str,
    bought_by: Mapping[str, tuple[list[Gain], str]] | None,
) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was audited.

    Args:
        told: of the setting.
        setting: the comparison's part.
        palette: strategy -> colour.
        name: prefix of the figures' ids.
        bought_by: see `gains`; None: they were not asked for.
    """
    if not told:
        return None
    lines = [line for one in told for line in _gain_lines(one.strategy, (bought_by or {}).get(one.strategy))]
    if any(made for made, _ in (bought_by or {}).values()):
        lines.append(
            "These are gains early in the campaign: nobody bought as many random labels as there are in the end."
        )
    if bought_by is None:
        lines = [
            "With --audit, labelwise report also fits models on as many random and chosen labels, and compares them."
        ]
    low = min(min((e.low for *_, e in one.points), default=1.0) for one in told)
    panels = [
        Markup(_panel(one, palette[one.strategy], setting.part, low, f"{name}-{k}"))  # noqa: S704 - drawn here
        for k, one in enumerate(told[:MOST_PANELS])
    ]
    return {
        "headline": _headline(told[0]),
        "lines": lines,
        "panels": panels,
        "table": _table(told, setting.part, palette),
        "caption": (
            f"Dots: share of the random picks that the model had right before it learned them, at least {LEAST} answers "
            f"a dot where there are, with the 95 % Clopper-Pearson interval; they hold for what is left of the pool, on "
            f"average over the models of the rounds that the thin line spans. Grey: "
            f"accuracy on {setting.part} data. A strategy that takes the hard samples first leaves the easier ones, so that "
            "dots above the line are no contradiction."
        ),
    }


def _headline(one: Audits) -> str:
    now = one.now
    return (
        f"{one.strategy}: the model is right on {percent(now.accuracy)} of what is left of the pool (95 % interval "
        f"{percent(now.low)} to {percent(now.high)}, {count(now.n)} random picks, {seeds(one.runs)}). If it filled in "
        f"the rest, {percent(one.pool[0])} of the pool's labels would be right ({percent(one.pool[1])} to "
        f"{percent(one.pool[2])})."
    )


def _gain_lines(strategy: str, found: tuple[list[Gain], str] | None) -> list[str]:
    if found is None:
        return []
    told, why = found
    lines = [f"{strategy}, left out: {why}"] if why else []
    if len(told) < LEAST_SEEDS:
        return [gain_words(one, strategy) for one in told] + lines
    over = mean_interval([one.gain for one in told])
    labels = sum(one.labels for one in told) / len(told)
    by_chance = sum(one.chance for one in told) / len(told)
    by_strategy = sum(one.strategy for one in told) / len(told)
    between = "" if over.low is None or over.high is None else f"{_signed(over.low)} to {_signed(over.high)}"
    return [
        f"With {count(labels)} labels, those that {strategy} chose reach {percent(by_strategy)} and as many random ones "
        f"{percent(by_chance)}: {_signed(over.mean)} points (95 % interval over {seeds(len(told))} {between}).",
        *lines,
    ]


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{points(value)}".replace("-", "−")


def _panel(one: Audits, colour: str, part: str, low: float, name: str) -> str:
    """Return one strategy's estimates with their intervals over the labels, and what was measured beside them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with figure(name, 316, 210) as (fig, titles):
        ax = axes(fig, 46, 10, 26, 40)
        if one.measured:
            titles["measured"] = f"accuracy on {part} data"
            ax.plot(*zip(*one.measured, strict=True), color=MUTED, linewidth=1.4, gid="measured", zorder=2)
        for k, (labels, span, found) in enumerate(one.points):
            titles[f"dot-{k}"] = (
                f"{found.right} of {found.n} right: {percent(found.accuracy)} ({percent(found.low)} to "
                f"{percent(found.high)}), by about {count(labels)} labels"
            )
            ax.plot([labels, labels], [found.low, found.high], color=colour, linewidth=2, zorder=3)
            ax.plot(span, [found.accuracy] * 2, color=colour, linewidth=1, zorder=3)
            ax.plot([labels], [found.accuracy], "o", color=colour, markersize=7, gid=f"dot-{k}", zorder=4)
        values = [low, *(value for _, value in one.measured)]
        ax.set_ylim(max(0.0, min(values) - 0.03), 1.005)
        ax.set_title(
            clip(one.strategy, narrow=False), loc="left", fontsize=12.5, color=INK, pad=6, weight="bold"
        )
        ax.set_xlabel("labels bought", loc="left", fontsize=12)
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(FuncFormatter(bought))
        ax.yaxis.set_major_formatter(FuncFormatter(in_percent))
        ax.grid(visible=False, axis="x")
        return render(fig, name, f"Accuracy of {one.strategy} on what is left, by random picks", titles)


def _table(told: Sequence[Audits], part: str, palette: Mapping[str, str]) -> Table:
    columns = ("strategy", "random picks", "right on what is left, %", "whole pool, %", f"{part}, %", "seeds")
    rows = []
    for one in told:
        measured = one.measured[-1][1] if one.measured else None
        answers = sum(r.n for r in one.rounds)
        cells = (
            Cell(count(answers), "", str(answers)),
            _cell(one.now.accuracy, one.now.low, one.now.high),
            _cell(*one.pool),
            Cell("–") if measured is None else Cell(f"{100 * measured:.1f}", "", f"{measured:.6f}"),
            Cell(str(one.runs), "", str(one.runs)),
        )
        rows.append(Row(one.strategy, palette[one.strategy], cells))
    caption = (
        "Right on what is left: of the newest random picks, as many rounds back as hold "
        f"{LEAST} answers. Whole pool: people's labels, taken as right, and the model's where there is none. Small: 95 % "
        f"interval. {part.capitalize()}: measured after the last label."
    )
    return Table(tuple(Column(head) for head in columns), tuple(rows), caption)


def _cell(value: float, low: float, high: float) -> Cell:
    return Cell(f"{100 * value:.1f}", f"{100 * low:.1f} to {100 * high:.1f}", f"{value:.6f}")


def as_json(
    told: Sequence[Audits], bought_by: Mapping[str, tuple[list[Gain], str]] | None
) -> dict[str, dict[str, Any]]:
    """Return strategy -> everything its random picks say, as JSON values."""
    return {
        one.strategy: {
            "rounds": [r._asdict() for r in one.rounds],
            "points": [{"labels": at, "span": span, **found._asdict()} for at, span, found in one.points],
            "now": one.now._asdict(),
            "pool": one.pool,
            "gains": [asdict(g) for g in (bought_by or {}).get(one.strategy, ([], ""))[0]],
        }
        for one in told
    }
