"""Small runs made from events by hand: the curve is given, everything else is counted from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.bench.results import Run
from labelwise.events import Answered, Asked, Event, Fitted, Opened, Plan, replay
from labelwise.store.sql import SqlStore

CLASSES = ("zero", "one", "two")


def metrics(accuracy: float, n_classes: int = 3, count: int = 300) -> dict[str, Any]:
    """Return what `functional.metrics.measure` would: every class as accurate as all, errors in the next class."""
    per = count // n_classes
    right = round(per * accuracy)
    matrix = np.diag([right] * n_classes) + np.roll(np.diag([per - right] * n_classes), 1, axis=1)
    return {
        "accuracy": accuracy,
        "per_class": [accuracy] * n_classes,
        "macro_f1": accuracy,
        "nll": 1 - accuracy,
        "brier": 1 - accuracy,
        "ece": 0.05,
        "count": count,
        "confusion": matrix.tolist(),
    }


def run(
    strategy: str = "random",
    seed: int = 0,
    curve: Sequence[float] = (0.5, 0.7, 0.9),
    *,
    start: int = 10,
    batch: int = 10,
    budget: int | None = None,
    params: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    classes: Sequence[str] = CLASSES,
    seconds: Mapping[str, float] | None = None,
    part: str = "test",
    noise: float = 0.0,
    ids: Sequence[int] | None = None,
    labels: Sequence[int | None] | None = None,
    pool: int = 200,
    made: Mapping[int, Mapping[str, Any]] | None = None,
    noted: Mapping[int, Mapping[str, Any]] | None = None,
    analysed: Mapping[int, Any] | None = None,
    validated: Sequence[float] = (),
    modalities: Sequence[str] = ("image",),
    sha256: str = "0" * 64,
    folder: Path | None = None,
) -> Run:
    """Return a run with one fit a point of `curve`; unfinished where the curve ends before the budget.

    Args:
        ids: what was asked for, in order; 0, 1, 2, ... if not given.
        labels: what was answered; the classes in turn if not given.
        made: point of the curve -> metrics that replace the usual ones.
        noted: round -> what the strategy noted of its ask.
        analysed: point of the curve -> what each modality contributes.
        validated: accuracies on validation data, one a point of the curve, beside those on test data.
        modalities: of the task.
        folder: where the run's file is written; None writes none.
    """
    budget = start + batch * (len(curve) - 1) if budget is None else budget
    spec = {
        "task": {"name": "hand-made", **(task or {})},
        "recipe": dict(recipe or {"name": "logistic"}),
        "strategy": {"name": strategy, **(params or {})},
        "plan": {
            "seed": seed,
            "start": start,
            "batch": batch,
            "budget": budget,
            "candidates": None,
            "cold": False,
        },
        "oracle": {"noise": noise, "passes": 0.0},
    }
    about = {
        "name": spec["task"]["name"],
        "classes": list(classes),
        "modalities": list(modalities),
        "pool": pool,
        "validation": 0 if part == "test" else 100,
        "test": 100 if part == "test" else 0,
        "given": 0,
        "sha256": sha256,
    }
    versions = {"labelwise": "0.1.0", "python": "3.11.7", "numpy": "2.4.6"}
    notes = {"spec": spec, "command": "labelwise bench grid.toml"}
    plan = Plan(seed=seed, start=start, batch=batch, budget=budget)
    events: list[Event] = [Opened(plan, {"class": strategy}, {"class": "logistic"}, about, versions, notes)]
    took = {"fit": 2.0, "measure": 0.5, "infer": 0.2, "propose": 0.1, **(seconds or {})}
    chosen = list(range(pool)) if ids is None else list(ids)
    said = [i % len(classes) for i in range(len(chosen))] if labels is None else list(labels)
    asked = 0
    for t, accuracy in enumerate(curve):
        size = start if t == 0 else batch
        scores = None if t == 0 else tuple(float(size - k) for k in range(size))
        events.append(Asked(t, tuple(chosen[asked : asked + size]), scores, (noted or {}).get(t, {})))
        for k in range(asked, asked + size):
            events.append(Answered(chosen[k], said[k], "simulated"))
        asked += size
        last = asked >= budget
        measured = {**metrics(accuracy, len(classes)), **(made or {}).get(t, {})}
        spent = {k: v for k, v in took.items() if not (last and k in ("infer", "propose"))}
        test = measured if part == "test" else {}
        validation = (
            metrics(validated[t], len(classes)) if validated else measured if part == "validation" else {}
        )
        bought = sum(label is not None for label in said[:asked])
        told = (analysed or {}).get(t, {})
        events.append(
            Fitted(t + 1, bought, len(events), validation, test, {"loss": 0.1}, spent, analysis=told)
        )
    name = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    path = (folder or Path()) / f"{name}.db"
    if folder is not None:
        store = SqlStore(path)
        store.append(events, after=0)
        store.close()
    return Run(name, spec, replay(events), path)
