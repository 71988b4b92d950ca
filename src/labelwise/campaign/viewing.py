"""What a model learns from and a strategy is shown in one round: labels, and the predictor's answers about samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import Labelled
from labelwise.data.task import Task
from labelwise.models.base import Predictor, Progress
from labelwise.signals import Needs, Signals, View

# Signals that the task knows; every other one comes from the predictor.
_OWN = {"features", "y"}


def view_of(
    task: Task,
    predictor: Predictor,
    needs: Needs,
    candidates: NDArray[np.int64],
    train: Labelled,
    t: int,
    progress: Progress | None = None,
) -> View:
    """Return the view of round t: for each part the signals that `needs` names, in one pass of the predictor a part.

    Args:
        task: the samples; its test part is not touched (law T).
        predictor: fitted on `train`.
        needs: what the strategy declared.
        candidates: pool ids that may be asked for; their labels are in nobody's reach.
        train: what was labelled so far.
        t: the round.
        progress: told (done, total) during inference.
    """

    def part(ids: NDArray[np.int64], y: NDArray[np.int64] | None, names: frozenset[str]) -> Signals:
        asked = names - _OWN
        told = predictor.infer(task.data, ids, asked, progress) if asked else Signals(ids)
        own: dict[str, Any] = {}
        if "features" in names and task.features is not None:
            own["features"] = task.features[ids]
        if "y" in names and y is not None:
            own["y"] = y
        given = {name: getattr(told, name) for name in told.names if not name.startswith("scalars.")}
        return Signals(ids, **{**given, **own}, scalars=told.scalars)

    return View(
        part(candidates, None, needs.pool),
        part(train.ids, train.y, needs.labelled),
        part(task.validation.ids, task.validation.y, needs.validation),
        task.n_classes,
        tuple(task.data.modalities),
        t,
        dict(predictor.notes),
    )


def training_set(task: Task, labels: Mapping[int, int]) -> Labelled:
    """Return given labels and bought ones together, ordered by id so that the order of answers is nothing."""
    both = dict(zip(task.given.ids.tolist(), task.given.y.tolist(), strict=True)) | dict(labels)
    ids = np.array(sorted(both), dtype=np.int64)
    return Labelled(ids, np.array([both[i] for i in ids.tolist()], dtype=np.int64))


def cold_view(task: Task, candidates: NDArray[np.int64], t: int) -> View:
    """Return the view of a round without any label: the candidates' label-free features, and nobody else."""
    assert task.features is not None
    nobody = Signals(np.empty(0, np.int64), features=task.features[:0])
    pool = Signals(candidates, features=task.features[candidates])
    return View(pool, nobody, nobody, task.n_classes, tuple(task.data.modalities), t)
