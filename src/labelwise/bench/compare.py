"""What a benchmark found: curves, areas, paired differences between strategies, and one sentence that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from labelwise.bench.findings import Comparison, Crossing, Pair, Point, Reach, Setting, Summary
from labelwise.bench.names import REFERENCES, Cases
from labelwise.bench.penalty import penalty
from labelwise.bench.results import Run
from labelwise.bench.settings import Group, RunCurve, curve_of, group
from labelwise.bench.words import overall, spoken
from labelwise.functional.curves import (
    Interval,
    aubc,
    aubc_quota,
    crossing_point,
    labels_to_reach,
    mean_interval,
    paired_difference,
)

__all__ = ["Comparison", "Setting", "compare"]

# Accuracies that people name; a report shows the highest that were reached.
ROUND_TARGETS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
MEASURES = ("aubc", "final", "labels")
ALPHA = 0.05
ROUNDING = 1e-9  # a mean of equal accuracies may be a little less than each
LEAST_SEEDS = 3  # two seeds that happen to differ by the same amount would make p = 0


def compare(runs: Iterable[Run], cases: Cases | None = None) -> Comparison:
    """Return what the runs show. Test data are read here and nowhere before: for reporting only.

    Args:
        runs: any runs.
        cases: of a protocol, by which methods and settings are called: see `settings.group`.

    Raises:
        InputError: no runs, or none that was measured.
    """
    groups = group(runs, cases)
    settings = tuple(spoken(_setting(one)) for one in groups)
    return Comparison(overall(settings), settings, groups, penalty(settings))


def _setting(found: Group) -> Setting:
    part, span = found.part, found.span
    curves = {name: [curve_of(run, part) for run in runs] for name, runs in found.compared.items()}
    areas = {name: [_area(curve, span) for curve in mine] for name, mine in curves.items()}
    order = sorted(curves, key=lambda name: (-float(np.mean(areas[name])), name))
    reference = next((name for name in REFERENCES if name in curves), order[-1])
    named, relative = _targets(curves, order[0], span)
    target = _common_target(curves, {order[0], reference}, (*named, *relative), span)
    shown = sorted({*named[-2:], *relative, *([] if target is None else [target])})
    summaries = []
    for name in order:
        everything = tuple(curve_of(run, part) for run in found.runs[name])
        summaries.append(_summary(name, everything, curves[name], areas[name], found, shown))
    values = {
        "aubc": {name: _by_seed(curves[name], areas[name]) for name in order},
        "final": {name: _by_seed(curves[name], [_at(c, span[1]) for c in curves[name]]) for name in order},
        "labels": {} if target is None else {name: _needed(curves[name], target, span) for name in order},
    }
    pairs: list[Pair] = []
    for measure in MEASURES:
        made = [
            _pair(name, reference, measure, values[measure])
            for name in order
            if name != reference and values[measure]
        ]
        pairs += _holm([pair for pair in made if pair is not None])
    bold: dict[str, str | None] = {}
    for measure in MEASURES:
        best, second = _first_two(values[measure], lower=measure == "labels")
        bold[measure] = None
        if best is None or second is None:
            continue
        pair = _pair(best, second, measure, values[measure])
        known = next(
            (p for p in pairs if (p.strategy, p.against, p.measure) == (best, second, measure)), None
        )
        if pair is not None and known is None:
            # One look at one pair; its Holm correction would be over itself.
            known = _holm([pair])[0]
            pairs.append(known)
        bold[measure] = best if known is not None and known.clear else None
    crossings = tuple(_crossing(name, reference, curves, span) for name in order if name != reference)
    return Setting(
        found.key, found.title, found.shared, part, span, found.preliminary, found.caveats, tuple(summaries),
        reference, target, tuple(pairs), bold, crossings,
    )  # fmt: skip


def _at(curve: RunCurve, labels: float) -> float:
    return float(np.interp(labels, curve.labels, curve.accuracy))


def _inside(curve: RunCurve, span: tuple[int, int]) -> tuple[list[int], list[float]]:
    """Return the part of a curve within the span, its ends interpolated where no fit lies there."""
    labels = sorted({span[0], span[1], *(n for n in curve.labels if span[0] < n < span[1])})
    return labels, [_at(curve, n) for n in labels]


def _area(curve: RunCurve, span: tuple[int, int]) -> float:
    labels, accuracy = _inside(curve, span)
    return aubc(labels, accuracy)


def _targets(
    curves: Mapping[str, Sequence[RunCurve]], best: str, span: tuple[int, int]
) -> tuple[list[float], list[float]]:
    """Return the accuracies that the best strategy's mean reaches and did not start with: round ones, and another.

    The other is 90 % of the best final accuracy, where no round number lies beside it: a task that ends at 0.4 needs a
    target, too.
    """
    start = float(np.mean([_at(curve, span[0]) for curve in curves[best]]))
    end = float(np.mean([_at(curve, span[1]) for curve in curves[best]])) + ROUNDING
    named = [target for target in ROUND_TARGETS if start < target <= end]
    relative = round(
        0.9 * max(float(np.mean([_at(c, span[1]) for c in mine])) for mine in curves.values()), 3
    )
    lonely = start < relative <= end and all(abs(relative - target) > 0.06 for target in named)
    return named, [relative] if lonely else []


def _needed(curves: Sequence[RunCurve], target: float, span: tuple[int, int]) -> dict[int, float]:
    """Return seed -> labels needed, for the runs that reached the target within the span."""
    found = {}
    for curve in curves:
        needed = labels_to_reach(*_inside(curve, span), target)
        if needed is not None:
            found[curve.seed] = float(needed)
    return found


def _common_target(
    curves: Mapping[str, Sequence[RunCurve]], names: set[str], targets: Sequence[float], span: tuple[int, int]
) -> float | None:
    """Return the highest target that every run of some strategies reached."""
    for target in sorted(targets, reverse=True):
        if all(len(_needed(curves[name], target, span)) == len(curves[name]) for name in names):
            return target
    return None


def _summary(
    name: str,
    everything: tuple[RunCurve, ...],
    curves: Sequence[RunCurve],
    areas: Sequence[float],
    found: Group,
    targets: Sequence[float],
) -> Summary:
    span = found.span
    grid = sorted({n for curve in curves for n in _inside(curve, span)[0]})
    points = []
    for n in grid:
        at = mean_interval([_at(curve, n) for curve in curves])
        points.append(Point(n, at.mean, at.low, at.high, at.n))
    reach = []
    for target in targets:
        needed = _needed(curves, target, span)
        mean = mean_interval(list(needed.values())) if len(needed) == len(curves) else None
        reach.append(Reach(target, len(needed), len(curves), mean))
    seconds, ratio = _timing(found.compared[name])
    finals = [_at(curve, span[1]) for curve in curves]
    return Summary(
        name,
        tuple(curve.seed for curve in curves),
        everything,
        tuple(points),
        mean_interval(areas),
        _deviation(areas),
        _papers_area(curves, found),
        mean_interval(finals),
        _deviation(finals),
        tuple(reach),
        seconds,
        ratio,
    )


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _timing(runs: Sequence[Run]) -> tuple[dict[str, float], float | None]:
    """Return mean seconds a round by phase, and scoring seconds over fitting seconds of the rounds that asked."""
    fits = [fit for run in runs for fit in run.fits]
    names = sorted({name for fit in fits for name in fit.seconds})
    seconds = {
        name: float(np.mean([fit.seconds[name] for fit in fits if name in fit.seconds])) for name in names
    }
    asked = [fit.seconds for fit in fits if "propose" in fit.seconds and "fit" in fit.seconds]
    fitting = sum(s["fit"] for s in asked)
    if not fitting:
        return seconds, None
    return seconds, sum(s.get("infer", 0.0) + s["propose"] for s in asked) / fitting


def _papers_area(curves: Sequence[RunCurve], found: Group) -> Interval | None:
    """Return AUBC in the papers' form; None unless every run has a fit after the start and after every batch."""
    plan = found.shared["plan"]
    values = []
    for curve in curves:
        quota = curve.labels[-1] - curve.labels[0]
        full = [min(curve.labels[0] + k * plan["batch"], curve.labels[-1]) for k in range(len(curve.labels))]
        if quota <= 0 or list(curve.labels) != full:
            return None
        values.append(aubc_quota(curve.accuracy, plan["batch"], quota))
    return mean_interval(values)


def _by_seed(curves: Sequence[RunCurve], values: Sequence[float]) -> dict[int, float]:
    return {curve.seed: value for curve, value in zip(curves, values, strict=True)}


def _pair(
    strategy: str, against: str, measure: str, values: Mapping[str, Mapping[int, float]]
) -> Pair | None:
    """Return one comparison over the seeds that both have; None where they share none."""
    mine, theirs = values[strategy], values[against]
    common = sorted(mine.keys() & theirs.keys())
    if not common:
        return None
    sign = -1.0 if measure == "labels" else 1.0
    gains = [sign * (mine[seed] - theirs[seed]) for seed in common]
    bootstrap = paired_difference(gains, [0.0] * len(gains))
    interval = mean_interval(gains)
    return Pair(
        strategy, against, measure, tuple(common), tuple(gains), interval, bootstrap, None, clear=False
    )


def _excludes_zero(pair: Pair) -> bool:
    """Return True if both 95 % intervals lie on one side of 0."""
    ends = (pair.interval.low, pair.interval.high, pair.bootstrap.low, pair.bootstrap.high)
    known = [end for end in ends if end is not None]
    return len(known) == len(ends) and (min(known) > 0 or max(known) < 0)


def _holm(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs with p corrected for how many were looked at, and whether each is clear.

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    tested = sorted((p.bootstrap.p, p.strategy) for p in pairs if p.bootstrap.p is not None)
    corrected: dict[str, float] = {}
    running = 0.0
    for k, (p, strategy) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - k) * p))
        corrected[strategy] = running
    made = []
    for pair in pairs:
        p_holm = corrected.get(pair.strategy)
        clear = (
            p_holm is not None and p_holm < ALPHA and len(pair.seeds) >= LEAST_SEEDS and _excludes_zero(pair)
        )
        made.append(replace(pair, p_holm=p_holm, clear=clear))
    return made


def _first_two(values: Mapping[str, Mapping[int, float]], *, lower: bool) -> tuple[str | None, str | None]:
    """Return the best and the second strategy by their means; None where there are fewer."""
    means = {name: float(np.mean(list(of.values()))) for name, of in values.items() if of}
    order = sorted(means, key=lambda name: (means[name] if lower else -means[name], name))
    return (order[0] if order else None), (order[1] if len(order) > 1 else None)


def _crossing(
    strategy: str, reference: str, curves: Mapping[str, Sequence[RunCurve]], span: tuple[int, int]
) -> Crossing:
    """Return where the reference's mean curve overtakes the strategy's."""
    both = (strategy, reference)
    grid = sorted({n for name in both for curve in curves[name] for n in _inside(curve, span)[0]})
    means = [[float(np.mean([_at(curve, n) for curve in curves[name]])) for n in grid] for name in both]
    return Crossing(strategy, reference, crossing_point(grid, means[0], means[1]))
