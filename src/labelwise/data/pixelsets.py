"""CIFAR-10, CIFAR-100 and EMNIST from the files of plain pixels that their publishers give out."""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labelwise.checks import Array
from labelwise.data.files import MOST_BYTES, read_lines
from labelwise.data.imagesets import from_idx, joined, official, set_folder
from labelwise.data.shaping import Builder
from labelwise.data.splits import TEST, TRAIN, Samples
from labelwise.errors import InputError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HUNDRED = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm""".split()  # noqa: SIM905
)
CHARACTERS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
EMNIST = {TRAIN: "emnist-byclass-train", TEST: "emnist-byclass-test"}
EMNIST_CURE = (
    "Expected there: emnist/emnist-byclass-train-images-idx3-ubyte.gz, the three other emnist-byclass files (train or "
    "test, images or labels), gzipped or not, themselves or in a folder gzip or raw. labelwise cannot fetch them: they "
    "are in gzip.zip from https://www.nist.gov/itl/products-and-services/emnist-dataset."
)


@dataclass(frozen=True)
class _Cifar:
    """Where the files of one set lie, and what a record of them begins with.

    Attributes:
        name: of the task.
        folder: below $LABELWISE_DATA.
        inner: what the archive of the binary version unpacks to.
        train, test: its files.
        names: its file of class names, one a line; `classes` where there is none.
        head: bytes before the pixels of a record; the last of them is the label.
        archive: what the publishers call the binary version.
    """

    name: str
    folder: str
    inner: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: tuple[str, ...]
    head: int
    archive: str

    @property
    def cure(self) -> str:
        return (
            f"Expected there: {self.folder}/{self.inner}/{self.train[0]}, ... and {self.test}, or {self.folder}/"
            f"{self.folder}.npz with x_train, y_train, x_test, y_test. labelwise cannot fetch it: unpack the binary "
            f"version ({self.archive}) from https://www.cs.toronto.edu/~kriz/cifar.html. The Python version holds "
            "pickles, which are never read."
        )

    def __call__(self) -> Samples:
        place = set_folder(self.name, self.folder, self.cure, (self.inner,))
        npz = f"{self.folder}.npz"
        if (place / npz).is_file():
            return official(self.name, self.folder, (npz,), self.classes, self.cure)
        inner = place / self.inner if (place / self.inner).is_dir() else place
        parts = {}
        for part, files in ((TRAIN, self.train), (TEST, (self.test,))):
            missing = [file for file in files if not (inner / file).is_file()]
            if missing:
                raise InputError(
                    f"Task {self.name!r} needs the file {inner / missing[0]}; there is none. {self.cure}"
                )
            images, labels = zip(*(_records(inner / file, self.head) for file in files), strict=True)
            parts[part] = np.concatenate(images), np.concatenate(labels)
        return joined(self.name, parts, self._class_names(inner / self.names), inner)

    def _class_names(self, file: Path) -> tuple[str, ...]:
        if not file.is_file():
            return self.classes
        named = tuple(read_lines(file))
        if len(named) != len(self.classes):
            raise InputError(
                f"{file} must hold {len(self.classes)} names, one a line; it holds {len(named)}. Unpack it anew."
            )
        return named


def _records(file: Path, head: int) -> tuple[Array, Array]:
    """Return images (n, 32, 32, 3) and labels (n,) of records: `head` bytes, then planes of red, green and blue."""
    held, size = file.stat().st_size, head + PIXELS
    if not held or held % size:
        raise InputError(
            f"{file} must hold whole records of {size:,} bytes; it holds {held:,} bytes. Unpack it anew."
        )
    if held > MOST_BYTES:
        raise InputError(f"{file} has {held:,} bytes; at most {MOST_BYTES:,} are read. Unpack it anew.")
    records = np.fromfile(file, np.uint8).reshape(-1, size)
    planes = records[:, head:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, head - 1]


def _emnist() -> Samples:
    top = set_folder("emnist", "emnist", EMNIST_CURE, ("EMNIST",))
    for place in (top, top / "gzip", top / "raw"):
        parts = from_idx(place, EMNIST)
        if set(parts) == set(EMNIST):
            # the publishers keep each image with rows and columns exchanged
            upright = {
                part: (np.ascontiguousarray(x.swapaxes(1, 2)) if x.ndim == 3 else x, y)
                for part, (x, y) in parts.items()
            }
            return joined("emnist", upright, CHARACTERS, place)
    raise InputError(f"Task 'emnist' does not find its four files in {top}. {EMNIST_CURE}")


cifar10 = Builder(
    _Cifar(
        "cifar10",
        "cifar10",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        THINGS,
        1,
        "cifar-10-binary.tar.gz",
    ),
    'Colour photographs of ten things: "image" uint8 (n, 32, 32, 3).',
)
cifar100 = Builder(
    _Cifar(
        "cifar100",
        "cifar100",
        "cifar-100-binary",
        ("train.bin",),
        "test.bin",
        "fine_label_names.txt",
        HUNDRED,
        2,  # coarse label, fine label
        "cifar-100-binary.tar.gz",
    ),
    'Colour photographs of a hundred things (the fine classes): "image" uint8 (n, 32, 32, 3).',
)
emnist = Builder(_emnist, 'Handwritten digits and letters, by class: "image" uint8 (n, 28, 28).')
