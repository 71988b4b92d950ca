"""`labelwise recommend`: words, JSON, facts read from what is there, and refusals that say what to do."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.fabricated import run
from labelwise.cli import app
from labelwise.cli.facts import imbalance_of, known_of
from labelwise.errors import InputError, LabelwiseError
from labelwise.project import ask, open_project, tell
from labelwise.project.sheet import Line

ENOUGH = ("--pool", 20000, "--classes", 10, "--budget", 500)


def recommend(*words):
    done = CliRunner().invoke(app, ["recommend", *map(str, words)], env={"COLUMNS": "120", "TERM": "dumb"})
    if isinstance(done.exception, LabelwiseError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_it_says_what_to_take_and_what_that_rests_on():
    told = recommend(*ENOUGH, "--kind", "image", "--imbalance", 20)
    assert told.startswith(
        "Your pool: image, 10 classes, 20,000 samples, 50 labels a class, classes up to 20 : 1."
    )
    assert "\nTake " in told and "over margin" in told and "fashion-lt-20" in told
    assert (
        "labelwise new my-project --images photos/" in told and "--start 20 --batch 50 --budget 500" in told
    )
    assert "left out in turn" in " ".join(told.split()) and "Cannot run here: rl-mba" in told


def test_json_holds_everything_and_a_spec_can_be_run():
    told = json.loads(recommend(*ENOUGH, "--top", 2, "--json"))
    assert [c["strategy"] for c in told["choices"]] == list(told["commands"])
    assert len(told["choices"]) == 2 and told["model"] == "cnn" and told["cannot_run"]["bmmal"]
    assert told["facts"]["start"] == 20 and told["says"]
    made = tomllib.loads(recommend(*ENOUGH, "--spec"))
    assert made["strategy"]["name"] == told["choices"][0]["strategy"]
    assert made["plan"] == {"start": 20, "batch": 50, "budget": 500}


def test_another_model_leaves_out_what_it_cannot_serve():
    told = json.loads(recommend(*ENOUGH, "--model", "linear", "--json"))
    assert "embeddings" in told["cannot_run"]["badge"] and any(
        "neural network" in line for line in told["outside"]
    )
    assert "--recipe logistic" in next(iter(told["commands"].values()))
    several = json.loads(recommend(*ENOUGH, "--modalities", 2, "--json"))
    assert several["model"] == "multimodal" and several["facts"]["kind"] == "several"


def test_what_takes_too_long_here_is_left_out():
    small = ("--pool", 600, "--classes", 3, "--budget", 60, "--model", "linear", "--top", 1)
    told = json.loads(recommend(*small, "--seconds", 1e9, "--json"))
    assert told["too_much"] == {}
    with pytest.raises(InputError, match="takes too long or too much memory here"):
        recommend(*small, "--seconds", 1e-9)
    with pytest.raises(InputError, match="--seconds must be above 0"):
        recommend(*ENOUGH, "--seconds", 0)


def test_a_folder_of_images_says_its_samples_classes_and_kind(tmp_path):
    for name, count in (("cat", 40), ("dog", 20), ("", 30)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(count):
            Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / f"{k}.png")
    known = known_of(tmp_path / "photos")
    assert (known.pool, known.classes, known.kind, known.imbalance) == (30, 2, "image", 2.0)
    told = recommend(tmp_path / "photos", "--budget", 20)
    assert "--classes-from-folders" in told and told.startswith("Your pool: image, 2 classes, 30 samples")
    with pytest.raises(InputError, match="--budget must be said: .*photos does not say it"):
        recommend(tmp_path / "photos")


def test_a_table_says_how_many_modalities_it_has(tmp_path):
    rows = "\n".join(f"some words {k},{k / 7},{'a' if k % 3 else 'b'}" for k in range(60))
    (tmp_path / "t.csv").write_text(f"text,size,label\n{rows}\n")
    known = known_of(tmp_path / "t.csv")
    assert (known.pool, known.classes, known.modalities, known.imbalance) == (60, 2, 2, 2.0)
    (tmp_path / "none.csv").write_text("label\na\nb\n")
    with pytest.raises(InputError, match="No column of the table"):
        known_of(tmp_path / "none.csv")


def test_a_project_knows_everything_and_hears_whether_it_should_change(tmp_path):
    rows = "\n".join(f"some words {k},{'ab'[k % 2] if k < 4 else ''}" for k in range(60))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}\n")
    words = [
        "new",
        str(tmp_path / "mail"),
        "--table",
        str(tmp_path / "t.csv"),
        "--classes",
        "a,b",
        "--budget",
        "40",
    ]
    assert CliRunner().invoke(app, [*words, "--strategy", "entropy"]).exit_code == 0
    known = known_of(tmp_path / "mail")
    assert (known.pool, known.classes, known.budget, known.kind, known.model) == (
        56,
        2,
        40,
        "text",
        "logistic",
    )
    assert known.imbalance is None  # four labels say nothing of it
    told = recommend(tmp_path / "mail", "--rule", "cautious")
    assert (
        "The project uses entropy, and keeps it" in told
        and f"--table {(tmp_path / 't.csv').resolve()}" in told
    )
    assert "--text text" in told and "--label-column label" in told
    assert "--labels labels.csv" not in told  # none was bought yet

    asked = ask(open_project(tmp_path / "mail"), 3).rows
    tell(open_project(tmp_path / "mail"), [Line(2, {"id": str(asked[0]["id"]), "label": "b"})])
    told = recommend(tmp_path / "mail", "--rule", "cautious")
    assert f"labelwise export {tmp_path / 'mail'} -o labels.csv" in told and "--labels labels.csv" in told
    assert "--budget 39" in told


def test_a_run_says_what_it_was_of(tmp_path):
    file = run(folder=tmp_path, budget=30).path
    known = known_of(file)
    assert (known.pool, known.classes, known.kind, known.budget) == (200, 3, "image", 30)


def test_classes_that_nobody_saw_leave_the_imbalance_unknown():
    assert imbalance_of(["a"] * 40 + ["b"] * 20, 2) == 2.0
    assert imbalance_of(["a"] * 40 + ["b"] * 20, 3) is None
    assert imbalance_of(["a"] * 20 + ["b"] * 20, 2) is None  # fewer than fifty


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "--pool, --classes, --budget must be said"),
        (("nowhere",), "There is no file or folder nowhere"),
        ((*ENOUGH, "--kind", "foto"), "No kind of data is named 'foto'"),
        ((*ENOUGH, "--rule", "best"), "No rule is named 'best'"),
        ((*ENOUGH, "--model", "cn"), "No model is named 'cn'. Did you mean 'cnn'"),
    ],
)
def test_refusals_name_what_is_wrong_and_the_cure(words, said):
    with pytest.raises(InputError, match=said):
        recommend(*words)
