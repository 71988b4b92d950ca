"""What a benchmark found: curves, areas, paired differences between strategies, and one sentence that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from labelwise.bench.findings import (
    Comparison,
    Cost,
    Crossing,
    Full,
    Pair,
    Point,
    Power,
    Reach,
    Setting,
    Summary,
)
from labelwise.bench.names import REFERENCES, Cases
from labelwise.bench.penalty import penalty
from labelwise.bench.results import Run
from labelwise.bench.settings import Group, RunCurve, curve_of, group
from labelwise.bench.standing import standing
from labelwise.bench.targets import (
    accuracy_at,
    common_target,
    full_accuracy,
    inside,
    labels_needed,
    shares,
    targets_of,
)
from labelwise.bench.words import overall, spoken
from labelwise.functional.curves import (
    Interval,
    aubc,
    aubc_quota,
    crossing_point,
    mean_interval,
    paired_difference,
)
from labelwise.functional.ranking import detectable, holm

__all__ = ["Comparison", "Setting", "compare"]

MEASURES = ("aubc", "final", "labels")
ALPHA = 0.05
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
    settings = tuple(spoken(_setting(one, full_accuracy(one, groups))) for one in groups)
    return Comparison(overall(settings), settings, groups, penalty(settings), standing(settings))


def _setting(found: Group, full: Full | None) -> Setting:
    part, span = found.part, found.span
    curves = {name: [curve_of(run, part) for run in runs] for name, runs in found.compared.items()}
    areas = {name: [_area(curve, span) for curve in mine] for name, mine in curves.items()}
    order = sorted(curves, key=lambda name: (-float(np.mean(areas[name])), name))
    reference = next((name for name in REFERENCES if name in curves), order[-1])
    named, relative = targets_of(curves, order[0], span)
    target = common_target(curves, {order[0], reference}, (*named, *relative), span)
    shown = sorted({*named[-2:], *relative, *([] if target is None else [target])})
    summaries = []
    for name in order:
        everything = tuple(curve_of(run, part) for run in found.runs[name])
        summaries.append(_summary(name, everything, curves[name], areas[name], found, shown))
    values = {
        "aubc": {name: _by_seed(curves[name], areas[name]) for name in order},
        "final": {
            name: _by_seed(curves[name], [accuracy_at(c, span[1]) for c in curves[name]]) for name in order
        },
        "labels": {}
        if target is None
        else {name: _needed_by_all(curves[name], target, span) for name in order},
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
        reference, target, tuple(pairs), bold, crossings, full, shares(curves, reference, span, full),
        _costs(summaries, pairs, reference), _power(pairs, reference),
    )  # fmt: skip


def _area(curve: RunCurve, span: tuple[int, int]) -> float:
    labels, accuracy = inside(curve, span)
    return aubc(labels, accuracy)


def _needed_by_all(curves: Sequence[RunCurve], target: float, span: tuple[int, int]) -> dict[int, float]:
    """Return seed -> labels needed; {} where a run did not get there: a difference of the fast ones would flatter."""
    needed = labels_needed(curves, target, span)
    return needed if len(needed) == len(curves) else {}


def _summary(
    name: str,
    everything: tuple[RunCurve, ...],
    curves: Sequence[RunCurve],
    areas: Sequence[float],
    found: Group,
    targets: Sequence[float],
) -> Summary:
    span = found.span
    grid = sorted({n for curve in curves for n in inside(curve, span)[0]})
    points = []
    for n in grid:
        at = mean_interval([accuracy_at(curve, n) for curve in curves])
        points.append(Point(n, at.mean, at.low, at.high, at.n))
    reach = []
    for target in targets:
        needed = labels_needed(curves, target, span)
        mean = mean_interval(list(needed.values())) if len(needed) == len(curves) else None
        reach.append(Reach(target, len(needed), len(curves), mean))
    seconds, ratio = _timing(found.compared[name])
    finals = [accuracy_at(curve, span[1]) for curve in curves]
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
        tuple(areas),
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


def _costs(summaries: Sequence[Summary], pairs: Sequence[Pair], reference: str) -> tuple[Cost, ...]:
    """Return what choosing costs beyond the reference's, and per point of area where the gain is clear."""
    theirs = next(s.choosing for s in summaries if s.name == reference)
    gains = {p.strategy: p for p in pairs if (p.against, p.measure) == (reference, "aubc")}
    made = []
    for summary in summaries:
        pair = gains.get(summary.name)
        if pair is not None and theirs is not None and summary.choosing is not None:
            extra = summary.choosing - theirs
            worth = pair.clear and pair.mean > 0
            made.append(Cost(summary.name, extra, pair.mean, extra / (100 * pair.mean) if worth else None))
    return tuple(made)


def _power(pairs: Sequence[Pair], reference: str) -> Power | None:
    """Return the difference of areas that the median strategy's seeds can show; None where none has three seeds."""
    compared = [pair for pair in pairs if (pair.against, pair.measure) == (reference, "aubc")]
    sizes = []
    for pair in compared:
        if len(pair.seeds) >= LEAST_SEEDS and (deviation := float(np.std(pair.values, ddof=1))) > 0:
            # What Holm's correction asks of the clearest of them: who looks at many must ask more of each.
            size = detectable(deviation, len(pair.seeds), alpha=ALPHA / len(compared))
            sizes.append(Power(size, len(pair.seeds), pair.strategy))
    return sorted(sizes, key=lambda one: one.difference)[(len(sizes) - 1) // 2] if sizes else None


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
    """Return the pairs with p corrected for how many were looked at, and whether each is clear."""
    tested = [pair for pair in pairs if pair.bootstrap.p is not None]
    p_values = holm(np.array([pair.bootstrap.p for pair in tested], dtype=float)).tolist()
    corrected = {pair.strategy: p for pair, p in zip(tested, p_values, strict=True)}
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
    grid = sorted({n for name in both for curve in curves[name] for n in inside(curve, span)[0]})
    means = [
        [float(np.mean([accuracy_at(curve, n) for curve in curves[name]])) for n in grid] for name in both
    ]
    return Crossing(strategy, reference, crossing_point(grid, means[0], means[1]))
