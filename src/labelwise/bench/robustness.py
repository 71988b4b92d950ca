"""What shifts of the test data cost: accuracy and risk under each, read from runs, and methods beside one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np

from labelwise.bench.results import Run
from labelwise.functional.curves import Difference, paired_difference
from labelwise.functional.robust import Floats

CONTROL = "control"  # the kind of shifts that break the copula: nothing is promised about them
MOST_RADIUS = 1e6  # no budget of a larger one says anything


@dataclass(frozen=True)
class Moved:
    """What one shift did to a fitted model.

    Attributes:
        name: of the shift, unique in its task.
        modality: which one moved; None: several or all.
        kind: "noise", "mean up", "control", ...
        severity: 1 to 5, where it has one.
        rho: χ² radius of each modality that moved; None where it is not known.
        accuracy: on the shifted samples.
        risk: mean loss on them.
    """

    name: str
    modality: str | None
    kind: str
    severity: int | None
    rho: Mapping[str, float] | None
    accuracy: float
    risk: float

    @property
    def radius(self) -> float | None:
        """The largest of the radii; None where none is known."""
        return max(self.rho.values()) if self.rho else None


@dataclass(frozen=True)
class Shifts:
    """A fitted model on one set of test samples, as they are and under every shift.

    Attributes:
        n: how many samples.
        accuracy, risk, variance: as they are; the last two of the capped cross-entropy.
        moved: one a shift, in the order of the task's.
    """

    n: int
    accuracy: float
    risk: float
    variance: float
    moved: tuple[Moved, ...]

    @property
    def kept(self) -> tuple[Moved, ...]:
        """The shifts that count: all but the controls, which no method is meant to withstand."""
        return tuple(m for m in self.moved if m.kind != CONTROL)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that moved by themselves."""
        return tuple(dict.fromkeys(m.modality for m in self.kept if m.modality is not None))

    def worst(self, modality: str | None = None) -> float:
        """Return the lowest accuracy under any shift, or any of one modality by itself; NaN where there is none."""
        return min((m.accuracy for m in self._of(modality)), default=float("nan"))

    def mean(self, modality: str | None = None) -> float:
        """Return the mean accuracy under the same shifts; NaN where there is none."""
        found = [m.accuracy for m in self._of(modality)]
        return float(np.mean(found)) if found else float("nan")

    def worst_risk(self) -> float:
        """Return the greatest mean loss under any shift; NaN where there is none."""
        return max((m.risk for m in self.kept), default=float("nan"))

    def _of(self, modality: str | None) -> tuple[Moved, ...]:
        return tuple(m for m in self.kept if modality is None or m.modality == modality)


def shifts_of(analysis: Mapping[str, Any]) -> Shifts | None:
    """Return what an analysis of a fit says of shifts; None where it says nothing, or in another shape.

    Args:
        analysis: of `labelwise.events.Fitted`; it may come from a stranger's file.
    """
    told = analysis.get("shifts")
    if not isinstance(told, Mapping) or not isinstance(clean := told.get("clean"), Mapping):
        return None
    n, variance = clean.get("n"), number(clean.get("variance"), least=0)
    accuracy, risk = number(clean.get("accuracy"), 0, 1), number(clean.get("risk"))
    if not isinstance(n, int) or variance is None or accuracy is None or risk is None:
        return None
    rows = told.get("moved")
    moved = [_moved(row) for row in rows] if isinstance(rows, list | tuple) else []
    known = tuple(one for one in moved if one is not None)
    return Shifts(n, accuracy, risk, variance, known) if known else None


def _moved(row: Any) -> Moved | None:
    if not isinstance(row, Mapping):
        return None
    name, kind, modality, severity = (row.get(key) for key in ("name", "kind", "modality", "severity"))
    accuracy, risk = number(row.get("accuracy"), 0, 1), number(row.get("risk"))
    if not isinstance(name, str) or not isinstance(kind, str) or accuracy is None or risk is None:
        return None
    return Moved(
        name,
        modality if isinstance(modality, str) else None,
        kind,
        severity if isinstance(severity, int) else None,
        _radii(row.get("rho")),
        accuracy,
        risk,
    )


def _radii(value: Any) -> dict[str, float] | None:
    if not isinstance(value, Mapping) or not value:
        return None
    found = {str(key): number(radius, 0, MOST_RADIUS) for key, radius in value.items()}
    known = {key: radius for key, radius in found.items() if radius is not None}
    return known if len(known) == len(found) else None


def number(value: Any, least: float = -inf, most: float = inf) -> float | None:
    """Return a finite number in [least, most]; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value) if least <= value <= most else None


@dataclass(frozen=True, eq=False)
class Robust:
    """What the runs of one method show under shifts.

    Attributes:
        method: its label.
        seeds: of the runs that tell.
        history: one a seed: labels bought -> what the fit on them shows, ascending, at least one.
    """

    method: str
    seeds: tuple[int, ...]
    history: tuple[Mapping[int, Shifts], ...]

    @property
    def shifts(self) -> tuple[Shifts, ...]:
        """What the last fit of each seed shows."""
        return tuple(list(fits.values())[-1] for fits in self.history)

    def each(self, measure: Measure) -> Floats:
        """Return a measure of each seed's last fit, (S,)."""
        return np.array([measure(found) for found in self.shifts], float)


def robust(method: str, runs: Sequence[Run], most: float = inf) -> Robust | None:
    """Return what some runs of one method, one a seed, show under shifts; None where none of them tells.

    Args:
        method: its label.
        runs: of it.
        most: labels bought; later fits are not looked at.
    """
    seeds, history = [], []
    for run in runs:
        given = 0 if run.state.opened is None else int(run.state.opened.task.get("given", 0))
        fits = {fit.n_labelled - given: shifts_of(fit.analysis) for fit in run.fits}
        known = {n: found for n, found in sorted(fits.items()) if found is not None and n <= most}
        if known:
            seeds.append(run.seed)
            history.append(known)
    return Robust(method, tuple(seeds), tuple(history)) if seeds else None


Measure = Callable[[Shifts], float]


def clean(found: Shifts) -> float:
    """Return the accuracy on the samples as they are."""
    return found.accuracy


def worst(found: Shifts) -> float:
    """Return the accuracy under the shift that hurts this fit most, controls aside."""
    return found.worst()


def mean(found: Shifts) -> float:
    """Return the mean accuracy over the shifts, controls aside."""
    return found.mean()


def worst_control(found: Shifts) -> float:
    """Return the lowest accuracy under any control; NaN where there is none."""
    return min((m.accuracy for m in found.moved if m.kind == CONTROL), default=float("nan"))


def worst_risk(found: Shifts) -> float:
    """Return the greatest mean loss under any shift, controls aside."""
    return found.worst_risk()


def worst_of(modality: str) -> Measure:
    """Return the measure of the lowest accuracy under any shift of one modality by itself."""
    return lambda found: found.worst(modality)


def gain(one: Robust, other: Robust, measure: Measure) -> Difference | None:
    """Return how much higher a measure of one method is than of another, paired by seed; None without a common seed.

    Seeds where one of both has no such shift are left out.
    """
    mine, theirs = (dict(zip(r.seeds, r.each(measure).tolist(), strict=True)) for r in (one, other))
    both = [s for s in sorted(mine.keys() & theirs.keys()) if isfinite(mine[s]) and isfinite(theirs[s])]
    return paired_difference([mine[s] for s in both], [theirs[s] for s in both]) if both else None


def by_radius(found: Shifts, modality: str | None) -> dict[float, float]:
    """Return radius -> greatest risk under any shift of that radius, of one modality by itself, or (None) of all together."""
    most: dict[float, float] = {}
    for moved in found.kept:
        if moved.radius is not None and moved.modality == modality:
            most[moved.radius] = max(moved.risk, most.get(moved.radius, -inf))
    return dict(sorted(most.items()))


def by_severity(found: Shifts, modality: str | None, kind: str) -> dict[int, float]:
    """Return severity -> accuracy under this kind of shift, 0 for the samples as they are; {} where there is none."""
    most = {
        moved.severity: moved.accuracy
        for moved in found.moved
        if moved.severity is not None and moved.modality == modality and moved.kind == kind
    }
    return {0: found.accuracy, **dict(sorted(most.items()))} if most else {}
