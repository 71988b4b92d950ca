"""A project folder appears whole, opens again as it was, and says in words what is wrong with it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from project_samples import truth, write_pictures

from labelwise.data.columns import Columns
from labelwise.data.own import folder_task
from labelwise.errors import (
    CorruptStore,
    InputError,
    LabelwiseError,
    NewerStore,
    StoreError,
    StoreFull,
    UnknownName,
)
from labelwise.models import make
from labelwise.project import ask, tell
from labelwise.project.disk import disk_error, whole_file
from labelwise.project.folder import Project, open_project
from labelwise.project.new import Wish, new
from labelwise.project.settings import read_settings, write_settings
from labelwise.project.sheet import Line

BIRDS = ("robin", "wren")


def answers(ids: tuple[int, ...]) -> list[Line]:
    return [Line(k + 2, {"id": str(i), "label": truth(i)}) for k, i in enumerate(ids)]


def test_a_project_holds_the_samples_as_they_were_read(tmp_path: Path):
    write_pictures(tmp_path / "photos", 25)
    (tmp_path / "photos" / "wren").mkdir()
    shutil.copy(tmp_path / "photos" / "photo-001.png", tmp_path / "photos" / "wren" / "known.png")
    wish = Wish(images=tmp_path / "photos", classes=BIRDS, size=8, recipe="mlp")
    made, samples = new(tmp_path / "birds", wish)
    again = open_project(tmp_path / "birds")
    assert again.settings == made.settings
    assert again.items.keys == samples.keys
    assert_array_equal(again.items.ids("given"), samples.task.given.ids)
    task = again.task()
    ids = np.arange(26)
    assert_array_equal(task.data.batch(ids)["image"], samples.task.data.batch(ids)["image"])
    assert task.fingerprint() == {**samples.task.fingerprint(), "name": "birds"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["birds", "photos"]  # no draft, no cache left


def test_text_and_missing_parts_of_a_row_come_back(tmp_path: Path):
    (tmp_path / "t.csv").write_text('words,x,y\n"über\nalles",1,2\n,3,\nplain,,\n=1,5,6\n', encoding="utf-8")
    wish = Wish(table=tmp_path / "t.csv", columns=Columns(text="words", numbers=("x", "y")), classes=BIRDS)
    made, samples = new(tmp_path / "p", wish)
    here, there = made.task().data.batch(np.arange(4)), samples.task.data.batch(np.arange(4))
    assert [str(t) for t in here["text"]] == ["über\nalles", "", "plain", "=1"]
    assert_array_equal(here["table"], there["table"])
    assert_array_equal(here["present"], there["present"])


def test_defaults_suit_few_labels_and_are_recipes_that_exist(tmp_path: Path):
    write_pictures(tmp_path / "photos", 30)
    recipe = dict(new(tmp_path / "a", Wish(images=tmp_path / "photos", classes=BIRDS))[0].settings.recipe)
    assert recipe == {"name": "cnn", "epochs": 30, "batch_size": 16, "shift": 2, "flip": True}
    assert make(recipe.pop("name"), **recipe).gives.pool >= {"probs"}
    wish = Wish(images=tmp_path / "photos", classes=BIRDS, fields=("recipe.epochs=2", "recipe.flip=false"))
    settings = new(tmp_path / "b", wish)[0].settings
    assert (settings.recipe["epochs"], settings.recipe["flip"], settings.strategy["name"]) == (
        2,
        False,
        "margin",
    )
    # 20 labels to start with, 50 a round, and the whole pool of 30 as the budget
    assert (settings.plan.start, settings.plan.batch, settings.plan.budget) == (20, 50, 30)


def test_a_start_holds_two_labels_a_class(tmp_path: Path):
    (tmp_path / "t.csv").write_text("x\n" + "1\n" * 60)
    classes = tuple(f"class {k}" for k in range(15))
    wish = Wish(table=tmp_path / "t.csv", columns=Columns(numbers=("x",)), classes=classes)
    assert new(tmp_path / "p", wish)[0].settings.plan.start == 30


def test_columns_are_guessed_where_none_is_named(tmp_path: Path):
    (tmp_path / "t.csv").write_text("id,review,stars,label\na,so good,5,\nb,so bad,1,\nc,meh meh,3,no\n")
    source = new(tmp_path / "p", Wish(table=tmp_path / "t.csv", classes=("yes", "no")))[0].settings.source
    assert (source.text, source.numbers, source.label_column, source.key_column) == (
        "review",
        ["stars"],
        "label",
        "id",
    )


def test_classes_may_stand_in_a_file(tmp_path: Path):
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    (tmp_path / "classes.txt").write_text("\ufeffrobin\r\n\r\nGrünfink\r\n", encoding="utf-8")
    wish = Wish(
        table=tmp_path / "t.csv", columns=Columns(numbers=("x",)), classes=(str(tmp_path / "classes.txt"),)
    )
    assert new(tmp_path / "p", wish)[0].settings.classes == ("robin", "Grünfink")


def test_settings_are_read_back_whatever_the_names_hold(mail: Project, tmp_path: Path):
    classes = ('a "quoted" \\ name', "tab\tinside", "del\x7f", "ünï ☃")
    odd = mail.settings.model_copy(
        update={"classes": classes, "recipe": {"name": "cnn", "milestones": [0.5, 0.75]}}
    )
    write_settings(odd, tmp_path)
    assert read_settings(tmp_path) == odd


@pytest.mark.parametrize("there", ["file", "full"])
def test_a_new_project_refuses_a_place_that_is_taken(tmp_path: Path, there: str):
    place = tmp_path / "p"
    if there == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "mine").write_text("mine")
    with pytest.raises(InputError, match="Choose another name"):
        new(place, Wish(images=tmp_path, classes=BIRDS))
    assert (place if there == "file" else place / "mine").read_text() == "mine"


def test_an_empty_folder_may_become_a_project(tmp_path: Path):
    (tmp_path / "t.csv").write_text("x\n1\n2\n")
    (tmp_path / "p").mkdir()
    new(tmp_path / "p", Wish(table=tmp_path / "t.csv", columns=Columns(numbers=("x",)), classes=BIRDS))
    assert open_project(tmp_path / "p").settings.classes == BIRDS


@pytest.mark.parametrize(
    "wish, words",
    [
        (Wish(images=Path("nowhere"), classes=BIRDS), "nowhere must be a folder"),
        (Wish(table=Path("nowhere.csv"), classes=BIRDS), "nowhere.csv must be a file"),
        (Wish(classes=BIRDS), "name a folder with --images or a table with --table"),
        (Wish(images=Path(), classes=("robin", "robin")), "'robin' is given 2 times"),
        (Wish(images=Path(), classes=BIRDS, strategy="margn"), "Did you mean 'margin'?"),
        (Wish(images=Path(), classes=BIRDS, recipe="cn"), "Did you mean 'cnn'?"),
        (Wish(images=Path(), classes=BIRDS, columns=Columns(text="t")), "Columns belong to a table"),
        (Wish(images=Path(), classes=BIRDS, fields=("epochs=3",)), "--set takes recipe.FIELD=VALUE"),
        (Wish(table=Path("t.csv"), classes=BIRDS, columns=Columns(numbers=("y",))), "has no column 'y'"),
        (
            Wish(table=Path("t.csv"), classes=BIRDS, columns=Columns(numbers=("x",)), budget=0),
            "--budget must be",
        ),
        (
            Wish(table=Path("t.csv"), classes=BIRDS, columns=Columns(numbers=("x",)), start=9, budget=2),
            "plan.start is 9",
        ),
        (
            Wish(
                table=Path("t.csv"),
                classes=BIRDS,
                columns=Columns(numbers=("x",)),
                fields=("recipe.epoch=3",),
            ),
            "epoch",
        ),
    ],
)
def test_a_wrong_wish_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: Wish, words: str
):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("x\n1\n2\n")
    with pytest.raises((InputError, UnknownName)) as caught:
        new(Path("p"), wish)
    assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# -- what happens to the samples later ---------------------------------------------------------------------------------


@pytest.fixture
def birds(tmp_path: Path) -> Project:
    write_pictures(tmp_path / "photos", 12)
    wish = Wish(images=tmp_path / "photos", classes=BIRDS, size=8, recipe="mlp", start=4)
    return new(tmp_path / "birds", wish)[0]


def test_files_that_come_later_are_named_and_no_id_shifts(birds: Project):
    before = ask(birds)
    photos = Path(birds.settings.source.images)
    Image.new("RGB", (8, 8)).save(photos / "a-first.png")  # sorts before all others
    after = ask(open_project(birds.folder))
    assert after.rows == before.rows
    assert "1 file came into the folder later, not part of this project (a-first.png)" in after.notes[0]


def test_files_that_are_gone_stop_the_asking_but_not_the_telling(birds: Project):
    first = ask(birds)
    photos = Path(birds.settings.source.images)
    (photos / "photo-001.png").unlink()
    with pytest.raises(InputError, match=r"1 of the project's 12 files .* photo-001\.png\. Put them back"):
        ask(birds)
    judged, _ = tell(birds, [Line(2, {"id": str(first.rows[0]["id"]), "label": "wren"})])
    assert len(judged.good) == 1


def test_a_picture_that_cannot_be_read_is_left_out_and_never_asked_for(tmp_path: Path):
    write_pictures(tmp_path / "photos", 6)
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG nonsense")
    wish = Wish(images=tmp_path / "photos", classes=BIRDS, size=8, recipe="mlp")
    made, samples = new(tmp_path / "birds", wish)
    assert [key for key, _ in samples.bad] == ["broken.png"]
    batch = ask(made)
    assert len(batch.rows) == 6
    assert "broken.png" not in {row["file"] for row in batch.rows}


def test_a_sub_folder_named_like_a_class_labels_its_files(tmp_path: Path):
    write_pictures(tmp_path / "photos", 6)
    (tmp_path / "photos" / "more").rename(tmp_path / "photos" / "wren")  # photo-000 and photo-005
    made, _ = new(tmp_path / "p", Wish(images=tmp_path / "photos", classes=BIRDS, size=8, recipe="mlp"))
    assert [made.items.keys[i] for i in made.items.ids("given")] == [
        "wren/photo-000.png",
        "wren/photo-005.png",
    ]
    assert_array_equal(made.items.labels[made.items.ids("given")], [1, 1])
    assert len(folder_task(tmp_path / "photos", BIRDS, size=8).task.pool) == len(made.items.ids("pool")) == 4


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, new_text, error, words",
    [
        ("format = 1", "format = 2", NewerStore, "has format 2; this labelwise reads up to 1"),
        ("seed = 3", "sead = 3", InputError, "plan.sead is unknown. Did you mean 'seed'?"),
        ("[strategy]", "[stratgy]", InputError, "stratgy is unknown. Did you mean 'strategy'?"),
        ("size = 64", "sise = 64", InputError, "source.sise is unknown. Did you mean 'size'?"),
        ("size = 64", "size = -1", InputError, "source.size"),
        ('name = "margin"', "name = 3", InputError, "strategy.name must be a text; it is 3"),
        ('["spam", "ham"]', '["spam", "spam"]', InputError, "'spam' is given 2 times"),
        ('["spam", "ham"]', '["ham", "spam"]', InputError, "the campaign was opened with spam, ham"),
        ("[plan]", "[plan", InputError, "is no valid TOML"),
    ],
)
def test_a_damaged_project_toml_is_refused_in_words(
    mail: Project, old: str, new_text: str, error: type[LabelwiseError], words: str
):
    path = mail.folder / "project.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new_text))
    with pytest.raises(error) as caught:
        open_project(mail.folder)
    assert words in str(caught.value)


def test_a_setting_that_was_changed_later_is_refused_at_the_next_ask(mail: Project):
    path = mail.folder / "project.toml"
    path.write_text(path.read_text().replace("batch = 20", "batch = 30"))
    with pytest.raises(InputError, match=r"opened with another plan"):
        ask(open_project(mail.folder))


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(InputError, match=r"is no labelwise project: .* `labelwise new` makes one"):
        open_project(tmp_path)
    with pytest.raises(InputError, match="is no labelwise project"):
        open_project(tmp_path / "nowhere")


def test_a_damaged_newer_or_missing_store_is_refused_in_words(mail: Project):
    store = mail.folder / "campaign.db"
    with closing(sqlite3.connect(store)) as connection, connection:
        changed = connection.execute("UPDATE labelwise_meta SET value = '999' WHERE name = 'schema'").rowcount
    assert changed == 1
    with pytest.raises(NewerStore, match="reads up to schema"):
        open_project(mail.folder)
    for name in ("campaign.db-wal", "campaign.db-shm"):
        (mail.folder / name).unlink(missing_ok=True)
    store.write_bytes(b"no database at all" * 300)
    with pytest.raises(CorruptStore, match="campaign"):
        open_project(mail.folder)
    store.unlink()
    with pytest.raises(StoreError, match="campaign"):
        open_project(mail.folder)
    assert not store.exists()


@pytest.mark.parametrize("name", ["items.csv", "data/index.json", "data/0.json", "data/1.npy"])
@pytest.mark.parametrize("harm", ["cut", "flip", "gone"])
def test_no_damaged_file_of_the_samples_is_believed(mail: Project, name: str, harm: str):
    path = mail.folder / name
    raw = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(raw[:-3])
    elif harm == "flip":
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    else:
        path.unlink()
    with pytest.raises(CorruptStore, match=rf"{path.name}.* Put the file back from a copy"):
        ask(open_project(mail.folder))


def test_answers_can_be_told_while_the_samples_are_damaged(mail: Project):
    ids = tuple(row["id"] for row in ask(mail).rows)
    (mail.folder / "data" / "1.npy").unlink()
    judged, state = tell(open_project(mail.folder), answers(ids))
    assert len(judged.good) == len(ids) == len(state.labels)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_without_permission_is_named(mail: Project):
    (mail.folder / "project.toml").chmod(0)
    with pytest.raises(StoreError, match=r"project.toml cannot be read: no permission"):
        open_project(mail.folder)


@pytest.mark.parametrize(
    "code, error, words",
    [
        (28, StoreFull, "The disk of x is full; nothing was changed"),
        (13, StoreError, "x cannot be written: no permission"),
        (21, InputError, "x is a folder; it must be a file"),
        (5, StoreError, "x cannot be written: Input/output error"),
    ],
)
def test_failures_of_a_disk_have_words(code: int, error: type[LabelwiseError], words: str):
    made = disk_error(Path("x"), OSError(code, os.strerror(code)), "written")
    assert type(made) is error
    assert words in str(made)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "kept.csv"
    path.write_text("old")
    # the draft is opened for writing through a link to a device that is always full
    draft = path.with_name(f".kept.csv.{os.getpid()}.draft")
    draft.symlink_to("/dev/full")
    with pytest.raises(StoreFull, match="is full"), whole_file(path) as file:
        file.write("new")
    assert path.read_text() == "old"
    assert not draft.is_symlink()


def test_a_whole_file_is_not_touched_when_the_block_fails(tmp_path: Path):
    path = tmp_path / "kept.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(str(1 / 0))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.csv"]
