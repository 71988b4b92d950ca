"""The named tasks: the embedded digits, made-up copies of every layout, and the real sets where they lie."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from labelwise.data import TABLE, make
from labelwise.errors import InputError, UnknownName
from labelwise.seeds import generator

rng = generator(0, "test", "sets")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def images(n: int, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, (n, *(shape or (3, 3))), dtype=np.uint8)


def labels(n: int, k: int = 10) -> np.ndarray:
    return (np.arange(n) % k).astype(np.uint8)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


def sizes(simulation) -> tuple[int, int, int]:
    task = simulation.task
    return len(task.pool), len(task.validation), 0 if task.test is None else len(task.test)


# --------------------------------------------------------------------------------------------------- table


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'fashion-mnist'"):
        make("fashion_mnist")


@pytest.mark.parametrize(
    "name, params, words",
    [
        ("digits", {"vaildation": 0.1}, "no parameter 'vaildation'. Did you mean 'validation'"),
        ("mnist", {"size": 3}, "no parameter 'size'"),
        ("table", {}, "missing a required argument: 'path'"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(name, params, words):
    with pytest.raises(InputError, match=words):
        make(name, **params)


def test_importing_the_data_loads_no_heavy_library():
    heavy = ("torch", "sklearn", "scipy", "PIL", "pyarrow", "pooch", "requests", "rich")
    code = f"import sys, labelwise.data; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


# -------------------------------------------------------------------------------------------------- digits


def test_digits_are_whole_images_with_features():
    made = make("digits")
    task = made.task
    assert sizes(made) == (1213, 135, 449)  # 1797: round(0.25 · 1797) = 449, then round(0.1 · 1348) = 135
    batch = task.data.batch(np.arange(len(task.data)))["image"]
    assert (batch.shape, batch.dtype, batch.min(), batch.max()) == ((1797, 8, 8), np.uint8, 0, 255)
    assert task.features.shape == (1797, 64)
    # features are counts / 16 and images counts · 255 / 16 rounded: half a step of rounding apart
    assert np.abs(batch.reshape(1797, 64) / 255 - task.features).max() <= 0.5 / 255 + 1e-7
    assert task.classes == tuple("0123456789")
    assert np.bincount(task.validation.y, minlength=10).min() >= 13  # stratified
    assert np.bincount(task.test.y, minlength=10).min() >= 43


def test_the_test_digits_are_the_same_for_all_seeds():
    one, two = make("digits", seed=1), make("digits", seed=2)
    assert_array_equal(one.task.test.ids, two.task.test.ids)
    assert not np.array_equal(one.task.validation.ids, two.task.validation.ids)
    assert len(make("digits", test=100).task.test) == 100


def test_digit_halves_are_the_digits_cut_in_two():
    whole, halves = make("digits", seed=3), make("digit-halves", seed=3)
    assert_array_equal(halves.task.pool, whole.task.pool)
    assert_array_equal(halves.truth, whole.truth)
    assert halves.task.data.modalities == ("top", "bottom")
    ids = whole.task.pool[:50]
    parts = halves.task.data.batch(ids)
    assert_array_equal(
        np.concatenate([parts["top"], parts["bottom"]], axis=1), whole.task.data.batch(ids)["image"]
    )


def test_digits_take_every_shared_parameter():
    assert make("digits", classes=[0, 1, 2, 3, 4]).task.classes == tuple("01234")
    assert make("digits", parity=True).task.classes == ("even", "odd")
    assert sizes(make("digits", pool=200, test_size=100, validation=50)) == (200, 50, 100)
    features = make("digits", classes=[7, 9], pool=30).task
    assert features.features.shape == (len(features.data), 64)


# ----------------------------------------------------------------------------------- layouts of image sets


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name, folder", [("mnist", "mnist"), ("fashion-mnist", "fashion_mnist")])
def test_idx_files_become_a_task(data, dot, pack, name, folder):
    x, y = {"train": images(40), "t10k": images(20)}, {"train": labels(40), "t10k": labels(20)}
    (data / folder).mkdir()
    gz = ".gz" if pack is gzip.compress else ""
    for part in x:
        (data / folder / f"{part}-images{dot}idx3-ubyte{gz}").write_bytes(pack(idx(x[part])))
        (data / folder / f"{part}-labels{dot}idx1-ubyte{gz}").write_bytes(pack(idx(y[part])))
    made = make(name, validation=0)
    assert sizes(made) == (40, 0, 20)
    assert_array_equal(made.task.data.batch(made.task.pool)["image"], x["train"])
    assert_array_equal(made.task.data.batch(made.task.test.ids)["image"], x["t10k"])
    assert_array_equal(made.truth, np.concatenate([y["train"], y["t10k"]]))
    assert made.task.classes[0] == ("0" if name == "mnist" else "T-shirt/top")


def test_a_keras_npz_becomes_a_task(data):
    (data / "mnist").mkdir()
    x = images(50)
    np.savez_compressed(
        data / "mnist" / "mnist.npz", x_train=x, y_train=labels(50), x_test=images(10), y_test=labels(10)
    )
    made = make("mnist", parity=True, validation=0)
    assert_array_equal(made.task.data.batch(made.task.pool)["image"], x)
    assert_array_equal(made.truth[:50], labels(50) % 2)


@pytest.mark.parametrize("file", ["pneumoniamnist.npz", "pneumonia_mnist.npz"])
@pytest.mark.parametrize("medmnist", [True, False])
def test_pneumonia_keeps_its_official_validation_part(data, file, medmnist):
    (data / "pneumonia_mnist").mkdir()
    names = ("{}_images", "{}_labels") if medmnist else ("x_{}", "y_{}")
    arrays = {}
    for part, n in (("train", 30), ("val", 8), ("test", 12)):
        arrays[names[0].format(part)] = images(n)
        arrays[names[1].format(part)] = labels(n, 2)[:, None] if medmnist else labels(n, 2)
    np.savez(data / "pneumonia_mnist" / file, **arrays)
    made = make("pneumonia-mnist")
    assert sizes(made) == (30, 8, 12)
    assert_array_equal(
        made.task.data.batch(made.task.validation.ids)["image"], arrays[names[0].format("val")]
    )
    assert made.task.classes == ("normal", "pneumonia")
    assert sizes(make("pneumonia-mnist", validation=0)) == (38, 0, 12)


def test_class_names_in_the_file_win(data):
    (data / "mnist").mkdir()
    names = np.array(list("abcdefghij"))
    np.savez(
        data / "mnist" / "mnist.npz",
        x_train=images(30),
        y_train=labels(30),
        x_test=images(10),
        y_test=labels(10),
        class_names=names,
    )
    assert make("mnist").task.classes == tuple("abcdefghij")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"y_train": None}, "no training part"),
        ({"x_test": None}, "no test part in .*mnist.npz"),
        ({"y_train": labels(29)}, r"labels \(29,\)"),
        ({"x_train": np.zeros((30, 3, 3))}, "uint8 images"),
        ({"x_train": np.zeros((30, 9), np.uint8)}, "uint8 images"),
        ({"y_test": np.full(10, 10, np.uint8)}, "labels run from 0 to 9"),
        ({"y_test": np.full(10, 1.5)}, "whole numbers"),
        ({"x_test": images(10, 4, 4)}, "one shape"),
    ],
)
def test_an_npz_that_does_not_fit_together_is_refused(data, change, words):
    arrays = {
        "x_train": images(30),
        "y_train": labels(30),
        "x_test": images(10),
        "y_test": labels(10),
        **change,
    }
    (data / "mnist").mkdir()
    np.savez(data / "mnist" / "mnist.npz", **{name: a for name, a in arrays.items() if a is not None})
    with pytest.raises(InputError, match=words):
        make("mnist")


# -------------------------------------------------------------------------------- made-up copies of others


def test_sign_digits_keep_their_test_persons(data):
    (data / "sign_digits").mkdir()
    is_test = np.arange(40) < 10
    np.savez(data / "sign_digits" / "sign_digits.npz", x=images(40), y=labels(40), is_test=is_test)
    made = make("sign-digits", validation=0)
    assert_array_equal(made.task.test.ids, np.arange(10))


def jpeg(value: int) -> bytes:
    stream = BytesIO()
    Image.fromarray(np.full((64, 64, 3), value, np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def trash(data: Path, blobs: list[bytes]) -> None:
    (data / "trashnet").mkdir()
    n = len(blobs)
    columns = {
        "image": blobs,
        "label": [k % 2 for k in range(n)],
        "label_name": [("glass", "paper")[k % 2] for k in range(n)],
        "split": ["test" if k < 4 else "train" for k in range(n)],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), data / "trashnet" / "trashnet_64px.parquet")


def test_trashnet_is_decoded_once_to_one_array(data):
    trash(data, [jpeg(10 * k) for k in range(12)])
    made = make("trashnet", validation=2)
    assert sizes(made) == (6, 2, 4)
    shown = made.task.data.batch(np.arange(12))["image"]
    assert shown.shape == (12, 64, 64, 3)
    assert np.abs(shown[:, 0, 0, 0].astype(int) - 10 * np.arange(12)).max() <= 1  # JPEG
    assert made.task.classes == ("glass", "paper")


def test_a_damaged_photograph_of_a_known_set_is_refused(data):
    trash(data, [jpeg(1)] * 5 + [b"broken"])
    with pytest.raises(InputError, match="row 6 cannot be read"):
        make("trashnet")


def test_sounds_become_grey_images(data):
    (data / "esc10").mkdir()
    names = np.array(["Dog", "Rain"])
    x = images(20, 4, 5)
    fold = np.arange(20) % 5 + 1
    np.savez(
        data / "esc10" / "esc10_logmel.npz", logmel_u8=x, label=labels(20, 2), fold=fold, class_names=names
    )
    made = make("esc10", validation=0)
    assert_array_equal(made.task.test.ids, np.flatnonzero(fold == 5))
    assert_array_equal(made.task.data.batch(np.arange(20))["audio"], x)

    (data / "fsdd").mkdir()
    decibels = np.tile(np.array([[[-80, -40, 0], [-100, 3, -20]]], np.float16), (8, 1, 1))
    np.savez(
        data / "fsdd" / "fsdd_logmel.npz",
        logmel=decibels,
        label=labels(8, 2),
        is_test=np.arange(8) < 2,
        class_names=names,
    )
    shown = make("fsdd", validation=0).task.data.batch(np.array([0]))["audio"]
    # (dB + 80) / 80 · 255, rounded and kept in range: -40 -> 127.5 -> 128 (to even), -20 -> 191.25
    assert_array_equal(shown, [[[0, 128, 255], [0, 255, 191]]])


def test_mfeat_has_six_standardised_tables(data):
    (data / "mfeat").mkdir()
    views = {name: rng.normal(5, 3, (40, 2)) for name in ("pix", "fou", "fac", "zer", "kar", "mor")}
    is_test = np.arange(40) >= 30
    np.savez(data / "mfeat" / "mfeat.npz", y=labels(40), is_test=is_test, **views)
    made = make("mfeat", validation=0)
    assert made.task.data.modalities == tuple(views)
    table = made.task.data.batch(made.task.pool)["kar"]
    assert table.dtype == np.float32
    assert np.abs(table.mean(axis=0)).max() < 1e-6  # the mean of the training part, in float32


def test_banking77_is_text(data):
    (data / "banking77").mkdir()
    columns = {
        "text": [f"question {k}" for k in range(20)],
        "label": [k % 3 for k in range(20)],
        "label_name": ["abc"[k % 3] for k in range(20)],
        "split": ["train"] * 14 + ["test"] * 6,
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), data / "banking77" / "banking77.parquet")
    made = make("banking77", validation=0)
    assert sizes(made) == (14, 0, 6)
    assert made.task.data.batch(np.array([3]))["text"].tolist() == ["question 3"]
    columns["label_name"][0] = "z"  # now label 0 has two names
    pyarrow.parquet.write_table(pyarrow.table(columns), data / "banking77" / "banking77.parquet")
    with pytest.raises(InputError, match="one name"):
        make("banking77")


def test_reviews_are_text_and_a_table_without_the_rating(data):
    (data / "womens_reviews").mkdir()
    n = 20
    columns = {
        "title": ["Nice", ""] * 10,
        "text": [f"review {k}" for k in range(n)],
        "age": [30 + k for k in range(n)],
        "positive_feedback": list(range(n)),
        "division": [k % 2 for k in range(n)],
        "department": [k % 2 for k in range(n)],
        "clothing_class": [k % 3 for k in range(n)],
        "rating": [k % 5 + 1 for k in range(n)],
        "recommended": [int(k % 5 > 1) for k in range(n)],
        "split": ["test" if k % 4 == 0 else "train" for k in range(n)],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), data / "womens_reviews" / "womens_reviews.parquet")
    coded = data / "womens_reviews" / "names.json"
    coded.write_text(
        json.dumps(
            {"division": ["d", "e"], "department": ["Tops", "Trend"], "clothing_class": ["a", "b", "c"]}
        )
    )
    made = make("womens-reviews", validation=0)
    batch = made.task.data.batch(np.array([0, 1]))
    assert batch["text"].tolist() == ["Nice. review 0", "review 1"]
    assert batch["table"].shape == (2, 2 + 2 + 2 + 3)  # age, feedback, and three coded columns
    assert made.task.classes == ("not recommended", "recommended")
    assert make("womens-departments").task.classes == ("Tops", "Trend")
    coded.write_text(
        json.dumps({"division": ["d"], "department": ["Tops", "Trend"], "clothing_class": ["a", "b", "c"]})
    )
    with pytest.raises(InputError, match="'division'"):
        make("womens-reviews")
    coded.write_text("[1, 2]")
    with pytest.raises(InputError, match="JSON object"):
        make("womens-reviews")


# ------------------------------------------------------------------------------------------------- missing


BROUGHT = ("digits", "digit-halves", "copula", "image-folder", "audio-folder", "table")
SETS = [name for name in TABLE if name not in BROUGHT]
PUBLIC_SETS = ("mnist", "fashion-mnist", "pneumonia-mnist")


@pytest.mark.parametrize("name", SETS)
def test_a_missing_variable_folder_or_file_is_named_with_its_cure(name, tmp_path, monkeypatch):
    cures = {"fruits-360": "labelwise cannot fetch it: download it from"}
    cures |= {public: f"`labelwise download {public}` fetches it" for public in PUBLIC_SETS}
    cure = cures.get(name, "Expected there: ")
    monkeypatch.delenv("LABELWISE_DATA", raising=False)
    with pytest.raises(InputError, match=f"LABELWISE_DATA.*not set.*{cure}"):
        make(name)
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"needs the folder {tmp_path}/.*{cure}"):
        make(name)
    folder = "womens_reviews" if name.startswith("womens") else name.replace("-", "_")
    folder = name if name == "fruits-360" else folder  # its public name keeps the dash
    folder = "mulberry_symbols" if name == "mulberry" else folder
    (tmp_path / folder).mkdir()
    with pytest.raises(InputError, match=f"{tmp_path}/{folder}.*{cure}"):
        make(name)


# ---------------------------------------------------------------------------------------------- real sets


@pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)
@pytest.mark.parametrize(
    "name, train, validation, test, classes",
    [
        # sizes as the sets' publishers state them; pool and validation together are the training part
        ("mnist", 60_000, 3_000, 10_000, 10),
        ("fashion-mnist", 60_000, 3_000, 10_000, 10),
        ("pneumonia-mnist", 4_708 + 524, 524, 624, 2),
        ("sign-digits", 1_650, 82, 412, 10),
        ("trashnet", 2_022, 101, 505, 6),
        ("esc10", 318, 16, 80, 10),
        ("fsdd", 2_700, 135, 300, 10),
        ("mfeat", 1_600, 80, 400, 10),
        ("banking77", 10_003, 500, 3_080, 77),
        ("womens-reviews", 18_097, 905, 4_524, 2),
        ("womens-departments", 18_097, 905, 4_524, 6),
        ("phone-watch-har", 7_406, 370, 2_080, 5),
        ("mulberry", 2_518, 126, 615, 18),
    ],
)
def test_the_real_set_has_its_published_sizes(name, train, validation, test, classes):
    made = make(name)
    assert sizes(made) == (train - validation, validation, test)
    assert made.task.n_classes == classes
    assert set(made.truth) == set(range(classes))
    batch = made.task.data.batch(made.task.pool[:2])
    assert set(batch) == set(made.task.data.modalities)
