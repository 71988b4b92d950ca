"""Labels that are known when a project begins, from a file: of an earlier project, or of somebody's own list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.data.own import UNLABELLED, own_task
from labelwise.data.own import Source as Samples
from labelwise.errors import InputError, did_you_mean
from labelwise.project.answers import Classes
from labelwise.project.disk import disk_error
from labelwise.project.sheet import Line, read_lines

_NAMES = ("file", "row")


def with_labels(samples: Samples, path: Path, *, validation: float, seed: int) -> Samples:
    """Return the samples with the labels of a file as well: as given, or to measure, and asked of nobody.

    Rows with an empty label or a pass stay in the pool, as do all samples that the file does not name.

    Args:
        samples: with what folders or the table's own column say already.
        path: a CSV file with the columns file (or row) and label, such as `labelwise export` writes.
        validation: share of all labels that only measures, if there are at least 50.
        seed: of that draw.

    Raises:
        InputError: no such file or column, a sample or class that does not exist, or two labels for a sample.
        EmptyPool: every sample has a label.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise disk_error(path, error, "read") from error
    task, places = samples.task, {key: i for i, key in enumerate(samples.keys)}
    labels = np.full(len(samples.keys), UNLABELLED, np.int64)
    usable = np.zeros(len(samples.keys), bool)
    usable[task.pool] = True
    for part in (task.given, task.validation):
        labels[part.ids], usable[part.ids] = part.y, True
    classes = Classes(task.classes)
    for line in read_lines(raw, str(path), ("label",)):
        _tell(line, path, places, classes, labels)
    made = own_task(task.name, task.data, task.classes, labels, usable, validation=validation, seed=seed)
    return replace(samples, task=made)


def _tell(
    line: Line, path: Path, places: dict[str, int], classes: Classes, labels: NDArray[np.int64]
) -> None:
    named = next((line.cells[name] for name in _NAMES if line.cells.get(name)), None)
    if named is None:
        raise InputError(
            f"{path}: line {line.number} names no sample; it needs a column file (or row) and label."
        )
    if named not in places:
        # Of thousands of files only the likeliest is named.
        near, _, _ = did_you_mean(named, places).partition("Known: ")
        raise InputError(f"{path}: line {line.number} names {named!r}, which is no sample. {near}".rstrip())
    if not line.cells["label"]:
        return
    try:
        k = classes.read(line.cells["label"])
    except InputError as error:
        raise InputError(f"{path}: line {line.number}: {error}") from error
    i = places[named]
    if k is None:
        return
    if labels[i] not in (UNLABELLED, k):
        raise InputError(
            f"{path}: line {line.number} says {classes.names[k]!r} of {named}, which has the label "
            f"{classes.names[labels[i]]!r} already. Keep the right one."
        )
    labels[i] = k
