"""Tasks of images and sounds from the folder that the environment variable LABELWISE_DATA names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels
from labelwise.data.audio import loudness_bytes
from labelwise.data.files import read_idx, read_npz
from labelwise.data.shaping import Builder
from labelwise.data.splits import TEST, TRAIN, VALIDATION, Samples
from labelwise.errors import InputError, ShapeError

VARIABLE = "LABELWISE_DATA"
DIGITS = tuple(str(k) for k in range(10))
GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
# the names that keras, MedMNIST and this project give to one part
PARTS = {
    TRAIN: (("x_train", "y_train"), ("train_images", "train_labels")),
    VALIDATION: (("x_val", "y_val"), ("val_images", "val_labels")),
    TEST: (("x_test", "y_test"), ("test_images", "test_labels")),
}
IDX = {TRAIN: "train", TEST: "t10k"}


def set_folder(task: str, folder: str, cure: str, others: Sequence[str] = ()) -> Path:
    """Return the folder of one data set below $LABELWISE_DATA.

    Args:
        task: its name, for messages.
        folder: below $LABELWISE_DATA.
        cure: a sentence saying how to get the set.
        others: names that the folder may have instead, such as what its archive unpacks to.

    Raises:
        InputError: the variable is not set, or there is no such folder.
    """
    root = os.environ.get(VARIABLE, "")
    if not root:
        raise InputError(
            f"Task {task!r} needs the environment variable {VARIABLE} to name the folder that holds "
            f"{folder}/; it is not set. {cure}"
        )
    for name in (folder, *others):
        if (Path(root) / name).is_dir():
            return Path(root) / name
    raise InputError(
        f"Task {task!r} needs the folder {Path(root) / folder} (from {VARIABLE}); there is none. {cure}"
    )


def set_file(task: str, folder: str, file: str, holds: str) -> Path:
    """Return one file of a data set below $LABELWISE_DATA; `holds` says in a message what has to be in it.

    Raises:
        InputError: the variable is not set, or there is no such file.
    """
    cure = f"Expected there: {folder}/{file} with {holds}."
    place = set_folder(task, folder, cure) / file
    if not place.is_file():
        raise InputError(f"Task {task!r} needs the file {place} (from {VARIABLE}); there is none. {cure}")
    return place


def take(arrays: Mapping[str, Array], names: Sequence[str], file: Path) -> tuple[Array, ...]:
    """Return the named arrays of a file; raise InputError that lists what is there if one is missing."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"{file} must hold an array {missing[0]!r}; it holds {', '.join(arrays)}.")
    return tuple(arrays[name] for name in names)


def _from_npz(file: Path) -> tuple[dict[int, tuple[Array, Array]], tuple[str, ...] | None]:
    arrays = read_npz(file)
    parts = {
        part: (arrays[x], arrays[y])
        for part, names in PARTS.items()
        for x, y in names
        if x in arrays and y in arrays
    }
    named = tuple(str(name) for name in arrays["class_names"]) if "class_names" in arrays else None
    return parts, named


def from_idx(folder: Path, prefixes: Mapping[int, str] = IDX) -> dict[int, tuple[Array, Array]]:
    """Return part -> (images, labels) where both idx files are there; prefixes: part -> how their names begin."""

    def found(stem: str, kind: str) -> Path | None:
        names = [f"{stem}{dot}{kind}{gz}" for dot in "-." for gz in ("", ".gz")]
        return next((folder / name for name in names if (folder / name).is_file()), None)

    parts = {}
    for part, prefix in prefixes.items():
        images, labels = found(f"{prefix}-images", "idx3-ubyte"), found(f"{prefix}-labels", "idx1-ubyte")
        if images is not None and labels is not None:
            parts[part] = read_idx(images), read_idx(labels)
    return parts


def official(
    task: str,
    folder: str,
    npz: Sequence[str],
    classes: tuple[str, ...],
    cure: str,
    *,
    validation: bool = False,
) -> Samples:
    """Return an image set with official parts, from the first of its usual layouts that is complete.

    Args:
        task: name of the task.
        folder: below $LABELWISE_DATA.
        npz: names of npz files to look for (arrays x_train, y_train, ... or train_images, train_labels, ...);
            idx files are looked for after them.
        classes: names, unless the npz file brings `class_names`.
        cure: how to get the set.
        validation: whether the set has an official validation part.

    Raises:
        InputError: no layout is complete, or images and labels do not fit each other.
    """
    place = set_folder(task, folder, cure)
    file = next((place / name for name in npz if (place / name).is_file()), None)
    parts, named = _from_npz(file) if file is not None else (from_idx(place), None)
    for part, word in (
        (TRAIN, "training"),
        (TEST, "test"),
        *(((VALIDATION, "validation"),) if validation else ()),
    ):
        if part not in parts:
            idx = "" if validation else " or the four idx files train-images-idx3-ubyte[.gz], ..."
            raise InputError(
                f"Task {task!r} finds no {word} part in {file or place}. Expected there: "
                f"{' or '.join(npz)}{idx}. {cure}"
            )
    return joined(task, parts, named or classes, file or place)


def joined(
    task: str, parts: Mapping[int, tuple[Array, Array]], classes: tuple[str, ...], where: Path
) -> Samples:
    """Return an image set from part -> (images uint8 (n, H, W[, 3]), labels (n,) or (n, 1)).

    Raises:
        ShapeError: images and labels do not fit each other, or parts differ in shape.
        InputError: a label is no class index.
    """
    images: list[Array] = []
    labels: list[Array] = []
    which: list[Array] = []
    for part in sorted(parts):
        x, y = parts[part]
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y  # MedMNIST keeps labels as (n, 1)
        if x.dtype != np.uint8 or x.ndim not in (3, 4) or y.shape != x.shape[:1]:
            raise ShapeError(
                f"{where} must hold uint8 images (n, H, W[, 3]) and labels (n,); it holds {x.dtype} "
                f"{x.shape} and labels {y.shape}."
            )
        if images and x.shape[1:] != images[0].shape[1:]:
            raise ShapeError(
                f"{where} must hold images of one shape; it holds {images[0].shape[1:]} and {x.shape[1:]}."
            )
        images.append(x)
        labels.append(as_labels(y, len(classes), f"{task}: labels"))
        which.append(np.full(len(y), part, np.int8))
    return Samples(
        task,
        {"image": np.concatenate(images)},
        np.concatenate(labels),
        classes,
        np.concatenate(which),
    )


def _download(name: str) -> str:
    return f"`labelwise download {name}` fetches it."


def _mnist() -> Samples:
    return official("mnist", "mnist", ("mnist.npz",), DIGITS, _download("mnist"))


def _fashion_mnist() -> Samples:
    return official(
        "fashion-mnist", "fashion_mnist", ("fashion_mnist.npz",), GARMENTS, _download("fashion-mnist")
    )


def _pneumonia_mnist() -> Samples:
    return official(
        "pneumonia-mnist",
        "pneumonia_mnist",
        ("pneumonia_mnist.npz", "pneumoniamnist.npz"),
        ("normal", "pneumonia"),
        _download("pneumonia-mnist"),
        validation=True,
    )


def where_test(is_test: Array) -> NDArray[np.int8]:
    """Return the part of each sample from a mask of the test samples."""
    return np.where(is_test, TEST, TRAIN).astype(np.int8)


def _sign_digits() -> Samples:
    file = set_file("sign-digits", "sign_digits", "sign_digits.npz", "arrays x, y, is_test")
    x, y, is_test = take(read_npz(file), ("x", "y", "is_test"), file)
    return Samples("sign-digits", {"image": x}, y.astype(np.int64), DIGITS, where_test(is_test))


def _trashnet() -> Samples:
    from labelwise.data.files import check_columns, read_table
    from labelwise.data.images import decode_all

    file = set_file(
        "trashnet", "trashnet", "trashnet_64px.parquet", "columns image, label, label_name, split"
    )
    table = read_table(file)
    check_columns(("image", "label", "label_name", "split"), table.column_names, file)
    rows = table.select(["image", "label", "label_name", "split"]).to_pydict()
    decoded = decode_all(rows["image"], 64)
    if decoded.bad:
        row, reason = decoded.bad[0]
        raise InputError(f"{file}: the image of row {row + 1} cannot be read: {reason}. Fetch the file anew.")
    return Samples(
        "trashnet",
        {"image": decoded.images},
        np.array(rows["label"], np.int64),
        class_names(rows["label"], rows["label_name"]),
        where_test(np.array(rows["split"]) == "test"),
    )


def class_names(labels: Sequence[int], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes 0, 1, ... from a column of indices and one of names; they must agree."""
    pairs = dict(sorted(set(zip(labels, names, strict=True))))
    if len(pairs) != len(set(zip(labels, names, strict=True))) or list(pairs) != list(range(len(pairs))):
        raise InputError(
            "Each label from 0 to K - 1 must have one name; the columns label and label_name say otherwise."
        )
    return tuple(pairs.values())


def _esc10() -> Samples:
    file = set_file("esc10", "esc10", "esc10_logmel.npz", "arrays logmel_u8, label, fold, class_names")
    x, y, fold, names = take(read_npz(file), ("logmel_u8", "label", "fold", "class_names"), file)
    return Samples(
        "esc10",
        {"audio": x},
        y.astype(np.int64),
        tuple(map(str, names)),
        where_test(fold == 5),
        sounds=("audio",),
    )


def _fsdd() -> Samples:
    file = set_file("fsdd", "fsdd", "fsdd_logmel.npz", "arrays logmel, label, is_test, class_names")
    x, y, is_test, names = take(read_npz(file), ("logmel", "label", "is_test", "class_names"), file)
    # decibels below the loudest moment of the clip, floor -80
    return Samples(
        "fsdd",
        {"audio": loudness_bytes(x)},
        y.astype(np.int64),
        tuple(map(str, names)),
        where_test(is_test),
        sounds=("audio",),
    )


mnist = Builder(_mnist, 'Handwritten digits: "image" uint8 (n, 28, 28); parity=True is the odd-even task.')
fashion_mnist = Builder(_fashion_mnist, 'Garments: "image" uint8 (n, 28, 28).')
pneumonia_mnist = Builder(
    _pneumonia_mnist, 'Chest X-rays, two classes: "image" uint8 (n, 28, 28); official validation part.'
)
sign_digits = Builder(
    _sign_digits,
    'Photographs of hands that sign digits: "image" uint8 (n, 48, 48); test part of other persons.',
)
trashnet = Builder(_trashnet, 'Photographs of waste, six classes: "image" uint8 (n, 64, 64, 3).')
esc10 = Builder(
    _esc10,
    'Environmental sounds: "audio" uint8 (n, 64, 156), log-mel, 255 = 0 dB, 0 = -80 dB; fold 5 is the test part.',
)
fsdd = Builder(_fsdd, 'Spoken digits: "audio" uint8 (n, 40, 64), log-mel, 255 = 0 dB, 0 = -80 dB.')
