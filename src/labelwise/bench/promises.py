"""What is promised of shifts whose χ² radii are known, by the four readings of B, and how the promises fared."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from labelwise.bench.robustness import Moved, Shifts, number
from labelwise.data.copulas import copula
from labelwise.functional.ambiguity import Budgets, modality_budgets
from labelwise.functional.robust import Floats
from labelwise.functional.tightness import coverage, tightness


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
        known = number(value("correlation"), -1, 1)
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
