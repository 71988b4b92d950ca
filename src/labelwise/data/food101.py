"""UPMC Food-101: dishes as photographs and as the pages that they came from, from the user's own copy."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Unpack

import numpy as np

from labelwise.checks import check_name
from labelwise.data.files import MOST_TEXT, Root, as_text
from labelwise.data.imagesets import set_folder
from labelwise.data.ondisk import Incomplete, Pictures, Reader, from_disk
from labelwise.data.own import listing
from labelwise.data.shaping import Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples
from labelwise.data.truth import Simulation
from labelwise.errors import InputError

Text = Literal["ingredients", "titles"]
MOST_WORDS = 100
MARK = "ingredients"
PAGE = 1 << 20  # bytes of a page that are read
SIDE, CANVAS = 224, (256, 256)
_SIGNS = re.compile(r"[<>/\\+=\-_\[\]{}'\";:.,()*&^%$#@!~`|]")
CURE = (
    "Expected there: food101/images/train/<class>/*.jpg, food101/images/test/<class>/*.jpg, and the texts: "
    "food101/texts_txt/<class>/*.txt (the pages) or food101/texts/train_titles.csv and test_titles.csv (image, title, "
    "class; no head). labelwise cannot fetch it: get UPMC Food-101 from https://visiir.isir.upmc.fr or Kaggle "
    "(gianmarco96/upmcfood101)."
)


def after_ingredients(page: str) -> str:
    """Return at most 100 words that stand after the first word "ingredients" of a page; "" where there are none.

    Signs of punctuation part words; words are in lower case.
    """
    words = _SIGNS.sub(" ", page).replace("?", " ? ").lower().split()
    if MARK not in words:
        return ""
    start = words.index(MARK) + 1
    return " ".join(words[start : start + MOST_WORDS])


def _page(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return after_ingredients(stream.read(PAGE).decode("utf-8", errors="replace"))
    except OSError:  # no such page, or none that may be read: the sample has no text
        return ""


def _pages(root: Root, keys: Sequence[tuple[str, str, str]]) -> list[str]:
    files = [root.folder / "texts_txt" / top / f"{Path(name).stem}.txt" for _, top, name in keys]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return list(threads.map(_page, files))


def _titles(root: Root, split: str) -> Mapping[tuple[str, str], str]:
    """Return (class, image) -> title of one part."""
    file = root.folder / "texts" / f"{split}_titles.csv"
    if not file.is_file():
        raise InputError(f"Task 'food101' needs the file {file}; there is none. {CURE}")
    if (size := file.stat().st_size) > MOST_TEXT:
        raise InputError(f"{file} has {size:,} bytes; at most {MOST_TEXT:,} of a text are read.")
    found: dict[tuple[str, str], str] = {}
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), 1):
                if row and len(row) != 3:
                    raise InputError(
                        f"{file}, row {number}: an image, its title and its class must stand there; it has "
                        f"{len(row)} cells."
                    )
                if row:
                    found[row[2].strip(), row[0].strip()] = " ".join(row[1].split()[:MOST_WORDS])
    except csv.Error as error:
        raise InputError(f"{file} cannot be read as a table: {error}.") from error
    return found


@shaped()
def food101(
    *,
    text: Text | None = None,
    incomplete: Incomplete = "leave out",
    check: bool = False,
    **shape: Unpack[Shape],
) -> Simulation:
    """Return UPMC Food-101, 101 dishes: modalities "text" and "image", uint8 (n, 224, 224, 3), images read batch by
    batch.

    The copy lies below $LABELWISE_DATA in `food101` (or `UPMC_Food101`). An image's shorter side is resized to 256, and
    its middle cropped. With `text="ingredients"` the text is what stands after the word "ingredients" on the page that
    an image came from, at most 100 words; pages without that word have no text. With `text="titles"` it is the title
    of the page, which often names the dish. Texts are read once, at the beginning.

    A damaged image is missing; see `labelwise.data.ondisk.OnDisk`.

    Args:
        text: None takes ingredients if there is a folder `texts_txt`, else titles.
        incomplete: "leave out": samples without text are, as in the source (about a quarter of all); "keep": their
            text is missing (`present`).
        check: read every image once at the beginning, so that damaged ones count as not there; this takes minutes, and
            `Simulation.bad` names what is left out.
        shape: see `labelwise.data.splits.build`.

    Raises:
        InputError: the set is not there, a list of titles cannot be read, no sample has a text, or a class stands in
            the test part only.

    Source:
        Wang, Kumar, Thome, Cord, Precioso 2015, "Recipe recognition with large multimodal food dataset"; text and
        crops of Shen et al. 2023, "Towards Balanced Active Learning for Multimodal Classification", and their public
        code, which has them from MMBT's.
        Deviations: words are parted at blanks and signs, not by NLTK; the first "ingredients" counts, not the last
        word that holds it. Training images are neither cropped at random nor recoloured, mirrored or blurred. Images
        are resized by area, not bilinearly. 5 % of the training part validate; there the test part did.
    """
    place = set_folder("food101", "food101", CURE, ("UPMC_Food101", "UPMC-Food-101", "upmcfood101"))
    root = Root(place)
    if text is not None:
        check_name(text, ("ingredients", "titles"), "text")
    chosen = text or ("ingredients" if (root.folder / "texts_txt").is_dir() else "titles")
    if chosen == "ingredients" and not (root.folder / "texts_txt").is_dir():
        raise InputError(
            f"Task 'food101' needs the folder {root.folder / 'texts_txt'}; there is none. {CURE}"
        )
    keys: list[tuple[str, str, str]] = []
    for split in ("train", "test"):
        below = root.folder / "images" / split
        if not below.is_dir():
            raise InputError(f"Task 'food101' needs the folder {below}; there is none. {CURE}")
        for key in listing(Root(below)):
            top, _, name = key.partition("/")
            if not name or "/" in name:
                raise InputError(
                    f"{below}: every image must lie in the folder of its class; {key!r} does not."
                )
            keys.append((split, top, name))
    classes = tuple(sorted({top for split, top, _ in keys if split == "train"}))
    index = {name: k for k, name in enumerate(classes)}
    strange = [key for key in keys if key[1] not in index]
    if strange:
        raise InputError(f"{place}: {'/'.join(strange[0])} is of a class that no image for training has.")
    if chosen == "ingredients":
        texts = _pages(root, keys)
    else:
        titles = {split: _titles(root, split) for split in ("train", "test")}
        texts = [titles[split].get((top, name), "") for split, top, name in keys]
    if not any(texts):
        raise InputError(f"{place}: no image has a text ({chosen}). {CURE}")
    told = np.array([bool(one) for one in texts])
    paths = [str(root.folder / "images" / split / top / name) for split, top, name in keys]
    samples = Samples(
        "food101",
        {"text": as_text(texts), "image": np.arange(len(keys))},
        np.array([index[top] for _, top, _ in keys], np.int64),
        classes,
        np.array([TRAIN if split == "train" else TEST for split, _, _ in keys], np.int8),
        present=np.stack([told, np.ones_like(told)], axis=1),
        keys=tuple("/".join(key) for key in keys),
    )
    readers: dict[str, Reader] = {"image": Pictures(paths, (), SIDE, CANVAS)}
    return from_disk(samples, readers, "image", shape, incomplete=incomplete, check=check)
