"""The page's part on learned policies: shown where runs hold such notes, with their numbers and the right pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import CLASSES, run
from numpy.testing import assert_allclose
from test_report import EVIL, Page, simulation

from labelwise.bench.compare import compare
from labelwise.bench.report import write_report
from labelwise.bench.report.build import palette_of
from labelwise.bench.report.health import OVERALL, WITHIN, health, reading
from labelwise.bench.report.noted import Chosen, chosen, seconds, trust_set
from labelwise.bench.report.phases import phases
from labelwise.bench.report.policy import policy
from labelwise.bench.report.samples import png
from labelwise.bench.results import Run
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.data.truth import Simulation

CURVE = (0.5, 0.6, 0.7, 0.8)
HEADINGS = (
    "The policy's health",
    "What the TrustSet holds",
    "What was chosen, and why",
    "Seconds by phase of choosing",
)
SHA = simulation().task.fingerprint()["sha256"]


def notes(t: int, shift: float = 0.0) -> dict[str, Any]:
    """What bral-t notes of round t; ids are asked for in their own order, ten a round."""
    return {
        "reward correlation": (0.6, None, 0.2)[t - 1],
        "reward correlation within clusters": 0.02 * t + shift,
        "rewards in the buffer": 100 * t,
        "share of clusters without TrustSet": 0.5 / t,
        "error of the reward network": 0.75,
        "TrustSet": {"size": 5 + t, "classes": [1, 4, t], "ids": [t, 9 - t, 5], "scores": [2.5, 1.25, 0.5]},
        "cells": 40,
        "chosen": [
            {"cluster": 3, "cell": 31, "samples": 17, "taken": 6, "predicted reward": -0.25,
             "ids": [10 * t + k for k in range(4)]},
            {"cluster": 1, "cell": 12, "samples": 9, "taken": 1, "predicted reward": None,
             "ids": [10 * t + 6, 10 * t + 7]},
        ],
        "seconds": {"trust set": 0.5, "rehearsals": 2.0 * t + shift},
    }  # fmt: skip


def bral(seed: int = 0, **more: Any) -> Run:
    noted = {t: notes(t, 0.1 * seed) for t in (1, 2, 3)}
    return run("bral-t", seed, CURVE, sha256=SHA, **{"noted": noted, **more})


def told(runs: list[Run], data: Simulation | None = None) -> dict[str, Any]:
    """What the template is given for the one setting of some runs."""
    found = compare(runs)
    [setting], [group] = found.settings, found.groups
    return policy(setting, group, data, palette_of(found), CLASSES, "s0")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("policy") / "report.html"
    runs = [bral(0), bral(1), run("random", 0, CURVE, sha256=SHA), run("random", 1, CURVE, sha256=SHA)]
    return write_report(runs, out, name="demo", load=lambda _: simulation()).paths["html"].read_text()


def test_a_run_with_a_policy_shows_it_once(page: str) -> None:
    parsed = Page(page)
    assert [parsed.words.count(heading) for heading in HEADINGS] == [1] * 4
    assert "near 0 the policy chooses blindly" in parsed.words
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "bral-t, seed 0" in parsed.words


def test_other_notes_leave_the_page_as_it_was_byte_for_byte(tmp_path: Path) -> None:
    other = {
        1: {"weights": [0.5, 0.5], "predicted reward": 3.0},
        2: {"cells": 9, "chosen": [], "seconds": {}},
    }
    pages = []
    for k, noted in enumerate((None, other)):
        runs = [run("margin", 0, CURVE, sha256=SHA, noted=noted), run("random", 0, CURVE, sha256=SHA)]
        out = tmp_path / str(k) / "report.html"
        pages.append(write_report(runs, out, name="x").paths["html"].read_bytes())
    assert pages[0] == pages[1]
    assert not any(heading.encode() in pages[0] for heading in HEADINGS)
    assert b".policies" not in pages[0]  # nor its styles


def test_health_is_the_mean_over_seeds_of_what_was_noted() -> None:
    found = health("bral-t", [bral(0), bral(1)])
    assert found.rounds == (1, 2, 3)
    assert found.labels.tolist() == [[10, 20, 30]] * 2  # ten a round, the start included
    assert_allclose(found.mean(OVERALL), [0.6, np.nan, 0.2])
    # seeds 0 and 1: .02 t and .02 t + .1
    assert_allclose(found.mean(WITHIN), [0.07, 0.09, 0.11])


def test_the_table_of_health_holds_last_and_first_round() -> None:
    [row] = told([bral(0), bral(1)])["health"]["table"].rows
    # shares .5 / 3 and .5 / 1; buffers 300 and 100
    assert [(cell.text, cell.small) for cell in row.cells] == [
        ("16.7 %", "50 % at first"), ("300", "100 at first"), ("0.75", "0.75 at first"),
    ]  # fmt: skip


def test_a_kept_agent_does_not_count_as_one_without_empty_clusters() -> None:
    kept = {**notes(3), "rewards in the buffer": 0, "share of clusters without TrustSet": 0.0}
    [row] = told([bral(noted={1: notes(1), 2: notes(2), 3: kept})])["health"]["table"].rows
    assert (row.cells[0].text, row.cells[1].text) == ("25 %", "200")


def test_without_a_known_correlation_there_is_no_chart_and_with_one_there_is_a_dot() -> None:
    unknown, one = (
        told([run("bral-t", 0, CURVE, noted={1: {"reward correlation": value}})])["health"]
        for value in (None, 0.5)
    )
    assert unknown["panels"] == []
    assert "<use" in one["panels"][0]  # a marker
    assert "<use" not in told([bral()])["health"]["panels"][1]


@pytest.mark.parametrize(
    "overall, within, verdict",
    [
        (0.05, 0.6, "it chooses blindly"),
        (0.5, 0.02, "it tells clusters apart, but chooses blindly within them"),
        (0.5, 0.3, "it ranks cells better than chance would"),
        (-0.4, 0.0, "it ranks cells the wrong way round"),
        (None, None, "too few rewards to say"),
    ],
)
def test_one_sentence_reads_the_correlations(
    overall: float | None, within: float | None, verdict: str
) -> None:
    noted = {1: {"reward correlation": overall, "reward correlation within clusters": within}}
    assert verdict in reading(health("bral-t", [run("bral-t", 0, CURVE, noted=noted)]))


def test_the_trust_set_is_counted_by_class_in_three_rounds() -> None:
    heat = told([bral(0)])["trust"]["heat"]
    assert heat.columns == ("1", "2", "3")
    assert [[cell.text for cell in row.cells] for row in heat.rows] == [
        ["1", "1", "1"],
        ["4", "4", "4"],
        ["1", "2", "3"],
    ]


def test_ids_become_the_right_thumbnails_with_class_and_score() -> None:
    data = simulation()
    images = data.task.data.batch(np.arange(200))["image"]
    found = told([bral(0)], data)
    first = found["trust"]["groups"][0]["things"]
    assert [item["image"] for item in first] == [png(images[i]) for i in (1, 8, 5)]
    # labels are the classes in turn: 1 -> one, 8 -> two, 5 -> two
    assert [item["caption"] for item in first] == ["one · 2.50", "two · 1.25", "two · 0.50"]
    assert first[0]["alt"] == "sample 1, labelled one, score 2.5"
    last = found["chosen"]["rounds"][2]["rows"]
    assert [[item["image"] for item in row["things"]] for row in last] == [
        [png(images[i], 48) for i in (30, 31, 32, 33)],
        [png(images[36], 48)],  # one was taken: another cell's is not shown for it
    ]


def test_the_page_holds_the_thumbnails_with_their_alternatives(page: str) -> None:
    images = simulation().task.data.batch(np.arange(200))["image"]
    shown = dict(re.findall(r'<img src="([^"]*)" alt="([^"]*)"', page))
    assert shown[png(images[8])] == "sample 8, labelled two, score 1.25"
    assert all(alt for _, alt in re.findall(r'<img src="([^"]*)" alt="([^"]*)"', page))


def test_the_chosen_cells_say_reward_size_and_share() -> None:
    first, _, last = told([bral(0)])["chosen"]["rounds"]
    assert first["name"] == "Round 1, 10 labels"
    assert last["words"] == "2 cells of 40, from which 7 of the 10 samples of the round were taken."
    assert [(row["cluster"], row["cell"], row["reward"], row["taken"]) for row in last["rows"]] == [
        (3, 31, "−0.250", "6 of 17"),
        (1, 12, "–", "1 of 9"),
    ]


def test_seconds_are_means_over_seeds_and_rounds_of_any_strategy_that_notes_them() -> None:
    other = [run("margin", s, CURVE, noted={2: {"seconds": {EVIL: 1.0 + s}}}) for s in (0, 1)]
    found = compare([bral(0), bral(1), *other])
    [setting], [group] = found.settings, found.groups
    table = phases(setting, group, palette_of(found))
    assert table is not None
    assert table.columns == ("round 1", "2", "3", "all rounds")
    rows = {name: dict(rows) for name, _, rows in table.strategies}
    # 2 t + .1 seed: means 2.05, 4.05, 6.05 and 4.05; together with .5
    assert rows["bral-t"]["rehearsals"] == ("2.05", "4.05", "6.05", "4.05")
    assert rows["bral-t"]["together"] == ("2.55", "4.55", "6.55", "4.55")
    assert rows["margin"] == {EVIL: ("–", "1.50", "–", "1.50")}


def test_a_strategy_that_notes_only_seconds_shows_only_those_and_its_words_are_text(tmp_path: Path) -> None:
    noted = {1: {"seconds": {EVIL: 0.5}}}
    out = write_report([run("margin", 0, CURVE, noted=noted)], tmp_path / "report.html", name="x").paths[
        "html"
    ]
    parsed = Page(out.read_text())
    assert HEADINGS[3] in parsed.words
    assert not any(heading in parsed.words for heading in HEADINGS[:3])
    assert EVIL in parsed.words
    assert parsed.seen.count("script") == 1  # our own


def test_class_weights_stand_beside_the_predicted_classes_asked() -> None:
    noted = {
        t: {"class weights": [0.5, 1.0, 1.5 + t], "predicted classes asked": [7, 3 - t, t]} for t in (1, 2)
    }
    found = told([run("bral-t-plus", 0, CURVE, noted=noted)])
    weights, asked = found["weighed"]["heats"]
    assert [cell.text for cell in weights.rows[2].cells] == ["2.50", "3.50"]
    assert [cell.text for cell in asked.rows[1].cells] == ["2", "1"]
    assert "in 2 of 3 rounds" in found["weighed"]["caption"]
    assert found["trust"] is None and found["health"] is None


def test_text_is_shown_as_text() -> None:
    words = np.array([f"sentence {i}" for i in range(230)])
    truth = np.arange(230) % 3
    test = Labelled(np.arange(200, 230), truth[200:])
    task = Task("hand-made", ArrayDataset({"text": words}), CLASSES, np.arange(200), test=test)
    things = told([bral(0)], Simulation(task, truth))["trust"]["groups"][0]["things"]
    assert [(item["image"], item["words"]) for item in things[:2]] == [
        (None, "sentence 1"),
        (None, "sentence 8"),
    ]


def test_the_run_shown_is_that_of_the_strategy_with_the_fewest_settings_of_its_own() -> None:
    variant = run(
        "bral-t", 0, (0.5, 0.9, 0.9, 0.9), params={"target": "diff-set"}, sha256=SHA, noted={1: notes(1)}
    )
    assert told([variant, bral(0)])["trust"]["name"] == "bral-t, seed 0"


@pytest.mark.parametrize(
    "value",
    [None, 3, "x", [], {}, {"size": 3}, {"size": "3", "classes": [1], "ids": [], "scores": []},
     {"size": 3, "classes": [-1], "ids": [], "scores": []}, {"size": 3, "classes": [3], "ids": [1], "scores": []}],
)  # fmt: skip
def test_a_trust_set_of_another_shape_counts_as_absent(value: Any) -> None:
    assert trust_set({"TrustSet": value}) is None


@pytest.mark.parametrize("value", [None, 3, "x", {}, [3], [{"cluster": 1}], [{"cluster": None, "cell": 1}]])
def test_chosen_cells_and_seconds_of_another_shape_count_as_absent(value: Any) -> None:
    assert chosen({"chosen": value}) == ()
    assert seconds({"seconds": value}) == {}


def test_a_nan_is_no_reward_and_ids_of_other_data_show_no_picture() -> None:
    cell: Mapping[str, Any] = {
        "cluster": 1, "cell": 2, "samples": 3, "taken": 3, "predicted reward": float("nan"), "ids": [10**6],
    }  # fmt: skip
    assert chosen({"chosen": [cell]}) == (Chosen(1, 2, 3, 3, None, (10**6,)),)
    found = told([bral(noted={1: {"chosen": [cell]}})], simulation())
    assert not found["chosen"]["pictures"]


@pytest.mark.slow
def test_pictures_of_a_policy_go_first_where_the_page_would_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr("labelwise.bench.report.LARGEST", len(page.encode()))
    runs = [bral(0), bral(1), run("random", 0, CURVE, sha256=SHA), run("random", 1, CURVE, sha256=SHA)]
    out = write_report(runs, tmp_path / "r.html", name="demo", load=lambda _: simulation()).paths["html"]
    text = Page(out.read_text()).words
    assert "Samples of TrustSets and of chosen cells are left out" in text
    assert "Samples that were asked for" in text
    assert all(heading in text for heading in HEADINGS)
    assert "score 2.5" not in out.read_text()
