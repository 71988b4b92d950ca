"""Drift from end to end: known shifts are named, what stays raises no alarm, numbers agree, bad input is said in words."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.testing import assert_allclose
from project_samples import WORDS, truth, write_pictures
from typer.testing import CliRunner

from labelwise import models
from labelwise.cli import drift as face
from labelwise.cli.drift_page import check_report
from labelwise.cli.drift_words import headline
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.project.drift import Drift, drift, drift_between
from labelwise.project.drift.newcomers import newcomers
from labelwise.project.drift.seeing import Plainly, chosen
from labelwise.project.folder import Project
from labelwise.seeds import generator

QUICK = {
    "level": 0.2,
    "draws": 20,
}  # two modalities, two tests each: 20 draws are enough for Holm's correction

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(face.drift_command)


def sensors(n: int, where: str, step: float = 0.0, gaps: float = 0.0) -> tuple[ArrayDataset, np.ndarray]:
    """Two sensors of two numbers; the sign of each one's first number tells the class; the second one may move."""
    rng = generator(0, "test", "drift", where)
    a, b = rng.standard_normal((2, n, 2))
    y = (a[:, 0] + b[:, 0] + 0.3 * rng.standard_normal(n) > 0).astype(np.int64)
    present = np.column_stack([np.ones(n, bool), rng.random(n) >= gaps]) if gaps else None
    b[:, 1] += step
    return ArrayDataset({"left": a.astype(np.float32), "right": b.astype(np.float32)}, present), y


@pytest.fixture(scope="module")
def old() -> tuple[Task, Labelled]:
    data, y = sensors(300, "old")
    ids = np.arange(300)
    held = Labelled(ids[:50], y[:50])
    return Task("sensors", data, ("no", "yes"), ids[50:], held), Labelled(ids[50:110], y[50:110])


@pytest.fixture(scope="module")
def moved(old) -> tuple[ArrayDataset, Drift]:
    task, train = old
    new, _ = sensors(200, "moved", step=0.7)
    return new, drift_between(task, models.make("logistic"), train, new, budget=20, **QUICK)


def test_the_modality_that_moved_is_named_with_its_radius_and_its_cost(moved):
    new, told = moved
    assert told.moved == ("right",)
    left, right = told.modalities
    assert_allclose(right.rho, exp(0.7**2) - 1, rtol=0.35)  # χ² of N(0.7, 1) from N(0, 1) is 0.63
    assert right.by == "means" and right.measured > right.chance_high and left.counted == 0
    assert (told.reads, told.known.part, len(told.known)) == ("inputs", "validation", 50)
    # one modality moves: first order, product and perfect are its own ρ
    assert_allclose([told.costs.budgets.first_order, told.costs.budgets.perfect], right.rho)
    x = told.known.error
    assert_allclose(told.costs.at_most.first_order, min(1, x + np.sqrt(right.rho * x * (1 - x))))
    assert x < told.costs.most <= told.costs.most_certified <= 1
    assert told.unseen.most >= told.costs.most
    # the number that moved does not tell the class, so that the error stays, and weights see that
    assert told.weighted is not None and told.weighted.low <= x + 0.1 and told.weighted.effective < 50
    strata = {one.name: one for one in told.whom.strata}
    assert set(strata) == {"unlike the old in right", "like the old data"}
    assert sum(one.labels for one in told.whom.strata) == len(told.whom.picks) == 20
    assert sum(one.samples for one in told.whom.strata) == 200
    # 0.7 beyond: more than the tenth of the old samples are beyond the old limit
    assert strata["unlike the old in right"].samples > 0.15 * 200
    scores = [pick.score for pick in told.whom.picks]
    assert scores == sorted(scores, reverse=True)
    moved_more = [
        new.arrays["right"][pick.id, 1] for pick in told.whom.picks if pick.stratum.startswith("unlike")
    ]
    assert np.mean(moved_more) > 1


def test_what_stays_raises_no_alarm_and_costs_nothing(old):
    task, train = old
    new, _ = sensors(120, "same")
    told = drift_between(task, models.make("logistic"), train, new, level=0.1, draws=1)
    assert told.moved == () and told.weighted is None
    assert told.costs.most == told.known.error
    assert told.unseen.most > told.known.error  # something small may always hide
    assert [one.name for one in told.whom.strata] == ["like the old data"]
    # draws were raised until Holm's correction of 4 tests can call one: 1 / (draws + 1) * 4 <= 0.1
    assert min(one.p for one in told.modalities) >= 4 / 41 - 1e-9


def test_a_modality_that_is_missing_more_often_is_drift(old):
    task, train = old
    new, _ = sensors(100, "gaps", gaps=0.5)
    told = drift_between(task, models.make("logistic"), train, new, budget=10, **QUICK)
    assert told.moved == ("right",)
    assert told.modalities[1].by == "absence" and told.modalities[1].share_new < 0.7
    assert told.costs.most == told.known.error  # no radius is known of what is not there
    assert {one.name for one in told.whom.strata} == {"without right", "like the old data"}


def test_a_network_is_compared_on_samples_that_it_has_not_learned_from(old):
    task, train = old
    recipe = models.make(
        "multimodal", encoders={"left": "mlp", "right": "mlp"}, width=4, projection=4, epochs=3, batch_size=16
    )
    new, _ = sensors(60, "network")
    learned: list[np.ndarray] = []

    class Spy:
        gives, warm = recipe.gives, False

        def fit(self, data, train, *rest, **more):
            learned.append(train.ids)
            return recipe.fit(data, train, *rest, **more)

    told = drift_between(task, Spy(), train, new, budget=5, **QUICK)
    assert told.reads == "modal"
    whole, apart = learned  # all labels for the answers, fewer for the eyes; validation is there, so no folds
    assert len(whole) == 60 and 15 <= len(apart) <= 45 and set(apart) < set(whole)
    assert [one.old for one in told.modalities] == [150, 150]  # half of 300 were kept apart
    assert told.moved == ()


def test_without_validation_the_error_is_measured_out_of_fold(old):
    task, train = old
    bare = Task("bare", task.data, task.classes, task.pool)
    new, _ = sensors(60, "folds")
    told = drift_between(bare, models.make("logistic"), train, new, **QUICK)
    assert told.known.part == "labelled, out of fold" and len(told.known) == 60
    assert told.known.error < 0.3
    few = Labelled(train.ids[:9], train.y[:9])
    with pytest.raises(InputError, match="10 labelled ones in 5 folds; there are 0 and 9"):
        drift_between(bare, models.make("logistic"), few, new)


def test_pictures_become_means_of_blocks_and_words_counts():
    pixels = np.zeros((2, 16, 16, 3), np.uint8)
    pixels[1, :2, :2] = 100  # one block of 2 x 2
    data = ArrayDataset(
        {"image": pixels, "text": np.array(["a red apple", "green"], np.dtypes.StringDType())}
    )
    seen = Plainly.measure(data, np.arange(2)).read(data, np.arange(2))
    assert seen.parts[0].shape == (2, 8 * 8 * 3)
    assert_allclose(seen.parts[0][1][:4], [100, 100, 100, 0])
    assert seen.parts[1].shape[0] == 2 and seen.there.all()
    assert chosen(models.make("cnn"), ("image",)) == "embeddings"
    assert chosen(models.make("cnn"), ("image", "text")) == "inputs"
    assert chosen(models.make("multimodal"), ("image", "text")) == "modal"
    with pytest.raises(InputError, match="give no embeddings of each modality; take inputs"):
        chosen(models.make("logistic"), ("image",), "modal")
    with pytest.raises(UnknownName, match="Did you mean 'inputs'"):
        chosen(models.make("logistic"), ("image",), "input")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: {"left": a["left"]}, "must have the modalities left, right, in this order; they have left"),
        (lambda a: {**a, "right": a["right"][:, :1]}, r"'right' must be table of shape \(2,\) .* it is table of shape \(1,\)"),
        (lambda a: {k: v[:19] for k, v in a.items()}, "20 new samples or more; there are 19"),
    ],
)  # fmt: skip
def test_new_data_that_are_not_like_the_old_are_refused(old, change, words):
    task, train = old
    new, _ = sensors(40, "bad")
    with pytest.raises((InputError, ShapeError), match=words):
        drift_between(task, models.make("logistic"), train, ArrayDataset(change(dict(new.arrays))))


def test_a_modality_that_hardly_any_new_sample_has_is_named(old):
    task, train = old
    new, _ = sensors(40, "rare", gaps=0.9)
    with pytest.raises(InputError, match=r"New data hold right in \d+ of 40 samples"):
        drift_between(task, models.make("logistic"), train, new, **QUICK)


def write_new(
    path: Path, rows: int, step: float, columns: tuple[str, ...] = ("title", "price", "weight")
) -> Path:
    """Write a table like that of the project mail, whose price may have moved, and no label."""
    rng = generator(1, "test", "project", "new", rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, columns, extrasaction="ignore")
        out.writeheader()
        for i in range(rows):
            price, weight = rng.normal(1 if i % 2 else -1) + step, rng.normal()
            title = " ".join(rng.choice(WORDS[truth(i)], 4))
            out.writerow({"title": title, "price": f"{price:.3f}", "weight": f"{weight:.3f}"})
    return path


def call(*words: object, code: int = 0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.stdout
    return result


def test_what_was_found_is_said_in_words(moved, capsys):
    _, told = moved
    face._print(told)
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("Drift: right has moved. The error, ")
    assert "on 50 known samples, could rise to at most" in words
    assert "if labels given inputs stay as they were" in words
    assert "like a shift of a Gaussian's mean by" in words
    assert "label 738 random new samples; 20 tell it to ± 30.4 %" in words  # √(ln 40 / 40) = 0.3037
    assert "Shifts of left too small to be seen" in words


@pytest.mark.parametrize("wrong, words", [(0.0, "none"), (1.0, "all")])
def test_known_samples_that_are_all_alike_do_not_tell_that_nothing_can_happen(moved, wrong, words):
    _, told = moved
    alike = replace(told, known=replace(told.known, errors=np.full(len(told.known), wrong)))
    said = headline(alike)
    assert f"50 known samples, {words} of them wrong, do not tell what that may cost" in said
    assert "at most" not in said and "with chance the error could be up to" in said


def test_the_command_says_what_moved_and_writes_what_to_label(mail: Project, tmp_path: Path):
    new, out, page = (
        write_new(tmp_path / "june.csv", 100, 1.5),
        tmp_path / "label.csv",
        tmp_path / "drift.html",
    )
    before = (mail.folder / "campaign.db").read_bytes()
    words = call(
        mail.folder, "--new", new, "--level", 0.2, "--draws", 20, "--budget", 7, "--out", out, "--report", page,
        "--json", "--fail-on-drift", code=4,
    )  # fmt: skip
    told = json.loads(words.stdout)
    assert (told["drift"], told["moved"], told["reads"]) == (True, ["table"], "inputs")
    assert told["costs"]["at_most"].keys() == {"first_order", "product_exact", "precision", "perfect"}
    assert told["known"]["part"] == "labelled, out of fold"
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [one["row"] for one in told["samples"]] == [row["row"] for row in rows]
    assert len(rows) == 7 and all(1 <= int(row["row"]) <= 100 and row["label"] == "" for row in rows)
    assert list(rows[0]) == [
        "row", "kind", "density ratio", "uncertainty", "score", "suggestion", "confidence", "label"
    ]  # fmt: skip
    assert {row["suggestion"] for row in rows} <= {"spam", "ham"}
    html = page.read_text()
    assert html.count("<svg") == 2 and told["headline"] in html and "http" not in html
    assert (mail.folder / "campaign.db").read_bytes() == before  # nothing was recorded


def test_numbers_of_new_tables_are_on_the_scale_of_the_old(mail: Project):
    home = Path(mail.settings.source.table)
    task = mail.task()
    with newcomers(mail, task, home) as there:  # the old table itself as the new one
        both = [data.batch(np.arange(200))["table"] for data in (there.data, task.data)]
    assert_allclose(both[0], both[1], atol=1e-5)
    assert there.keys[:2] == ("1", "2") and len(there.ids) == 200


def test_new_data_of_another_kind_are_refused(mail: Project, tmp_path: Path, monkeypatch):
    lacks = write_new(tmp_path / "lacks.csv", 30, 0, ("title", "price"))
    with pytest.raises(InputError, match="lacks.csv has no column 'weight'"):
        drift(mail, lacks)
    with pytest.raises(InputError, match="made of a table, so new data must be one"):
        drift(mail, tmp_path)
    with pytest.raises(InputError, match="nothing.csv must be a file"):
        drift(mail, tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"must end in .html or .svg; it is 'x.png'"):
        check_report(tmp_path / "x.png")
    with pytest.raises(InputError, match="no folder .*gone for --out"):
        call(mail.folder, "--new", lacks, "--out", tmp_path / "gone" / "x.csv")
    moved = mail.settings.source.model_copy(update={"table": str(lacks.with_name("away.csv"))})
    object.__setattr__(mail, "settings", mail.settings.model_copy(update={"source": moved}))
    new = write_new(tmp_path / "fine.csv", 30, 0)
    with pytest.raises(InputError, match=r"own table, .*away.csv, which cannot be read"):
        drift(mail, new)
    write_new(tmp_path / "away.csv", 200, 3)
    with pytest.raises(InputError, match="is not as it was when the project was made"):
        drift(mail, new)


def test_a_project_without_labels_has_no_error_that_could_rise(plain: Project, tmp_path: Path):
    (tmp_path / "new.csv").write_text("x\n" + "1\n" * 30)
    with pytest.raises(InputError, match="has no label yet"):
        drift(plain, tmp_path / "new.csv")


def test_a_folder_of_pictures_is_read_as_the_project_was(tmp_path: Path):
    from labelwise.project.new import Wish, new

    write_pictures(tmp_path / "photos", 40)
    project, _ = new(
        tmp_path / "birds",
        Wish(images=tmp_path / "photos", classes=("dark", "bright"), size=8, recipe="logistic"),
    )
    write_pictures(tmp_path / "june", 25)
    (tmp_path / "june" / "broken.png").write_bytes(b"no picture")
    with newcomers(project, project.task(), tmp_path / "june") as there:
        assert len(there.ids) == 25 and [key for key, _ in there.bad] == ["broken.png"]
        assert "more/photo-000.png" in there.keys
        assert there.data.batch(there.ids)["image"].shape == (25, 8, 8, 3)
    with pytest.raises(InputError, match="so new data must be one, too; .* is not there"):
        newcomers(project, project.task(), tmp_path / "none").__enter__()
    with pytest.raises(InputError, match="--images belongs to a project with a table"):
        newcomers(project, project.task(), tmp_path / "june", images=tmp_path).__enter__()
