"""A user's own folders and tables: what is pool, given and validation, what is refused, and what is shown."""

from __future__ import annotations

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from labelwise.data import folder_task, image_folder, make, table_simulation, table_task
from labelwise.data.columns import Columns, detect
from labelwise.errors import EmptyPool, InputError


def picture(path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 6, 3), value, np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path):
    """Two labelled cats, a dog, three unlabelled images, a broken one, and files that do not count."""
    root = tmp_path / "photos"
    for value, name in enumerate(
        ["cat/a.png", "cat/b.png", "dog/deep/c.png", "x.png", "more/y.png", "z.PNG"]
    ):
        picture(root / name, value)
    (root / "broken.jpg").write_bytes(b"broken")
    (root / "notes.txt").write_text("not an image")
    picture(root / ".hidden.png", 9)
    picture(root / ".trash" / "a.png", 9)
    return root


def csv(tmp_path, text: str, name="table.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


# -------------------------------------------------------------------------------------------------- folders


def test_a_folder_is_listed_in_order_and_its_subfolders_are_labels(photos):
    source = folder_task(photos, ["cat", "dog"], size=4)
    assert source.keys == (
        "broken.jpg",
        "cat/a.png",
        "cat/b.png",
        "dog/deep/c.png",
        "more/y.png",
        "x.png",
        "z.PNG",
    )
    assert source.bad == (("broken.jpg", "it is no image of a format that is read"),)
    task = source.task
    assert task.name == "photos"
    assert_array_equal(task.given.ids, [1, 2, 3])
    assert_array_equal(task.given.y, [0, 0, 1])
    assert_array_equal(task.pool, [4, 5, 6])  # the broken one keeps id 0, in no part
    assert (len(task.validation), task.test) == (0, None)
    batch = task.data.batch(np.array([6, 1]))
    assert batch["image"].shape == (2, 4, 4, 3)
    assert_array_equal(batch["image"][:, 0, 0, 0], [5, 0])
    assert (source.root / source.keys[6]).is_file()


def test_classes_come_from_the_subfolders_if_none_are_named(photos):
    source = folder_task(photos, size=4)
    assert source.task.classes == ("cat", "dog", "more")
    assert_array_equal(source.task.pool, [5, 6])


def test_a_flat_folder_is_all_pool(tmp_path):
    for k in range(3):
        picture(tmp_path / f"{k}.png", k)
    task = folder_task(tmp_path, ["a", "b"], size=4, grey=True).task
    assert_array_equal(task.pool, [0, 1, 2])
    assert task.data.batch(task.pool)["image"].shape == (3, 4, 4)
    with pytest.raises(InputError, match="Name them"):
        folder_task(tmp_path)


def test_mending_a_bad_image_moves_no_other_id(photos):
    before = folder_task(photos, ["cat", "dog"], size=4)
    picture(photos / "broken.jpg", 50)
    after = folder_task(photos, ["cat", "dog"], size=4)
    assert after.keys == before.keys
    assert_array_equal(after.task.pool, [0, 4, 5, 6])


def test_enough_given_labels_are_shared_with_validation(tmp_path):
    for k in range(60):
        picture(tmp_path / ("a" if k < 40 else "b") / f"{k}.png", k)
    picture(tmp_path / "new.png", 200)
    task = folder_task(tmp_path, size=4).task
    assert (len(task.given), len(task.validation), len(task.pool)) == (48, 12, 1)
    assert_array_equal(np.bincount(task.validation.y), [8, 4])  # 20 % of 40 and of 20
    assert len(folder_task(tmp_path, size=4, validation=0).task.given) == 60
    (tmp_path / "a").rename(tmp_path / "c")
    assert len(folder_task(tmp_path, ["c", "d"], size=4).task.validation) == 0  # 40 given labels are too few


def test_a_folder_with_nothing_left_to_label_says_what_to_do(tmp_path):
    for k in range(4):
        picture(tmp_path / "ab"[k % 2] / f"{k}.png", k)
    with pytest.raises(EmptyPool, match="image_folder"):
        folder_task(tmp_path, size=4)


def test_bad_images_may_be_refused_and_a_folder_of_none_but_bad_is(photos, tmp_path):
    with pytest.raises(InputError, match=r"of 7 samples not 1 can be read. broken.jpg: it is no image"):
        folder_task(photos, ["cat", "dog"], on_bad="raise")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match="of 1 samples none can be read"):
        folder_task(tmp_path / "bad", ["a", "b"])
    with pytest.raises(InputError, match="'quarantine' or 'raise'"):
        folder_task(photos, ["cat", "dog"], on_bad="ignore")


def test_a_link_out_of_the_folder_is_not_followed(photos, tmp_path):
    picture(tmp_path / "secret.png", 77)
    (photos / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "outside").mkdir()
    picture(tmp_path / "outside" / "b.png", 78)
    (photos / "linked").symlink_to(tmp_path / "outside")
    source = folder_task(photos, ["cat", "dog"], size=4)
    assert "leads out of it" in dict(source.bad)["link.png"]
    assert not any("linked" in key for key in source.keys)
    assert 77 not in source.task.data.batch(np.arange(len(source.keys)))["image"]


@pytest.mark.parametrize("where", ["nowhere", "photos/notes.txt"])
def test_what_is_no_folder_is_refused(photos, tmp_path, where):
    with pytest.raises(InputError, match="must be a folder"):
        folder_task(tmp_path / where, ["a", "b"])


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="it holds none"):
        folder_task(tmp_path, ["a", "b"])


def test_a_cached_folder_is_a_memory_map(photos, tmp_path):
    first = folder_task(photos, ["cat", "dog"], size=4, cache=tmp_path / "cache")
    again = folder_task(photos, ["cat", "dog"], size=4, cache=tmp_path / "cache")
    assert first.task.fingerprint() == again.task.fingerprint()
    assert again.bad == first.bad


# ------------------------------------------------------------------------------------- a folder simulated


def test_an_image_folder_hides_its_labels_in_the_truth(tmp_path):
    for k in range(40):
        picture(tmp_path / ("b" if k % 4 else "a") / f"{k:02}.png", k)
    made = image_folder(tmp_path, size=4, validation=0.1)
    assert made.task.classes == ("a", "b")
    assert (len(made.task.test), len(made.task.validation), len(made.task.pool)) == (8, 3, 29)
    assert_array_equal(np.bincount(made.task.test.y), [2, 6])  # 20 % of 10 and 30
    shown = made.task.data.batch(np.arange(40))["image"][:, 0, 0, 0]
    assert_array_equal(made.truth, (shown % 4 > 0).astype(int))
    assert made.keys[3] == f"a/{shown[3]:02}.png"
    other = image_folder(tmp_path, size=4, seed=5)
    assert_array_equal(other.task.test.ids, made.task.test.ids)  # the test part is the same for all seeds
    assert make("image-folder", path=str(tmp_path), size=4, pool=10).task.pool.size == 10


def test_an_image_folder_leaves_bad_images_out(tmp_path):
    for k in range(12):
        picture(tmp_path / "ab"[k % 2] / f"{k:02}.png", k)
    (tmp_path / "a" / "00.png").write_bytes(b"broken")
    made = image_folder(tmp_path, size=4)
    assert len(made.keys) == len(made.truth) == 11
    assert [key for key, _ in made.bad] == ["a/00.png"]
    assert "a/00.png" not in made.keys


def test_an_image_folder_refuses_images_without_a_class(tmp_path):
    picture(tmp_path / "a" / "1.png", 1)
    picture(tmp_path / "2.png", 1)
    with pytest.raises(InputError, match=r"'2.png' does not"):
        image_folder(tmp_path)


# --------------------------------------------------------------------------------------------------- tables


def test_a_table_of_everything(tmp_path):
    for k in range(4):
        picture(tmp_path / "img" / f"{k}.png", k)
    file = csv(
        tmp_path,
        "pic,words,age,size,cls\n"
        "img/0.png,hello,10,1,yes\n"
        "img/1.png,,30,1,\n"
        ",only words,,,no\n"
        "img/3.png,x,20,NA,\n"
        ",,,,yes\n",
    )
    source = table_task(file, image="pic", text="words", numbers=["age", "size"], label="cls", size=4)
    task = source.task
    assert task.data.modalities == ("image", "text", "table")
    assert task.classes == ("no", "yes")
    assert source.keys == ("img/0.png", "img/1.png", "3", "img/3.png", "5")
    assert source.bad == (("5", "it has no image, no text and no number"),)
    assert_array_equal(task.given.ids, [0, 2])
    assert_array_equal(task.given.y, [1, 0])
    assert_array_equal(task.pool, [1, 3])
    batch = task.data.batch(np.arange(4))
    assert_array_equal(batch["present"], [[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 1]])
    assert batch["text"].tolist() == ["hello", "", "only words", "x"]
    # ages 10, 30, 20: mean 20, deviation sqrt(200 / 3); the missing one becomes the mean; size is constant
    assert_allclose(batch["table"][:, 0], np.array([-10, 10, 0, 0]) / np.sqrt(200 / 3), rtol=1e-6)
    assert not batch["table"][:, 1].any()
    assert_array_equal(batch["image"][:, 0, 0, 0], [0, 1, 0, 3])
    assert source.columns == Columns("pic", "words", ("age", "size"), "cls")
    assert source.root == tmp_path.resolve()


def test_a_table_without_gaps_has_no_presence(tmp_path):
    file = csv(tmp_path, "t,label\nsome words,a\nmore words,\n")
    assert set(table_task(file, text="t", classes=["a", "b"]).task.data.batch(np.array([0]))) == {"text"}


def test_columns_are_guessed_only_if_none_is_named_and_reported(tmp_path):
    file = csv(
        tmp_path,
        "id,Label,weight,comment,code\n7,a,1.5,good one,A1\n8,b,2,bad one,B2\n9,,3,so so,C\n",
    )
    source = table_task(file)
    assert source.columns == Columns(None, "comment", ("weight",), "Label", "id")
    assert source.keys == ("7", "8", "9")
    named = table_task(file, text="comment", classes=["a", "b"])
    assert named.columns == Columns(None, "comment")
    assert_array_equal(named.task.pool, [0, 1, 2])  # the label column was not named, hence not used


@pytest.mark.parametrize(
    "columns, wanted",
    [
        ({"file": ["a.jpg"], "y": ["1"]}, Columns("file", None, (), "y")),
        ({"where": ["a/b.PNG", "c.jpeg"], "n": [1, 2]}, Columns("where", None, ("n",))),
        (
            {"said": ["two words", "three more words", "one"], "f": [0.5, None, 1.0]},
            Columns(None, "said", ("f",)),
        ),
        ({"b": [True, False], "name": ["x", "y"]}, Columns(None, None, ("b",), None, "name")),
        ({"word": ["x", "y"], "empty": [None, None]}, Columns()),
        ({"class": ["x", "y"], "category": ["1", "2"]}, Columns(None, None, ("category",), "class")),
    ],
)
def test_detection_by_hand(columns, wanted):
    assert detect(pyarrow.table(columns)) == wanted


def test_a_column_of_nothing_but_class_names_holds_the_labels():
    columns = {
        "said": ["so good", "so bad", "so so"],
        "kind": ["ham", None, "not spam"],
        "size": ["s", "m", "s"],
    }
    table = pyarrow.table(columns)
    assert detect(table, ["ham", "not spam"]) == Columns(None, "said", (), "kind")
    assert detect(table, ["ham"]).label is None
    assert detect(table).label is None


def test_labels_from_pandas_with_gaps_are_whole_numbers(tmp_path):
    table = pyarrow.table({"text": ["a", "b", "c"], "label": pyarrow.array([3.0, 10.0, None])})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    task = table_task(tmp_path / "t.parquet", text="text", label="label").task
    assert task.classes == ("10", "3")
    table = pyarrow.table({"text": ["a", "b", "c"], "label": pyarrow.array([3.0, float("nan"), 10.0])})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert_array_equal(table_task(tmp_path / "t.parquet", text="text", label="label").task.pool, [1])


def test_the_order_of_named_classes_is_kept_and_others_are_refused_by_row(tmp_path):
    file = csv(tmp_path, "text,label\nx,low\ny,\nz,high\n")
    task = table_task(file, text="text", label="label", classes=["low", "mid", "high"]).task
    assert_array_equal(task.given.y, [0, 2])
    with pytest.raises(InputError, match="row 3 has the label 'high'; the classes are low, mid"):
        table_task(file, text="text", label="label", classes=["low", "mid"])


@pytest.mark.parametrize(
    "given", ["../secret.png", "/etc/passwd", "a/../../secret.png", "link.png", "d/secret.png"]
)
def test_a_path_that_leaves_the_root_is_refused_by_row(tmp_path, given):
    root = tmp_path / "root"
    picture(root / "ok.png", 1)
    picture(tmp_path / "secret.png", 200)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "d").symlink_to(tmp_path)
    file = csv(root, f"image,label\nok.png,a\n{given},b\nok.png,\n")
    with pytest.raises(InputError, match=r"table\.csv, row 2, column 'image': A path"):
        table_task(file, image="image", label="label")


def test_the_root_of_the_images_may_be_another_folder(tmp_path):
    picture(tmp_path / "elsewhere" / "1.png", 5)
    file = csv(tmp_path, "image\n1.png\n")
    with pytest.raises(InputError, match="there is no such file"):
        table_task(file, image="image", classes=["a", "b"])
    source = table_task(file, image="image", classes=["a", "b"], root=tmp_path / "elsewhere", size=4)
    assert source.task.data.batch(source.task.pool)["image"][0, 0, 0, 0] == 5


@pytest.mark.parametrize(
    "params, words",
    [
        ({"text": "txt"}, "no column 'txt'; it has 'text', 'n', 'label'"),
        ({"numbers": ["n"]}, "column 'n' must hold numbers; row 2 is 'two'"),
        ({"text": "text", "label": "text"}, "one use"),
        ({"label": "label"}, "name an image"),
        ({"text": "text"}, "at least two classes"),
        ({"text": "text", "classes": ["a", "a"]}, "two distinct"),
    ],
)
def test_a_wrong_column_is_refused_in_words(tmp_path, params, words):
    file = csv(tmp_path, "text,n,label\nsome words,1,a\nother words,two,b\nx,3,\n")
    with pytest.raises(InputError, match=words):
        table_task(file, **params)


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e999", "1e305"])
def test_a_number_that_is_not_finite_is_refused_by_row(tmp_path, value):
    file = csv(tmp_path, f"n,label\n1,a\n2,b\n{value},\n")
    with pytest.raises(InputError, match="finite numbers; row 3"):
        table_task(file, numbers="n", label="label")


def test_a_table_that_looks_like_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="Name them"):
        table_task(csv(tmp_path, "a,label\nx,1\ny,2\n"))


# --------------------------------------------------------------------------------------- a table simulated


def test_a_simulated_table_hides_its_labels_and_scales_without_the_test_part(tmp_path):
    lines = [f"{k},{'odd' if k % 2 else 'even'}" for k in range(50)]
    file = csv(tmp_path, "n,label\n" + "\n".join(lines) + "\n")
    made = table_simulation(file, numbers=["n"], label="label", validation=0.1)
    task = made.task
    assert (len(task.test), len(task.validation), len(task.pool)) == (10, 4, 36)
    assert_array_equal(made.truth, np.arange(50) % 2)
    rest = np.setdiff1d(np.arange(50), task.test.ids)
    table = task.data.batch(np.arange(50))["table"][:, 0]
    assert_allclose(table[rest].mean(), 0, atol=1e-6)  # float32
    assert_allclose(table[rest].std(), 1, atol=1e-6)
    assert_allclose(table, (np.arange(50) - rest.mean()) / rest.std(), rtol=1e-5)
    assert made.keys == tuple(str(k + 1) for k in range(50))
    assert make("table", path=file, numbers=["n"], label="label", pool=7).task.pool.size == 7


def test_a_simulation_needs_every_label(tmp_path):
    file = csv(tmp_path, "n,label\n1,a\n2,\n3,b\n4,\n")
    with pytest.raises(InputError, match=r"row 2 has none \(2 in all\)"):
        table_simulation(file, numbers=["n"], label="label")


def test_a_table_with_nothing_left_to_label_says_what_to_do(tmp_path):
    file = csv(tmp_path, "n,label\n1,a\n2,b\n")
    with pytest.raises(EmptyPool, match="table_simulation"):
        table_task(file, numbers=["n"], label="label")
