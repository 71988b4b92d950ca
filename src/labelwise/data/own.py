"""A user's own samples as a task: what people label, how each sample is called, and a folder of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import NOBODY, ArrayDataset, Dataset, Ids, Labelled
from labelwise.data.columns import Columns
from labelwise.data.draws import carve
from labelwise.data.files import Root
from labelwise.data.images import SUFFIXES, Progress, decode_files
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, UNUSED, Samples, build
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.errors import EmptyPool, InputError
from labelwise.seeds import generator

OnBad = Literal["quarantine", "raise"]
UNLABELLED = -1
FEW = 50  # with fewer labels than this none is spared for validation


@dataclass(frozen=True, eq=False)
class Source:
    """A task that people label, and what its samples are called. (Known labels make a `Simulation`.)

    An id is a place in the sorted listing of the folder, or a row of the table counted from 0. A sample that
    could not be read keeps its id but is in no part of the task, so that mending it later moves no other id.

    Attributes:
        task: the task; labels that were there already are in `task.given` and `task.validation`.
        keys: (len(task.data),) a name for each sample: the path below `root`, the value of the key column, or
            the number of the table's row counted from 1.
        bad: (key, reason) of samples left out.
        root: the folder that image paths are relative to; None without images.
        columns: what the table's columns were used for; None for a folder.
    """

    task: Task
    keys: tuple[str, ...]
    bad: tuple[tuple[str, str], ...] = ()
    root: Path | None = None
    columns: Columns | None = None


def own_task(
    name: str,
    data: Dataset,
    classes: Sequence[str],
    labels: NDArray[np.int64],
    usable: NDArray[np.bool_],
    *,
    validation: float,
    seed: int,
) -> Task:
    """Return the task of partly labelled samples: the labelled are given, a part of them validates.

    Args:
        name: of the task.
        data: n samples.
        classes: names.
        labels: (n,) class index, or UNLABELLED.
        usable: (n,) False for samples that no part may hold.
        validation: share or number of the labelled samples that validates, if at least 50 are labelled.
        seed: of the draw.

    Raises:
        EmptyPool: every usable sample has a label.
    """
    pool = np.flatnonzero(usable & (labels == UNLABELLED))
    told = np.flatnonzero(usable & (labels != UNLABELLED))
    if not pool.size:
        raise EmptyPool(
            f"{name} must have samples without a label; all {len(told)} that can be read have one. To see "
            "what active learning would have bought, simulate: image_folder or table_simulation."
        )
    held: Ids = np.empty(0, np.int64)
    if len(told) >= FEW:
        held = carve(labels[told], validation, generator(seed, "data", "validation"), "validation")

    def labelled(ids: Ids) -> Labelled:
        return Labelled(ids, labels[ids]) if ids.size else NOBODY

    return Task(
        name=name,
        data=data,
        classes=tuple(classes),
        pool=pool,
        validation=labelled(told[held]),
        given=labelled(np.delete(told, held)),
    )


def blame(bad: Mapping[str, str] | Sequence[tuple[str, str]], on_bad: OnBad, total: int, name: str) -> None:
    """Raise InputError if samples are bad and that is not accepted, or if there is no good one."""
    if on_bad not in ("quarantine", "raise"):
        raise InputError(f"on_bad must be 'quarantine' or 'raise'; it is {on_bad!r}.")
    pairs = list(bad.items()) if isinstance(bad, Mapping) else list(bad)
    if pairs and (on_bad == "raise" or len(pairs) == total):
        what = "none" if len(pairs) == total else f"not {len(pairs)}"
        listed = "; ".join(f"{key}: {reason}" for key, reason in pairs[:5])
        raise InputError(
            f"{name}: of {total} samples {what} can be read. {listed}{'; …' if len(pairs) > 5 else '.'}"
        )


def listing(root: Root, suffixes: frozenset[str] = SUFFIXES, what: str = "images") -> list[str]:
    """Return the files below the root that end so, as sorted relative paths; hidden ones are passed over."""
    found = []
    for folder, inner, files in os.walk(root.folder, followlinks=False):
        inner[:] = [name for name in inner if not name.startswith(".")]
        below = os.path.relpath(folder, root.folder).replace(os.sep, "/")
        found += [
            name if below == "." else f"{below}/{name}"
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    if not found:
        raise InputError(f"{root.folder} must hold {what} ({', '.join(sorted(suffixes))}); it holds none.")
    return sorted(found)


def decoded_images(
    root: Root,
    keys: Sequence[str],
    size: int | tuple[int, int],
    grey: bool,
    cache: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> tuple[ArrayDataset, dict[str, str]]:
    """Return the images with these paths below the root as modality "image", and path -> why it cannot be read."""
    files: list[Path | None] = []
    bad: dict[str, str] = {}
    for key in keys:
        try:
            files.append(root.find(key))
        except InputError as error:  # a link that leads out of the folder
            files.append(None)
            bad[key] = str(error)
    decoded = decode_files(files, size, grey=grey, cache=cache, progress=progress)
    bad.update({keys[row]: reason for row, reason in decoded.bad})
    return ArrayDataset({"image": decoded.images}), bad


def folder_task(
    images: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    size: int | tuple[int, int] = 64,
    grey: bool = False,
    validation: float = 0.2,
    seed: int = 0,
    on_bad: OnBad = "quarantine",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Source:
    """Return a folder of images as a task to label: modality "image", uint8 (n, H, W[, 3]).

    An image below a subfolder that is named like a class has that label already; all others, however deep
    they lie, are the pool.

    Args:
        images: the folder.
        classes: names; None takes the names of the subfolders.
        size: height = width, or (height, width); images are centre-cropped to that shape.
        grey: one channel instead of three.
        validation: share or number of the images that have a label which validates, if there are at least 50.
        seed: of that draw.
        on_bad: "quarantine" leaves images that cannot be read out and lists them; "raise" refuses the folder.
        cache: a folder for the decoded images, so that opening again is instant; None keeps them in memory.
        progress: told (done, total) while decoding.

    Raises:
        InputError: no such folder, no image, no good image, fewer than two classes.
        EmptyPool: every image has a label.
    """
    root = Root(images)
    keys = listing(root)
    tops = [key.split("/")[0] if "/" in key else "" for key in keys]
    names = tuple(classes) if classes is not None else tuple(sorted(set(tops) - {""}))
    if len(names) < 2:
        raise InputError(
            f"{root.folder}: a task needs at least two classes; {list(names)} is known. Name them "
            "(classes=...), or put some labelled images into subfolders that are named like the classes."
        )
    data, bad = decoded_images(root, keys, size, grey, cache, progress)
    blame(bad, on_bad, len(keys), str(root.folder))
    index = {name: k for k, name in enumerate(names)}
    labels = np.array([index.get(top, UNLABELLED) for top in tops], np.int64)
    usable = np.array([key not in bad for key in keys])
    task = own_task(root.folder.name, data, names, labels, usable, validation=validation, seed=seed)
    return Source(task, tuple(keys), tuple(bad.items()), root.folder)


@shaped()
def image_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] = 64,
    grey: bool = False,
    test: float = 0.2,
    on_bad: OnBad = "quarantine",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return a folder with one subfolder a class as a simulation: modality "image" as in `folder_task`.

    Args:
        path: the folder; images that lie in it directly are refused.
        size, grey, on_bad, cache, progress: as in `folder_task`.
        test: share (float) or number (int) of the test images, stratified, the same for all seeds.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: no such folder, no good image, an image outside the subfolders, fewer than two subfolders.
    """
    root = Root(path)
    keys = listing(root)
    loose = [key for key in keys if "/" not in key]
    if loose:
        raise InputError(
            f"{root.folder}: every image must lie in the subfolder of its class; {loose[0]!r} does not."
        )
    tops = [key.split("/")[0] for key in keys]
    names = tuple(sorted(set(tops)))
    data, bad = decoded_images(root, keys, size, grey, cache, progress)
    blame(bad, on_bad, len(keys), str(root.folder))
    y = np.searchsorted(names, tops).astype(np.int64)
    usable = np.array([key not in bad for key in keys])
    samples = Samples(
        name=root.folder.name,
        arrays=data.arrays,
        y=y,
        classes=names,
        part=with_test(y, usable, test),
        keys=tuple(keys),
        bad=tuple(bad.items()),
    )
    return build(samples, **shape)


def with_test(y: NDArray[np.int64], usable: NDArray[np.bool_], test: float) -> NDArray[np.int8]:
    """Return the part of each sample, with a stratified test part that is the same for all seeds."""
    part = np.where(usable, TRAIN, UNUSED).astype(np.int8)
    good = np.flatnonzero(usable)
    part[good[carve(y[good], test, generator(0, "data", "own", "test"), "test")]] = TEST
    return part
