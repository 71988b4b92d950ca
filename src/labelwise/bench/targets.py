"""How many labels reach an accuracy: round ones that people name, and shares of what all the labels give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from labelwise.bench.findings import Full, Share
from labelwise.bench.settings import Group, RunCurve, curve_of
from labelwise.functional.curves import labels_to_reach, mean_interval
from labelwise.functional.ranking import paired_ratio

# Accuracies that people name; a report shows the highest that were reached.
ROUND_TARGETS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
SHARES = (0.9, 0.95, 0.99)  # of the accuracy with every label
ROUNDING = 1e-9  # a mean of equal accuracies may be a little less than each


def accuracy_at(curve: RunCurve, labels: float) -> float:
    return float(np.interp(labels, curve.labels, curve.accuracy))


def inside(curve: RunCurve, span: tuple[int, int]) -> tuple[list[int], list[float]]:
    """Return the part of a curve within the span, its ends interpolated where no fit lies there."""
    labels = sorted({span[0], span[1], *(n for n in curve.labels if span[0] < n < span[1])})
    return labels, [accuracy_at(curve, n) for n in labels]


def targets_of(
    curves: Mapping[str, Sequence[RunCurve]], best: str, span: tuple[int, int]
) -> tuple[list[float], list[float]]:
    """Return the accuracies that the best strategy's mean reaches and did not start with: round ones, and another.

    The other is 90 % of the best final accuracy, where no round number lies beside it: a task that ends at 0.4 needs a
    target, too.
    """
    start = float(np.mean([accuracy_at(curve, span[0]) for curve in curves[best]]))
    end = float(np.mean([accuracy_at(curve, span[1]) for curve in curves[best]])) + ROUNDING
    named = [target for target in ROUND_TARGETS if start < target <= end]
    relative = round(
        0.9 * max(float(np.mean([accuracy_at(c, span[1]) for c in mine])) for mine in curves.values()), 3
    )
    lonely = start < relative <= end and all(abs(relative - target) > 0.06 for target in named)
    return named, [relative] if lonely else []


def labels_needed(curves: Sequence[RunCurve], target: float, span: tuple[int, int]) -> dict[int, float]:
    """Return seed -> labels needed, for the runs that reached the target within the span."""
    found = {}
    for curve in curves:
        reached = labels_to_reach(*inside(curve, span), target)
        if reached is not None:
            found[curve.seed] = float(reached)
    return found


def common_target(
    curves: Mapping[str, Sequence[RunCurve]], names: set[str], targets: Sequence[float], span: tuple[int, int]
) -> float | None:
    """Return the highest target that every run of some strategies reached."""
    for target in sorted(targets, reverse=True):
        if all(len(labels_needed(curves[name], target, span)) == len(curves[name]) for name in names):
            return target
    return None


def full_accuracy(found: Group, groups: Sequence[Group]) -> Full | None:
    """Return the accuracy with every label: measured by runs of the same task, recipe and oracle, or the best that there is.

    A run counts if it bought its whole pool, whatever its plan and strategy. Without any, the best mean final accuracy
    of the setting stands in. None where the setting is one fit, so that no label count can be told.
    """
    if found.span[0] == found.span[1]:
        return None
    values = []
    for other in groups:
        if other.part == found.part and _but_plan(other) == _but_plan(found):
            for run in (run for mine in other.runs.values() for run in mine):
                curve = curve_of(run, other.part)
                opened = run.state.opened
                if opened is not None and run.finished and curve.labels[-1] >= int(opened.task["pool"]):
                    values.append(curve.accuracy[-1])
    if values:
        return Full(float(np.mean(values)), len(values))
    finals = [
        float(np.mean([accuracy_at(curve_of(run, found.part), found.span[1]) for run in mine]))
        for mine in found.compared.values()
    ]
    return Full(max(finals), 0)


def _but_plan(found: Group) -> dict[str, object]:
    return {key: value for key, value in found.shared.items() if key != "plan"}


def shares(
    curves: Mapping[str, Sequence[RunCurve]], reference: str, span: tuple[int, int], full: Full | None
) -> tuple[Share, ...]:
    """Return labels needed for shares of the full accuracy, and their ratio to what the reference needed.

    A share that the reference has from the start says nothing and is left out.
    """
    if full is None or (not full.runs and len(curves) == 1):
        return ()
    start = float(np.mean([accuracy_at(curve, span[0]) for curve in curves[reference]]))
    made = []
    for share in SHARES:
        target = share * full.accuracy
        if start >= target:
            continue
        theirs = labels_needed(curves[reference], target - ROUNDING, span)
        for name, mine in curves.items():
            found = labels_needed(mine, target - ROUNDING, span)
            common = sorted({c.seed for c in mine} & {c.seed for c in curves[reference]})
            ratio, at_most = None, None
            if name != reference and common and span[0] > 0 and all(seed in found for seed in common):
                # A reference that has not got there by the end needs more than that: the true ratio is lower.
                against = paired_ratio(
                    [found[seed] for seed in common], [theirs.get(seed, float(span[1])) for seed in common]
                )
                if all(seed in theirs for seed in common):
                    ratio = against
                else:
                    at_most = against.mean
            labels = mean_interval(list(found.values())) if len(found) == len(mine) else None
            made.append(Share(share, target, name, len(found), len(mine), labels, ratio, at_most))
    return tuple(made)
