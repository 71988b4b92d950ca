"""Reads new samples as a project's own were read: a folder of images, or a table with the same columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.data.base import ArrayDataset, Dataset, Ids
from labelwise.data.columns import numbers_of
from labelwise.data.draws import standardise
from labelwise.data.files import Root, read_table
from labelwise.data.own import blame, decoded_images, listing
from labelwise.data.tables import table_task
from labelwise.data.task import Task
from labelwise.errors import InputError
from labelwise.project.folder import Progress, Project


@dataclass(frozen=True, eq=False)
class Newcomers:
    """New samples that nobody has labelled.

    Attributes:
        data: what the model sees of them, with the project's modalities.
        ids: who of them could be read.
        keys: (len(data),) the file below the folder, or the name of the table's row, as in the project.
        bad: (key, reason) of those left out.
    """

    data: Dataset
    ids: Ids
    keys: tuple[str, ...]
    bad: tuple[tuple[str, str], ...] = ()


@contextmanager
def newcomers(
    project: Project,
    task: Task,
    place: Path,
    *,
    images: Path | None = None,
    progress: Progress | None = None,
) -> Iterator[Newcomers]:
    """Yield the new samples of a place; decoded images lie in a temporary folder meanwhile.

    Numbers are brought to the scale of the project's own table, which must still be there: the project keeps its
    numbers as the model sees them, and not what they were.

    Args:
        project: whose data these are like.
        task: its task.
        place: a folder of images, for a project made of one; else a CSV, TSV or Parquet file with the same columns. A
            column of labels is not read.
        images: the folder that image paths of the table are relative to; None: the table's own.
        progress: told ("decode", done, total).

    Raises:
        InputError: there is nothing, it is of another kind than the project's data, a column is missing, no sample can be
            read, or the project's own table is needed and gone or changed.
    """
    source = project.settings.source
    tell = None if progress is None else lambda done, total: progress("decode", done, total)
    with tempfile.TemporaryDirectory(prefix="labelwise-", ignore_cleanup_errors=True) as cache:
        common: dict[str, Any] = {"size": source.size, "grey": source.grey, "cache": cache, "progress": tell}
        if source.table:
            yield _rows(project, task, place, images, common)
        else:
            yield _pictures(project, place, images, common)


def _pictures(project: Project, place: Path, images: Path | None, common: dict[str, Any]) -> Newcomers:
    if images is not None:
        raise InputError(
            "--images belongs to a project with a table; this one is made of a folder of images, so name "
            "the new folder with --new alone."
        )
    if not place.is_dir():
        what = "is a file" if place.is_file() else "is not there"
        raise InputError(
            f"{project.folder} is made of a folder of images, so new data must be one, too; {place} {what}."
        )
    root = Root(place)
    keys = listing(root)
    data, bad = decoded_images(root, keys, common.pop("size"), common.pop("grey"), **common)
    blame(bad, "quarantine", len(keys), str(place))
    usable = np.array([key not in bad for key in keys])
    return Newcomers(data, np.flatnonzero(usable), tuple(keys), tuple(bad.items()))


def _rows(
    project: Project, task: Task, place: Path, images: Path | None, common: dict[str, Any]
) -> Newcomers:
    source = project.settings.source
    if place.is_dir():
        raise InputError(
            f"{project.folder} is made of a table, so new data must be one, too; {place} is a folder."
        )
    told = table_task(
        place,
        image=source.image_column or None,
        text=source.text or None,
        numbers=source.numbers,
        key=source.key_column or None,
        classes=project.settings.classes,
        root=images,
        **common,
    )
    everybody = told.task.data.batch(np.arange(len(told.keys)))
    arrays = {name: everybody[name] for name in told.task.data.modalities}
    if "table" in arrays:
        arrays["table"] = _on_its_scale(project, task, place)
    return Newcomers(ArrayDataset(arrays, everybody.get("present")), told.task.pool, told.keys, told.bad)


def _on_its_scale(project: Project, task: Task, place: Path) -> NDArray[np.float32]:
    """Return the numbers of the new table as `new` would have standardised them beside the project's own."""
    source = project.settings.source
    home = Path(source.table)
    names = list(source.numbers)
    try:
        old = numbers_of(read_table(home), names, home)
    except (InputError, KeyError) as error:
        raise InputError(
            f"Numbers of new data are brought to the scale of the project's own table, {home}, which cannot be read: "
            f"{error} Put it back as it was when the project was made."
        ) from error
    kept: Array = task.data.batch(np.arange(len(project.items)))["table"]
    new = numbers_of(read_table(place), names, place)
    usable = np.array(project.items.parts, dtype=object) != "left out"
    if len(old) == len(usable):
        both = standardise(np.concatenate([old, new]), np.concatenate([usable, np.zeros(len(new), bool)]))
        if np.allclose(both[: len(old)], kept, atol=1e-4):
            return both[len(old) :]
    raise InputError(
        f"Numbers of new data are brought to the scale of the project's own table, and {home} is not as it was when the "
        "project was made. Put it back; what is new belongs into the other table."
    )
