"""Why a class was lost: where its test samples lie for the very model that lost it, fitted again from the run's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labelwise import models, strategies
from labelwise.bench.diagnose import Diagnosis, Floats
from labelwise.bench.places import placed
from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.bench.words import count, listed, percent
from labelwise.campaign import Campaign
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.errors import InputError, LabelwiseError
from labelwise.events import Fitted
from labelwise.models.base import Predictor
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore

SECONDS = 20.0  # of fitting that one picture may cost
NAMED = 3  # classes that a failing one was taken for


@dataclass(frozen=True, eq=False)
class Latent:
    """The samples of one part in the plane of their embeddings' first two principal axes.

    Attributes:
        strategy, seed: of the run.
        labels: bought when the model was fitted.
        class_index: the class that fails.
        points: (n, 2) coordinates.
        y: (n,) true classes.
        shares: of the embeddings' variance that each axis holds.
        row: (C,) how many samples of the failing class were taken for each class.
        why: why this class is shown, a sentence.
        taken: what its samples were taken for, a sentence.
        sibling: that this is not quite the recorded model, a sentence; "" if its accuracy is the recorded one.
    """

    strategy: str
    seed: int
    labels: int
    class_index: int
    points: Floats
    y: NDArray[np.int64]
    shares: tuple[float, float]
    row: NDArray[np.int64]
    why: str
    taken: str
    sibling: str


@dataclass(frozen=True)
class Latents:
    """The pictures of a setting, and what is left out and why, in sentences."""

    pictures: tuple[Latent, ...]
    missing: tuple[str, ...]


def latent(
    found: Group,
    diagnoses: Sequence[Diagnosis],
    classes: Sequence[str],
    simulation: Simulation | None,
    *,
    worst: bool = False,
    seconds: float = SECONDS,
) -> Latents:
    """Return a picture for each strategy that lost a class, and what is left out and why.

    Runs keep no embeddings, so the model is fitted again as the campaign fitted it: a recipe that starts afresh in
    one fit, a warm one by replaying all fits up to that round.

    Args:
        found: the setting.
        diagnoses: its strategies' diagnoses.
        classes: their names.
        simulation: the data that the runs saw; None where they are not at hand.
        worst: for a strategy that lost no class show the one that ends worst.
        seconds: a picture is left out if the fits that it needs took longer when they were recorded.
    """
    if simulation is None:
        return Latents((), ("The data are not at hand, so no latent space is shown.",))
    pictures, missing = [], []
    for diagnosis in diagnoses:
        case = _case(found, diagnosis, classes, worst=worst)
        if case is None:
            continue
        run, row, class_index, why = case
        try:
            pictures.append(
                _picture(found, run, row, class_index, why, diagnosis.strategy, classes, simulation, seconds)
            )
        except (LabelwiseError, OSError) as error:
            missing.append(f"The latent space of {diagnosis.strategy} is left out: {error}")
    if not pictures and not missing:
        missing.append("No class was lost, so no latent space is shown.")
    return Latents(tuple(pictures), tuple(missing))


def _case(
    found: Group, diagnosis: Diagnosis, classes: Sequence[str], *, worst: bool
) -> tuple[Run, int, int, str] | None:
    """Return the run, which of its measured fits, the class and why; None where there is nothing to explain."""
    runs = {run.seed: run for run in found.compared[diagnosis.strategy]}
    lost = [alarm for alarm in diagnosis.alarms if alarm.kind == "lost"]
    if lost:
        first = min(lost, key=lambda a: (a.round, a.seed))
        return runs[first.seed], first.round, first.class_index, first.words
    ends = diagnosis.per_class[-1]
    if not worst or not np.isfinite(ends).any():
        return None
    c = int(np.nanargmin(ends))
    why = f"Of all classes {classes[c]!r} ends worst, at {percent(float(ends[c]))} (mean over seeds)."
    return runs[min(runs)], -1, c, why


def _picture(
    found: Group,
    run: Run,
    row: int,
    class_index: int,
    why: str,
    strategy: str,
    classes: Sequence[str],
    simulation: Simulation,
    seconds: float,
) -> Latent:
    task = simulation.task
    target, recorded = _measured(run, found.part)[row]
    predictor = refit(run, target, task, seconds)
    part = task.test if found.part == "test" else task.validation
    assert part is not None  # its metrics were recorded
    told = predictor.infer(task.data, part.ids, frozenset({"probs", "embeddings"}))
    said = told.need("probs").argmax(axis=1)
    points, shares = principal_plane(told.need("embeddings"))
    counts = np.bincount(said[part.y == class_index], minlength=task.n_classes)
    accuracy = float(np.mean(said == part.y))
    sibling = (
        ""
        if np.isclose(accuracy, recorded["accuracy"], rtol=0, atol=1e-9)
        else f"Fitted again, the model has an accuracy of {percent(accuracy)}, not the recorded "
        f"{percent(float(recorded['accuracy']))}: other versions or another machine made a sibling of it."
    )
    bought = target.n_labelled - len(task.given)
    return Latent(strategy, run.seed, bought, class_index, points, part.y, shares, counts, why,
                  taken_for(counts, class_index, classes, found.part), sibling)  # fmt: skip


def _measured(run: Run, part: str) -> list[tuple[Fitted, Mapping[str, Any]]]:
    """Return (fit, its metrics) by labels; of two fits on the same labels the later one, as in the curves."""
    points = {}
    for fit in run.fits:
        metrics = fit.test if part == "test" else fit.validation
        if "accuracy" in metrics:
            points[fit.n_labelled] = (fit, metrics)
    return [points[n] for n in sorted(points)]


def refit(run: Run, target: Fitted, task: Task, seconds: float = SECONDS) -> Predictor:
    """Return the predictor of a recorded fit, fitted again by the campaign's own code on what it knew then.

    Args:
        run: with its file.
        target: one of its fits.
        task: the data it saw.
        seconds: the most that the needed fits may have taken when they were recorded.

    Raises:
        InputError: the recipe has no embeddings, the fits took longer, or recipe, strategy or data have changed.
        StoreError: the run's file cannot be read.
    """
    recipe = _made(models.make, run.spec["recipe"])
    if "embeddings" not in recipe.gives.pool:
        raise InputError(f"The recipe {run.spec['recipe']['name']!r} gives no embeddings.")
    fits = [fit for fit in run.fits if fit.seen <= target.seen] if recipe.warm else [target]
    cost = sum(fit.seconds.get("fit", 0.0) for fit in fits)
    if cost > seconds:
        raise InputError(
            f"{'The fit' if len(fits) == 1 else f'The {len(fits)} fits'} up to {count(target.n_labelled)} labels took "
            f"{cost:.0f} s, more than the {seconds:.0f} s that a picture may cost (`labelwise report --latent-seconds`)."
        )
    if not run.path.is_file():
        raise InputError(f"There is no file {run.path} to fit from.")
    store = SqlStore(run.path, create=False)
    try:
        events = store.read()
    finally:
        store.close()
    memory = MemoryStore()
    memory.append(events[: fits[0].seen], after=0)
    # One thread, as in `bench.run`: sums depend on it.
    with threadpool_limits(limits=1):
        campaign = Campaign(
            task, recipe, _made(strategies.make, placed(run.spec["strategy"], run.path.parent)), memory
        )
        predictor = campaign.fit()
        for before, fit in pairwise(fits):
            learned = {"predictor": dict(predictor.state_dict())}
            memory.append(events[before.seen : fit.seen], after=before.seen, state=learned)
            predictor = campaign.fit()
    return predictor


def _made(make: Any, spec: Mapping[str, Any]) -> Any:
    params = dict(spec)
    return make(params.pop("name"), **params)


def principal_plane(embeddings: Any) -> tuple[Floats, tuple[float, float]]:
    """Return (n, 2) coordinates on the first two principal axes, and the share of the variance that each holds.

    Each axis points to where its largest weight is positive, so that the picture does not flip from run to run.

    Args:
        embeddings: (n, D), D >= 2.

    Raises:
        InputError: there are fewer than two dimensions, or all samples lie in one point.

    Source:
        Pearson 1901, "On Lines and Planes of Closest Fit to Systems of Points in Space".
    """
    z = np.asarray(embeddings, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2:
        raise InputError(f"A plane needs embeddings of at least two dimensions; they have shape {z.shape}.")
    z = z - z.mean(axis=0)
    variances, vectors = np.linalg.eigh(z.T @ z)  # ascending; (D, D), however many samples there are
    if variances[-1] <= 0:
        raise InputError("All samples have the same embedding; there is no plane to show.")
    axes = vectors[:, [-1, -2]]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    shares = np.clip(variances[[-1, -2]], 0, None) / np.clip(variances, 0, None).sum()
    return z @ axes, (float(shares[0]), float(shares[1]))


def taken_for(row: NDArray[np.int64], class_index: int, classes: Sequence[str], part: str) -> str:
    """Return a row of a confusion matrix as a sentence: what the samples of a class were taken for.

    Args:
        row: (C,) counts.
        class_index: the true class.
        classes: C names.
        part: "test" or "validation".
    """
    total, right = int(row.sum()), int(row[class_index])
    others = [int(k) for k in np.argsort(-row, kind="stable") if k != class_index and row[k]]
    parts = [(int(row[k]), repr(classes[k])) for k in others[:NAMED]]
    rest = sum(int(row[k]) for k in others[NAMED:])
    parts += [(rest, "others")] if rest else []
    shown = [
        f"{percent(n / total, 0)} {'' if i else 'were taken '}for {name}" for i, (n, name) in enumerate(parts)
    ]
    own = "none was" if right == 0 else "all were" if right == total else f"{percent(right / total, 0)} were"
    tail = f"; {listed(shown)}" if shown else ""
    return f"Of the {total:,} {part} samples of {classes[class_index]!r}, {own} recognised{tail}."
