"""Labels from a file when a project begins: what is given, what only measures, and what is refused in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from project_samples import write_pictures

from labelwise.errors import EmptyPool, InputError
from labelwise.project import ask, tell
from labelwise.project.export import table, write
from labelwise.project.folder import Project
from labelwise.project.new import Wish, new
from labelwise.project.sheet import Line

CLASSES = ("dark", "bright")


def begin(folder: Path, labels: Path | None = None) -> Project:
    wish = Wish(
        images=folder / "photos", classes=CLASSES, size=8, grey=True, recipe="logistic", labels=labels
    )
    return new(folder / f"project{labels is not None}", wish)[0]


def keys(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def listed(folder: Path, rows: str) -> Path:
    (folder / "known.csv").write_text(rows)
    return folder / "known.csv"


def test_what_one_project_exports_the_next_begins_with(tmp_path: Path):
    write_pictures(tmp_path / "photos", 20)
    first = begin(tmp_path)
    asked = [row["id"] for row in ask(first, 8).rows]
    words = {i: "pass" if i == asked[0] else CLASSES[i % 2] for i in asked}
    tell(first, [Line(2 + k, {"id": str(i), "label": word}) for k, (i, word) in enumerate(words.items())])
    write(table(first, all_answers=True), tmp_path / "labels.csv", "csv")

    second = begin(tmp_path, tmp_path / "labels.csv")
    task = second.task()
    assert sorted(task.given.ids.tolist()) == sorted(
        asked[1:]
    )  # a pass is no label: that one stays in the pool
    assert {int(i): CLASSES[k] for i, k in zip(task.given.ids, task.given.y, strict=True)} == {
        i: words[i] for i in asked[1:]
    }
    assert len(task.pool) == 13 and asked[0] in task.pool


def test_of_fifty_labels_a_fifth_measures_and_folders_count_too(tmp_path: Path):
    write_pictures(tmp_path / "photos", 60)
    names = keys(tmp_path / "photos")
    (tmp_path / "photos" / "dark").mkdir()
    (tmp_path / "photos" / names[0]).rename(tmp_path / "photos" / "dark" / "first.png")
    rows = "".join(
        f"{name};{k % 2}\n" for k, name in enumerate(names[1:50], 1)
    )  # numbers of classes, as in tell
    task = begin(tmp_path, listed(tmp_path, f"file;label\n{rows}")).task()
    assert (len(task.given), len(task.validation), len(task.pool)) == (40, 10, 10)
    assert Counter([*task.given.y.tolist(), *task.validation.y.tolist()]) == {0: 25, 1: 25}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("file,label\n{0},darkk\n", "line 2: 'darkk' is no class. Did you mean 'dark'?"),
        ("file,label\n{0},dark\nx.png,dark\n", "line 3 names 'x.png', which is no sample."),
        (
            "file,label\n{0},dark\n{0},bright\n",
            "line 3 says 'bright' of {0}, which has the label 'dark' already",
        ),
        ("id,label\n0,dark\n", "line 2 names no sample; it needs a column file (or row) and label"),
        ("file,class\n{0},dark\n", "must have the columns label"),
    ],
)
def test_a_wrong_line_is_named_and_no_project_is_made(tmp_path: Path, rows: str, words: str):
    write_pictures(tmp_path / "photos", 4)
    name = keys(tmp_path / "photos")[0]
    with pytest.raises(InputError) as error:
        begin(tmp_path, listed(tmp_path, rows.replace("{0}", name)))
    assert words.replace("{0}", name) in str(error.value)
    assert not (tmp_path / "projectTrue").exists()


def test_where_everything_has_a_label_there_is_nothing_to_ask(tmp_path: Path):
    write_pictures(tmp_path / "photos", 4)
    names = keys(tmp_path / "photos")
    rows = "".join(f"{name},{CLASSES[k % 2]}\n" for k, name in enumerate(names))
    with pytest.raises(EmptyPool):
        begin(tmp_path, listed(tmp_path, f"file,label\n{rows}"))
