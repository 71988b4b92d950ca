"""Fruits-360: every usual layout of the user's copy, which ten classes are kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench
from labelwise.data import make
from labelwise.data.fruits import chosen_classes, fruit_of
from labelwise.errors import InputError

LAYOUTS = (
    "fruits-360",
    "fruits-360/fruits-360_dataset/fruits-360",
    "fruits-360/fruits-360_100x100/fruits-360",
    "fruits-360_dataset/fruits-360",
    "fruits-360_100x100/fruits-360",
    "fruits-360-100x100",
)


def picture(path, value: int, side: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(path)


def copy(place, classes, tests: int = 1) -> None:
    """Write {class: training images} as PNG files (exact, unlike JPEG) of one grey value a class."""
    for k, (name, n) in enumerate(classes.items()):
        for i in range(n):
            picture(place / "Training" / name / f"{i}_100.png", 10 * k + i)
        for i in range(tests):
            picture(place / "Test" / name / f"r_{i}_100.png", 10 * k + 9)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELWISE_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_usual_layout_is_found(data, layout):
    copy(data / layout, {"Apple Red 1": 3, "Banana": 2})
    picture(data / layout / "test-multiple_fruits" / "apples.png", 1)  # belongs to no part
    made = make("fruits-360", subset="all", validation=0)
    task = made.task
    assert task.classes == ("Apple Red 1", "Banana")
    images = task.data.batch(np.arange(len(task.data)))["image"]
    assert (images.shape, images.dtype) == ((7, 100, 100, 3), np.uint8)
    # values are 10 class + image in training, 10 class + 9 in the test part
    assert_array_equal(images[task.pool][:, 0, 0, 0], [0, 1, 2, 10, 11])
    assert_array_equal(images[task.test.ids][:, 0, 0, 0], [9, 19])
    assert_array_equal(made.truth[task.pool], [0, 0, 0, 1, 1])
    assert made.keys[task.pool[0]] == "Training/Apple Red 1/0_100.png"


def test_the_pictures_of_100_pixels_are_preferred_to_the_originals(data):
    copy(data / "fruits-360" / "a_original-size" / "fruits-360-original-size", {"apple_1": 1, "pear_1": 1})
    copy(data / "fruits-360" / "fruits-360_100x100" / "fruits-360", {"Apple 1": 1, "Pear 1": 1})
    assert make("fruits-360", subset="all", validation=0).task.classes == ("Apple 1", "Pear 1")


def test_a_fruit_is_the_first_word_without_its_number():
    names = ["Apple Red 1", "Apple 6", "apple_hit_1", "Apple", "Tomato1", "Cucumber Ripe 2", "7"]
    assert [fruit_of(n) for n in names] == ["Apple", "Apple", "Apple", "Apple", "Tomato", "Cucumber", "7"]


def test_the_ten_largest_classes_are_picked_and_ties_go_by_name():
    sizes = {f"fruit {letter}": 5 for letter in "lkjihgfedcb"} | {"fruit z": 9}  # 12 classes
    kept = chosen_classes(sizes, "pick10")
    # z is the largest; of the eleven others, all of size 5, the first nine by name
    assert sorted(kept) == [f"fruit {letter}" for letter in "bcdefghij"] + ["fruit z"]
    assert all(folder == name for folder, name in kept.items())


def test_merged_varieties_are_counted_together():
    # no variety of apple is large, but together they are: 3 + 3 = 6 > 5
    sizes = {"Apple Red 1": 3, "Apple 6": 3} | {f"{letter.upper()}fruit": 5 for letter in "bcdefghijk"}
    kept = chosen_classes(sizes, "merge10")
    assert kept["Apple Red 1"] == kept["Apple 6"] == "Apple"
    assert "Kfruit" not in kept  # eleven fruits, ten are kept, the ties by name
    assert len(set(kept.values())) == 10


def test_only_images_of_the_chosen_classes_are_decoded(data):
    sizes = {f"{letter.upper()}fruit 1": 2 for letter in "abcdefghij"} | {"Tiny": 1}
    copy(data / "fruits-360", sizes)
    (data / "fruits-360" / "Training" / "Tiny" / "0_100.png").write_bytes(b"broken")
    task = make("fruits-360", validation=0).task
    assert len(task.classes) == 10
    assert len(task.pool) == 20
    with pytest.raises(InputError, match=r"not 1 can be read.*Training/Tiny/0_100.png"):
        make("fruits-360", subset="all")


def test_the_shared_parameters_choose_among_the_classes_of_the_subset(data):
    sizes = {f"{letter.upper()}fruit {k}": 2 for letter in "abcdefghij" for k in (1, 2)}
    copy(data / "fruits-360", sizes)
    two = make("fruits-360", subset="merge10", classes=[0, 1], validation=0).task
    assert two.classes == ("Afruit", "Bfruit")
    assert len(two.pool) == 8  # two fruits x two varieties x two images
    assert make("fruits-360", subset="merge10", parity=True, pool=10, validation=0).task.pool.size == 10


def test_the_cache_answers_without_the_images(data, tmp_path):
    copy(data / "fruits-360", {"Apple": 2, "Pear": 2})
    first = make("fruits-360", subset="all", cache=tmp_path / "cache", validation=0).task
    again = make("fruits-360", subset="all", cache=tmp_path / "cache", validation=0).task
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    assert again.fingerprint() == first.fingerprint()
    assert make("fruits-360", subset="all", validation=0).task.fingerprint() == first.fingerprint()


def test_a_missing_set_says_where_to_get_it(data, monkeypatch):
    with pytest.raises(InputError, match=r"needs the folder .*fruits-360.*Kaggle or GitHub"):
        make("fruits-360")
    (data / "fruits-360" / "Training" / "Apple").mkdir(parents=True)  # no Test
    with pytest.raises(InputError, match=r"no folder with Training/ and Test/.*Kaggle or GitHub"):
        make("fruits-360")
    monkeypatch.delenv("LABELWISE_DATA")
    with pytest.raises(InputError, match=r"LABELWISE_DATA.*not set.*Kaggle or GitHub"):
        make("fruits-360")


def test_wrong_copies_and_subsets_are_refused_in_words(data):
    copy(data / "fruits-360", {"Apple": 2, "Pear": 2})
    with pytest.raises(InputError, match=r"needs 10 classes; this copy of fruits-360 has 2: Apple, Pear"):
        make("fruits-360")
    with pytest.raises(InputError, match="subset must be one of pick10, merge10, all; it is 'ten'"):
        make("fruits-360", subset="ten")
    picture(data / "fruits-360" / "Training" / "loose.png", 1)
    with pytest.raises(InputError, match="'Training/loose.png' does not"):
        make("fruits-360", subset="all")


def test_the_protocol_buys_1280_labels_a_round_with_five_strategies_and_seeds():
    made = read_bench(find("uncertainty/fruits-360"))
    assert len(made.specs) == 25
    assert {(s.plan.start, s.plan.batch) for s in made.specs} == {(1280, 1280)}
    full = read_bench(find("uncertainty/fruits-360"), "full")
    assert {s.recipe.params["width"] for s in full.specs} == {32}
    assert len(read_bench(find("uncertainty/fruits-360-binary")).specs) == 50


@pytest.mark.slow
def test_images_of_100_pixels_get_three_blocks_and_256_units(data):
    from labelwise import models

    copy(data / "fruits-360", {"Apple": 2, "Pear": 2})
    task = make("fruits-360", subset="all", validation=0).task
    from labelwise.data.base import Labelled
    from labelwise.seeds import generator

    recipe = models.make("cnn", epochs=1)
    train = Labelled(task.pool, np.array([0, 0, 1, 1]))
    fitted = recipe.fit(task.data, train, task.pool[:0], None, 2, generator(0, "fit"))
    signals = fitted.infer(task.data, task.pool, frozenset({"embeddings"}))
    assert signals.need("embeddings").shape == (4, 256)
