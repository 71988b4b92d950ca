"""Measures drift: puts networks, old and new samples together, and everything that is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.checks import check_count, check_number
from labelwise.data.base import Dataset, Ids, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError
from labelwise.functional.drift import DRAWS, WeightedRisk, labels_for, weighted_risk, width_of
from labelwise.functional.shift import domain_ratios
from labelwise.models.base import Predictor, Recipe
from labelwise.project.drift.comparing import LEAST, SPREAD, Moved, compared, coupled, joint_basis
from labelwise.project.drift.costs import Costs, costs
from labelwise.project.drift.known import Fitting, Known, known_errors
from labelwise.project.drift.newcomers import newcomers
from labelwise.project.drift.seeing import INPUTS, Plainly, Seen, check_alike, chosen, seen_by
from labelwise.project.drift.whom import Whom, whom
from labelwise.project.folder import Progress, Project
from labelwise.seeds import generator

MOST = 1000  # samples a radius is measured on, on either side: more only take longer
_APART = (0.2, 0.5)  # share of the old samples that a network may not learn from: least and most


@dataclass(frozen=True, eq=False)
class Drift:
    """New data beside old.

    Attributes:
        reads: what was compared: "modal", the embeddings of each modality; "embeddings"; or "inputs".
        n_new: new samples that could be read.
        modalities: each beside the old data.
        gamma: (K, K) correlations of a Gaussian copula between the modalities of the old data.
        known: errors of the model on samples whose classes are known.
        costs: of the shifts that were found.
        unseen: the same, with shifts just too small to be found in the modalities where none was.
        weighted: the error on the new data by density ratios; None where nothing moved or too few samples are known.
        believed: what the model expects of its own error on the new data: the mean of 1 - its highest probability.
        whom: strata and samples of the new data to label.
        labels: so many random new samples tell the error to ± width with probability 1 - δ.
        told: ± of the error if `whom.budget` random new samples were labelled.
        width, delta, level: as asked for.
        left_out: (key, why) of new samples that could not be read.
    """

    reads: str
    n_new: int
    modalities: tuple[Moved, ...]
    gamma: tuple[tuple[float, ...], ...]
    known: Known
    costs: Costs
    unseen: Costs
    weighted: WeightedRisk | None
    believed: float
    whom: Whom
    labels: int
    told: float
    width: float
    delta: float
    level: float
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def moved(self) -> tuple[str, ...]:
        """The modalities that have."""
        return tuple(one.name for one in self.modalities if one.moved)


def drift(
    project: Project,
    new: Path,
    *,
    images: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Drift:
    """Return how new samples differ from a project's; nothing is recorded.

    Args:
        project: with labels to learn from.
        new: a folder of images or a table, as the project was made of.
        images: the folder that image paths of the new table are relative to; None: the table's own.
        progress: told (what, done, total) during long steps.
        options: of `drift_between`, but for new_ids and predictor; `budget` and `seed` are the plan's if not given.

    Raises:
        InputError: as `newcomers` and `drift_between`, or there is no label yet.
    """
    with project.campaign(progress) as campaign:
        task, state = campaign.task, campaign.state
        given, told = task.given, state.labels
        train = Labelled(
            np.array([*given.ids.tolist(), *told], np.int64),
            np.array([*given.y.tolist(), *told.values()], np.int64),
        )
        if not len(train):
            raise InputError(
                f"{project.folder} has no label yet, so that there is no model whose error could rise. Tell some answers "
                "first."
            )
        plan = project.settings.plan
        options = {"budget": plan.batch, "seed": plan.seed, **options}
        with newcomers(project, task, new, images=images, progress=progress) as there:
            check_alike(task.data, there.data, there.ids)
            found = drift_between(
                task,
                campaign.recipe,
                train,
                there.data,
                new_ids=there.ids,
                predictor=campaign.fit(state),
                progress=progress,
                **options,
            )
            picks = tuple(replace(pick, key=there.keys[pick.id]) for pick in found.whom.picks)
    return replace(found, whom=replace(found.whom, picks=picks), left_out=there.bad)


def drift_between(
    task: Task,
    recipe: Recipe,
    train: Labelled,
    new: Dataset,
    *,
    new_ids: Ids | None = None,
    predictor: Predictor | None = None,
    budget: int = 50,
    draws: int = DRAWS,
    level: float = 0.05,
    width: float = 0.05,
    delta: float = 0.05,
    reads: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Drift:
    """Return how new samples differ from a task's, in which modality, what that may cost, and what to label.

    Old samples that a network learned from look different to it from others, and those that a strategy chose are not
    like the rest. So where samples are compared by embeddings, a random part of all old samples (a fifth to a half) is
    kept apart, labelled or not; a network is taught the labels of the others; and that part is what new samples are
    compared with. Without a network all old samples are compared as they are.

    Args:
        task: the old samples.
        recipe: how to fit.
        train: known labels beside those of task.validation.
        new: samples with the same modalities.
        new_ids: which of them; None: all.
        predictor: fitted on `train`; None: it is fitted here.
        budget: labels to recommend.
        draws: of chance, for each radius; more are taken where the number of tests asks for it.
        level: probability of a false alarm over all modalities.
        width: ± of the error that labels are counted for.
        delta: probability that a certificate fails.
        reads: "auto", "modal", "embeddings" or "inputs"; see `seeing.chosen`.
        seed: of all draws.
        progress: told (what, done, total).

    Raises:
        InputError: a number is out of range, labels or samples are too few, or new samples are not like the old ones.
        ShapeError: samples of a modality differ in shape.
    """
    check_count(budget, "budget", 1)
    check_count(draws, "draws", 1)
    if not 0 < check_number(level, "level", 0, 1) < 1:
        raise InputError(f"level must be inside (0, 1); it is {level:g}.")
    labels = labels_for(width, delta)
    ids = np.arange(len(new)) if new_ids is None else new_ids
    if len(ids) < LEAST:
        raise InputError(f"Drift is measured on {LEAST} new samples or more; there are {len(ids)}.")
    check_alike(task.data, new, ids)
    how = chosen(recipe, task.data.modalities, reads)

    def bar(phase: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(phase, done, total)

    fitting = Fitting(task, recipe, train, seed, progress)
    full = predictor if predictor is not None else fitting.whole()
    known = known_errors(fitting, full)
    old, known_seen, everybody, apart = _seen(fitting, known, new, ids, how, bar("look"))
    some = everybody.take(generator(seed, "drift", "new").permutation(len(ids))[:MOST])
    moved = compared(old, some, draws=draws, level=level, seed=seed, progress=bar("compare"))

    gamma, errors = coupled(old), known.errors
    hidden = [one.counted or one.hidden for one in moved]
    probs = np.asarray(full.infer(new, ids, frozenset({"probs"}), bar("predict")).need("probs"), np.float64)
    found = [one.name for one in moved if one.counted]
    weighted = None
    if found and len(known_seen.there) >= LEAST:
        x, z = joint_basis(known_seen, some, found)
        squares = any(one.by == SPREAD for one in moved)
        ratios = domain_ratios(x, z, generator(seed, "drift", "weights"), squares=squares)
        weighted = weighted_risk(errors[apart], ratios)
    asked = whom(old, everybody, ids, probs, moved, budget, seed)
    return Drift(
        reads=how,
        n_new=len(ids),
        modalities=moved,
        gamma=tuple(tuple(float(value) for value in row) for row in gamma),
        known=known,
        costs=costs(errors, [one.counted for one in moved], gamma, delta),
        unseen=costs(errors, hidden, gamma, delta),
        weighted=weighted,
        believed=float((1 - probs.max(axis=1)).mean()),
        whom=asked,
        labels=labels,
        told=width_of(asked.budget, delta),
        width=width,
        delta=delta,
        level=level,
    )


def _seen(
    fitting: Fitting,
    known: Known,
    new: Dataset,
    ids: Ids,
    how: str,
    progress: Callable[[int, int], None] | None,
) -> tuple[Seen, Seen, Seen, Any]:
    """Return old samples to compare with, known ones, all new ones, and which (n_known,) of the known are among them.

    None of the old and known ones was learned from by the network that sees them.
    """
    task = fitting.task
    everyone = np.concatenate([task.pool, task.given.ids, task.validation.ids])
    order = generator(fitting.seed, "drift", "apart").permutation(everyone)
    if how == INPUTS:
        plain = Plainly.measure(task.data, order[:MOST])
        seen = [plain.read(task.data, part) for part in (order[:MOST], known.ids)]
        return seen[0], seen[1], plain.read(new, ids, progress), np.ones(len(known), bool)
    share = min(max(MOST / len(order), _APART[0]), _APART[1])
    apart = order[: round(share * len(order))]
    network = fitting.without(apart)
    usable = np.isin(known.ids, np.concatenate([apart, task.validation.ids]))
    parts = [seen_by(network, task.data, part, how) for part in (apart[:MOST], known.ids[usable])]
    return parts[0], parts[1], seen_by(network, new, ids, how, progress), usable
