"""What a project keeps of its samples: who is who (items.csv) and what the model sees (data/)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.data.base import NOBODY, ArrayDataset, Dataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import CorruptStore, InputError
from labelwise.project.disk import disk_error, sha256_of, sync_folder, whole_file
from labelwise.project.sheet import read_lines, write_rows

ITEMS = "items.csv"
DATA = "data"
INDEX = "data/index.json"
PARTS = ("pool", "given", "validation", "left out")
_BLOCK = 512  # samples copied at once
_CURE = "Put the file back from a copy; the answers in campaign.db are not affected."


@dataclass(frozen=True, eq=False)
class Items:
    """Who is who: the place in these tuples is the id.

    Attributes:
        keys: the file below the image folder, or the name of the table's row.
        parts: pool, given, validation, or left out (could not be read at `new`).
        labels: class index known at `new`; -1 where there is none.
    """

    keys: tuple[str, ...]
    parts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    def ids(self, part: str) -> NDArray[np.int64]:
        """Return the ids of one part, ascending."""
        return np.flatnonzero(np.array(self.parts, dtype=object) == part)


def items_of(task: Task, keys: tuple[str, ...]) -> Items:
    """Return who is who in a task."""
    parts = np.full(len(keys), "left out", dtype=object)
    labels = np.full(len(keys), -1, np.int64)
    parts[task.pool] = "pool"
    for name, part in (("given", task.given), ("validation", task.validation)):
        parts[part.ids] = name
        labels[part.ids] = part.y
    for key in keys:
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"The name {key!r} is no valid Unicode; rename it.") from error
    return Items(keys, tuple(parts.tolist()), labels)


def write_items(items: Items, classes: tuple[str, ...], folder: Path) -> None:
    """Write items.csv into a project folder."""
    rows = (
        {"id": i, "file": key, "part": part, "label": classes[label] if label >= 0 else None}
        for i, (key, part, label) in enumerate(
            zip(items.keys, items.parts, items.labels.tolist(), strict=True)
        )
    )
    with whole_file(folder / ITEMS) as file:
        write_rows(file, ("id", "file", "part", "label"), rows)


def read_items(folder: Path, classes: tuple[str, ...], sha256: str) -> Items:
    """Return who is who in a project folder.

    Args:
        folder: the project.
        classes: the names of the classes.
        sha256: what the campaign remembers of the file.

    Raises:
        CorruptStore: the file is not the one that `new` wrote.
    """
    check_file(folder, ITEMS, sha256)
    try:
        raw = (folder / ITEMS).read_bytes()
    except OSError as error:
        raise disk_error(folder / ITEMS, error, "read") from error
    index = {name: k for k, name in enumerate(classes)}
    lines = read_lines(raw, ITEMS, ("id", "file", "part", "label"), strip=False)
    if any(line.cells["label"] not in {"", *index} for line in lines):
        raise CorruptStore(
            f"{folder / ITEMS} holds a label that is no class of project.toml. Put project.toml back as it "
            "was."
        )
    labels = np.array([index.get(line.cells["label"], -1) for line in lines], np.int64)
    return Items(
        tuple(line.cells["file"] for line in lines), tuple(line.cells["part"] for line in lines), labels
    )


def check_file(folder: Path, name: str, sha256: str) -> None:
    """Raise CorruptStore unless a file is the one that `new` wrote."""
    path = folder / name
    if not path.is_file():
        raise CorruptStore(f"{path} is missing. {_CURE}")
    if sha256_of(path) != sha256:
        raise CorruptStore(f"{path} is not as `labelwise new` wrote it: changed or damaged. {_CURE}")


def write_data(task: Task, folder: Path) -> None:
    """Copy what the model sees into data/, a block at a time: one .npy a modality, .json for text."""
    (folder / DATA).mkdir()
    n, data = len(task.data), task.data
    first = data.batch(np.arange(1))
    index: dict[str, Any] = {"samples": n, "modalities": [], "present": "present" in first}
    for place, name in enumerate(data.modalities):
        kind = "json" if first[name].dtype.kind in "TUO" else "npy"
        index["modalities"].append({"name": name, "file": f"{place}.{kind}"})
        _write_column(data, name, folder / DATA / f"{place}.{kind}")
    if index["present"]:
        _write_column(data, "present", folder / DATA / "present.npy")
    with whole_file(folder / INDEX) as file:
        json.dump(index, file)
    sync_folder(folder / DATA)


def _write_column(data: Dataset, name: str, path: Path) -> None:
    n = len(data)
    blocks = (data.batch(np.arange(at, min(at + _BLOCK, n)))[name] for at in range(0, n, _BLOCK))
    if path.suffix == ".json":
        with whole_file(path) as file:
            json.dump([str(text) for block in blocks for text in block], file, ensure_ascii=False)
        return
    one = data.batch(np.arange(1))[name]
    head = {"descr": npy.dtype_to_descr(one.dtype), "fortran_order": False, "shape": (n, *one.shape[1:])}
    with whole_file(path, "wb") as file:
        npy.write_array_header_1_0(file, head)
        for block in blocks:
            file.write(np.ascontiguousarray(block).tobytes())


def fingerprints(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256 of everything that `new` wrote and nothing may change."""
    files = [ITEMS, *sorted(f"{DATA}/{path.name}" for path in (folder / DATA).iterdir())]
    return {name: sha256_of(folder / name) for name in files}


def read_task(
    name: str, folder: Path, classes: tuple[str, ...], items: Items, files: Mapping[str, str]
) -> Task:
    """Return the task of a project, its arrays memory-mapped.

    Raises:
        CorruptStore: a file of data/ is missing, changed or damaged.
    """
    for file, sha256 in files.items():
        if file != ITEMS:
            check_file(folder, file, sha256)
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
        arrays = {entry["name"]: _read_column(folder / DATA / entry["file"]) for entry in index["modalities"]}
        present = _read_column(folder / DATA / "present.npy") if index["present"] else None
    except OSError as error:
        raise disk_error(folder / DATA, error, "read") from error
    return Task(
        name=name,
        data=ArrayDataset(arrays, present),
        classes=classes,
        pool=items.ids("pool"),
        validation=_labelled(items, "validation"),
        given=_labelled(items, "given"),
    )


def _read_column(path: Path) -> Array:
    if path.suffix == ".json":
        return np.array(json.loads(path.read_text("utf-8")), dtype=np.dtypes.StringDType())
    column: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return column


def _labelled(items: Items, part: str) -> Labelled:
    ids = items.ids(part)
    return Labelled(ids, items.labels[ids]) if ids.size else NOBODY
