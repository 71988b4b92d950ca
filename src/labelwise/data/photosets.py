"""BreakHis, Waterbirds and Tiny ImageNet: photographs in folders, from the user's own copy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from labelwise.checks import Array
from labelwise.data.columns import cells
from labelwise.data.files import Root, check_columns, read_lines, read_table
from labelwise.data.imagesets import set_folder
from labelwise.data.own import blame, decoded_images, listing, with_test
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, VALIDATION, Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

TUMOURS = ("benign", "malignant")
BIRDS = ("landbird", "waterbird")
SPLITS = {"0": TRAIN, "1": VALIDATION, "2": TEST}
BREAKHIS_CURE = (
    "Expected there: breakhis/ with images somewhere below folders benign and malignant. labelwise cannot fetch it: "
    "unpack BreaKHis_v1.tar.gz from https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-"
    "breakhis/ there."
)
WATERBIRDS_CURE = (
    "Expected there: waterbirds/metadata.csv (columns img_filename, y, split) and the images it names. labelwise "
    "cannot fetch it: unpack https://nlp.stanford.edu/data/dro/waterbird_complete95_forest2water2.tar.gz there."
)
TINY_CURE = (
    "Expected there: tiny_imagenet/train/<wnid>/images/*.JPEG, tiny_imagenet/val/val_annotations.txt and tiny_imagenet/"
    "val/images/*.JPEG. labelwise cannot fetch it: unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip there."
)


def _inside(place: Path, name: str) -> Path:
    """Return the folder, or the only one in it that an archive left there: whichever holds the file or folder."""
    found = [place, *sorted(inner for inner in place.iterdir() if inner.is_dir())]
    return next((folder for folder in found if (folder / name).exists()), place)


def _needed(task: str, path: Path, cure: str) -> Path:
    if not path.exists():
        raise InputError(f"Task {task!r} needs {path}; there is none. {cure}")
    return path


def _decoded(
    root: Root, keys: Sequence[str], size: int | tuple[int, int], cache: str | os.PathLike[str] | None
) -> dict[str, Array]:
    data, bad = decoded_images(root, keys, size, False, cache, None)
    blame(bad, "raise", len(keys), str(root.folder))
    return dict(data.arrays)


@shaped()
def breakhis(
    *,
    size: int | tuple[int, int] = 224,
    test: float = 0.3,
    cache: str | os.PathLike[str] | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return photographs of breast tumours, benign or malignant: modality "image", uint8 (n, H, W, 3).

    The copy lies below $LABELWISE_DATA in `breakhis` (or under its archive's name). An image is benign or
    malignant as one of the folders above it says; all four magnifications belong to the set.

    Args:
        size: height = width, or (height, width); images (700 x 460) are centre-cropped to that shape.
        test: share (float) or number (int) of the test images, stratified, the same for all seeds. The default
            leaves 5,536 of 7,909 images for training.
        cache: a folder for the decoded images (1.2 GB), so that opening again is instant; None keeps them in memory.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: the set is not there, an image cannot be read or is not in exactly one of the two folders.

    Source:
        Spanhol, Oliveira, Petitjean, Heutte 2016, "A Dataset for Breast Cancer Histopathological Image
        Classification". Split: Zhan et al. 2022, "A Comparative Survey of Deep Active Learning", 70 % at random.
        Deviations: the split is stratified and fixed; theirs is drawn anew. As in theirs, images of one patient
        lie in both parts, so that the test accuracy says nothing about new patients.
    """
    place = set_folder("breakhis", "breakhis", BREAKHIS_CURE, ("BreaKHis_v1", "BreakHis"))
    root = Root(place)
    try:
        keys = listing(root)
    except InputError as error:
        raise InputError(f"{error} {BREAKHIS_CURE}") from error
    y = np.array([_tumour(key, root) for key in keys], np.int64)
    part = with_test(y, np.ones(len(y), np.bool_), test)
    samples = Samples("breakhis", _decoded(root, keys, size, cache), y, TUMOURS, part, keys=tuple(keys))
    return build(samples, **shape)


def _tumour(key: str, root: Root) -> int:
    folders = {folder.lower() for folder in key.split("/")[:-1]}
    found = [k for k, name in enumerate(TUMOURS) if name in folders]
    if len(found) != 1:
        raise InputError(
            f"{root.folder}: every image must lie below one folder, benign or malignant; {key!r} lies below "
            f"{'both' if found else 'neither'}."
        )
    return found[0]


@shaped()
def waterbirds(
    *,
    size: int | tuple[int, int] = 224,
    cache: str | os.PathLike[str] | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return birds of land and water before a background of either: modality "image", uint8 (n, H, W, 3).

    The copy lies below $LABELWISE_DATA in `waterbirds` (or under its archive's name). The official parts: 4,795
    images for training, 1,199 for validation, 5,794 for the test. The background (column `place`) goes nowhere:
    who wants accuracy by group looks it up by `Simulation.keys`, which are the names in `img_filename`.

    Args:
        size: height = width, or (height, width); images are centre-cropped to that shape.
        cache: a folder for the decoded images (1.8 GB), so that opening again is instant; None keeps them in memory.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: the set is not there, an image cannot be read, or y is not 0 or 1, or split not 0, 1 or 2.

    Source:
        Sagawa, Koh, Hashimoto, Liang 2020, "Distributionally Robust Neural Networks for Group Shifts", section 3.
    """
    place = set_folder(
        "waterbirds", "waterbirds", WATERBIRDS_CURE, ("waterbird_complete95_forest2water2", "waterbirds_v1.0")
    )
    root = Root(_inside(place, "metadata.csv"))
    file = _needed("waterbirds", root.folder / "metadata.csv", WATERBIRDS_CURE)
    table = read_table(file)
    check_columns(("img_filename", "y", "split"), table.column_names, file)
    keys = cells(table, "img_filename")
    y = _coded(cells(table, "y"), {"0": 0, "1": 1}, "y", file)
    part = _coded(cells(table, "split"), SPLITS, "split", file).astype(np.int8)
    samples = Samples("waterbirds", _decoded(root, keys, size, cache), y, BIRDS, part, keys=tuple(keys))
    return build(samples, **shape)


def _coded(values: Sequence[str], codes: dict[str, int], column: str, file: Path) -> Array:
    for row, value in enumerate(values):
        if value not in codes:
            raise InputError(
                f"{file}, row {row + 1}: {column} must be one of {', '.join(codes)}; it is {value!r}."
            )
    return np.array([codes[value] for value in values], np.int64)


@shaped()
def tiny_imagenet(
    *,
    size: int | tuple[int, int] = 64,
    cache: str | os.PathLike[str] | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return Tiny ImageNet, 200 classes of 500 images: modality "image", uint8 (n, H, W, 3).

    The copy lies below $LABELWISE_DATA in `tiny_imagenet` (or `tiny-imagenet-200`). The official validation part
    (10,000 images) is the test part, since the labels of the official test part are not public. Classes are
    ordered by their WordNet id, and called by the first of their names in `words.txt` if it is there and no other
    class has it.

    Args:
        size: height = width, or (height, width); images (64 x 64) are centre-cropped to that shape.
        cache: a folder for the decoded images (1.4 GB), so that opening again is instant; None keeps them in memory.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: the set is not there, an image cannot be read, or `val_annotations.txt` names no class of it.

    Source:
        Le, Yang 2015, "Tiny ImageNet Visual Recognition Challenge", Stanford CS 231N.
    """
    task = "tiny-imagenet"
    place = set_folder(task, "tiny_imagenet", TINY_CURE, ("tiny-imagenet-200", "tiny-imagenet"))
    root = Root(_inside(place, "train"))
    train = Root(_needed(task, root.folder / "train", TINY_CURE))
    notes = _needed(task, root.folder / "val" / "val_annotations.txt", TINY_CURE)
    keys = listing(train)
    loose = [key for key in keys if "/" not in key]
    if loose:
        raise InputError(
            f"{train.folder}: every image must lie in the folder of its class; {loose[0]!r} does not."
        )
    names = [key.split("/")[0] for key in keys]
    ids = sorted(set(names))
    index = {name: k for k, name in enumerate(ids)}
    y, n = [index[name] for name in names], len(keys)
    keys = [f"train/{key}" for key in keys]
    for line, text in enumerate(read_lines(notes), 1):
        image, _, rest = text.partition("\t")
        name = rest.split("\t")[0]
        if name not in index:
            raise InputError(
                f"{notes}, line {line}: an image and its class, one of the {len(ids)} folders of train, must stand "
                f"there, parted by a tab; it is {text!r}."
            )
        keys.append(f"val/images/{image}")
        y.append(index[name])
    samples = Samples(
        task,
        _decoded(root, keys, size, cache),
        np.array(y, np.int64),
        _words(ids, root.folder / "words.txt"),
        np.where(np.arange(len(y)) < n, TRAIN, TEST).astype(np.int8),
        keys=tuple(keys),
    )
    return build(samples, **shape)


def _words(ids: Sequence[str], file: Path) -> tuple[str, ...]:
    """Return the first name of each WordNet id, or the id where it has none or shares it."""
    if not file.is_file():
        return tuple(ids)
    lines = dict(line.partition("\t")[::2] for line in read_lines(file))
    words = [lines.get(one, "").split(",")[0].strip() or one for one in ids]
    often = Counter(words)
    return tuple(word if often[word] == 1 else one for word, one in zip(words, ids, strict=True))
