"""`labelwise forecast`: words, numbers for programs, a picture, and refusals that say what to do."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bench.fabricated import run
from labelwise.cli import app
from labelwise.errors import InputError, LabelwiseError

RISING = [0.9 - 0.5 * (k + 1) ** -0.8 for k in range(10)]


def forecast(*words):
    done = CliRunner().invoke(app, ["forecast", *map(str, words)], env={"COLUMNS": "100", "TERM": "dumb"})
    if isinstance(done.exception, LabelwiseError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def file(tmp_path):
    return run(curve=RISING, folder=tmp_path, validated=[a - 0.1 for a in RISING]).path


def test_a_run_is_told_in_words_a_table_and_caveats(file):
    told = " ".join(forecast(file, "--labels", 50, "--labels", 100, "--cost", 0.4, "--target", 0.8).split())
    assert told.startswith("Another 50 labels: +")
    assert (
        "from 72.1 % with 100 labels" in told and "They cost 20" in told
    )  # validation, for real campaigns have no test
    assert "80 % " in told and "+100 200" in told and "a point" in told
    assert "Rests on 10 measurements" in told and "validation samples" in told


def test_all_criteria_stand_side_by_side_where_a_price_is_known(tmp_path):
    watched = {"kappa": 0.995, "changed": 0.01, "uncertainty": 0.2, "confidence": 0.9}
    file = run(curve=RISING, folder=tmp_path, analysed={k: {"watched": watched} for k in range(10)}).path
    told = forecast(file, "--labels", 50, "--cost", 0.4, "--value", 0.001)
    rows = [line.split() for line in told.splitlines()]
    verdicts = {line[0]: line for line in rows if {"yes", "no"} & set(line)}
    assert [*verdicts] == ["stabilising", "overall", "classification", "performance", "expected"]
    assert "yes" in verdicts["stabilising"] and "0.9950" in verdicts["stabilising"]
    assert "no" in verdicts["overall"]
    assert "yes" in verdicts["expected"]  # a thousandth of a unit for a point
    assert (
        "no"
        in forecast(file, "--labels", 50, "--cost", 0.4, "--value", 900)
        .split("expected gain < cost")[1]
        .split()
    )
    assert "stop advice" not in forecast(file, "--labels", 50, "--cost", 0.4)


def test_a_folder_of_one_run_is_that_run_and_test_data_can_be_asked_for(file):
    told = json.loads(forecast(file.parent, "--measure", "test", "--json"))
    assert told["measure"] == "test" and told["accuracy"] == pytest.approx(RISING)
    assert [option["more"] for option in told["options"]] == [25, 50, 100]
    assert all(option["cost"] is None for option in told["options"])


def test_the_picture_is_one_file_that_asks_nothing_of_the_world(file, tmp_path):
    forecast(file, "--plot", tmp_path / "curve.svg")
    text = (tmp_path / "curve.svg").read_text()
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert text.count("http") == 1  # the name space


def test_refusals_name_what_is_wrong_and_the_cure(file, tmp_path):
    with pytest.raises(InputError, match="There is no file or folder .*nowhere"):
        forecast(tmp_path / "nowhere")
    with pytest.raises(InputError, match="must end in .svg; it is 'a.png'"):
        forecast(file, "--plot", "a.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="is no project; it holds no run files"):
        forecast(empty)
    run(curve=RISING, seed=1, folder=tmp_path)
    with pytest.raises(
        InputError, match="holds 2 run files; a forecast is of one of them: labelwise forecast"
    ):
        forecast(tmp_path)
    (tmp_path / "no.db").write_text("words")
    with pytest.raises(LabelwiseError):
        forecast(tmp_path / "no.db")
