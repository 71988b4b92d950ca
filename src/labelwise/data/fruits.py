"""Fruits-360 from the user's own copy: photographs of fruit at 100 pixels, ten classes picked or merged."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Unpack, get_args

import numpy as np

from labelwise.data.files import Root
from labelwise.data.imagesets import VARIABLE, set_folder, where_test
from labelwise.data.own import blame, decoded_images, listing
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

Subset = Literal["pick10", "merge10", "all"]
NAME = "fruits-360"
SIDE = 100
TEN = 10
# what archives of the set unpack to, below $LABELWISE_DATA
FOLDERS = ("fruits-360", "fruits-360_100x100", "fruits-360-100x100", "fruits-360_dataset",
           "fruits-360_dataset_100x100", "fruits360")  # fmt: skip
PARTS = ("Training", "Test")
DEEPEST = 3  # archives wrap the two parts in one or two folders
CURE = (
    "labelwise cannot fetch it: download it from Kaggle or GitHub, where it is called fruits-360 (the version of "
    f"100 x 100 pixels), and unpack it so that {FOLDERS[0]}/Training/<class>/*.jpg and {FOLDERS[0]}/Test/<class>/*.jpg "
    "are there."
)


@shaped()
def fruits_360(
    *,
    subset: Subset = "pick10",
    cache: str | os.PathLike[str] | None = None,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return Fruits-360 as a simulation: modality "image", uint8 (n, 100, 100, 3), official test part.

    The copy lies below $LABELWISE_DATA in `fruits-360` (or under another of its usual names), the folders
    `Training` and `Test` in it or up to three folders deeper.

    Args:
        subset: "pick10" keeps the ten classes with the most training images (ties by name); "merge10" first
            merges the varieties of a fruit, that is, the classes whose names begin with the same word without
            its trailing digits ("Apple Red 1", "Apple 6"); "all" keeps every class. Classes are ordered by name.
        cache: a folder for the decoded images, so that opening again is instant; None keeps them in memory.
        shape: see `labelwise.data.splits.build`; `classes` chooses among those of the subset.

    Raises:
        InputError: the set is not there, an image of it cannot be read, or it has fewer than ten classes where
            ten are wanted.
    """
    return build(_samples(subset, cache), **shape)


def fruit_of(name: str) -> str:
    """Return the fruit that a class is a variety of: "Apple" for "Apple Red 1", "Apple 6" and "apple_hit_1"."""
    word = re.split(r"[\s_]+", name.strip())[0].rstrip("0123456789") or name
    return word[:1].upper() + word[1:]


def chosen_classes(sizes: Mapping[str, int], subset: Subset) -> dict[str, str]:
    """Return folder name -> class name of the folders that a subset keeps.

    Args:
        sizes: folder name -> training images.
        subset: see `fruits_360`.

    Raises:
        InputError: there is no such subset, or there are fewer than ten classes where ten are wanted.
    """
    if subset not in get_args(Subset):
        raise InputError(f"subset must be one of {', '.join(get_args(Subset))}; it is {subset!r}.")
    named = {folder: fruit_of(folder) if subset == "merge10" else folder for folder in sizes}
    if subset == "all":
        return named
    counts: Counter[str] = Counter()
    for folder, n in sizes.items():
        counts[named[folder]] += n
    if len(counts) < TEN:
        raise InputError(
            f"subset = {subset!r} needs {TEN} classes; this copy of {NAME} has {len(counts)}: "
            f"{', '.join(sorted(counts))}. Use subset = 'all', or complete the copy."
        )
    largest = set(sorted(counts, key=lambda name: (-counts[name], name))[:TEN])
    return {folder: name for folder, name in named.items() if name in largest}


def _place() -> Path:
    """Return the folder that holds `Training` and `Test`."""
    top = Path(os.environ.get(VARIABLE) or os.devnull)
    roots = [top / name for name in FOLDERS if (top / name).is_dir()]
    roots = roots or [set_folder(NAME, FOLDERS[0], CURE)]  # which says what is missing
    level = roots
    for _ in range(DEEPEST + 1):
        whole = [place for place in level if all((place / part).is_dir() for part in PARTS)]
        if whole:
            # Kaggle packs the pictures in their original size beside those of 100 pixels.
            return min(whole, key=lambda place: "original" in str(place.relative_to(top)))
        level = [inner for place in level for inner in sorted(place.iterdir()) if inner.is_dir()]
    raise InputError(
        f"Task {NAME!r} finds no folder with {PARTS[0]}/ and {PARTS[1]}/ in {roots[0]}, nor up to {DEEPEST} folders "
        f"deeper. {CURE}"
    )


def _samples(subset: Subset, cache: str | os.PathLike[str] | None) -> Samples:
    root = Root(_place())
    keys = [key for key in listing(root) if key.split("/")[0] in PARTS]
    for key in keys:
        if key.count("/") < 2:
            raise InputError(
                f"{root.folder}: every image must lie in the folder of its class; {key!r} does not."
            )
    sizes = Counter(key.split("/")[1] for key in keys)
    training = Counter(key.split("/")[1] for key in keys if key.startswith(f"{PARTS[0]}/"))
    named = chosen_classes({folder: training[folder] for folder in sizes}, subset)
    keys = [key for key in keys if key.split("/")[1] in named]  # only these are decoded
    data, bad = decoded_images(root, keys, SIDE, False, cache, None)
    blame(bad, "raise", len(keys), f"{root.folder}")
    names = tuple(sorted(set(named.values())))
    y = np.searchsorted(names, [named[key.split("/")[1]] for key in keys]).astype(np.int64)
    is_test = np.array([key.startswith(f"{PARTS[1]}/") for key in keys])
    return Samples(NAME, data.arrays, y, names, where_test(is_test), keys=tuple(keys))
