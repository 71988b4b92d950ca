"""CIFAR and EMNIST, read back from tiny files in exactly the formats of their publishers."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise.data import make
from labelwise.data.pixelsets import CHARACTERS, HUNDRED, THINGS
from labelwise.errors import InputError, ShapeError
from labelwise.seeds import generator

rng = generator(0, "test", "pixel sets")
BATCHES = [f"data_batch_{k}.bin" for k in range(1, 6)]


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


def record(*labels: int, picture: np.ndarray) -> bytes:
    """Label bytes, then 1,024 bytes of red, of green and of blue, each row by row."""
    return bytes(labels) + b"".join(picture[:, :, channel].tobytes() for channel in range(3))


def pictures(n: int) -> np.ndarray:
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def cifar10(place: Path, x: np.ndarray) -> None:
    """Two records a file: picture i has label i % 10."""
    place.mkdir(parents=True)
    for k, file in enumerate([*BATCHES, "test_batch.bin"]):
        (place / file).write_bytes(b"".join(record(i % 10, picture=x[i]) for i in (2 * k, 2 * k + 1)))
    (place / "batches.meta.txt").write_text("\n".join(THINGS) + "\n\n")


def test_a_record_is_a_label_and_three_planes_of_colour(data):
    flat = bytes([7]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes([3]) * 1024
    marked = bytearray(flat)
    marked[1 + 2 * 1024 + 32 * 4 + 5] = 99  # blue, row 4, column 5
    place = data / "cifar10" / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for file in BATCHES:
        (place / file).write_bytes(flat)
    (place / "test_batch.bin").write_bytes(bytes(marked))
    made = make("cifar10", validation=0)
    test = made.task.data.batch(made.task.test.ids)["image"]
    assert test.shape == (1, 32, 32, 3)
    assert test[0, 0, 0].tolist() == [1, 2, 3]
    assert test[0, 4, 5].tolist() == [1, 2, 99]
    assert np.count_nonzero(test == 99) == 1
    assert made.truth.tolist() == [7] * 6
    assert made.task.classes[7] == "horse"


@pytest.mark.parametrize("folder", ["cifar10/cifar-10-batches-bin", "cifar10", "cifar-10-batches-bin"])
def test_cifar10_is_found_where_its_archive_puts_it(data, folder):
    x = pictures(12)
    cifar10(data / folder, x)
    made = make("cifar10", validation=0)
    assert_array_equal(made.task.data.batch(made.task.pool)["image"], x[:10])
    assert_array_equal(made.task.data.batch(made.task.test.ids)["image"], x[10:])
    assert_array_equal(made.truth, np.arange(12) % 10)
    assert made.task.classes == THINGS


def test_an_npz_of_cifar10_is_the_same_task(data):
    x, y = pictures(12), (np.arange(12) % 10).astype(np.uint8)
    cifar10(data / "cifar10", x)
    binary = make("cifar10").task.fingerprint()
    np.savez(
        data / "cifar10" / "cifar10.npz",
        x_train=x[:10],
        y_train=y[:10, None],  # as Keras keeps them
        x_test=x[10:],
        y_test=y[10:, None],
    )
    for file in BATCHES:
        (data / "cifar10" / file).unlink()
    assert make("cifar10").task.fingerprint() == binary


def test_cifar100_has_its_fine_labels_and_their_names(data):
    x = pictures(5)
    place = data / "cifar100" / "cifar-100-binary"
    place.mkdir(parents=True)
    fine = [3, 99, 0, 50, 7]
    records = [record(19 - i, fine[i], picture=x[i]) for i in range(5)]
    (place / "train.bin").write_bytes(b"".join(records[:3]))
    (place / "test.bin").write_bytes(b"".join(records[3:]))
    made = make("cifar100", validation=0)
    assert_array_equal(made.truth, fine)
    assert_array_equal(made.task.data.batch(np.arange(5))["image"], x)
    assert made.task.classes == HUNDRED
    (place / "fine_label_names.txt").write_text("\n".join(f"thing {k}" for k in range(100)) + "\n")
    assert make("cifar100", validation=0).task.classes[99] == "thing 99"
    (place / "fine_label_names.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="fine_label_names.txt must hold 100 names, one a line; it holds 2"):
        make("cifar100")
    (place / "fine_label_names.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="fine_label_names.txt must be text in UTF-8"):
        make("cifar100")


def test_the_built_in_names_are_those_of_the_publishers():
    assert len(set(HUNDRED)) == 100
    assert list(HUNDRED) == sorted(HUNDRED)  # fine_label_names.txt is in alphabetical order
    assert (HUNDRED[0], HUNDRED[33], HUNDRED[99]) == ("apple", "forest", "worm")
    assert len(set(CHARACTERS)) == 62
    # emnist-byclass-mapping.txt: 0 is character 48, 10 is 65, 35 is 90, 36 is 97, 61 is 122
    assert [ord(CHARACTERS[k]) for k in (0, 10, 35, 36, 61)] == [48, 65, 90, 97, 122]


@pytest.mark.parametrize("keep, found", [(3073 * 2 - 1, "6,145"), (3072, "3,072"), (0, "0")])
def test_a_file_of_cifar_that_was_cut_short_is_refused(data, keep, found):
    cifar10(data / "cifar10", pictures(12))
    file = data / "cifar10" / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(
        InputError, match=f"data_batch_3.bin must hold whole records of 3,073 bytes; it holds {found} bytes"
    ):
        make("cifar10")


def test_a_label_of_cifar_that_is_no_class_is_refused(data):
    cifar10(data / "cifar10", pictures(12))
    file = data / "cifar10" / "test_batch.bin"
    file.write_bytes(bytes([10]) + file.read_bytes()[1:])
    with pytest.raises(InputError, match="cifar10: labels: row 0 is label 10"):
        make("cifar10")


@pytest.mark.parametrize(
    "name, archive, file",
    [
        ("cifar10", "cifar-10-batches-py", "data_batch_1.bin"),
        ("cifar100", "cifar-100-python", "train.bin"),
    ],
)
def test_the_pickled_version_of_cifar_is_refused_with_what_to_get_instead(data, name, archive, file):
    (data / name / archive).mkdir(parents=True)
    (data / name / archive / "train").write_bytes(b"\x80\x04N.")  # a pickle of None
    words = f"needs the file .*{file}; there is none.*binary version.*holds pickles, which are never read"
    with pytest.raises(InputError, match=words):
        make(name)


def test_a_missing_batch_of_cifar_is_named(data):
    cifar10(data / "cifar10", pictures(12))
    (data / "cifar10" / "data_batch_4.bin").unlink()
    with pytest.raises(InputError, match="needs the file .*data_batch_4.bin"):
        make("cifar10")


# ---------------------------------------------------------------------------------------------------- EMNIST


def emnist(place: Path, pack, train: np.ndarray, test: np.ndarray, y_train, y_test) -> None:
    place.mkdir(parents=True, exist_ok=True)
    gz = ".gz" if pack is gzip.compress else ""
    for part, x, y in (("train", train, y_train), ("test", test, y_test)):
        y = np.asarray(y, np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (place / f"emnist-byclass-{part}-{kind}-ubyte{gz}").write_bytes(pack(head + array.tobytes()))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("folder", ["emnist", "emnist/gzip", "EMNIST/raw"])
def test_emnist_is_turned_upright(data, pack, folder):
    stored = np.zeros((2, 3, 4), np.uint8)  # not square, so that a transposition shows in the shape
    stored[0] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    emnist(data / folder, pack, stored, stored[:1], [61, 10], [36])
    made = make("emnist", validation=0)
    upright = [[1, 5, 9], [2, 6, 10], [3, 7, 11], [4, 8, 12]]
    images = made.task.data.batch(np.arange(3))["image"]
    assert_array_equal(images[0], upright)
    assert_array_equal(images[2], upright)
    assert made.task.test.ids.tolist() == [2]
    assert [made.task.classes[y] for y in made.truth] == ["z", "A", "a"]


def test_files_of_emnist_that_miss_or_do_not_fit_are_refused(data):
    x = np.zeros((2, 4, 4), np.uint8)
    place = data / "emnist"
    emnist(place, bytes, x, x, [0, 1], [0, 1])
    (place / "emnist-byclass-test-labels-idx1-ubyte").rename(place / "emnist-letters-test-labels-idx1-ubyte")
    with pytest.raises(InputError, match="does not find its four files in .*/emnist. Expected there"):
        make("emnist")
    emnist(place, bytes, x, x, [0, 1], [0, 62])
    with pytest.raises(InputError, match="labels run from 0 to 61"):
        make("emnist")
    emnist(place, bytes, x, x, [0, 1], [0])
    with pytest.raises(ShapeError, match=r"labels \(1,\)"):
        make("emnist")
    emnist(place, bytes, x.reshape(2, 16), x, [0, 1], [0, 1])
    with pytest.raises(ShapeError, match=r"uint8 images \(n, H, W\[, 3\]\)"):
        make("emnist")
    file = place / "emnist-byclass-train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="must hold 32 bytes"):
        make("emnist")


# ------------------------------------------------------------------------------------------- sizes of the paper


def many(data: Path, name: str, per_class: int, classes: int) -> None:
    """A set of one-pixel pictures as an npz, `per_class` of each class, and one test picture a class."""
    y = np.repeat(np.arange(classes), per_class).astype(np.uint8)
    (data / name).mkdir()
    np.savez(
        data / name / f"{name}.npz",
        x_train=np.zeros((len(y), 1, 1, 3), np.uint8),
        y_train=y,
        x_test=np.zeros((classes, 1, 1, 3), np.uint8),
        y_test=np.arange(classes, dtype=np.uint8),
    )


@pytest.mark.parametrize("name, sizes", [("cifar10", (20_431, 17_023, 13_996)),
                                         ("cifar100", (19_573, 15_907, 12_608))])  # fmt: skip
def test_long_tails_of_cifar_have_the_published_sizes(data, name, sizes):
    classes = 10 if name == "cifar10" else 100
    many(data, name, 50_000 // classes, classes)
    for factor, size in zip((10, 20, 50), sizes, strict=True):
        task = make(name, long_tail=factor, validation=0).task
        assert len(task.pool) == size
        assert len(task.test) == classes  # the test part stays as it is


def test_the_imbalanced_cifar10_keeps_class_k_with_probability_k_plus_one_tenths(data):
    many(data, "cifar10", 5000, 10)
    made = make("cifar10", imbalance=True, validation=0)
    counts = np.bincount(made.truth[made.task.pool], minlength=10)
    p = np.arange(1, 11) / 10
    assert (np.abs(counts - 5000 * p) <= 5 * np.sqrt(5000 * p * (1 - p))).all()  # binomial, five deviations
    twisted = make("cifar10", imbalance=True, validation=0, initial="twisted-main").task
    # 50 from the five rare classes 0 to 4 and 950 from the main ones (table 8)
    assert (np.count_nonzero(twisted.given.y < 5), np.count_nonzero(twisted.given.y >= 5)) == (50, 950)
    assert len(twisted.pool) == counts.sum() - 1000


def test_a_file_larger_than_any_copy_is_refused_before_it_is_read(data):
    cifar10(data / "cifar10", np.zeros((12, 32, 32, 3), np.uint8))
    batch = data / "cifar10" / "data_batch_1.bin"
    os.truncate(batch, 3073 * 10**8)  # a hole: it takes no room on the disk
    with pytest.raises(
        InputError, match=r"data_batch_1\.bin has 307,300,000,000 bytes; at most 8,589,934,592"
    ):
        make("cifar10")


def test_names_of_classes_that_are_no_text_of_any_sense_are_refused(data):
    cifar10(data / "cifar10", np.zeros((12, 32, 32, 3), np.uint8))
    names = data / "cifar10" / "batches.meta.txt"
    names.touch()
    os.truncate(names, 1 << 40)
    with pytest.raises(
        InputError, match=r"batches\.meta\.txt has 1,099,511,627,776 bytes; at most 268,435,456"
    ):
        make("cifar10")
