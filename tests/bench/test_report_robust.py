"""The page's part on shifts: what each method keeps, severity curves, risk with its bounds, and the files beside the page."""

from __future__ import annotations

import csv
import io
import json

import pytest
from fabricated import run
from shifted import corrupted, simulated
from test_report import EVIL, Page

from labelwise.bench.compare import compare
from labelwise.bench.report import write_report
from labelwise.bench.report.build import palette_of
from labelwise.bench.report.robust import Robustness, robustness, shown, signed

RATES = {"erm": 0.06, "mmdro": 0.05, "variational": 0.055}
MULTI = {"name": "multimodal", "width": 8}
HEADINGS = ("What shifts cost", "Did the bounds hold?")


def runs_of(made, seeds=5, names=("image", "speech"), methods=RATES, curve=(0.9,), **task):
    """Runs of a protocol with one objective a method; `made(clean, rate)` is the analysis of a fit."""
    runs, cases = [], {}
    for method, rate in methods.items():
        for seed in range(seeds):
            told = {t: made(accuracy, rate + 0.001 * seed) for t, accuracy in enumerate(curve)}
            recipe = MULTI if method == "erm" else {**MULTI, "objective": method}
            one = run(
                "random", seed, curve, start=30, recipe=recipe, modalities=names, analysed=told, task=task
            )
            runs.append(one)
            cases[one.id] = {"set": "one", "method": method}
    return runs, cases


def told_by(runs, cases) -> tuple[Robustness, dict[str, str]]:
    comparison = compare(runs, cases)
    palette = palette_of(comparison)
    found = robustness(comparison.settings[0], comparison.groups[0], palette)
    assert found is not None
    return found, palette


def test_the_headline_says_who_keeps_most_and_by_how_much():
    told, _ = told_by(*runs_of(corrupted))
    # speech at severity 5 costs ten times the rate: 0.9 - 10 * (0.05 + 0.002) and 0.9 - 10 * (0.06 + 0.002), means over seeds
    assert told.headline == (
        "Under the worst of 20 shifts mmdro keeps an accuracy of 38 %, erm 28 % (+10.0 points paired by seed, 95 % interval "
        "+10.0 to +10.0, 5 seeds); on samples as they are they have 90 % and 90 %."
    )
    assert [r.method for r in told.methods] == ["mmdro", "variational", "erm"]
    assert any("Nothing is promised" in line for line in told.detail) and told.fared is None


def test_what_cannot_be_told_apart_is_said():
    two, cases = runs_of(corrupted, seeds=2)
    assert "which these seeds cannot tell from 0" in told_by(two, cases)[0].headline
    one, cases = runs_of(corrupted, seeds=1)
    assert "one seed: no difference can be tested" in told_by(one, cases)[0].headline
    alone, cases = runs_of(corrupted, seeds=3, methods={"erm": 0.05})
    assert told_by(alone, cases)[0].headline.endswith("on samples as they are it has 90 % (3 seeds).")


def test_the_table_has_clean_worst_difference_and_each_modality():
    told, palette = told_by(*runs_of(corrupted))
    heads = [c.name for c in told.table.columns]
    assert heads == [
        "method",
        "as is, %",
        "worst, %",
        "minus erm",
        "mean, %",
        "image, %",
        "speech, %",
        "worst risk",
    ]
    rows = {row.name: row for row in told.table.rows}
    assert [c.text for c in rows["mmdro"].cells] == ["90.0", "38.0", "+10.0", "66.6", "64.0", "38.0", "0.76"]
    assert rows["erm"].cells[2].text == "–"
    assert rows["mmdro"].cells[1].bold and not rows["variational"].cells[1].bold
    assert not rows["mmdro"].cells[0].bold  # all are equal as they are
    assert {row.colour for row in told.table.rows} == {palette[name] for name in RATES}


def test_two_lucky_seeds_make_nothing_bold():
    told, _ = told_by(*runs_of(corrupted, seeds=2))
    assert not any(cell.bold for row in told.table.rows for cell in row.cells)


def test_bounds_are_shown_where_radii_are_known():
    told, palette = told_by(
        *runs_of(lambda a, r: simulated(a, 20 * r), names=("m1", "m2"), name="copula", correlation=0.0)
    )
    assert told.fared is not None and any("Controls" in line for line in told.detail)
    erm = next(row for row in told.fared.rows if row.name == "erm")
    # rates 0.06 to 0.064, twenty times: mean shifts use 1.2 of the first order and break it, changes of scale do not
    assert erm.cells[0].text == "50.0" and erm.cells[0].small == "uses 128 %"
    # of both together the product promises √(1 + ρ/2) more, which is enough for ρ = 1 alone: 1.28 / 1.22 for one seed of five
    assert float(erm.cells[1].value) > 0.5
    groups = shown(told, palette, "s0")["groups"]
    assert [len(group["panels"]) for group in groups] == [
        3,
        3,
        4,
    ]  # m1, m2 and both: of erm, of the best; four readings
    assert shown(told, palette, "s0", figures=False)["groups"] == []
    assert "worst kind" in groups[0]["panels"][0] and "bound, precision" in groups[0]["panels"][2]


def test_severity_curves_are_one_panel_a_modality_and_kind():
    told, palette = told_by(*runs_of(corrupted))
    [group] = shown(told, palette, "s0")["groups"]
    titles = ["image: blur", "image: noise", "speech: blur", "speech: noise"]
    assert [title in panel for title, panel in zip(titles, group["panels"], strict=True)] == [True] * 4
    assert "bands" in group["caption"] and all("mmdro" in panel for panel in group["panels"])


def test_campaigns_under_shift_show_what_labels_buy():
    told, palette = told_by(*runs_of(corrupted, curve=(0.8, 0.9)))
    assert len(shown(told, palette, "s0")["groups"][-1]["panels"]) == 3
    assert told.methods[0].shifts[0].accuracy == 0.9  # tables are of the last fit


def test_the_page_and_its_files_hold_the_part(tmp_path):
    runs, cases = runs_of(lambda a, r: simulated(a, r), names=("m1", "m2"), name="copula")
    paths = write_report(runs, tmp_path / "r.html", name="x", cases=cases).paths
    html = paths["html"].read_text()
    assert all(f">{heading}<" in html for heading in HEADINGS)
    assert len(set(Page(html).ids)) == len(Page(html).ids)
    # one fit under shifts: what these cost is the page's answer, and stands there once
    assert "<h1>Under the worst of 30 shifts" in html and html.count("Under the worst of 30 shifts") == 1
    assert all(text in paths["md"].read_text() for text in ("### What shifts cost", "m1, %"))
    rows = list(csv.DictReader(io.StringIO(paths["csv"].read_text())))
    assert float(rows[0]["shifts_worst"]) < float(rows[0]["shifts_clean"]) == 0.9
    assert {"shifts_worst_m1", "shifts_worst_m2", "shifts_mean", "shifts_worst_risk"} <= set(rows[0])
    [setting] = json.loads(paths["json"].read_text())["settings"]
    first = setting["shifts"]["methods"][0]
    assert set(first["bounds"][0]["coverage"]) == {"first_order", "product_exact", "precision", "perfect"}
    assert len(first["shifts"][0]) == 31 and setting["shifts"]["reference"] == "erm"


def test_a_report_without_shifts_says_nothing_of_them(tmp_path):
    paths = write_report([run("random", s) for s in range(2)], tmp_path / "r.html", name="x").paths
    assert not any(heading in paths[kind].read_text() for heading in HEADINGS for kind in ("html", "md"))
    assert "shifts" not in paths["csv"].read_text() and '"shifts"' not in paths["json"].read_text()


def test_names_of_shifts_are_no_markup(tmp_path):
    def evil(clean: float, loss: float):
        return corrupted(clean, loss, modalities=(EVIL, "b"), kinds=(EVIL,))

    runs, cases = runs_of(evil, seeds=2)
    html = write_report(runs, tmp_path / "r.html", name="x", cases=cases).paths["html"].read_text()
    assert EVIL not in html


@pytest.mark.parametrize("value, text", [(0.051, "+5.1"), (-0.0021, "−0.21"), (0.0, "0.00")])
def test_differences_have_a_sign(value, text):
    assert signed(value) == text
