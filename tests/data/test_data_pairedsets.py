"""Sets of several modalities: made-up copies of their layouts, and rows of the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.data import make
from labelwise.errors import InputError, UnknownName
from labelwise.seeds import generator

rng = generator(0, "test", "paired sets")
real = pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)


def save(folder: Path, file: str, /, **arrays) -> None:
    folder.mkdir(exist_ok=True)
    np.savez(folder / file, **arrays)


def npz(folder: str, name: str) -> dict:
    with np.load(Path(os.environ["LABELWISE_DATA"]) / folder / name) as file:
        return dict(file)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


# -------------------------------------------------------------------------------------------- digit pairs


@pytest.fixture
def pairs(data) -> dict:
    """30 + 20 images, 40 recordings and 40 signs; of sets in one file every fourth is for testing."""
    digits = np.arange(40) % 10
    is_test = np.arange(40) >= 30
    x = rng.integers(0, 256, (50, 2, 2), dtype=np.uint8)
    save(data / "mnist", "mnist.npz", x_train=x[:30], y_train=digits[:30], x_test=x[30:], y_test=digits[:20])
    heard = -rng.integers(0, 80, (40, 3, 2)).astype(np.float16)
    words = np.array([f"w{k}" for k in range(10)])
    save(data / "fsdd", "fsdd_logmel.npz", logmel=heard, label=digits, is_test=is_test, class_names=words)
    signs = rng.integers(0, 256, (40, 2, 3), dtype=np.uint8)
    save(data / "sign_digits", "sign_digits.npz", x=signs, y=digits, is_test=is_test)
    train, test = np.arange(60) % 10, np.arange(20) % 10
    arrays = {
        "train_label": train,
        "train_mnist": np.arange(60) % 30,
        "train_fsdd": np.arange(60) % 30,
        "train_fsdd_newspeaker": np.arange(60) % 20,
        "train_sign": np.arange(60) % 10,
        "test_label": test,
        "test_mnist": np.arange(20),
        "test_fsdd": 30 + np.arange(20) % 10,
        "test_fsdd_newspeaker": 20 + np.arange(20),
        "test_sign": 30 + np.arange(20) % 10,
    }
    save(data / "digit_pairs", "digit_pairs.npz", **arrays)
    return {"x": x, "heard": heard, "signs": signs, "arrays": arrays, "folder": data / "digit_pairs"}


def test_speech_is_a_sound_and_pictures_are_images(pairs):
    task = make("digit-pairs", validation=0, shifts="all").task
    kinds = {m: {s.kind for s in task.shifts if s.modality == m} for m in ("image", "speech")}
    assert kinds["image"] - kinds["speech"] == {"blur", "contrast", "jpeg"}
    assert kinds["speech"] - kinds["image"] == {"reverb", "clip"}


def test_pairs_show_the_samples_that_their_rows_name(pairs):
    made = make("digit-pairs", validation=0)
    assert made.task.data.modalities == ("image", "speech")
    batch = made.task.data.batch(made.task.test.ids)
    assert_array_equal(batch["image"], pairs["x"][30:])  # test rows count from the first test image
    level = np.rint((pairs["heard"][pairs["arrays"]["test_fsdd"]].astype(float) / 80 + 1) * 255)
    assert np.abs(batch["speech"] - level).max() <= 1  # rounding of halves in float32
    assert_array_equal(made.truth, np.concatenate([np.arange(60) % 10, np.arange(20) % 10]))
    assert_array_equal(made.task.data.batch(np.array([59, 31]))["image"], pairs["x"][[29, 1]])


def test_pairs_take_their_modalities_in_the_order_given(pairs):
    made = make("digit-pairs", modalities=["sign", "image"], validation=0)
    assert made.sounds == ()
    assert made.task.data.modalities == ("sign", "image")
    assert_array_equal(made.task.data.batch(np.array([13]))["sign"][0], pairs["signs"][3])


def test_new_speakers_change_the_speech_only(pairs):
    one, two = (make("digit-pairs", speakers=who, validation=0).task.data for who in ("official", "new"))
    ids = np.arange(80)
    assert_array_equal(one.batch(ids)["image"], two.batch(ids)["image"])
    assert_array_equal(
        two.batch(np.array([60]))["speech"], one.batch(np.array([20]))["speech"]
    )  # recording 20


def test_nothing_large_is_copied(pairs):
    data = make("digit-pairs", pool=20, validation=5).task.data
    assert len(data) == 45  # 20 + 5 + 20
    assert data.sources["image"].shape == (50, 2, 2)
    assert data.data.batch(np.arange(45))["image"].shape == (45,)  # one number a pair


@pytest.mark.parametrize(
    "change",
    [
        {"train_mnist": 1 + np.arange(60) % 29},  # other labels
        {"test_fsdd": np.arange(20)},  # recordings of the training part
        {"test_fsdd": 40 + np.arange(20)},  # no such recording
        {"train_fsdd": np.arange(60) % 30 - 30},  # counted from the end
    ],
)
def test_pairs_of_other_sets_are_refused(pairs, change):
    save(pairs["folder"], "digit_pairs.npz", **{**pairs["arrays"], **change})
    with pytest.raises(InputError, match="must name samples of '(mnist|fsdd)' with the label of their pair"):
        make("digit-pairs")


@pytest.mark.parametrize(
    "params, words",
    [
        (
            {"modalities": ["image", "spech"]},
            "No modality of digit-pairs is named 'spech'. Did you mean 'speech'",
        ),
        ({"modalities": []}, "at least one of image, speech, sign"),
        ({"modalities": "image"}, "must be a list"),
        ({"modalities": ["image", "image"]}, "must be distinct"),
        ({"speakers": "other"}, "No way to choose speakers is named 'other'"),
    ],
)
def test_wrong_parameters_of_pairs_are_refused(pairs, params, words):
    with pytest.raises(InputError, match=words):
        make("digit-pairs", **params)


@real
def test_real_pairs_show_one_digit_three_times():
    file, images = npz("digit_pairs", "digit_pairs.npz"), npz("mnist", "mnist.npz")
    signs, spoken = npz("sign_digits", "sign_digits.npz"), npz("fsdd", "fsdd_logmel.npz")
    task = make("digit-pairs", modalities=["image", "speech", "sign"], speakers="new").task
    assert (len(task.pool), len(task.validation), len(task.test)) == (
        19_000,
        1_000,
        3_000,
    )  # the card; 5 % of 20,000
    some = np.array([0, 1, 1234, 2999])
    batch = task.data.batch(task.test.ids[some])
    assert_array_equal(batch["image"], images["x_test"][file["test_mnist"][some]])
    assert_array_equal(batch["sign"], signs["x"][file["test_sign"][some]])
    rows = file["test_fsdd_newspeaker"][some]
    assert_allclose(
        batch["speech"] / 255 * 80 - 80, spoken["logmel"][rows], atol=0.16 + 0.03
    )  # half a byte; float16
    for labels in (images["y_test"][file["test_mnist"]], signs["y"][file["test_sign"]]):
        assert_array_equal(labels, task.test.y)
    assert set(spoken["speaker_names"][spoken["speaker"][file["test_fsdd_newspeaker"]]]) == {"theo"}
    assert "theo" not in set(spoken["speaker_names"][spoken["speaker"][file["train_fsdd_newspeaker"]]])


# ---------------------------------------------------------------------------------------- phone and watch


def test_signals_are_standardised_channel_by_channel_on_old_subjects(data):
    n = 40
    scale = np.array([1, 2, 3, 0.1, 0.2, 0])[None, :, None]
    phone = (rng.standard_normal((n, 6, 8)) * scale + 5).astype(np.float16)
    is_test = np.arange(n) >= 30
    phone[is_test] *= 3
    save(
        data / "phone_watch_har",
        "phone_watch_har.npz",
        phone=phone,
        watch=phone[:, ::-1],
        label=np.arange(n) % 3,
        subject=np.arange(n) // 10,
        is_test=is_test,
        subject_info=np.array([[20, 0], [30, 1], [40, 0], [90, 1]], np.float32),
        class_names=np.array(["SIT", "WALK", "TURN"]),
    )
    made = make("phone-watch-har", validation=0)
    assert made.task.data.modalities == ("phone", "watch", "subject")
    assert made.task.classes == ("SIT", "WALK", "TURN")
    old = made.task.data.batch(made.task.pool)
    assert old["phone"].shape == (30, 6, 8) and old["phone"].dtype == np.float32
    assert_allclose(old["phone"].mean(axis=(0, 2)), 0, atol=1e-5)
    assert_allclose(old["phone"].std(axis=(0, 2)), [1, 1, 1, 1, 1, 0], atol=1e-5)  # a dead channel is 0
    whole = made.task.data.batch(np.arange(n))
    assert_allclose(whole["watch"], whole["phone"][:, ::-1], atol=1e-6)
    # ages 20, 30, 40 of old subjects: mean 30, spread sqrt(200 / 3); the new subject is 90
    assert_allclose(whole["subject"][::10, 0], np.array([-10, 0, 10, 60]) / np.sqrt(200 / 3), rtol=1e-5)


@real
def test_real_subjects_of_the_test_part_are_new():
    file = npz("phone_watch_har", "phone_watch_har.npz")
    made = make("phone-watch-har")
    test = made.task.test.ids
    assert set(file["subject_names"][file["subject"][test]]) == {"s04", "s09", "s14", "s19", "s23"}
    seen = np.concatenate([made.task.pool, made.task.validation.ids])
    assert not set(file["subject"][seen]) & set(file["subject"][test])
    assert dict(zip(made.task.classes, np.bincount(made.task.test.y), strict=True)) == {
        "SEATED": 32, "STANDING_UP": 221, "WALKING": 1177, "TURNING": 423, "SITTING_DOWN": 227,  # the card
    }  # fmt: skip
    # s01 is 190 cm tall and s02 171 cm (the card's subject_info): standardising keeps the order of persons
    height = made.task.data.batch(np.arange(len(made.truth)))["subject"][:, 2]
    assert height[file["subject"] == 0][0] > height[file["subject"] == 1][0]
    assert np.corrcoef(height, file["subject_info"][file["subject"], 2])[0, 1] == pytest.approx(1, abs=1e-6)
    signal = made.task.data.batch(np.array([5, 77]))["watch"][:, 3]
    assert np.corrcoef(signal.ravel(), file["watch"][[5, 77], 3].astype(float).ravel())[0, 1] > 0.9999


# ------------------------------------------------------------------------------------------------ mulberry


@pytest.fixture
def symbols(data) -> dict:
    n = 40
    arrays = {
        "image": rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8),
        "name": np.array([f"name {k}" for k in range(n)]),
        "tags": np.array(["" if k % 4 == 0 else " " if k % 4 == 1 else "tag" for k in range(n)]),
        "name_fr": np.array([f"nom {k}" for k in range(n)]),
        "label": np.array([-1 if k >= 36 else k % 2 for k in range(n)], np.int16),
        "category": (np.arange(n) % 4).astype(np.uint8),
        "is_test": np.arange(n) % 4 == 3,
        "label_names": np.array(["Food", "Verb"]),
        "category_names": np.array(["a", "b", "c", "d"]),
    }
    save(data / "mulberry_symbols", "mulberry_symbols.npz", **arrays)
    return arrays


def test_drawings_and_names_of_frequent_categories(symbols):
    made = make("mulberry", validation=0)
    assert made.task.data.modalities == ("image", "text")
    assert (made.task.classes, len(made.truth)) == (("Food", "Verb"), 36)
    batch = made.task.data.batch(np.array([35, 0]))
    assert_array_equal(batch["image"], symbols["image"][[35, 0]])
    assert batch["text"].tolist() == ["name 35", "name 0"]
    assert "present" not in batch


def test_an_empty_text_is_missing(symbols):
    made = make("mulberry", modalities=["image", "tags", "french"], validation=0)
    batch = made.task.data.batch(np.arange(4))
    assert_array_equal(batch["present"], [[1, 0, 1], [1, 0, 1], [1, 1, 1], [1, 1, 1]])
    assert batch["french"].tolist() == ["nom 0", "nom 1", "nom 2", "nom 3"]
    with pytest.raises(InputError, match="take another modality beside 'tags'"):
        make("mulberry", modalities=["tags"])
    with pytest.raises(UnknownName, match="Did you mean 'french'"):
        make("mulberry", modalities=["image", "frensh"])


def test_fine_categories_take_all_drawings(symbols):
    made = make("mulberry", fine=True, validation=0)
    assert (made.task.classes, len(made.truth)) == (("a", "b", "c", "d"), 40)
    assert set(made.task.test.y) == {3}


@real
def test_real_drawings_are_called_as_they_are():
    made = make("mulberry", modalities=["image", "text", "tags", "french"])
    batch = made.task.data.batch(np.arange(len(made.truth)))
    above = batch["text"].tolist().index("above")
    assert (batch["tags"][above], batch["french"][above]) == ("direction position", "au dessus de")
    assert_array_equal(
        batch["present"].sum(axis=0), [3133, 3133, 3133 - 1190, 3133]
    )  # tags: counted in the file
    assert made.task.classes[:3] == ("Food", "Country", "Verb")
    assert np.bincount(made.task.test.y).tolist()[:3] == [104, 88, 63]  # the card
    fine = make("mulberry", fine=True)
    assert (fine.task.n_classes, len(fine.truth), len(fine.task.test)) == (117, 3431, 675)


# -------------------------------------------------------------------------------- the sets there were before


@real
@pytest.mark.parametrize(
    "name, modalities",
    [
        ("mfeat", ("pix", "fou", "fac", "zer", "kar", "mor")),
        ("womens-reviews", ("text", "table")),
        ("digit-halves", ("top", "bottom")),
    ],
)
def test_older_sets_have_named_modalities_that_can_be_missing(name, modalities):
    made = make(name, pool=100, test_size=50, missing={modalities[0]: 0.5})
    assert made.task.data.modalities == modalities
    present = made.task.data.batch(made.task.pool)["present"]
    assert present.shape == (100, len(modalities))
    assert 25 < (~present[:, 0]).sum() < 75 and present[:, 1:].all()  # 50 ± 5 standard errors of 5
