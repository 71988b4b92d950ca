"""The pages of the leaderboard, from runs made by hand: what is ranked, what stands apart, and what a page says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from labelwise.bench.findings import Full

ROOT = Path(__file__).parent.parent.parent
FACTS = {
    "kind": "image", "classes": 2, "modalities": 1, "pool": 100, "imbalance": 1.0, "dimension": 4, "names": ["a", "b"],
    "shapes": {"image": [2, 2]}, "smallest": 50, "largest": 50, "validation": 0, "test": 50, "sha256": "0",
}  # fmt: skip
RECIPE = {"name": "mlp", "network": "mlp"}
UP = {"random": 0.0, "margin": 0.2, "badge": 0.1}  # accuracy that each has more than random


@pytest.fixture
def runs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("leaderboard_runs")


@pytest.fixture
def cells(runs):
    return importlib.import_module("leaderboard_cells")


@pytest.fixture
def all_sets(runs):
    return importlib.import_module("leaderboard_index")


@pytest.fixture
def one_set(runs):
    return importlib.import_module("leaderboard_set")


def row(runs, method, seed, curve, where="one", *, recipe=None, params=None, case=None, labels=(10, 20, 30)):
    """Return a committed run; seconds are 6 of fitting, and 4 of proposing in all."""
    name = params.pop("name") if params and "name" in params else method
    plan = {"seed": seed, "start": 10, "batch": 10, "budget": labels[-1], "candidates": None, "cold": False}
    spec = {
        "task": {"name": "digits", "of": where}, "recipe": recipe or RECIPE, "strategy": {"name": name, **(params or {})},
        "plan": plan, "oracle": {"noise": 0.0, "passes": 0.0},
    }  # fmt: skip
    kept = {
        "seed": seed, "commit": f"c{seed}", "labels": list(labels), "accuracy": list(curve),
        "seconds": {"fit": 6.0, "propose": 4.0},
    }  # fmt: skip
    return runs.Row(
        f"{where}-{method}-{seed}-{labels[-1]}", spec, where, method, case or method, "bral-t/evidence", kept
    )


def curve(up, seed):
    """Return a curve that ends `up` higher than random's; seeds differ a little."""
    return 0.5, 0.6 + up + seed / 1000, 0.7 + up + seed / 500


def rows(runs, where="one", methods=UP, seeds=range(5)):
    return [row(runs, m, s, curve(up, s), where) for m, up in methods.items() for s in seeds]


def measured(runs, where="one", more=(), full=(), **options):
    made = [*rows(runs, where, **options), *more]
    return runs.compared(where, made, FACTS, full, len(made))


def test_a_method_is_called_by_its_strategy_unless_it_is_a_variant(runs):
    assert runs.called("gcnal", {"name": "core-gcn"}) == "core-gcn"
    assert runs.called("rl-mba", {"name": "rl-mba", "bank": "bank.json"}) == "rl-mba"
    assert runs.called("diff-set", {"name": "bral-t", "target": "diff-set"}) == "diff-set"


def test_seconds_are_spread_over_the_rounds_that_have_them(runs):
    made = runs.run_of(row(runs, "margin", 0, (0.5, 0.6, 0.7)), FACTS, RECIPE)
    # 6 s of fitting in three fits, 4 s of proposing for two batches
    assert [dict(fit.seconds) for fit in made.fits] == [{"fit": 2.0, "propose": 2.0}] * 2 + [{"fit": 2.0}]
    assert made.finished
    assert measured(runs).setting.summary("margin").choosing == 2.0


def test_variants_and_cheats_stand_apart(runs, one_set):
    more = [
        one for s in range(5)
        for one in (
            row(runs, "grand-oracle", s, curve(0.29, s)),
            row(runs, "diff-set", s, curve(0.25, s), params={"name": "bral-t", "target": "diff-set"}),
        )
    ]  # fmt: skip
    found = measured(runs, more=more)
    assert {s.name for s in found.setting.strategies} == set(UP)
    assert (
        found.setting.full.runs == 0
    )  # the best is margin's mean at the budget: 0.7 + 0.2 + mean(seed) / 500
    assert found.setting.full.accuracy == pytest.approx(0.9 + 2 / 500)
    assert dict(found.variants) == {"diff-set": "bral-t"}
    shown = [r.name for r in one_set.results_table(found, dict.fromkeys(UP, "#7A7A7A")).rows]
    assert shown == ["margin", "badge", "random", "grand-oracle (cheats)", "diff-set (variant of bral-t)"]


def test_a_companion_is_marked_and_compared(runs, one_set):
    waal = [row(runs, "waal", s, curve(0.1, s), recipe={"name": "waal", "network": "mlp"}) for s in range(5)]
    found = measured(runs, more=waal)
    assert dict(found.companions) == {"waal": "waal"}
    assert "waal†" in [
        r.name for r in one_set.results_table(found, dict.fromkeys([*UP, "waal"], "#7A7A7A")).rows
    ]


def test_fits_with_every_label_say_what_full_is(runs, one_set):
    full = [row(runs, "random", s, (0.96 + s / 100,), labels=(100,)) for s in range(2)]
    for one in full:
        one.spec["plan"]["start"] = 100
    found = measured(runs, full=full)
    assert found.setting.full == Full(pytest.approx(0.965), 2)  # the mean of 0.96 and 0.97
    assert found.setting.span == (10, 30)
    assert "the mean of 2 fits" in one_set.full_words(found.setting)
    assert "Nobody has fitted" in one_set.full_words(measured(runs).setting)


def test_the_order_is_of_what_is_paired(runs, cells):
    # badge was run with the best seed alone: its mean is above margin's, what it gains over random is not
    lonely = [row(runs, "random", 9, (0.5, 0.9, 0.95)), row(runs, "badge", 9, (0.5, 0.92, 0.96))]
    few = measured(runs, methods={"random": 0.0, "margin": 0.2}, more=lonely).setting
    assert few.summary("badge").aubc.mean > few.summary("margin").aubc.mean
    assert [s.name for s in cells.ordered(few)] == ["margin", "badge", "random"]
    assert cells.best_of(few) == "margin"


def test_nothing_is_best_where_random_is(runs, cells):
    assert cells.best_of(measured(runs, methods={"random": 0.0, "margin": -0.1}).setting) is None


def test_ranks_are_of_the_largest_table_without_a_hole(runs, all_sets):
    sets = [
        measured(runs, name, methods={**UP, "bald": -0.1} if name == "one" else UP).setting
        for name in ("one", "two", "three")
    ]
    lacking = measured(runs, "four", methods={"random": 0.0, "margin": 0.2}).setting
    late = measured(runs, "five", seeds=range(4)).setting  # four seeds are too few
    found = all_sets.block([*sets, lacking, late])
    assert found.found.names == ("margin", "badge", "random") and found.found.ranks == (1.0, 2.0, 3.0)
    assert found.found.settings == ("one", "two", "three") and found.partial == ("four", "five")
    assert found.found.left_out == ("bald",)
    assert all_sets.block(sets[:2]) is None


def test_ranks_use_seeds_that_all_strategies_have(runs, all_sets):
    more = [row(runs, "badge", s, (0.9, 0.99, 0.99)) for s in range(5, 20)]  # seeds that nobody else has
    found = all_sets.block(
        [measured(runs, "one", more=more).setting, *(measured(runs, n).setting for n in ("two", "three"))]
    )
    assert found.settings[0].summary("badge").seeds == (0, 1, 2, 3, 4)
    assert found.found.names == ("margin", "badge", "random")


def test_strategies_on_every_set_are_those_that_all_groups_share(runs, all_sets):
    one = all_sets.block(
        [measured(runs, n, methods={**UP, "bald": -0.1}).setting for n in ("one", "two", "three")]
    )
    other = all_sets.block(
        [measured(runs, n, methods={**UP, "bait": 0.05}).setting for n in ("four", "five", "six")]
    )
    found = all_sets.shared_block([one, other])
    assert set(found.found.names) == set(UP) and len(found.found.settings) == 6
    assert found.found.left_out == ("bait", "bald")
    assert all_sets.shared_block([]) is None


def test_the_row_of_a_set_says_what_its_best_strategy_saves(runs, all_sets):
    table = all_sets.sets_table([measured(runs)])
    cells = dict(zip([c.name for c in table.columns[1:]], table.rows[0].cells, strict=True))
    assert cells["best strategy"].text == "margin"
    # margin's curve is 0.2 higher after 10 of the 20 labels and at the end: 0.2 * (5 + 10) / 20
    assert cells["AUBC more than random, points"].text == "+15.00"
    # 90 % of 0.904 is 0.8136: every seed of random ends below, and margin needs 30 at most
    assert cells["labels to 90\u00a0%, ratio"].text.startswith("≤ 0.")
    assert cells["kind"].text == "image"


def test_a_page_holds_the_id_and_commit_of_every_run_and_no_blank_line_in_its_html(runs, one_set):
    found = measured(runs)
    page = one_set.set_page(found, drawn=False)
    for one in found.rows:
        assert f"{one.kept['seed']}:{one.id}@{one.kept['commit']}" in page
    assert "labelwise bench --protocol bral-t/evidence --only one --only METHOD --seeds SEED" in page
    for part in page.split('<div class="board"')[1:]:
        assert "\n\n" not in part.split("\n</div>\n\n")[0]  # Markdown would begin there


def test_a_page_without_its_figures_is_the_page_that_was_not_drawn(runs, one_set):
    html = importlib.import_module("leaderboard_html")
    found = measured(runs)
    drawn = one_set.set_page(found, drawn=True)
    assert drawn.count("<svg") == 2 and "http" not in drawn
    assert html.undrawn(drawn) == one_set.set_page(found, drawn=False)


def test_a_table_tells_numbers_from_words_and_escapes_both(runs):
    html = importlib.import_module("leaderboard_html")
    tables = importlib.import_module("labelwise.bench.report.tables")
    shown = tables.Table(
        (tables.Column("a"), tables.Column("n", "descending"), tables.Column("w")),
        (tables.Row("<x>", "", (tables.Cell("1.0", "±2", "1"), tables.Cell("b&c", "", "b&c"))),),
        "",
    )
    text = html.table(shown, "label", {"<x>": "x/"})
    assert '<a href="x/">&lt;x&gt;</a>' in text and '<th scope="col" aria-sort="descending">n</th>' in text
    assert '<td data-value="1">1.0 <span class="pm">±2</span></td>' in text
    assert '<td data-value="b&amp;c" class="words">b&amp;c</td>' in text


def test_the_numbers_of_the_package_are_those_of_the_runs(runs, monkeypatch):
    import json

    board = importlib.import_module("leaderboard")
    of_one = json.loads(board.numbers([measured(runs, "digits")]))["sets"]["digits"]
    assert of_one["budget"] == 30 and of_one["material"] == ["digits"] and of_one["full_runs"] == 0
    margin = of_one["methods"]["margin"]
    assert margin["seeds"] == [0, 1, 2, 3, 4] and margin["seconds"] == 2.0
    # (0.5 + 0.8) / 2 and (0.8 + 0.9) / 2, of one half each
    assert margin["aubc"][0] == pytest.approx(0.75) and margin["last"][0] == pytest.approx(0.9)


def test_ranks_of_many_strategies_are_a_list_and_not_a_matrix(runs, all_sets):
    many = {"random": 0.0, **{f"s{k:02}": k / 100 for k in range(1, 25)}}
    found = all_sets.block([measured(runs, n, methods=many).setting for n in ("one", "two", "three")])
    table = all_sets.ranks_table(found.found)
    assert [r.name for r in table.rows[:2]] == ["s24", "s23"] and table.rows[-1].name == "random"
    # the best beats all 24 others on all three sets: seeds shift all curves alike
    assert [c.text for c in table.rows[0].cells] == ["1.00", "72", "0", "0"]
    text = "\n".join(all_sets.group("Title", "About.", found, "many", drawn=False))
    assert "S24 ranks best over 3 sets" in text and 'class="heat"' not in text
    assert "Not enough runs yet" in "\n".join(all_sets.group("Title", "About.", None, "none", drawn=False))


def test_the_first_page_says_what_is_missing(runs, all_sets):
    sets = [measured(runs, name) for name in ("one", "two", "three")]
    text = all_sets.index(sets, 4, drawn=False)
    assert "On 3 of 3 sets some strategy is clearly better than picking at random." in text
    assert "Margin ranks best over 3 sets" in text and "45 campaigns so far, 5 to 5 seeds" in text
    assert "4 committed runs are of specs that the protocols no longer hold" in text
