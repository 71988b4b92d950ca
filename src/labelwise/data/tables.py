"""A user's own table (CSV or Parquet) as a task: columns of image paths, text, numbers and labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.data.base import ArrayDataset
from labelwise.data.columns import Columns, cells, detect, numbers_of
from labelwise.data.draws import standardise
from labelwise.data.files import Root, as_text, check_columns, read_table
from labelwise.data.images import Progress, decode_files
from labelwise.data.own import UNLABELLED, OnBad, Source, blame, own_task, with_test
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError


@dataclass(frozen=True, eq=False)
class _Rows:
    """A table that was read: arrays (numbers not yet standardised), presence, labels as written."""

    arrays: dict[str, Array]
    present: NDArray[np.bool_]
    labels: list[str]  # "" where there is none
    keys: tuple[str, ...]
    bad: dict[int, str]
    columns: Columns
    root: Path | None

    @property
    def usable(self) -> NDArray[np.bool_]:
        usable = np.ones(len(self.keys), np.bool_)
        usable[list(self.bad)] = False
        return usable

    @property
    def complaints(self) -> tuple[tuple[str, str], ...]:
        return tuple((self.keys[row], self.bad[row]) for row in sorted(self.bad))

    def standardised(self, rows: NDArray[np.bool_]) -> dict[str, Array]:
        return {
            name: standardise(array, rows) if name == "table" else array
            for name, array in self.arrays.items()
        }

    def dataset_presence(self) -> NDArray[np.bool_] | None:
        return None if self.present.all() else self.present


def _read(
    path: str | os.PathLike[str],
    columns: Columns,
    root: str | os.PathLike[str] | None,
    size: int | tuple[int, int],
    grey: bool,
    on_bad: OnBad,
    cache: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> _Rows:
    file, table = Path(path), read_table(path)
    if columns.image is None and columns.text is None and not columns.numbers:
        if columns.label is not None or columns.key is not None:
            raise InputError(
                f"{file.name}: name an image, text or number column too, or no column at all "
                "to have them guessed."
            )
        columns = detect(table)
        if columns.image is None and columns.text is None and not columns.numbers:
            raise InputError(
                f"{file.name}: no column looks like image paths, text or numbers. Name them "
                "(image=..., text=..., numbers=...)."
            )
    named = [
        c
        for c in (columns.image, columns.text, *columns.numbers, columns.label, columns.key)
        if c is not None
    ]
    check_columns(named, table.column_names, file)
    if len(set(named)) != len(named):
        raise InputError(f"{file.name}: a column must have one use; {named} names one twice.")

    n = table.num_rows
    arrays: dict[str, Array] = {}
    there: list[NDArray[np.bool_]] = []
    bad: dict[int, str] = {}
    keys = [str(row + 1) for row in range(n)]
    folder = None
    if columns.image is not None:
        confined = Root(root if root is not None else file.resolve().parent)
        folder, paths = confined.folder, cells(table, columns.image)
        files: list[Path | None] = []
        for row, given in enumerate(paths):
            try:
                files.append(confined.find(given) if given else None)
            except InputError as error:
                raise InputError(f"{file.name}, row {row + 1}, column {columns.image!r}: {error}") from error
        decoded = decode_files(files, size, grey=grey, cache=cache, progress=progress)
        bad.update(decoded.bad)
        arrays["image"] = decoded.images
        there.append(np.array([one is not None for one in files]))
        keys = [given or key for given, key in zip(paths, keys, strict=True)]
    if columns.text is not None:
        text = cells(table, columns.text)
        arrays["text"] = as_text(text)
        there.append(np.array([bool(one) for one in text]))
    if columns.numbers:
        arrays["table"] = numbers_of(table, columns.numbers, file)
        there.append(np.asarray((~np.isnan(arrays["table"])).any(axis=1)))
    if columns.key is not None:
        keys = [given or key for given, key in zip(cells(table, columns.key), keys, strict=True)]
    present = np.stack(there, axis=1)
    bad.update(
        {int(row): "it has no image, no text and no number" for row in np.flatnonzero(~present.any(axis=1))}
    )
    labels = cells(table, columns.label) if columns.label is not None else [""] * n
    rows = _Rows(arrays, present, labels, tuple(keys), bad, columns, folder)
    blame(rows.complaints, on_bad, n, file.name)
    return rows


def _labels(
    rows: _Rows, classes: Sequence[str] | None, file: Path
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return class names and (n,) labels, UNLABELLED where there is none."""
    names = tuple(classes) if classes is not None else tuple(sorted(set(rows.labels) - {""}))
    if len(names) < 2:
        raise InputError(
            f"{file.name}: a task needs at least two classes; {list(names)} is known. Name them "
            "(classes=...)."
        )
    index = {"": UNLABELLED, **{name: k for k, name in enumerate(names)}}
    for row, label in enumerate(rows.labels):
        if label not in index:
            raise InputError(
                f"{file.name}: row {row + 1} has the label {label!r}; the classes are {', '.join(names)}."
            )
    return names, np.array([index[label] for label in rows.labels], np.int64)


def table_task(
    path: str | os.PathLike[str],
    *,
    image: str | None = None,
    text: str | None = None,
    numbers: str | Sequence[str] | None = None,
    label: str | None = None,
    key: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] = 64,
    grey: bool = False,
    validation: float = 0.2,
    seed: int = 0,
    on_bad: OnBad = "quarantine",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Source:
    """Return a table as a task to label; rows that have a label are given, the others are the pool.

    Modalities in this order, each if there is a column for it: "image" (uint8, as in `folder_task`), "text"
    (StringDType), "table" (float32 (n, F), standardised over all rows; a missing number becomes the mean). A
    row without its image, text or all of its numbers is marked in `present`.

    Args:
        path: the table, CSV, TSV or Parquet.
        image: column of image paths.
        text: column of text.
        numbers: column or columns of numbers.
        label: column of class names, empty where nobody knows.
        key: column that names the rows; else the image path or the row's number names them.
        classes: names, in the wanted order; None takes those in the label column, sorted.
        root: the folder that image paths are relative to and may not leave; None: the table's own folder.
        size, grey, validation, seed, on_bad, cache, progress: as in `folder_task`.

    If no column is named at all they are guessed (`detect`), and `Source.columns` says how.

    Raises:
        InputError: no such file or column, a number or label that is none, a path that leaves the root, no
            good row, fewer than two classes.
        EmptyPool: every row has a label.
    """
    columns = Columns(
        image, text, (numbers,) if isinstance(numbers, str) else tuple(numbers or ()), label, key
    )
    rows = _read(path, columns, root, size, grey, on_bad, cache, progress)
    names, labels = _labels(rows, classes, Path(path))
    data = ArrayDataset(rows.standardised(rows.usable), rows.dataset_presence())
    task = own_task(Path(path).stem, data, names, labels, rows.usable, validation=validation, seed=seed)
    return Source(task, rows.keys, rows.complaints, rows.root, rows.columns)


@shaped()
def table_simulation(
    path: str | os.PathLike[str],
    *,
    image: str | None = None,
    text: str | None = None,
    numbers: str | Sequence[str] | None = None,
    label: str | None = None,
    key: str | None = None,
    root: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] = 64,
    grey: bool = False,
    test: float = 0.2,
    on_bad: OnBad = "quarantine",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return a fully labelled table as a simulation: the pool's labels are hidden in the truth.

    Args:
        path, image, text, numbers, label, key, root, size, grey, on_bad, cache, progress: as in `table_task`;
            numbers are standardised without the test rows.
        test: share (float) or number (int) of the test rows, stratified, the same for all seeds.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: as in `table_task`, or a row has no label.
    """
    columns = Columns(
        image, text, (numbers,) if isinstance(numbers, str) else tuple(numbers or ()), label, key
    )
    rows = _read(path, columns, root, size, grey, on_bad, cache, progress)
    names, labels = _labels(rows, None, Path(path))
    missing = np.flatnonzero(labels == UNLABELLED)
    if missing.size:
        raise InputError(
            f"{Path(path).name}: a simulation needs the label of every row; row {int(missing[0]) + 1} has "
            f"none ({len(missing)} in all)."
        )
    part = with_test(labels, rows.usable, test)
    samples = Samples(
        name=Path(path).stem,
        arrays=rows.standardised(rows.usable & (part != TEST)),
        y=labels,
        classes=names,
        part=part,
        present=rows.dataset_presence(),
        keys=rows.keys,
        bad=rows.complaints,
    )
    return build(samples, **shape)
