"""UPMC Food-101, read back from tiny copies of its two layouts: pages with ingredients, and lists of titles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from labelwise import models
from labelwise.data import make
from labelwise.data.base import Labelled
from labelwise.data.food101 import after_ingredients
from labelwise.errors import InputError, UnknownName
from labelwise.seeds import generator

CLASSES = ("apple_pie", "sushi")


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


def picture(path: Path, value: int, shape: tuple[int, int] = (30, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(path, "JPEG")


def images(place: Path) -> list[tuple[str, str, int]]:
    """Four training and two test photographs of each class; returns (part, class, number)."""
    found = []
    for split, numbers in (("train", range(4)), ("test", (10, 11))):
        for c, top in enumerate(CLASSES):
            for k in numbers:
                picture(place / f"images/{split}/{top}/{top}_{k}.jpg", 100 * c + 5 * k)
                found.append((split, top, k))
    return found


def pages(place: Path) -> None:
    for _, top, k in images(place):
        file = place / f"texts_txt/{top}/{top}_{k}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"Grandma's {top}\nIngredients:\n{k} cups of flour, {top.split('_')[0]}-syrup\n", "utf-8"
        )


def titles(place: Path) -> None:
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for split, top, k in images(place):
        lines[split].append(f'{top}_{k}.jpg,"Best  {top}, no. {k}",{top}')
    (place / "texts").mkdir()
    for split, rows in lines.items():
        (place / f"texts/{split}_titles.csv").write_text("\n".join(rows) + "\n", "utf-8")


# -------------------------------------------------------------------------------------------------- texts


def test_words_after_ingredients_are_kept():
    assert after_ingredients("Pie. INGREDIENTS:\n2 cups flour; 1-2 eggs (large) Method?") == (
        "2 cups flour 1 2 eggs large method ?"
    )
    assert after_ingredients("Our ingredients: ingredients, salt") == "ingredients salt"  # from the first on
    assert after_ingredients("a few ingredients_list words: salt") == "list words salt"
    assert after_ingredients("one ingredient: salt") == ""
    assert after_ingredients("all the ingredients") == ""
    many = after_ingredients("ingredients " + " ".join(str(k) for k in range(150)))
    assert many.split() == [str(k) for k in range(100)]


@pytest.mark.parametrize("folder", ["food101", "UPMC_Food101"])
def test_pages_and_photographs_are_read_together(data, folder):
    pages(data / folder)
    made = make("food101")
    assert made.task.data.modalities == ("text", "image")
    assert made.task.classes == CLASSES
    assert (len(made.task.pool), len(made.task.validation), len(made.task.test)) == (6, 2, 4)
    assert_array_equal(made.task.test.ids, np.arange(8, 12))
    assert made.keys[8] == "test/apple_pie/apple_pie_10.jpg"
    batch = made.task.data.batch(np.array([6, 1]))
    assert batch["text"].tolist() == ["2 cups of flour sushi syrup", "1 cups of flour apple syrup"]
    assert batch["image"].shape == (2, 224, 224, 3)
    assert batch["image"].dtype == np.uint8
    assert_allclose(batch["image"][:, 9, 9, 0], [110, 5], atol=1)
    assert batch["present"].all()


def test_titles_are_read_where_there_are_no_pages_or_if_they_are_wished_for(data):
    titles(data / "food101")
    made = make("food101")
    assert made.task.data.batch(np.array([7]))["text"].tolist() == ["Best sushi, no. 3"]
    (data / "food101/texts_txt").mkdir()
    with pytest.raises(InputError, match=r"no image has a text \(ingredients\)"):
        make("food101")
    assert make("food101", text="titles").keys == made.keys
    with pytest.raises(UnknownName, match="text"):
        make("food101", text="title")


def test_pages_that_are_wished_for_must_be_there(data):
    titles(data / "food101")
    with pytest.raises(InputError, match="needs the folder .*texts_txt; there is none. Expected there: "):
        make("food101", text="ingredients")


def test_only_the_middle_of_a_photograph_is_shown(data):
    pages(data / "food101")
    noise = generator(0, "test", "food").integers(0, 256, (12, 20, 3), dtype=np.uint8)
    file = data / "food101/images/train/apple_pie/apple_pie_0.jpg"
    Image.fromarray(noise).resize((800, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    shown = make("food101").task.data.batch(np.array([0]))["image"][0]
    with Image.open(file) as whole:
        # the shorter side becomes 256, the longer 427; of these the middle 224
        wanted = np.asarray(whole.resize((427, 256), Image.Resampling.BILINEAR))[16:240, 102:326]
    assert np.abs(shown.astype(int) - wanted).mean() < 3


# ------------------------------------------------------------------------------------------ what is not there


def test_samples_without_text_are_left_out_as_in_the_source_or_kept_if_wished(data):
    pages(data / "food101")
    (data / "food101/texts_txt/apple_pie/apple_pie_0.txt").unlink()
    (data / "food101/texts_txt/sushi/sushi_3.txt").write_text("Nothing but rice.")
    made = make("food101", validation=0)
    assert len(made.truth) == 10
    assert [key for key, _ in made.bad] == ["train/apple_pie/apple_pie_0.jpg", "train/sushi/sushi_3.jpg"]
    assert made.bad[0][1] == "no text"
    kept = make("food101", validation=0, incomplete="keep")
    assert kept.bad == ()
    batch = kept.task.data.batch(np.array([0, 1, 7]))
    assert_array_equal(batch["present"], [[False, True], [True, True], [False, True]])
    assert batch["text"].tolist()[0] == ""


def test_a_damaged_photograph_is_missing(data):
    pages(data / "food101")
    (data / "food101/texts_txt/apple_pie/apple_pie_0.txt").unlink()
    for k in (0, 1):
        (data / f"food101/images/train/apple_pie/apple_pie_{k}.jpg").write_bytes(b"\xff\xd8 no more")
    batch = make("food101", validation=0, incomplete="keep").task.data.batch(np.arange(3))
    # of the first nothing is left: it counts as a black photograph
    assert_array_equal(batch["present"], [[False, True], [True, False], [True, True]])
    assert not batch["image"][:2].any()
    made = make("food101", validation=0, check=True)
    assert [key[-6:] for key, _ in made.bad] == ["_0.jpg", "_1.jpg"]
    assert "apple_pie_1.jpg: it is" in made.bad[1][1]


def test_wrong_copies_are_refused_with_the_file(data):
    place = data / "food101"
    titles(place)
    file = place / "texts/train_titles.csv"
    file.write_text("apple_pie_0.jpg,Pie\n")
    with pytest.raises(InputError, match=r"train_titles.csv, row 1: .* 2 cells"):
        make("food101")
    file.unlink()
    with pytest.raises(InputError, match="needs the file .*train_titles.csv.*Expected there: "):
        make("food101")
    picture(place / "images/train/loose.jpg", 0)
    with pytest.raises(InputError, match="folder of its class; 'loose.jpg' does not"):
        make("food101")
    (place / "images/train/loose.jpg").unlink()
    picture(place / "images/test/waffles/waffles_0.jpg", 0)
    with pytest.raises(InputError, match="waffles_0.jpg is of a class that no image for training has"):
        make("food101")


def test_text_and_photographs_train_a_multimodal_recipe(data):
    pages(data / "food101")
    made = make("food101", validation=0)
    task = made.task
    recipe = models.make(
        "multimodal",
        width=2,
        projection=4,
        epochs=1,
        batch_size=4,
        text_features=64,
        encoders={"image": "strided-cnn"},
    )
    train = Labelled(task.pool[:6], made.truth[task.pool[:6]])
    fitted = recipe.fit(task.data, train, task.pool[6:], None, 2, generator(0, "fit"))
    assert fitted.infer(task.data, task.pool, frozenset({"probs"})).probs.shape == (8, 2)
