"""Shifts for people and programs beside the page: columns of the CSV, tables of Markdown, JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelwise.bench.promises import kept
from labelwise.bench.report.robust import Robustness
from labelwise.bench.robustness import mean, shifts_of, worst, worst_of, worst_risk
from labelwise.events import Fitted

HEADS = ("shifts_clean", "shifts_worst", "shifts_mean", "shifts_worst_risk")


def columns(told: Mapping[str, Robustness]) -> list[str]:
    """Return the heads that a CSV has beside the usual ones; [] where no setting tells of shifts."""
    moved = [m for one in told.values() for r in one.methods for m in r.shifts[0].modalities]
    return [*HEADS, *(f"shifts_worst_{name}" for name in dict.fromkeys(moved))] if told else []


def cells(fit: Fitted, heads: list[str]) -> list[Any]:
    """Return what one fit says under these heads, "" where it says nothing."""
    found = shifts_of(fit.analysis) if heads else None
    if found is None:
        return [""] * len(heads)
    known: dict[str, Any] = dict(
        zip(HEADS, (found.accuracy, worst(found), mean(found), worst_risk(found)), strict=True)
    )
    known |= {f"shifts_worst_{name}": worst_of(name)(found) for name in found.modalities}
    return [known.get(head, "") for head in heads]


def as_json(told: Robustness) -> dict[str, Any]:
    """Return everything that a setting tells of shifts as JSON values; what is not finite stays, for the caller."""
    return {
        "headline": told.headline,
        "detail": list(told.detail),
        "reference": None if told.reference is None else told.reference.method,
        "methods": [
            {
                "method": r.method,
                "seeds": list(r.seeds),
                "clean": [found.accuracy for found in r.shifts],
                "worst": r.each(worst).tolist(),
                "mean": r.each(mean).tolist(),
                "worst risk": r.each(worst_risk).tolist(),
                "shifts": [[asdict(moved) for moved in found.moved] for found in r.shifts],
                "bounds": [
                    None
                    if (fate := kept(found, mine)) is None
                    else {"coverage": fate.coverage._asdict(), "tightness": fate.tightness._asdict()}
                    for found, mine in zip(
                        r.shifts, told.promised.get(r.method, ((),) * len(r.shifts)), strict=True
                    )
                ],
            }
            for r in told.methods
        ],
    }
