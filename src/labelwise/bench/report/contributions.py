"""What each modality contributed, read from runs with care: an analysis of another shape than expected counts as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.findings import Setting
from labelwise.bench.report.health import mean
from labelwise.bench.report.noted import labels_before, numbers, weights
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.events import Fitted
from labelwise.functional.contribution import dispersion
from labelwise.functional.curves import mean_interval

Floats = NDArray[np.float64]
MOST_MODALITIES = (
    8  # an analysis of more is not shown: exact Shapley values of 2^9 coalitions were never asked for
)


@dataclass(frozen=True, eq=False)
class Contributions:
    """What the compared runs of one strategy tell. S seeds, P fits in the span, R rounds that noted weights, M modalities.

    NaN where a run does not say.

    Attributes:
        strategy: its label.
        seeds: of the runs.
        labels: (P,) labels bought at each fit, mean over seeds.
        shapley: (S, P, M) φ of accuracy.
        accuracy: (S, P, M) of each modality's own head.
        dispersion: (S, P) D(φ).
        validation: (S, P) accuracy on validation data.
        by_class: (S, C, M) accuracy of each modality's head on each class, at the last fit.
        per_class: (S, C) accuracy of the fusion on each class, at the last fit.
        weight_labels: (R,) labels bought before each round that noted weights.
        weights: (S, R, M) that it gave the modalities.
    """

    strategy: str
    seeds: tuple[int, ...]
    labels: Floats
    shapley: Floats
    accuracy: Floats
    dispersion: Floats
    validation: Floats
    by_class: Floats
    per_class: Floats
    weight_labels: Floats
    weights: Floats


@dataclass(frozen=True, eq=False)
class Modal:
    """The modalities of a setting and what each strategy made of them, best strategy first."""

    modalities: tuple[str, ...]
    strategies: tuple[Contributions, ...]


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of one fit: φ and own accuracy, (M,), and own accuracy by class, (C, M)."""

    modalities: tuple[str, ...]
    shapley: Floats
    accuracy: Floats
    by_class: Floats


def analysis(fit: Fitted, n_classes: int) -> Analysis | None:
    """Return the analysis of a fit; None where there is none, or one of another shape."""
    told = fit.analysis
    names = modalities(told.get("modalities"))
    phi, own = numbers(told.get("shapley")), numbers(told.get("accuracy"))
    if len(names) < 2 or not len(names) == len(phi) == len(own):
        return None
    if not all(-1 <= v <= 1 for v in phi) or not all(0 <= v <= 1 for v in own):
        return None
    by_class = np.full((n_classes, len(names)), np.nan)
    rows = told.get("by class")
    if isinstance(rows, list | tuple) and len(rows) == n_classes:
        for c, row in enumerate(rows):
            shares = numbers(row)
            if len(shares) == len(names) and all(0 <= v <= 1 for v in shares):
                by_class[c] = shares
    return Analysis(names, np.array(phi), np.array(own), by_class)


def modalities(value: Any) -> tuple[str, ...]:
    """Return names of modalities, at most so many, each once; () for anything else."""
    if not isinstance(value, list | tuple) or len(value) > MOST_MODALITIES:
        return ()
    names = tuple(name for name in value if isinstance(name, str) and name)
    return names if len(names) == len(value) == len(set(names)) else ()


def modal(setting: Setting, found: Group, n_classes: int) -> Modal | None:
    """Return what the runs of a setting tell of their modalities; None where none of them tells anything."""
    names = _names(found, n_classes)
    if not names:
        return None
    told = [_one(s.name, found.compared[s.name], found, names, n_classes) for s in setting.strategies]
    known = [c for c in told if np.isfinite(c.shapley).any() or np.isfinite(c.weights).any()]
    return Modal(names, tuple(known)) if known else None


def _names(found: Group, n_classes: int) -> tuple[str, ...]:
    for runs in found.compared.values():
        for run in runs:
            for fit in reversed(run.fits):
                if (told := analysis(fit, n_classes)) is not None:
                    return told.modalities
    for runs in found.compared.values():
        for run in runs:
            for ask in run.state.asks:
                if len(names := modalities(list(weights(ask.notes)))) > 1:
                    return names
    return ()


def points(run: Run, found: Group) -> list[tuple[int, Fitted]]:
    """Return (labels bought, fit) of each measured fit within the span; of two on the same labels the later one."""
    opened = run.state.opened
    given = 0 if opened is None else int(opened.task.get("given", 0))
    kept: dict[int, Fitted] = {}
    for fit in run.fits:
        bought = fit.n_labelled - given
        if "accuracy" in measured(fit, found) and found.span[0] <= bought <= found.span[1]:
            kept[bought] = fit
    return sorted(kept.items(), key=lambda item: item[0])


def measured(fit: Fitted, found: Group) -> Mapping[str, Any]:
    """Return the metrics of the part on which the setting's accuracy was measured."""
    return fit.test if found.part == "test" else fit.validation


def _one(
    strategy: str, runs: Sequence[Run], found: Group, names: tuple[str, ...], n_classes: int
) -> Contributions:
    curves = [points(run, found) for run in runs]
    p, s, m = min(map(len, curves)), len(runs), len(names)
    phi, own = np.full((s, p, m), np.nan), np.full((s, p, m), np.nan)
    validation, by_class = np.full((s, p), np.nan), np.full((s, n_classes, m), np.nan)
    per_class = np.full((s, n_classes), np.nan)
    for k, curve in enumerate(curves):
        for t, (_, fit) in enumerate(curve[:p]):
            [validation[k, t]] = _shares([fit.validation.get("accuracy")], 1)
            told = analysis(fit, n_classes)
            if told is not None and told.modalities == names:
                phi[k, t], own[k, t] = told.shapley, told.accuracy
                if t == p - 1:
                    by_class[k] = told.by_class
            if t == p - 1:
                per_class[k] = _shares(measured(fit, found).get("per_class"), n_classes)
    labels = np.array([[bought for bought, _ in curve[:p]] for curve in curves], dtype=float)
    rounds = sorted({ask.round for run in runs for ask in run.state.asks if weights(ask.notes)})
    given, before = np.full((s, len(rounds), m), np.nan), np.full((s, len(rounds)), np.nan)
    for k, run in enumerate(runs):
        bought = labels_before(run)
        for ask in run.state.asks:
            if noted := weights(ask.notes):
                column = rounds.index(ask.round)
                before[k, column] = bought.get(ask.round, 0)
                given[k, column] = [noted.get(name, np.nan) for name in names]
    return Contributions(
        strategy,
        tuple(run.seed for run in runs),
        labels.mean(axis=0),
        phi,
        own,
        np.asarray(np.where(np.isnan(phi).any(axis=2), np.nan, dispersion(np.nan_to_num(phi)))),
        validation,
        by_class,
        per_class,
        mean(before),
        given,
    )


def _shares(values: Any, size: int) -> Floats:
    """Return (size,) shares in [0, 1]; NaN where a value is none, everywhere where it is no list of this length."""
    found = np.full(size, np.nan)
    if isinstance(values, list | tuple) and len(values) == size:
        for k, value in enumerate(values):
            if (one := numbers([value])) and 0 <= one[0] <= 1:
                found[k] = one[0]
    return found


def bounds(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, low and high of (S, ...) over the seeds that are known, with Student's 95 % interval.

    Each has the shape (...); NaN where no seed is known, and in low and high where one alone is.
    """
    flat = values.reshape(len(values), -1)
    out = np.full((3, flat.shape[1]), np.nan)
    for k, column in enumerate(flat.T):
        known = column[np.isfinite(column)]
        if known.size:
            found = mean_interval(known)
            out[:, k] = [
                found.mean,
                *(np.nan if end is None else end for end in (found.low, found.high)),
            ]
    centre, low, high = out.reshape(3, *values.shape[1:])
    return centre, low, high
