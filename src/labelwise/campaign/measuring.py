"""How a fresh predictor does: on validation and test data, under shifts, and on a fixed part of the pool without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import Dataset, Labelled
from labelwise.data.task import Task
from labelwise.events import State
from labelwise.functional.contribution import MOST_EXACT, contribution
from labelwise.functional.metrics import measure
from labelwise.functional.stopping import Watch, kappa, mean_uncertainty, watch_of
from labelwise.functional.stress import standing
from labelwise.models.base import Predictor, Progress, Recipe
from labelwise.seeds import generator

STOP_SET = 1_000  # samples that are watched: kappa of two models is then known to about 0.01
UNREADABLE = -1  # the class of a sample for which the predictor gives no finite probabilities


def measured(
    task: Task, recipe: Recipe, predictor: Predictor, part: Labelled | None, progress: Progress | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics of the answer, and of what each modality contributes; {} of each where there is nothing.

    Args:
        task: the samples.
        recipe: of the predictor, which says what it can tell of labelled data.
        predictor: to measure.
        part: samples with labels; None or an empty one is not measured.
        progress: told (done, total).
    """
    if part is None or len(part) == 0:
        return {}, {}
    modal = {"modal_probs", "coalitions", "present"}
    known = modal <= recipe.gives.validation and len(task.data.modalities) <= MOST_EXACT
    told = predictor.infer(task.data, part.ids, frozenset({"probs"} | (modal if known else set())), progress)
    metrics = measure(told.need("probs"), part.y, task.n_classes)
    contributions: dict[str, Any] = {}
    if told.coalitions is not None:
        contributions = contribution(told.coalitions, told.need("modal_probs"), part.y, told.need("present"))
        contributions["modalities"] = list(task.data.modalities)
    return metrics, contributions


def stressed(task: Task, predictor: Predictor, progress: Progress | None = None) -> dict[str, Any]:
    """Return {"shifts": how the predictor stands before and after each shift}; {} where the task has none."""
    if not task.shifts:
        return {}

    def stands(data: Dataset, part: Labelled) -> dict[str, Any]:
        told = predictor.infer(data, part.ids, frozenset({"probs"}), progress)
        return standing(told.need("probs"), part.y)

    clean = stands(task.data, task.unmoved())
    moved = [{**shift.facts(), **stands(shift.data, shift.part)} for shift in task.shifts]
    return {"shifts": {"clean": clean, "moved": moved}}


def stop_set(task: Task, seed: int) -> NDArray[np.int64]:
    """Return the ids that a campaign watches: a uniform sample of its pool, the same in every round, ascending."""
    size = min(STOP_SET, len(task.pool))
    return np.sort(generator(seed, "stop set").choice(task.pool, size, replace=False))


def watched(
    task: Task,
    recipe: Recipe,
    predictor: Predictor,
    labelled: NDArray[np.int64],
    before: Any,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return {"watched": what the predictor says of the stop set}; {} where it gives no probabilities of the pool.

    No label is read, and nothing that is said here is shown to a strategy. What `labelwise.functional.stopping` needs:
    "said" (class of each sample of the stop set, -1 where probabilities are not finite), "kappa" with the fit before over
    all of it, and of those that have no label yet "left" (how many), "changed" (share whose class is another than in the
    fit before), "uncertainty" (mean entropy over ln C) and "confidence" (mean highest probability); None where there is no
    fit before, or no such sample.

    Args:
        task: the samples.
        recipe: of the predictor.
        predictor: to listen to.
        labelled: ids with a label.
        before: "watched" of the fit before; None, or of another shape: it is no comparison.
        seed: of the plan.
        progress: told (done, total).
    """
    if "probs" not in recipe.gives.pool:
        return {}
    ids = stop_set(task, seed)
    probs = np.asarray(predictor.infer(task.data, ids, frozenset({"probs"}), progress).need("probs"))
    good = np.isfinite(probs).all(axis=1)
    said = np.where(good, np.where(good[:, None], probs, 0).argmax(axis=1), UNREADABLE)
    left = good & ~np.isin(ids, labelled)
    told: dict[str, Any] = {"said": said.tolist(), "left": int(left.sum()), "kappa": None, "changed": None}
    told["uncertainty"] = mean_uncertainty(probs[left]) if left.any() else None
    told["confidence"] = float(probs[left].max(axis=1).mean(dtype=np.float64)) if left.any() else None
    earlier = before.get("said") if isinstance(before, dict) else None
    if isinstance(earlier, list) and len(earlier) == ids.size:
        last = np.asarray(earlier)
        both = good & (last != UNREADABLE)
        agreed = kappa(last[both], said[both]) if both.any() else float("nan")
        # a model that says the same of everything is stable whatever it has learnt: that says nothing about stopping
        told["kappa"] = None if np.isnan(agreed) else agreed
        if (both & left).any() and told["kappa"] is not None:
            told["changed"] = float(np.mean(last[both & left] != said[both & left]))
    return {"watched": told}


def watches(state: State) -> list[Watch]:
    """Return what the fits of a campaign said of its stop set, in order; those of older versions said nothing."""
    found = []
    for fit in state.fits:
        told = fit.analysis.get("watched")
        one = watch_of(told, fit.round, fit.n_labelled) if isinstance(told, Mapping) else None
        if one is not None:
            found.append(one)
    return found
