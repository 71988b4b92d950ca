"""The page's part on modalities: contributions, weights, alignment, classes, the policy's learning, and explained samples."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import CLASSES, run
from numpy.testing import assert_allclose
from test_report import EVIL, Page

from labelwise.bench.compare import compare
from labelwise.bench.report import write_report
from labelwise.bench.report.alignment import alignment
from labelwise.bench.report.build import palette_of
from labelwise.bench.report.contributions import Contributions, Modal, bounds, modal
from labelwise.bench.report.dominance import EVEN, dominance, ranked
from labelwise.bench.report.explained import cards, noting
from labelwise.bench.report.learning import ENTROPY, learning, reading
from labelwise.bench.report.modalities import Modalities, modalities
from labelwise.bench.report.noted import explained, number, weights
from labelwise.bench.report.samples import pictured, png
from labelwise.bench.results import Run
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.seeds import generator

CURVE = (0.5, 0.6, 0.7, 0.8)
BOTH = ("image", "text")
HEADINGS = (
    "What each modality contributes",
    "Classes by the modality that dominates them",
    "Does evening out contributions go with accuracy?",
    "How the policy learnt",
    "Why these samples",
)
# image knows class zero, text class one; they know two alike
BY_CLASS = [[0.9, 0.5], [0.4, 0.8], [0.6, 0.61]]


def analysis(phi: Sequence[float], **more: Any) -> dict[str, Any]:
    told = {"modalities": list(BOTH), "accuracy": [0.6, 0.5], "shapley": list(phi), "by class": BY_CLASS}
    return {**told, "dispersion": abs(phi[0] - phi[1]), **more}


def sample(i: int, *, there: bool = True, **more: Any) -> dict[str, Any]:
    text = {"present": there, "uncertainty": 0.75, "vacuity": 0.5, "weight": 0.4, "guess": 1, "belief": 0.7}
    image = {**text, "present": True, "uncertainty": 0.25, "weight": 0.6, "guess": 0, "belief": 0.9}
    numbers = {"score": 1.5, "difficulty": 0.5, "diversity": 2.0, "conflict": 0.3, "probability": 0.04}
    return {"id": i, **numbers, "modalities": {"image": image, "text": text}, **more}


def notes(t: int) -> dict[str, Any]:
    """What rl-mba notes of round t; ids are asked for in their own order, ten a round."""
    return {
        "modality weights": {"image": 0.5 + 0.1 * t, "text": 0.5 - 0.1 * t},
        "reward kind": "incremental",
        "reward": None if t == 1 else 0.02 * t,
        "baseline": None if t == 1 else 0.01,
        "advantage": None if t == 1 else 0.1 - 0.04 * t,
        "policy entropy": 1 - 0.1 * t,
        "policy preference": 1 + 0.5 * t,
        "candidates": 50,
        "losses": {"policy": 0.5 * t, "modality": None, "difficulty": 0.25},
        "updates": t - 1,
        "samples": [sample(10 * t), sample(10 * t + 1, there=False)],
        "seconds": {"features": 0.5, "policy": 0.25},
    }


def simulation() -> Simulation:
    """230 pairs of a picture of 8 x 8 and a text, of the classes in turn; sample 11, 21, ... lacks its text."""
    images = generator(0, "test", "modalities").integers(0, 256, size=(230, 8, 8), dtype=np.uint8)
    words = np.array([f"text {i} {EVIL}" for i in range(230)], dtype=np.dtypes.StringDType())
    present = np.ones((230, 2), bool)
    present[1::10, 1] = False
    truth = np.arange(230) % len(CLASSES)
    data = ArrayDataset({"image": images, "text": words}, present)
    task = Task("hand-made", data, CLASSES, np.arange(200), test=Labelled(np.arange(200, 230), truth[200:]))
    return Simulation(task, truth)


SHA = simulation().task.fingerprint()["sha256"]


def rl(seed: int = 0, **more: Any) -> Run:
    """D(φ) 0.4, 0.3, 0.2, 0.1 while validation accuracy rises by 0.04, 0.03, 0.02: aligned in sign at each step."""
    told = {t: analysis((0.1 * t, 0.4 + 0.01 * seed)) for t in range(4)}
    made = {
        "analysed": told,
        "noted": {t: notes(t) for t in (1, 2, 3)},
        "validated": (0.5, 0.54, 0.57, 0.59),
        "modalities": BOTH,
        "sha256": SHA,
    }
    return run("rl-mba", seed, CURVE, **{**made, **more})


def random(seed: int = 0, **more: Any) -> Run:
    told = {t: analysis((0.1, 0.5)) for t in range(4)}
    return run(
        "random", seed, (0.5, 0.55, 0.6, 0.7), **{"analysed": told, "modalities": BOTH, "sha256": SHA, **more}
    )


def told_of(runs: Sequence[Run]) -> Modalities | None:
    found = compare(runs)
    [setting], [group] = found.settings, found.groups
    return modalities(setting, group, CLASSES, palette_of(found))


def modal_of(runs: Sequence[Run]) -> Modal:
    found = compare(runs)
    [setting], [group] = found.settings, found.groups
    told = modal(setting, group, len(CLASSES))
    assert told is not None
    return told


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    out = tmp_path_factory.mktemp("modal") / "report.html"
    runs = [rl(0), rl(1), rl(2), random(0), random(1), random(2)]
    return write_report(runs, out, name="demo", load=lambda _: simulation()).paths


def test_the_page_shows_each_part_once_and_nothing_of_a_run_is_markup(written: Mapping[str, Path]) -> None:
    page = Page(written["html"].read_text())
    assert [page.words.count(heading) for heading in HEADINGS] == [1, 1, 1, 1, 1]
    assert len(page.ids) == len(set(page.ids))
    assert page.seen.count("script") == 1  # our own, though every text holds one
    assert EVIL in page.words
    assert page.seen.count("dl") == 6 + 1  # two cards in each of three rounds, and how it was made


def test_pages_without_modalities_are_what_they_were(tmp_path: Path) -> None:
    malformed = {t: {"modalities": ["image"], "shapley": [0.5]} for t in range(4)}
    pages = []
    for k, more in enumerate(({}, {"analysed": malformed, "noted": {1: {"modality weights": [0.5]}}})):
        runs = [run("random", 0, CURVE, **more)]
        paths = write_report(runs, tmp_path / str(k) / "report.html", name="x").paths
        pages.append([paths[kind].read_bytes() for kind in ("html", "csv", "md", "json")])
    assert pages[0] == pages[1]
    assert b".cards" not in pages[0][0]


def test_contributions_stand_by_seed_fit_and_modality() -> None:
    [c, other] = modal_of([rl(0), rl(1), random(0)]).strategies
    assert c.strategy == "rl-mba"
    assert c.labels.tolist() == [10, 20, 30, 40]
    assert_allclose(c.shapley[1, :, 1], 0.41)
    # |0.1 t - 0.4| and |0.1 t - 0.41|
    assert_allclose(c.dispersion, [[0.4, 0.3, 0.2, 0.1], [0.41, 0.31, 0.21, 0.11]])
    assert c.weight_labels.tolist() == [10, 20, 30]
    assert_allclose(c.weights[0], [[0.6, 0.4], [0.7, 0.3], [0.8, 0.2]])
    assert other.weights.shape == (1, 0, 2)


def test_the_headline_answers_first_and_pairs_by_seed() -> None:
    told = told_of([rl(0), rl(1), rl(2), random(0), random(1), random(2)])
    assert told is not None
    # (0.10 + 0.11 + 0.12) / 3 = 0.11; random |0.1 - 0.5| = 0.4
    assert told.headline == (
        "With 40 labels, rl-mba ends with D(φ) 0.11 at 80 % accuracy, random with 0.4 at 70 % (lower D(φ) is more even; "
        "3 seeds)."
    )
    # -0.30, -0.29, -0.28: mean -0.29, half 4.303 * 0.01 / sqrt(3) = 0.0248
    assert "more even with rl-mba (by 0.29 ± 0.025)" in told.detail[0]
    assert told.table is not None
    assert [cell.text for cell in told.table.rows[0].cells if cell] == [
        "0.110", "80.0", "80.0", "0.300", "0.410", "60.0", "50.0",
    ]  # fmt: skip


def test_with_two_seeds_nothing_is_said_to_differ() -> None:
    told = told_of([rl(0), rl(1), random(0), random(1)])
    assert told is not None
    assert "Three seeds" in told.detail[0]


def test_an_interval_over_seeds_leaves_out_what_is_unknown() -> None:
    centre, low, high = bounds(np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]]))
    assert_allclose(centre, [2.0, 5.0, np.nan])
    # 12.706 * sqrt(2) / sqrt(2)
    assert_allclose([low[0], high[0]], [2 - 12.7062, 2 + 12.7062], atol=1e-4)
    assert np.isnan([low[1], high[1]]).all()


def given(validation: Sequence[float], dispersion: Sequence[float]) -> Contributions:
    p = len(validation)
    nothing = np.full((1, p, 2), np.nan)
    return Contributions(
        "x", (0,), np.arange(p) * 1.0, nothing, nothing, np.array([dispersion]), np.array([validation]),
        np.full((1, 3, 2), np.nan), np.full((1, 3), np.nan), np.empty(0), np.empty((1, 0, 2)),
    )  # fmt: skip


def test_alignment_is_spearman_of_the_changes_by_hand() -> None:
    # accuracy +4 +1 +3 -1 (ranks 4 2 3 1); D -4 -2 -1 +1, so -D +4 +2 +1 -1 (ranks 4 3 2 1): Σd² = 2
    found = alignment(given((0.50, 0.54, 0.55, 0.58, 0.57), (0.5, 0.46, 0.44, 0.43, 0.44)))
    assert found.steps == 4
    assert (found.together, found.moved) == (4, 4)
    assert found.correlation == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.chance == 1.0  # 1.96 / sqrt(3), cut
    assert found.verdict == "no more than chance"


def test_alignment_that_chance_does_not_give_is_read_both_ways() -> None:
    steps = np.array([0.05, 0.01, 0.04, 0.02, 0.03, 0.06, 0.07, 0.08])
    up, down = np.cumsum([0.1, *steps]), 0.9 - np.cumsum([0.1, *steps])
    assert alignment(given(up, down)).verdict == "accuracy rises with evenness"
    assert alignment(given(up, up)).verdict == "accuracy falls with evenness"
    assert alignment(given(up, np.full(9, 0.3))).verdict == "one side never moved"
    assert alignment(given(up[:3], down[:3])).verdict == "too few steps to say"
    assert alignment(given(np.full(9, np.nan), down)).steps == 0


def test_steps_are_counted_over_all_seeds_and_never_between_them() -> None:
    told = told_of([rl(0), rl(1), random(0), random(1)])
    assert told is not None
    assert [(a.strategy, a.steps) for a in told.alignments] == [("rl-mba", 6), ("random", 0)]
    assert told.aligned is not None
    assert [row.name for row in told.aligned.rows] == ["rl-mba"]


def test_classes_are_grouped_by_the_head_that_leads_by_two_points() -> None:
    found = dominance(modal_of([rl(0), random(0)]))
    assert found is not None
    assert found.groups == {"image": (0,), "text": (1,), EVEN: (2,)}
    assert_allclose(found.lead, [0.4, 0.4, 0.01])
    assert ranked(found, 2) == [0, 1, 2]


def test_groups_of_classes_differ_from_the_reference_seed_by_seed() -> None:
    def at_last(zero: float, one: float) -> dict[int, dict[str, Any]]:
        return {3: {"per_class": [zero, one, 0.5]}}

    runs = [rl(s, made=at_last(0.9 + 0.01 * s, 0.6)) for s in (0, 1)]
    runs += [random(s, made=at_last(0.8, 0.7)) for s in (0, 1)]
    told = told_of(runs)
    assert told is not None and told.groups is not None
    assert [column.name for column in told.groups.columns] == [
        "image dominates (1 class)", "text dominates (1 class)", "no clear lead (1 class)",
    ]  # fmt: skip
    image, text, _ = told.groups.rows[0].cells
    # 10 and 11 points: mean 10.5, half 12.706 * 0.5 = 6.35
    assert image is not None and text is not None
    assert (image.text, image.small) == ("90.5", "+10.5 ± 6.4")
    assert (text.text, text.small) == ("60.0", "−10.0 ± 0.0")


def test_a_class_without_samples_has_no_dominating_modality() -> None:
    lacking = {t: analysis((0.1, 0.2), **{"by class": [BY_CLASS[0], None, BY_CLASS[2]]}) for t in range(4)}
    found = dominance(modal_of([rl(0, analysed=lacking)]))
    assert found is not None
    assert ranked(found, 2) == [0, 2]
    assert found.dominant.tolist() == [0, -1, -1]


def test_a_policy_s_rounds_become_numbers_and_a_sentence() -> None:
    found = learning("rl-mba", [rl(0), rl(1)])
    assert found.rounds == (1, 2, 3)
    assert_allclose(found.values[ENTROPY], [[0.9, 0.8, 0.7]] * 2)
    assert_allclose(found.values["policy preference"], [[1.5, 2.0, 2.5]] * 2)
    assert np.isnan(found.values["modality"]).all()
    assert_allclose(found.values["policy"][0], [0.5, 1.0, 1.5])
    said = reading(found)
    assert "2 updates a run (2 seeds); reward: incremental" in said
    # 0.02 in round 2, -0.02 in round 3
    assert "advantage above 0 in 2 of 4 rounds" in said
    assert "it prefers some candidates" in said
    flat = run("rl-mba", 0, CURVE, noted={1: {"policy entropy": 0.999}})
    assert "hardly prefers" in reading(learning("rl-mba", [flat]))


def test_cards_tell_of_each_modality_beside_its_picture() -> None:
    data, one = simulation(), rl()
    found = cards("rl-mba", one, noting(one, 3), data, CLASSES)
    assert found is not None
    first, second = found["rounds"][0]["cards"]
    image, text = first["parts"]
    assert image["image"] == png(data.task.data.batch(np.array([10]))["image"][0])
    assert (image["uncertainty"], image["lines"]) == (
        "0.25",
        ["guess zero, belief 0.90", "vacuity 0.50", "weight 0.60"],
    )
    assert text["words"] == f"text 10 {EVIL}"
    assert first["words"] == "They disagree: image says zero and text says one."
    assert first["label"] == "labelled one"  # 10 mod 3
    assert ("chance of the first draw", "4.00 % (2.00 %)") in first["facts"]
    assert second["parts"][1]["missing"]
    assert second["parts"][1]["uncertainty"] is None
    assert second["words"] == "Only image speaks: it says zero."


def test_cards_without_data_keep_the_numbers() -> None:
    one = rl()
    found = cards("rl-mba", one, noting(one, 3)[:1], None, CLASSES)
    assert found is not None
    first, second = found["rounds"][0]["cards"]
    assert [part["pictured"] for part in first["parts"]] == [False, False]
    assert second["parts"][1]["pictured"] and second["parts"][1]["missing"]
    assert first["facts"][0] == ("score", "1.50")


def test_every_modality_of_a_sample_is_pictured() -> None:
    [both, lacking] = pictured((10, 11), simulation())
    assert [(p["image"] is None, p["words"] is None) for p in both["parts"]] == [(False, True), (True, False)]
    assert lacking["parts"][1] == {"modality": "text", "image": None, "words": None}


def test_tables_are_a_line_of_numbers_and_films_a_frame() -> None:
    arrays = {
        "table": np.array([[0.5, -1.25, *range(10)]] * 30),
        "film": np.full((30, 3, 4, 4, 3), 7, np.uint8),
        "signal": np.zeros((30, 2, 64)),
        "audio": np.arange(30 * 64, dtype=np.uint8).reshape(30, 8, 8),
    }
    y = np.arange(30) % 3
    task = Task("t", ArrayDataset(arrays), CLASSES, np.arange(20), test=Labelled(np.arange(20, 30), y[20:]))
    [item] = pictured((0,), Simulation(task, y))
    table, film, signal, audio = item["parts"]
    assert table["words"] == "0.5, −1.25, 0, 1, 2, 3, 4, 5 … (12 numbers)"
    assert film["image"] == png(np.full((4, 4, 3), 7, np.uint8))
    assert signal["image"] == png(np.zeros((8, 64)))
    assert audio["image"] == png(arrays["audio"][0], spectrogram=True) != png(arrays["audio"][0])


BAD: tuple[Any, ...] = (None, 3, "x", [], {}, [3], {"x": 1}, [[0.1, 0.2]], float("nan"), 10**400)


@pytest.mark.parametrize("key", ["modalities", "accuracy", "shapley", "by class"])
@pytest.mark.parametrize("value", BAD, ids=lambda v: str(v)[:12])
def test_an_analysis_of_another_shape_counts_as_absent(key: str, value: Any) -> None:
    bad = {t: analysis((0.1, 0.2), **{key: value}) for t in range(4)}
    told = told_of([run("rl-mba", 0, CURVE, analysed=bad, modalities=BOTH)])
    assert (told is None) == (key != "by class")
    if told is not None:
        assert told.dominance is None


@pytest.mark.parametrize("value", BAD, ids=lambda v: str(v)[:12])
def test_notes_of_another_shape_are_left_out(value: Any) -> None:
    broken = dict.fromkeys(notes(1), value)
    within = {**notes(2), "samples": [{"id": 1, "modalities": {"image": value, "text": {"guess": value}}}]}
    runs = [rl(0, noted={1: broken, 2: within, 3: {**notes(3), "losses": {"policy": value}}})]
    found = compare(runs)
    [setting], [group] = found.settings, found.groups
    assert modalities(setting, group, CLASSES, palette_of(found)) is not None
    assert reading(learning("rl-mba", runs))
    assert cards("rl-mba", runs[0], noting(runs[0], 3), simulation(), CLASSES) is not None


def test_numbers_beyond_reason_are_no_numbers() -> None:
    assert number({"a": 10**400}, "a") is None
    assert number({"a": 1e300}, "a") is None
    assert weights({"modality weights": {"image": float("inf"), "text": 0.5}}) == {"text": 0.5}
    [one] = explained({"samples": [sample(3, conflict=float("nan"))]}, 1)
    assert "conflict" not in one.numbers
    assert one.modalities["image"].guess == 0
    assert one.modalities["text"].guess is None  # there is no class 1


def test_hostile_names_of_modalities_are_text(tmp_path: Path) -> None:
    names = [EVIL, "=cmd()"]
    told = {t: analysis((0.1, 0.2), modalities=names) for t in range(4)}
    noted = {1: {"modality weights": dict.fromkeys(names, 0.5), "samples": [
        {"id": 10, "modalities": {EVIL: {"uncertainty": 0.5, "guess": 1}}}]}}  # fmt: skip
    runs = [run("rl-mba", 0, CURVE, analysed=told, noted=noted, modalities=names)]
    paths = write_report(runs, tmp_path / "report.html", name="x").paths
    page = Page(paths["html"].read_text())
    assert page.seen.count("script") == 1
    assert page.words.count(EVIL) > 5
    assert "<script>" not in paths["md"].read_text()
    assert not any(cell.startswith("=") for cell in next(csv.reader(io.StringIO(paths["csv"].read_text()))))


def test_files_beside_the_page_hold_the_numbers(written: Mapping[str, Path]) -> None:
    rows = [r for r in csv.DictReader(io.StringIO(written["csv"].read_text())) if r["strategy"] == "rl-mba"]
    first, last = rows[0], rows[3]
    assert float(last["dispersion"]) == pytest.approx(0.1)
    assert (float(last["shapley_image"]), float(last["alone_text"])) == (pytest.approx(0.3), 0.5)
    assert float(first["weight_image"]) == pytest.approx(0.6)  # of round 1, which the first fit chose
    assert last["weight_image"] == ""
    [setting] = json.loads(written["json"].read_text())["settings"]
    told = setting["modalities"]
    assert told["modalities"] == ["image", "text"]
    assert told["classes"]["dominant"] == ["image", "text", None]
    assert told["strategies"][0]["dispersion"][0] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert told["alignment"][0]["steps"] == 9
    assert "### Modalities" in written["md"].read_text()


def test_samples_of_other_strategies_show_all_their_modalities(written: Mapping[str, Path]) -> None:
    text = written["html"].read_text()
    part = text[text.index("Samples that were asked for") :]
    assert len(re.findall('class="several"', part)) == 24  # six in each of two rounds of two strategies
    assert "text of sample" not in part  # a text is no picture
    assert part.count(">missing<") == 4  # 11, 31 with either strategy


def test_a_page_that_would_be_too_large_keeps_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelwise.bench.report.LARGEST", 1)
    runs = [rl(0, noted=None)]
    text = write_report(runs, tmp_path / "report.html", name="x").paths["html"].read_text()
    assert "rl-mba ends with D(φ) 0.1 at 80 % accuracy" in Page(text).words
    assert "modal-shapley" not in text
