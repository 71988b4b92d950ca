"""Contributions of modalities for people and programs beside the page: columns of the CSV, lines of Markdown, JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from labelwise.bench.report.contributions import Contributions, analysis
from labelwise.bench.report.modalities import Modalities
from labelwise.bench.report.noted import weights
from labelwise.bench.results import Run
from labelwise.events import Fitted
from labelwise.functional.contribution import dispersion

KINDS = ("shapley", "alone", "weight")


def columns(modal: Mapping[str, Modalities]) -> list[str]:
    """Return the heads that a CSV has beside the usual ones; [] where no setting tells of modalities."""
    names = list(dict.fromkeys(name for told in modal.values() for name in told.found.modalities))
    return ["dispersion", *(f"{kind}_{name}" for kind in KINDS for name in names)] if names else []


def cells(run: Run, fit: Fitted, heads: Sequence[str]) -> list[Any]:
    """Return what one fit says under these heads, "" where it says nothing; weights are those of the round after it."""
    if not heads:
        return []
    opened = run.state.opened
    known: dict[str, Any] = {}
    told = None if opened is None else analysis(fit, len(opened.task["classes"]))
    if told is not None:
        known["dispersion"] = float(dispersion(told.shapley))
        known |= {f"shapley_{m}": float(v) for m, v in zip(told.modalities, told.shapley, strict=True)}
        known |= {f"alone_{m}": float(v) for m, v in zip(told.modalities, told.accuracy, strict=True)}
    for ask in run.state.asks:
        if ask.round == fit.round:
            known |= {f"weight_{m}": v for m, v in weights(ask.notes).items()}
    return [known.get(head, "") for head in heads]


def as_json(told: Modalities) -> dict[str, Any]:
    """Return everything that a setting tells of its modalities as JSON values; NaN stays, for the caller to replace."""
    by = told.dominance
    return {
        "modalities": list(told.found.modalities),
        "headline": told.headline,
        "detail": list(told.detail),
        "strategies": [_one(c) for c in told.found.strategies],
        "alignment": [{**asdict(a), "verdict": a.verdict} for a in told.alignments],
        "classes": None
        if by is None
        else {
            "accuracy alone": by.accuracy.tolist(),
            "dominant": [None if m < 0 else told.found.modalities[m] for m in by.dominant.tolist()],
            "lead": by.lead.tolist(),
            "accuracy": {name: values.tolist() for name, values in by.per_class.items()},
            "groups": {name: list(members) for name, members in by.groups.items()},
        },
    }


def _one(c: Contributions) -> dict[str, Any]:
    arrays = {
        "labels": c.labels,
        "shapley": c.shapley,
        "accuracy alone": c.accuracy,
        "dispersion": c.dispersion,
        "validation accuracy": c.validation,
        "weight labels": c.weight_labels,
        "weights": c.weights,
    }
    return {"strategy": c.strategy, "seeds": list(c.seeds)} | {k: v.tolist() for k, v in arrays.items()}
