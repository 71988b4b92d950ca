"""BreakHis, Waterbirds and Tiny ImageNet, read back from tiny copies of exactly their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from labelwise.data import make
from labelwise.errors import InputError


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


def picture(path: Path, value: int, shape: tuple[int, int] = (6, 6)) -> None:
    """One grey value all over; JPEG keeps such a picture to within one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(path, kind)


def greys(task, ids) -> list[int]:
    return task.data.batch(np.asarray(ids))["image"][:, 0, 0, 0].tolist()


# -------------------------------------------------------------------------------------------------- breakhis


BREAST = "histology_slides/breast"


def tumours(place: Path, benign: int = 10, malignant: int = 20) -> None:
    for k in range(benign):
        name = f"SOB_B_A-14-22549AB-40-{k:03}.png"
        picture(place / BREAST / "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X" / name, k)
    for k in range(malignant):
        name = f"SOB_M_DC-14-2773-100-{k:03}.png"
        picture(place / BREAST / "malignant/SOB/ductal_carcinoma/SOB_M_DC_14-2773/100X" / name, 100 + k)


@pytest.mark.parametrize("folder", ["breakhis", "breakhis/BreaKHis_v1", "BreaKHis_v1/BreaKHis_v1"])
def test_a_tumour_is_what_a_folder_above_it_says(data, folder):
    tumours(data / folder)
    made = make("breakhis", size=4, validation=0)
    task = made.task
    assert task.classes == ("benign", "malignant")
    assert (len(task.pool), len(task.test)) == (21, 9)  # 30 % of 30, stratified
    assert_array_equal(np.bincount(task.test.y), [3, 6])
    everyone = np.arange(30)
    assert task.data.batch(everyone)["image"].shape == (30, 4, 4, 3)
    assert greys(task, everyone) == [*range(10), *range(100, 120)]
    assert_array_equal(made.truth, [0] * 10 + [1] * 20)
    assert made.keys[0].endswith("40X/SOB_B_A-14-22549AB-40-000.png")


def test_the_test_tumours_are_the_same_for_all_seeds_and_random(data):
    tumours(data / "breakhis")
    one, two = (make("breakhis", size=4, seed=s).task for s in (1, 2))
    assert_array_equal(one.test.ids, two.test.ids)
    assert not np.array_equal(one.validation.ids, two.validation.ids)
    assert greys(one, one.test.ids) != sorted(greys(one, np.arange(30)))[-9:]
    assert len(make("breakhis", size=4, test=0.5).task.test) == 15


def test_seventy_per_cent_of_breakhis_are_5536_images():
    from labelwise.data.own import with_test

    # 2,480 benign and 5,429 malignant images (Spanhol et al. 2016); the comparison trains on 5,536 of 7,909
    part = with_test(np.repeat([0, 1], [2480, 5429]), np.ones(7909, np.bool_), 0.3)
    assert np.count_nonzero(part == 0) == 5536


def test_images_of_breakhis_are_resized_without_changing_their_proportions(data):
    for grade in ("benign", "malignant"):
        for k in range(3):
            path = data / "breakhis" / grade / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            array = np.zeros((4, 8, 3), np.uint8)
            array[:, 2:6] = 200  # the middle square is kept
            Image.fromarray(array).save(path)
    images = make("breakhis", size=2).task.data.batch(np.arange(6))["image"]
    assert_array_equal(images, np.full((6, 2, 2, 3), 200))


def test_an_image_of_breakhis_below_both_or_neither_folder_is_refused(data):
    tumours(data / "breakhis", 2, 2)
    picture(data / "breakhis" / "benign" / "malignant" / "x.png", 1)
    with pytest.raises(InputError, match="'benign/malignant/x.png' lies below both"):
        make("breakhis")
    (data / "breakhis" / "benign" / "malignant" / "x.png").unlink()
    picture(data / "breakhis" / "normal" / "benign.png", 1)
    with pytest.raises(InputError, match="'normal/benign.png' lies below neither"):
        make("breakhis")


def test_a_damaged_image_is_refused_by_name(data):
    tumours(data / "breakhis", 4, 4)
    (data / "breakhis" / BREAST / "benign" / "broken.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"not 1 can be read. .*benign/broken.png: it is no image"):
        make("breakhis")


# ------------------------------------------------------------------------------------------------ waterbirds


HEAD = "img_id,img_filename,y,split,place,place_filename"


def birds(place: Path, rows: list[str]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "metadata.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    for row in rows:
        number, name, *_ = row.split(",")
        picture(place / name, 10 * int(number))


ROWS = [
    "1,001.Albatross/a_1.jpg,1,0,1,/o/ocean/1.jpg",
    "2,001.Albatross/a_2.jpg,1,1,0,/b/bamboo/2.jpg",
    "3,002.Wren/w_3.jpg,0,0,0,/b/bamboo/3.jpg",
    "4,002.Wren/w_4.jpg,0,2,1,/o/ocean/4.jpg",
    "5,002.Wren/w_5.jpg,0,1,0,/b/bamboo/5.jpg",
    "6,001.Albatross/a_6.jpg,1,2,0,/b/bamboo/6.jpg",
    "7,002.Wren/w_7.jpg,0,0,1,/o/ocean/7.jpg",
]
ARCHIVE = "waterbird_complete95_forest2water2"


@pytest.mark.parametrize("folder", ["waterbirds", f"waterbirds/{ARCHIVE}", ARCHIVE])
def test_waterbirds_keep_their_official_parts_and_hide_the_background(data, folder):
    birds(data / folder, ROWS)
    made = make("waterbirds", size=4)
    task = made.task
    assert task.classes == ("landbird", "waterbird")
    assert (task.pool.tolist(), task.validation.ids.tolist(), task.test.ids.tolist()) == (
        [0, 2, 6],
        [1, 4],
        [3, 5],
    )
    assert made.truth.tolist() == [1, 1, 0, 0, 0, 1, 0]
    assert np.abs(np.array(greys(task, np.arange(7))) - 10 * np.arange(1, 8)).max() <= 1  # JPEG
    assert made.keys[3] == "002.Wren/w_4.jpg"
    assert task.data.modalities == ("image",)
    assert task.features is None


@pytest.mark.parametrize(
    "row, words",
    [
        ("8,x/x.jpg,2,0,0,p", "row 8: y must be one of 0, 1; it is '2'"),
        ("8,x/x.jpg,1,3,0,p", "row 8: split must be one of 0, 1, 2; it is '3'"),
        ("8,x/x.jpg,,0,0,p", "row 8: y must be one of 0, 1; it is ''"),
    ],
)
def test_a_value_that_waterbirds_do_not_have_is_refused(data, row, words):
    birds(data / "waterbirds", [*ROWS, row])
    with pytest.raises(InputError, match=words):
        make("waterbirds")


def test_waterbirds_without_table_column_or_image_are_refused(data):
    birds(data / "waterbirds", ROWS)
    (data / "waterbirds" / "002.Wren" / "w_4.jpg").unlink()
    with pytest.raises(InputError, match=r"not 1 can be read. 002.Wren/w_4.jpg: there is no such file"):
        make("waterbirds")
    table = data / "waterbirds" / "metadata.csv"
    text = table.read_text()
    table.write_text(text.replace("002.Wren/w_4.jpg", "../../secret.jpg"))
    with pytest.raises(InputError, match=r"../../secret.jpg: A path may not climb"):
        make("waterbirds")
    table.write_text(text.replace(",split,", ",part,"))
    with pytest.raises(InputError, match="metadata.csv has no column 'split'"):
        make("waterbirds")
    table.unlink()
    with pytest.raises(InputError, match=r"needs .*/waterbirds/metadata.csv; there is none. Expected there"):
        make("waterbirds")


# --------------------------------------------------------------------------------------------- tiny imagenet


def tiny(place: Path) -> None:
    """Three classes of two images, of value 20 class + 10 image; three validation images, of value 200 + i."""
    for k, wnid in enumerate(("n01443537", "n01629819", "n02002724")):
        for i in range(2):
            picture(place / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", 20 * k + 10 * i, (64, 64))
        (place / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t10\t63\t58\n")
    for i in range(3):
        picture(place / "val" / "images" / f"val_{i}.JPEG", 200 + i, (64, 64))
    notes = ("n02002724", "n01443537", "n02002724")
    lines = [f"val_{i}.JPEG\t{wnid}\t0\t32\t44\t62" for i, wnid in enumerate(notes)]
    (place / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    picture(place / "test" / "images" / "test_0.JPEG", 255, (64, 64))  # has no label and is passed over
    words = ["n01443537\tgoldfish, Carassius auratus", "n01629819\tnewt", "n02002724\tnewt, eft", "n9\tother"]
    (place / "words.txt").write_text("\n".join(words) + "\n")


@pytest.mark.parametrize("folder", ["tiny_imagenet", "tiny-imagenet-200", "tiny_imagenet/tiny-imagenet-200"])
def test_tiny_imagenet_is_tested_on_its_official_validation_part(data, folder):
    tiny(data / folder)
    made = make("tiny-imagenet", validation=0)
    task = made.task
    images = task.data.batch(np.arange(len(task.data)))["image"]
    assert images.shape == (9, 64, 64, 3)
    wanted = [0, 10, 20, 30, 40, 50, 200, 201, 202]
    assert np.abs(images[:, 0, 0, 0].astype(int) - wanted).max() <= 1  # JPEG
    assert task.pool.tolist() == [0, 1, 2, 3, 4, 5]
    assert task.test.ids.tolist() == [6, 7, 8]
    assert made.truth.tolist() == [0, 0, 1, 1, 2, 2, 2, 0, 2]
    assert task.classes == ("goldfish", "n01629819", "n02002724")  # two newts are told apart by their ids
    assert made.keys[6] == "val/images/val_0.JPEG"


def test_classes_without_words_are_called_by_their_ids(data):
    tiny(data / "tiny_imagenet")
    (data / "tiny_imagenet" / "words.txt").unlink()
    assert make("tiny-imagenet", size=8).task.classes == ("n01443537", "n01629819", "n02002724")


def test_a_tiny_imagenet_that_is_not_whole_is_refused(data):
    place = data / "tiny_imagenet"
    tiny(place)
    picture(place / "train" / "loose.JPEG", 1)
    with pytest.raises(InputError, match="must lie in the folder of its class; 'loose.JPEG' does not"):
        make("tiny-imagenet")
    (place / "train" / "loose.JPEG").unlink()
    notes = place / "val" / "val_annotations.txt"
    text = notes.read_text()
    for wrong, shown in ((text + "val_9.JPEG\tn9999\t0\n", "n9999"), (text + "val_9.JPEG\n", "val_9.JPEG")):
        notes.write_text(wrong)
        with pytest.raises(InputError, match=f"line 4: an image and its class, one of the 3 .*{shown}"):
            make("tiny-imagenet")
    notes.write_text(text.replace("val_1.JPEG", "val_7.JPEG"))
    with pytest.raises(InputError, match="val/images/val_7.JPEG: there is no such file"):
        make("tiny-imagenet")
    notes.unlink()
    with pytest.raises(InputError, match=r"needs .*val_annotations.txt; there is none. Expected there"):
        make("tiny-imagenet")


# ------------------------------------------------------------------------------------------------------ all


def test_a_cache_answers_for_all_photographs(data, tmp_path):
    tumours(data / "breakhis", 4, 4)
    birds(data / "waterbirds", ROWS)
    tiny(data / "tiny_imagenet")
    for number, name in enumerate(("breakhis", "waterbirds", "tiny-imagenet"), 1):
        first, again = (make(name, size=4, cache=tmp_path / "cache").task.fingerprint() for _ in range(2))
        assert len(list((tmp_path / "cache").glob("*.npy"))) == number
        assert first == again == make(name, size=4).task.fingerprint()


def test_photographs_take_the_shared_parameters(data):
    tumours(data / "breakhis", 20, 40)
    task = make("breakhis", size=2, pool=20, test_size=6, validation=4, initial="random", initial_size=8).task
    assert (len(task.pool), len(task.given), len(task.validation), len(task.test)) == (12, 8, 4, 6)
    tailed = make("breakhis", size=2, long_tail=7, validation=0)
    # 42 train: n_max = 21, but only 14 are benign; malignant 21 / 7 = 3
    assert_array_equal(np.bincount(tailed.truth[tailed.task.pool]), [14, 3])
    with pytest.raises(InputError, match="no parameter 'sise'. Did you mean 'size'"):
        make("breakhis", sise=3)
