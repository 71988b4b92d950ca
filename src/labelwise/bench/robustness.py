"""What shifts of the test data cost, and what was promised: accuracy and risk under each, bounds, methods beside one another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Any, NamedTuple

import numpy as np

from labelwise.data.copulas import copula
from labelwise.functional.ambiguity import Budgets, modality_budgets
from labelwise.functional.curves import Difference, paired_difference
from labelwise.functional.robust import Floats
from labelwise.functional.tightness import coverage, tightness

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
    n, variance = clean.get("n"), _number(clean.get("variance"), least=0)
    accuracy, risk = _number(clean.get("accuracy"), 0, 1), _number(clean.get("risk"))
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
    accuracy, risk = _number(row.get("accuracy"), 0, 1), _number(row.get("risk"))
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
    found = {str(key): _number(radius, 0, MOST_RADIUS) for key, radius in value.items()}
    known = {key: radius for key, radius in found.items() if radius is not None}
    return known if len(known) == len(found) else None


def _number(value: Any, least: float = -inf, most: float = inf) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value) if least <= value <= most else None


def coupling(task: Mapping[str, Any], modalities: Sequence[str]) -> Floats:
    """Return Γ (M, M) of the data that a task's spec describes, where it is known: simulated, with a Gaussian copula.

    Column j of a modality depends on column j of another alone, with one correlation for all, and of independent pairs
    of jointly normal numbers the maximal correlation is the greatest of theirs: Γ holds that correlation. Of other data,
    and other copulas, nothing is known, and Γ is 1 everywhere: the most there can be.

    Args:
        task: its spec as plain values.
        modalities: of the task.
    """
    gamma = np.ones((len(modalities), len(modalities)))
    defaults = inspect.signature(copula).parameters

    def value(name: str) -> Any:
        return task.get(name, defaults[name].default)

    if task.get("name") == copula.__name__ and value("kind") == "gaussian":
        known = _number(value("correlation"), -1, 1)
        gamma[~np.eye(len(modalities), dtype=bool)] = 1.0 if known is None else known
    return gamma


class Promise(NamedTuple):
    """One shift of known radius: the risk under it, and what was promised by each reading of B."""

    moved: Moved
    bounds: Budgets


def promises(found: Shifts, modalities: Sequence[str], gamma: Floats) -> tuple[Promise, ...]:
    """Return what is promised of each shift whose radii are known, from mean and variance of the unshifted losses.

    E[l] + √B √Var(l), as `labelwise.functional.ambiguity.budget_risks`, with the radii of that shift and 0 for every
    modality that stood still. Controls are no such shifts: they leave the set that the bounds are about.

    Args:
        found: of one fit.
        modalities: of the task, in the order of Γ.
        gamma: (M, M), as `coupling`.
    """
    made = []
    budgets: dict[tuple[float, ...], Budgets] = {}
    for moved in found.kept:
        if moved.rho is None or set(moved.rho) - set(modalities):
            continue
        rho = tuple(moved.rho.get(name, 0.0) for name in modalities)
        if rho not in budgets:
            budgets[rho] = modality_budgets(rho, gamma)
        made.append(Promise(moved, bounds(found, budgets[rho])))
    return tuple(made)


def bounds(found: Shifts, budgets: Budgets) -> Budgets:
    """Return the four closed-form risks for the four readings of B; no variance, no excess, even where B is infinite."""
    deviation = sqrt(found.variance)
    return Budgets(*(found.risk + (sqrt(b) * deviation if deviation else 0.0) for b in budgets))


class Kept(NamedTuple):
    """How a fit's promises fared.

    Attributes:
        shifts: how many there were.
        coverage: share of the shifts whose risk stayed within the bound, by reading of B.
        tightness: share of the promised excess that the worst of them used, by reading of B.
    """

    shifts: int
    coverage: Budgets
    tightness: Budgets


def kept(found: Shifts, promised: Sequence[Promise]) -> Kept | None:
    """Return coverage and tightness of a fit's promises; None where there are none."""
    if not promised:
        return None
    risks = [p.moved.risk for p in promised]
    promised_by = [[p.bounds[k] for p in promised] for k in range(len(Budgets._fields))]
    return Kept(
        len(promised),
        Budgets(*(coverage(risks, by) for by in promised_by)),
        Budgets(*(tightness(found.risk, risks, by) for by in promised_by)),
    )


@dataclass(frozen=True, eq=False)
class Robust:
    """What the runs of one method show under shifts, at the last fit of each.

    Attributes:
        method: its label.
        seeds: of the runs that tell.
        shifts: one a seed.
    """

    method: str
    seeds: tuple[int, ...]
    shifts: tuple[Shifts, ...]

    def each(self, measure: Measure) -> Floats:
        """Return a measure of each seed, (S,)."""
        return np.array([measure(found) for found in self.shifts], float)


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
